//! The late path: what the application's tables have to follow is the difference between the stored world and the new
//! one. Rows that were moved stand where the stored world says; whoever held a value since may have rows of their own.

use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use super::watch::Glimpse;
use super::{Fate, KeyKind, Passage, Trail, Turn};
use crate::domain::event::EventRef;
use crate::domain::person::Person;
use crate::domain::verdict::Verdict;
use crate::domain::world::{Holder, World};

/// An event of the history that was folded again, and what is said of it now.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Which.
    pub event: EventRef,
    /// What the fold says of it now.
    pub verdict: &'a Verdict,
    /// Whether it is new here, or was not applied before: then changes can be its doing.
    pub is_news: bool,
}

/// What there is to follow between two worlds, whose people carry the names of their rows. `told` is in the order of the
/// history.
pub fn late(stored: &World, new: &World, told: &[Told<'_>]) -> Trail {
    let Some(last) = told.iter().rev().find(|told| told.is_news).map(|told| told.event) else {
        return Trail::default();
    };
    let mut difference = Difference {
        stored,
        new,
        told,
        last,
        buried: told.iter().flat_map(|told| &told.verdict.effects.tombstones).collect(),
        were: by_row(stored),
        are: by_row(new),
        trail: Trail::default(),
    };
    difference.keys();
    difference.people();
    difference.trail
}

/// Keys, addresses and user names that a person has and had not.
fn taken(was: Option<&Person>, is: &Person) -> impl Iterator<Item = String> {
    let (was, is) = (was.map(Glimpse::of), Glimpse::of(is));
    let had = was
        .as_ref()
        .map(|was| (&was.key, was.email.as_ref(), was.username.as_ref()));
    let (key, email, username) = had.map_or((None, None, None), |(key, email, username)| {
        (Some(key), email, username)
    });
    let taken = [
        (Some(&is.key), key),
        (is.email.as_ref(), email),
        (is.username.as_ref(), username),
    ];
    let taken = taken.into_iter().filter(|(now, before)| now != before);
    taken
        .filter_map(|(now, _)| now.cloned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The people who are there.
fn by_row(world: &World) -> BTreeMap<Uuid, &Person> {
    let present = world.people().filter(|person| person.deleted_at.is_none());
    present.filter_map(|person| Some((person.row?, person))).collect()
}

struct Difference<'a> {
    stored: &'a World,
    new: &'a World,
    told: &'a [Told<'a>],
    /// The last event that is news.
    last: EventRef,
    /// Keys whose person was deleted at some time.
    buried: BTreeSet<&'a String>,
    were: BTreeMap<Uuid, &'a Person>,
    are: BTreeMap<Uuid, &'a Person>,
    trail: Trail,
}

impl<'a> Difference<'a> {
    fn keys(&mut self) {
        let keys: BTreeSet<&String> = self.stored.holders.keys().chain(self.new.holders.keys()).collect();
        for key in keys {
            let left = self.whoever_left(key);
            match (self.new.holders.get(key), left) {
                // Who stood here stands elsewhere, or went, and the key is somebody's: whose the rows are is unknown.
                (Some(_), Some(fate)) => self.pass(KeyKind::UserId, key, fate, true),
                (Some(Holder::Tombstone), None) => self.buried(key),
                (Some(Holder::Alias(id)), None) => {
                    if let Some(person) = self.new.find(*id).filter(|person| self.has_stirred(person)) {
                        self.pass(KeyKind::UserId, key, Fate::Moved(person.key.clone()), false);
                    }
                }
                // The key is nobody's any more, and never was anybody else's.
                (None, Some(fate)) => self.pass(KeyKind::UserId, key, fate, false),
                (None, None) => self.gone_with_their_person(key),
                (Some(Holder::Active(_)), None) => {}
            }
        }
    }

    /// Where the person went who stood at this key, if the key is not theirs to speak for any more.
    fn whoever_left(&self, key: &str) -> Option<Fate> {
        let was = self.stood_at(key)?;
        let now = was.row.and_then(|row| self.are.get(&row));
        let speaks_for = match self.new.holders.get(key) {
            Some(Holder::Active(id) | Holder::Alias(id)) => self.new.find(*id),
            Some(Holder::Tombstone) | None => None,
        };
        match (now, speaks_for) {
            (Some(now), Some(other)) if now.row == other.row => None,
            (Some(now), _) => Some(Fate::Moved(now.key.clone())),
            // They became part of whoever has the key now, unless they were deleted before that one came.
            (None, Some(_)) if self.buried.contains(&key.to_owned()) => Some(Fate::Departed { mark: was.began }),
            (None, _) => None,
        }
    }

    fn buried(&mut self, key: &'a str) {
        if self.stored.holders.get(key) == Some(&Holder::Tombstone) {
            return;
        }
        let before = match self.stored.holders.get(key) {
            Some(Holder::Active(id) | Holder::Alias(id)) => self.stored.find(*id),
            Some(Holder::Tombstone) | None => None,
        };
        let mark = before.map_or(self.last, |person| person.began);
        self.pass(KeyKind::UserId, key, Fate::Departed { mark }, false);
        if before.is_none() {
            self.turn(key, None, None);
        }
    }

    fn gone_with_their_person(&mut self, key: &str) {
        if let Some(was) = self.stood_at(key) {
            let mark = was.began;
            self.pass(KeyKind::UserId, key, Fate::Departed { mark }, false);
        }
    }

    fn stood_at(&self, key: &str) -> Option<&'a Person> {
        match self.stored.holders.get(key)? {
            Holder::Active(id) => self.stored.find(*id),
            Holder::Alias(_) | Holder::Tombstone => None,
        }
    }

    /// Whether the person has another key than before, or one more that points at them.
    fn has_stirred(&self, person: &Person) -> bool {
        let was = person.row.and_then(|row| self.were.get(&row));
        was.is_none_or(|was| was.key != person.key || !person.aliases.is_subset(&was.aliases))
    }

    fn people(&mut self) {
        let people: Vec<&Person> = self.were.values().copied().collect();
        for was in people {
            let now = was
                .row
                .and_then(|row| self.are.get(&row))
                .copied()
                .or_else(|| self.became(was));
            let (was, now) = (Glimpse::of(was), now.map(Glimpse::of));
            if now.as_ref().is_none_or(|now| now.key != was.key) {
                self.turn(&was.key, now.as_ref(), Some(&was));
            }
            for ((kind, before), n) in was.names().into_iter().zip(0..) {
                let after = now.as_ref().and_then(|now| now.names()[n].1);
                let Some(before) = before.filter(|before| Some(*before) != after) else {
                    continue;
                };
                let fate = match (&now, after) {
                    (None, _) => Fate::Departed { mark: was.began },
                    (Some(_), None) => Fate::Cleared,
                    (Some(_), Some(after)) => Fate::Moved(after.clone()),
                };
                let contested = self.is_held(kind, before);
                self.pass(kind, before, fate, contested);
            }
        }
        let taken = self
            .are
            .iter()
            .flat_map(|(row, is)| taken(self.were.get(row).copied(), is));
        let taken: Vec<String> = taken.collect();
        self.trail.taken.extend(taken);
    }

    /// The person that one whose rows are nobody's became part of.
    fn became(&self, was: &Person) -> Option<&'a Person> {
        match self.new.holders.get(&was.key)? {
            Holder::Active(id) | Holder::Alias(id) if !self.buried.contains(&was.key) => self.new.find(*id),
            _ => None,
        }
    }

    fn is_held(&self, kind: KeyKind, value: &String) -> bool {
        self.are.values().any(|person| {
            let held = match kind {
                KeyKind::UserId => Some(&person.key),
                KeyKind::Email => person.fields.email.as_ref(),
                KeyKind::Username => person.fields.username.as_ref(),
            };
            held == Some(value)
        })
    }

    fn pass(&mut self, key: KeyKind, value: &str, fate: Fate, contested: bool) {
        let event = self.cause(key, value);
        self.trail.events.insert(event);
        self.trail.passages.push(Passage {
            event,
            key,
            value: value.to_owned(),
            fate,
            contested,
        });
    }

    fn turn(&mut self, old_key: &str, is: Option<&Glimpse>, was: Option<&Glimpse>) {
        let told = is.or(was);
        let event = self.cause(KeyKind::UserId, old_key);
        self.trail.events.insert(event);
        self.trail.turns.push(Turn {
            event,
            old_key: old_key.to_owned(),
            new_key: is.map(|is| is.key.clone()),
            email: told.and_then(|told| told.email.clone()),
            username: told.and_then(|told| told.username.clone()),
        });
    }

    /// Whose doing it is: of the news, the last that speaks of the value, else the last.
    fn cause(&self, kind: KeyKind, value: &str) -> EventRef {
        let speaks = |told: &&Told<'_>| {
            let effects = &told.verdict.effects;
            match kind {
                KeyKind::UserId => {
                    effects.key.as_ref().is_some_and(|(from, _)| from == value)
                        || effects.alias.as_deref() == Some(value)
                        || effects.merged.as_deref() == Some(value)
                        || effects.tombstones.iter().any(|key| key == value)
                }
                KeyKind::Email | KeyKind::Username => {
                    !effects.tombstones.is_empty() || effects.fields.iter().any(|field| field == kind.name())
                }
            }
        };
        let news = self.told.iter().rev().filter(|told| told.is_news);
        news.into_iter().find(speaks).map_or(self.last, |told| told.event)
    }
}
