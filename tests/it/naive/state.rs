//! The world while folding: living persons by number, and what each key leads to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::event::Event;
use super::{Departed, Profile, Settings, User, Verdict, World};

/// A person is numbered by the step of the event that began them.
pub(super) type Number = usize;

/// A living person.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) key: String,
    pub(super) user: User,
    /// Step of the last `joined` by organization: the recency of joins.
    pub(super) joins: BTreeMap<String, usize>,
}

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Active(Number),
    Alias(Number),
    Tombstone,
    Unknown,
}

pub(super) struct State<'a> {
    pub(super) settings: &'a Settings,
    pub(super) people: BTreeMap<Number, Person>,
    pub(super) aliases: BTreeMap<String, Number>,
    pub(super) tombstones: BTreeSet<String>,
    pub(super) departed: Vec<Departed>,
    visits: BTreeMap<(String, String), u64>,
}

impl<'a> State<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            people: BTreeMap::new(),
            aliases: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            departed: Vec::new(),
            visits: BTreeMap::new(),
        }
    }

    /// The active user with key `k`; else the person that alias `k` points at; else the tombstone; else unknown.
    pub(super) fn resolve(&self, key: &str) -> Place {
        if let Some(number) = self.active(key) {
            Place::Active(number)
        } else if let Some(number) = self.aliases.get(key) {
            Place::Alias(*number)
        } else if self.tombstones.contains(key) {
            Place::Tombstone
        } else {
            Place::Unknown
        }
    }

    /// The person who stands at this key now.
    pub(super) fn active(&self, key: &str) -> Option<Number> {
        self.people
            .iter()
            .find(|(_, person)| person.key == key)
            .map(|(number, _)| *number)
    }

    pub(super) fn person(&mut self, number: Number) -> &mut Person {
        self.people
            .get_mut(&number)
            .expect("numbers are those of living persons")
    }

    /// Whoever takes a key drops the alias or tombstone it had.
    pub(super) fn clear(&mut self, key: &str) {
        self.aliases.remove(key);
        self.tombstones.remove(key);
    }

    /// Moves a person; the key they leave becomes their alias.
    pub(super) fn move_to(&mut self, number: Number, new_key: &str) {
        self.clear(new_key);
        let old_key = std::mem::replace(&mut self.person(number).key, new_key.to_owned());
        self.aliases.insert(old_key, number);
    }

    /// A new person at a key, with the event's fields and profiles: those it names, else those of configuration.
    pub(super) fn begin(&mut self, step: usize, key: &str, event: &Event, provisional: bool) -> Number {
        self.clear(key);
        let user = User {
            provisional,
            fields: BTreeMap::new(),
            degraded: BTreeSet::new(),
            profiles: BTreeMap::new(),
            customers: BTreeMap::new(),
            version: 0,
            created_at: event.micros,
            updated_at: event.micros,
            created_via: if provisional { "implicit" } else { made_by(event) }.to_owned(),
        };
        self.people.insert(
            step,
            Person {
                key: key.to_owned(),
                user,
                joins: BTreeMap::new(),
            },
        );
        self.patch(step, event);
        self.add_profiles_of_creation(step, event);
        step
    }

    /// The profiles that configuration makes at creation, or exactly those that the event names.
    pub(super) fn add_profiles_of_creation(&mut self, number: Number, event: &Event) {
        let types = if event.kind.carries_fields() {
            event.profile_types.clone()
        } else {
            None
        };
        let types = types.unwrap_or_else(|| {
            let at_creation = self.settings.types.iter().filter(|setting| !setting.on_activation);
            at_creation.map(|setting| setting.name.clone()).collect()
        });
        for name in types {
            self.ensure_profile(number, &name, event);
        }
    }

    /// Makes a missing profile in its initial status, in the person's default organization; says whether it did.
    pub(super) fn ensure_profile(&mut self, number: Number, name: &str, event: &Event) -> bool {
        let setting = self.settings.types.iter().find(|setting| setting.name == name);
        let status = setting.expect("only configured types are made").initial.clone();
        let user = &mut self.person(number).user;
        if user.profiles.contains_key(name) {
            return false;
        }
        let organization_id = user
            .fields
            .get("organization_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let profile = Profile {
            status,
            organization_id,
            display_name: String::new(),
            created_at: event.micros,
            is_active: true,
        };
        user.profiles.insert(name.to_owned(), profile);
        true
    }

    /// Counts an applied event of a person.
    pub(super) fn count(&mut self, number: Number, event: &Event) {
        let user = &mut self.person(number).user;
        user.version += 1;
        user.updated_at = event.micros;
    }

    pub(super) fn visit(&mut self, row: &str, column: &str) {
        *self.visits.entry((row.to_owned(), column.to_owned())).or_default() += 1;
    }

    /// What follows from the rest: display names, `is_active`, the address in customer rows.
    pub(super) fn derive(&mut self) {
        for person in self.people.values_mut() {
            derive_user(&person.key, &mut person.user);
        }
    }

    pub(super) fn into_world(self, verdicts: BTreeMap<(String, String), Verdict>) -> World {
        let current = |number: &Number| self.people[number].key.clone();
        World {
            aliases: self
                .aliases
                .iter()
                .map(|(key, number)| (key.clone(), current(number)))
                .collect(),
            users: self
                .people
                .values()
                .map(|person| (person.key.clone(), person.user.clone()))
                .collect(),
            tombstones: self.tombstones,
            verdicts,
            visits: self.visits,
            departed: self.departed,
        }
    }
}

/// How a user that this `created` makes real came to be.
pub(super) fn made_by(event: &Event) -> &'static str {
    if event.from_backfill { "backfill" } else { "event" }
}

pub(super) fn derive_user(key: &str, user: &mut User) {
    let display_name = display_name(key, user);
    let inactive = user.fields.get("active") == Some(&Value::Bool(false));
    for profile in user.profiles.values_mut() {
        profile.display_name.clone_from(&display_name);
        profile.is_active = !inactive && profile.status != "archived";
    }
    let email = user.fields.get("email").and_then(Value::as_str).map(str::to_owned);
    for customer in user.customers.values_mut() {
        customer.email.clone_from(&email);
    }
}

/// The first present of `full_name`, `first_name` + `last_name`, `metadata.display_name`, `username`, `email`,
/// `user_id`; an empty text counts as not present.
fn display_name(key: &str, user: &User) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let field = |name: &str| text(user.fields.get(name));
    let both = [field("first_name"), field("last_name")]
        .into_iter()
        .filter(|part| !part.is_empty());
    let candidates = [
        field("full_name"),
        both.collect::<Vec<_>>().join(" "),
        text(
            user.fields
                .get("metadata")
                .and_then(|metadata| metadata.get("display_name")),
        ),
        field("username"),
        field("email"),
    ];
    candidates
        .into_iter()
        .find(|candidate| !candidate.is_empty())
        .unwrap_or_else(|| key.to_owned())
}
