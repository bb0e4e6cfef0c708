//! The fast path: each event is watched for itself, so that the cut of a history into batches cannot show.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fate, KeyKind, Passage, Trail, Turn};
use crate::domain::event::{Event, EventRef};
use crate::domain::person::Person;
use crate::domain::verdict::{Outcome, Verdict};
use crate::domain::world::{Holder, PersonId, World};

/// Notes what events do to the values of the people of a world.
#[derive(Debug)]
pub struct Watch {
    emails: BTreeMap<String, usize>,
    usernames: BTreeMap<String, usize>,
    trail: Trail,
}

/// The people that an event may concern, before it.
#[derive(Debug)]
pub struct Seen(Vec<(PersonId, Glimpse)>);

/// What a person is known by.
#[derive(Debug, Clone)]
pub(super) struct Glimpse {
    pub(super) key: String,
    aliases: BTreeSet<String>,
    pub(super) email: Option<String>,
    pub(super) username: Option<String>,
    pub(super) began: EventRef,
}

impl Glimpse {
    pub(super) fn of(person: &Person) -> Self {
        Self {
            key: person.key.clone(),
            aliases: person.aliases.clone(),
            email: person.fields.email.clone(),
            username: person.fields.username.clone(),
            began: person.began,
        }
    }

    /// Address and user name, with what they are.
    pub(super) fn names(&self) -> [(KeyKind, Option<&String>); 2] {
        [
            (KeyKind::Email, self.email.as_ref()),
            (KeyKind::Username, self.username.as_ref()),
        ]
    }
}

impl Watch {
    /// Watches over this world.
    pub fn over(world: &World) -> Self {
        let mut watch = Self {
            emails: BTreeMap::new(),
            usernames: BTreeMap::new(),
            trail: Trail::default(),
        };
        for person in world.persons.values().filter(|person| person.deleted_at.is_none()) {
            watch.count(&Glimpse::of(person), 1);
        }
        watch
    }

    /// To be called before an event is applied.
    pub fn before(world: &World, event: &Event) -> Seen {
        let mut seen: Vec<(PersonId, Glimpse)> = Vec::new();
        for key in std::iter::once(event.key.as_str()).chain(event.other_key()) {
            if let Some(Holder::Active(id) | Holder::Alias(id)) = world.holders.get(key)
                && let Some(person) = world.persons.get(id)
                && seen.iter().all(|(other, _)| other != id)
            {
                seen.push((*id, Glimpse::of(person)));
            }
        }
        Seen(seen)
    }

    /// To be called after it was applied, with what came of it.
    pub fn after(&mut self, world: &World, event: &Event, verdict: &Verdict, person: Option<PersonId>, seen: &Seen) {
        if verdict.outcome != Outcome::Applied {
            return;
        }
        let event = event.reference;
        let mut present: BTreeMap<PersonId, Glimpse> = BTreeMap::new();
        let ids = seen.0.iter().map(|(id, _)| *id).chain(person);
        for id in ids.map(|id| world.survivor(id)) {
            if let Some(person) = world.persons.get(&id).filter(|person| person.deleted_at.is_none()) {
                present.insert(id, Glimpse::of(person));
            }
        }
        for (_, was) in &seen.0 {
            self.count(was, -1);
        }
        for is in present.values() {
            self.count(is, 1);
        }
        for (id, is) in &present {
            let before = seen.0.iter().filter(|(other, _)| world.survivor(*other) == *id);
            let before: Vec<&Glimpse> = before.map(|(_, was)| was).collect();
            self.follow(event, is, &before);
        }
        for (_, was) in seen
            .0
            .iter()
            .filter(|(id, _)| !present.contains_key(&world.survivor(*id)))
        {
            self.depart(event, was);
        }
        if seen.0.is_empty() {
            // Nobody knew them, but the application may.
            for key in &verdict.effects.tombstones {
                self.pass(event, KeyKind::UserId, key, Fate::Departed { mark: event }, false);
                self.turn(event, key, None, None);
            }
        }
    }

    /// What was noted.
    pub fn into_trail(self) -> Trail {
        self.trail
    }

    /// A person who is there, and everybody they were before the event: nobody, one, or two who became one.
    fn follow(&mut self, event: EventRef, is: &Glimpse, were: &[&Glimpse]) {
        let known = |key: &String| were.iter().any(|was| was.aliases.contains(key));
        let moved = were.iter().any(|was| was.key != is.key) || is.aliases.iter().any(|key| !known(key));
        if moved {
            for key in &is.aliases {
                self.pass(event, KeyKind::UserId, key, Fate::Moved(is.key.clone()), false);
            }
        }
        for was in were.iter().filter(|was| was.key != is.key) {
            self.turn(event, &was.key, Some(is), None);
        }
        if were.is_empty() {
            for key in &is.aliases {
                self.turn(event, key, Some(is), None);
            }
        }
        if were.iter().all(|was| was.key != is.key) {
            self.trail.taken.push(is.key.clone());
        }
        for ((kind, now), n) in is.names().into_iter().zip(0..) {
            let left: BTreeSet<&String> = were
                .iter()
                .filter_map(|was| was.names()[n].1)
                .filter(|was| Some(*was) != now)
                .collect();
            for value in left {
                let fate = now.map_or(Fate::Cleared, |now| Fate::Moved(now.clone()));
                let contested = self.holders(kind, value) > 0;
                self.pass(event, kind, value, fate, contested);
            }
            if let Some(now) = now
                && were.iter().all(|was| was.names()[n].1 != Some(now))
            {
                self.trail.taken.push(now.clone());
            }
        }
    }

    fn depart(&mut self, event: EventRef, was: &Glimpse) {
        let fate = Fate::Departed { mark: was.began };
        for key in std::iter::once(&was.key).chain(&was.aliases) {
            self.pass(event, KeyKind::UserId, key, fate.clone(), false);
        }
        for (kind, value) in was.names() {
            if let Some(value) = value {
                let contested = self.holders(kind, value) > 0;
                self.pass(event, kind, value, fate.clone(), contested);
            }
        }
        self.turn(event, &was.key, None, Some(was));
    }

    fn pass(&mut self, event: EventRef, key: KeyKind, value: &str, fate: Fate, contested: bool) {
        self.trail.events.insert(event);
        self.trail.passages.push(Passage {
            event,
            key,
            value: value.to_owned(),
            fate,
            contested,
        });
    }

    fn turn(&mut self, event: EventRef, old_key: &str, is: Option<&Glimpse>, was: Option<&Glimpse>) {
        let told = is.or(was);
        self.trail.events.insert(event);
        self.trail.turns.push(Turn {
            event,
            old_key: old_key.to_owned(),
            new_key: is.map(|is| is.key.clone()),
            email: told.and_then(|told| told.email.clone()),
            username: told.and_then(|told| told.username.clone()),
        });
    }

    fn holders(&self, kind: KeyKind, value: &str) -> usize {
        let counts = match kind {
            KeyKind::Email => &self.emails,
            KeyKind::Username => &self.usernames,
            KeyKind::UserId => return 0,
        };
        counts.get(value).copied().unwrap_or_default()
    }

    fn count(&mut self, glimpse: &Glimpse, change: isize) {
        for (counts, value) in [
            (&mut self.emails, &glimpse.email),
            (&mut self.usernames, &glimpse.username),
        ] {
            if let Some(value) = value {
                let count = counts.entry(value.clone()).or_default();
                *count = count.saturating_add_signed(change);
            }
        }
    }
}
