//! The company book: what is true after each event, told in the order in which it happened. Nothing arrives late or
//! twice here, so the rules are short; what Rollcall makes of the shuffled messages must come out the same.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::person::{CLIENT, Person};

/// Index in [`Book::people`].
pub(crate) type PersonId = usize;

const PROTECTED: &str = "administrator";

/// What an event came to: outcome and reason as the ledger has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    /// Whom the event was about, if anybody.
    pub(crate) person: Option<PersonId>,
}

impl Entry {
    fn applied(person: PersonId) -> Self {
        Self {
            outcome: "applied",
            reason: None,
            person: Some(person),
        }
    }

    fn because(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    fn ignored(reason: &'static str) -> Self {
        Self {
            outcome: "ignored",
            reason: Some(reason),
            person: None,
        }
    }

    fn rejected(reason: &'static str) -> Self {
        Self {
            outcome: "rejected",
            reason: Some(reason),
            person: None,
        }
    }

    fn about(self, person: PersonId) -> Self {
        Self {
            person: Some(person),
            ..self
        }
    }
}

/// Who stands behind a key.
enum Found {
    Active(PersonId),
    Alias(PersonId),
    Gone,
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Everybody there ever was; who is here now is in `active`.
    pub(crate) people: Vec<Person>,
    pub(crate) active: BTreeMap<String, PersonId>,
    pub(crate) aliases: BTreeMap<String, PersonId>,
    pub(crate) tombstones: BTreeSet<String>,
    events: usize,
}

impl Book {
    pub(crate) fn apply(&mut self, event: &Event) -> Entry {
        self.events += 1;
        if event.text("profile_type").is_some_and(|named| named != CLIENT) {
            return Entry::rejected("unknown_profile_type");
        }
        if self.protects(event) {
            return Entry::rejected("protected_user");
        }
        let entry = match (event.kind, self.resolve(event.user_id())) {
            ("created", found) => self.created(event, &found),
            ("deleted", Found::Gone) => Entry::ignored("already_deleted"),
            (_, Found::Gone) => Entry::ignored("after_deletion"),
            ("left", Found::Unknown) => Entry::ignored("not_a_member"),
            ("deleted", Found::Unknown) => {
                self.tombstones.insert(event.user_id().to_owned());
                Entry {
                    outcome: "applied",
                    reason: None,
                    person: None,
                }
            }
            ("deleted", Found::Active(id) | Found::Alias(id)) => self.deleted(id),
            ("renamed", Found::Active(id) | Found::Alias(id)) => self.renamed(event, id),
            ("renamed", Found::Unknown) => self.renamed_unknown(event),
            (_, Found::Active(id) | Found::Alias(id)) => self.news(event, id),
            (_, Found::Unknown) => {
                let id = self.begin(event.user_id(), event, true);
                match self.news(event, id) {
                    Entry {
                        outcome: "ignored",
                        reason: Some(reason),
                        ..
                    } => Entry::applied(id).because(reason),
                    entry => entry,
                }
            }
        };
        if let Entry {
            outcome: "applied",
            person: Some(id),
            ..
        } = entry
        {
            self.people[id].count(event);
        }
        entry
    }

    pub(crate) fn person(&self, key: &str) -> Option<&Person> {
        self.active.get(key).map(|id| &self.people[*id])
    }

    /// The active users, in the order of their keys.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Person> {
        self.active.values().map(|id| &self.people[*id])
    }

    pub(crate) fn profile_rows(&self) -> Vec<Map<String, Value>> {
        self.present().filter_map(Person::profile_row).collect()
    }

    pub(crate) fn customer_rows(&self) -> Vec<Map<String, Value>> {
        self.present().flat_map(Person::customer_rows).collect()
    }

    fn resolve(&self, key: &str) -> Found {
        if let Some(id) = self.active.get(key) {
            Found::Active(*id)
        } else if let Some(id) = self.aliases.get(key) {
            Found::Alias(*id)
        } else if self.tombstones.contains(key) {
            Found::Gone
        } else {
            Found::Unknown
        }
    }

    fn protects(&self, event: &Event) -> bool {
        let current = match self.resolve(event.user_id()) {
            Found::Active(id) | Found::Alias(id) => Some(self.people[id].key.as_str()),
            Found::Gone | Found::Unknown => None,
        };
        let keys = [Some(event.user_id()), event.text("new_user_id"), current];
        matches!(event.kind, "deleted" | "renamed")
            && keys
                .into_iter()
                .flatten()
                .any(|key| key.eq_ignore_ascii_case(PROTECTED))
    }

    /// Gives a key to a person; who has it drops what it meant before.
    fn take(&mut self, key: &str, id: PersonId) {
        self.aliases.remove(key);
        self.tombstones.remove(key);
        self.active.insert(key.to_owned(), id);
        key.clone_into(&mut self.people[id].key);
    }

    fn begin(&mut self, key: &str, event: &Event, provisional: bool) -> PersonId {
        let id = self.people.len();
        self.people.push(Person::new(key, event, provisional));
        self.take(key, id);
        id
    }

    fn created(&mut self, event: &Event, found: &Found) -> Entry {
        let id = match *found {
            Found::Active(id) => id,
            Found::Alias(id) if self.people[id].provisional => id,
            Found::Alias(_) | Found::Gone | Found::Unknown => self.begin(event.user_id(), event, false),
        };
        let person = &mut self.people[id];
        if person.provisional {
            person.provisional = false;
            person.backfilled = event.backfill;
            person.make_profiles(event);
        }
        person.patch(event);
        Entry::applied(id)
    }

    fn deleted(&mut self, id: PersonId) -> Entry {
        let key = self.people[id].key.clone();
        self.active.remove(&key);
        self.tombstones.insert(key);
        self.tombstones.extend(
            self.aliases
                .extract_if(.., |_, person| *person == id)
                .map(|(key, _)| key),
        );
        Entry::applied(id)
    }

    /// Everything that happens to a person who is here and keeps the key.
    fn news(&mut self, event: &Event, id: PersonId) -> Entry {
        let number = self.events;
        let person = &mut self.people[id];
        let organization = event.text("organization_id").unwrap_or_default();
        match event.kind {
            "joined" => person.join(organization, number, event),
            "left" if !person.leave(organization) => return Entry::ignored("not_a_member").about(id),
            "left" => {}
            "activated" | "archived" | "reactivated" => return self.transition(event, id),
            _ => person.patch(event),
        }
        Entry::applied(id)
    }

    fn transition(&mut self, event: &Event, id: PersonId) -> Entry {
        let made = self.people[id].client.is_none();
        let client = self.people[id].make_client(event);
        let next = match (event.kind, client.status) {
            ("activated", "draft") | ("reactivated", "archived") => "active",
            ("archived", "active") => "archived",
            _ if made => return Entry::applied(id).because("illegal_transition"),
            _ => return Entry::ignored("illegal_transition").about(id),
        };
        client.status = next;
        Entry::applied(id)
    }

    fn renamed(&mut self, event: &Event, id: PersonId) -> Entry {
        let old = self.people[id].key.clone();
        let new = event
            .text("new_user_id")
            .filter(|new| *new != event.user_id() && *new != old);
        let mut survivor = id;
        if let Some(new) = new {
            if let Some(&other) = self.active.get(new) {
                if !self.people[id].provisional && !self.people[other].provisional {
                    return Entry::rejected("key_taken").about(id);
                }
                survivor = self.merge(id, other);
            }
            self.active.remove(&old);
            self.take(new, survivor);
            self.aliases.insert(old, survivor);
        }
        self.people[survivor].patch(event);
        Entry::applied(survivor)
    }

    /// Makes one person of two; the real one stays, or else the one who was renamed.
    fn merge(&mut self, renamed: PersonId, other: PersonId) -> PersonId {
        let (stays, goes) = if self.people[other].provisional {
            (renamed, other)
        } else {
            (other, renamed)
        };
        for person in self.aliases.values_mut().filter(|person| **person == goes) {
            *person = stays;
        }
        let gone = std::mem::take(&mut self.people[goes]);
        self.people[stays].absorb(gone);
        stays
    }

    fn renamed_unknown(&mut self, event: &Event) -> Entry {
        let old = event.user_id();
        let new = event.text("new_user_id").filter(|new| *new != old);
        if let Some(&id) = new.and_then(|new| self.active.get(new)) {
            self.aliases.insert(old.to_owned(), id);
            return Entry::applied(id).because("already_renamed");
        }
        let id = self.begin(new.unwrap_or(old), event, true);
        if new.is_some() {
            self.aliases.insert(old.to_owned(), id);
        }
        self.people[id].patch(event);
        Entry::applied(id)
    }
}
