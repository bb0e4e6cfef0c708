//! Who stands at which key, and what an event changes about it: the table of the fold, one arm per cell.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::event::{Body, Event, Patch, is_address};
use super::inputs::Question;
use super::person::{Fields, Person, Via};
use super::policy::{OnDelete, Policy};
use super::verdict::{Effects, Reason, Verdict};

/// Names a person within one [`World`]; means nothing outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub u32);

/// What a key stands for. A key that is not in the world is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The current key of a person.
    Active(PersonId),
    /// A key that the person left.
    Alias(PersonId),
    /// A key whose person was deleted.
    Tombstone,
}

/// Some keys and the people behind them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// What each known key stands for.
    pub holders: BTreeMap<String, Holder>,
    /// The people, departed ones included where configuration keeps them.
    pub persons: BTreeMap<PersonId, Box<Person>>,
    /// People who were merged into others.
    pub(super) absorbed: BTreeMap<PersonId, PersonId>,
    /// The id of the next person.
    pub(super) next: u32,
    /// What the event being applied would have to know; empty between events.
    pub(super) questions: Vec<Question>,
}

/// Who an event speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Active(PersonId),
    Tombstone,
    Unknown,
}

/// What an event did, and to whom.
pub(super) type Ruling = (Verdict, Option<PersonId>);

impl World {
    /// Adds a person read from storage; their keys follow in `holders` and `aliases`.
    pub fn admit(&mut self, person: impl Into<Box<Person>>) -> PersonId {
        let id = PersonId(self.next);
        self.next += 1;
        self.persons.insert(id, person.into());
        id
    }

    /// Adds a key read from storage.
    pub fn admit_key(&mut self, key: &str, holder: Holder) {
        if let Holder::Alias(id) = holder
            && let Some(person) = self.persons.get_mut(&id)
        {
            person.aliases.insert(key.to_owned());
        }
        self.holders.insert(key.to_owned(), holder);
    }

    /// Applies the next event of the history. Rejected and ignored events change nothing.
    pub fn apply(&mut self, event: &Event, policy: &Policy) -> Ruling {
        let (mut verdict, person) = self.rule(event, policy);
        let mut degraded = event.degraded.clone();
        if dropped_types(event, policy) {
            degraded.insert("profile_types".to_owned());
        }
        verdict.degraded = degraded.into_iter().collect();
        verdict.questions = std::mem::take(&mut self.questions);
        (verdict, person)
    }

    fn rule(&mut self, event: &Event, policy: &Policy) -> Ruling {
        let subject = self.resolve(&event.key);
        if let Some(reason) = self.refusal(event, policy, subject) {
            return (Verdict::rejected(reason), None);
        }
        match (&event.body, subject) {
            (Body::Deleted, Subject::Tombstone) => (Verdict::ignored(Reason::AlreadyDeleted), None),
            (Body::Created(patch), _) => self.created(event, patch, policy),
            (_, Subject::Tombstone) => (Verdict::ignored(Reason::AfterDeletion), None),
            // Asked for by somebody who is known or not: nothing about anybody changes.
            (Body::PasswordReset, Subject::Active(id)) => (Verdict::applied(Effects::default()), Some(id)),
            (Body::PasswordReset, Subject::Unknown) => (Verdict::applied(Effects::default()), None),
            (Body::Updated(patch), Subject::Active(id)) => self.updated(id, event, patch, policy),
            (Body::Updated(patch), Subject::Unknown) => self.begin(&event.key, event, patch, policy, Via::Implicit),
            (Body::Renamed { to, patch }, _) => self.renamed(event, to.as_deref(), patch, policy, subject),
            (Body::Deleted, _) => self.deleted(event, policy, subject),
            (
                Body::Joined {
                    organization_id,
                    customer_name,
                },
                _,
            ) => {
                let (id, effects) = self.somebody(event, policy, subject);
                self.joined(id, event, organization_id, customer_name.as_deref(), policy, effects)
            }
            (Body::Left { organization_id }, Subject::Active(id)) => self.left(id, event, organization_id, policy),
            (Body::Left { .. }, Subject::Unknown) => (Verdict::ignored(Reason::NotAMember), None),
            (Body::Activated { .. } | Body::Archived { .. } | Body::Reactivated { .. }, _) => {
                self.transition(event, policy, subject)
            }
        }
    }

    /// What the policy refuses, before anything is looked at but who is meant.
    fn refusal(&self, event: &Event, policy: &Policy, subject: Subject) -> Option<Reason> {
        if event.cascade_failed {
            return Some(Reason::CascadeFailed);
        }
        if !policy.allows(event) {
            return Some(Reason::SourceNotAllowed);
        }
        if transition_type(event, policy).is_some_and(|name| policy.rule(name).is_none()) {
            return Some(Reason::UnknownProfileType);
        }
        let current = match subject {
            Subject::Active(id) => self.persons.get(&id).map(|person| person.key.as_str()),
            Subject::Tombstone | Subject::Unknown => None,
        };
        policy.protects(event, current).then_some(Reason::ProtectedUser)
    }

    /// The active user with this key; else the person its alias points at; else its tombstone; else nobody.
    fn resolve(&self, key: &str) -> Subject {
        match self.holders.get(key) {
            Some(Holder::Active(id) | Holder::Alias(id)) => Subject::Active(*id),
            Some(Holder::Tombstone) => Subject::Tombstone,
            None => Subject::Unknown,
        }
    }

    /// An alias of a real person does not hold its key against a newcomer; that of a provisional one waits for this.
    fn created(&mut self, event: &Event, patch: &Patch, policy: &Policy) -> Ruling {
        let waiting = match self.holders.get(&event.key) {
            Some(Holder::Active(id)) => Some(*id),
            Some(Holder::Alias(id)) if self.person(*id).provisional => Some(*id),
            _ => None,
        };
        let Some(id) = waiting else {
            return self.begin(&event.key, event, patch, policy, Via::of_creation(event));
        };
        if !self.person(id).provisional {
            return self.updated(id, event, patch, policy);
        }
        let mut effects = Effects {
            became_real: true,
            ..Effects::default()
        };
        let before = self.naming(id);
        let person = self.person_mut(id);
        person.provisional = false;
        person.via = Via::of_creation(event);
        patch_fields(person, event, patch, policy);
        effects.profiles_made = make_first_profiles(person, event, patch, policy);
        self.finish(id, event, policy, &before, &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    pub(super) fn updated(&mut self, id: PersonId, event: &Event, patch: &Patch, policy: &Policy) -> Ruling {
        let mut effects = Effects::default();
        let before = self.naming(id);
        let person = self.person_mut(id);
        patch_fields(person, event, patch, policy);
        let wanted = wanted_types(patch, policy).unwrap_or_default();
        effects.profiles_made = person.make_profiles(wanted.into_iter(), event, policy);
        self.finish(id, event, policy, &before, &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    /// A new person at `key`, which drops whatever alias or tombstone it was.
    pub(super) fn begin(&mut self, key: &str, event: &Event, patch: &Patch, policy: &Policy, via: Via) -> Ruling {
        let mut effects = Effects::default();
        let id = self.begin_person(key, event, patch, policy, via, &mut effects);
        self.finish(id, event, policy, &(key.to_owned(), Fields::default()), &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    pub(super) fn begin_person(
        &mut self,
        key: &str,
        event: &Event,
        patch: &Patch,
        policy: &Policy,
        via: Via,
        effects: &mut Effects,
    ) -> PersonId {
        let mut person = Person::new(key, event, via);
        if policy.key_is_email && is_address(key) {
            person.fields.email = Some(key.to_owned());
        }
        patch_fields(&mut person, event, patch, policy);
        effects.profiles_made = make_first_profiles(&mut person, event, patch, policy);
        effects.began = Some(if person.provisional { "provisional" } else { "user" }.to_owned());
        let id = self.admit(person);
        self.take(key, id);
        id
    }

    /// The person meant, or a provisional one; for events that carry no fields.
    pub(super) fn somebody(&mut self, event: &Event, policy: &Policy, subject: Subject) -> (PersonId, Effects) {
        let mut effects = Effects::default();
        let id = match subject {
            Subject::Active(id) => id,
            Subject::Tombstone | Subject::Unknown => self.begin_person(
                &event.key,
                event,
                &Patch::default(),
                policy,
                Via::Implicit,
                &mut effects,
            ),
        };
        (id, effects)
    }

    fn deleted(&mut self, event: &Event, policy: &Policy, subject: Subject) -> Ruling {
        let mut effects = Effects::default();
        let Subject::Active(id) = subject else {
            self.holders.insert(event.key.clone(), Holder::Tombstone);
            effects.tombstones.push(event.key.clone());
            return (Verdict::applied(effects), None);
        };
        let person = self.person_mut(id);
        let aliases = std::mem::take(&mut person.aliases);
        effects.tombstones = std::iter::once(person.key.clone()).chain(aliases).collect();
        match policy.on_delete {
            OnDelete::Delete => {
                self.persons.remove(&id);
            }
            OnDelete::Archive => {
                person.deleted_at = Some(event.time.micros());
                person.version += 1;
                person.updated_at = event.time.micros();
            }
        }
        for key in &effects.tombstones {
            self.holders.insert(key.clone(), Holder::Tombstone);
        }
        (Verdict::applied(effects), Some(id))
    }

    /// Puts a person at a key.
    pub(super) fn take(&mut self, key: &str, id: PersonId) {
        if let Some(Holder::Alias(other)) = self.holders.insert(key.to_owned(), Holder::Active(id))
            && let Some(other) = self.persons.get_mut(&other)
        {
            other.aliases.remove(key);
        }
    }

    /// Lets a key point at a person.
    pub(super) fn point(&mut self, key: String, id: PersonId) {
        self.person_mut(id).aliases.insert(key.clone());
        self.holders.insert(key, Holder::Alias(id));
    }

    /// What display names depend on, before an event changes it.
    pub(super) fn naming(&self, id: PersonId) -> (String, Fields) {
        let person = self.person(id);
        (person.key.clone(), person.fields.clone())
    }

    /// The end of every event that was applied to a person.
    pub(super) fn finish(
        &mut self,
        id: PersonId,
        event: &Event,
        policy: &Policy,
        before: &(String, Fields),
        effects: &mut Effects,
    ) {
        let person = self.person_mut(id);
        person.refresh(|_| true, (&before.0, &before.1), policy);
        effects.fields = before.1.differing(&person.fields);
        person.version += 1;
        person.updated_at = event.time.micros();
        self.link(id, event, policy, &before.1, effects);
    }

    /// Everybody, in the order in which they came.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        self.persons.values().map(|person| &**person)
    }

    /// A person, if they are there.
    pub(super) fn find(&self, id: PersonId) -> Option<&Person> {
        self.persons.get(&id).map(|person| &**person)
    }

    pub(super) fn person(&self, id: PersonId) -> &Person {
        &self.persons[&id]
    }

    pub(super) fn person_mut(&mut self, id: PersonId) -> &mut Person {
        self.persons
            .get_mut(&id)
            .expect("holders name only people of this world")
    }

    /// The row of a person, who gets one if there is none; `None` for who is not there any more.
    pub fn named(&mut self, id: PersonId, mint: &mut dyn FnMut() -> Uuid) -> Option<Uuid> {
        let person = self.persons.get_mut(&self.survivor(id))?;
        Some(*person.row.get_or_insert_with(mint))
    }

    /// The person that `id` became part of, or `id` itself.
    pub(super) fn survivor(&self, mut id: PersonId) -> PersonId {
        while let Some(next) = self.absorbed.get(&id) {
            id = *next;
        }
        id
    }
}

/// The profile type that a transition means.
pub(super) fn transition_type<'a>(event: &'a Event, policy: &'a Policy) -> Option<&'a str> {
    match &event.body {
        Body::Activated { profile_type } | Body::Archived { profile_type } | Body::Reactivated { profile_type } => {
            Some(profile_type.as_deref().unwrap_or(policy.default_type()))
        }
        _ => None,
    }
}

/// The configured ones of the types an event names; `None` when it names none, or nothing good is left of its list.
pub(super) fn wanted_types<'a>(patch: &'a Patch, policy: &Policy) -> Option<Vec<&'a str>> {
    let named = patch.profile_types.as_ref()?;
    let known: Vec<&str> = named
        .iter()
        .map(String::as_str)
        .filter(|name| policy.rule(name).is_some())
        .collect();
    (named.is_empty() || !known.is_empty()).then_some(known)
}

/// Whether the event names profile types that are not configured.
fn dropped_types(event: &Event, policy: &Policy) -> bool {
    let (Body::Created(patch) | Body::Updated(patch) | Body::Renamed { patch, .. }) = &event.body else {
        return false;
    };
    patch
        .profile_types
        .as_ref()
        .is_some_and(|named| named.iter().any(|name| policy.rule(name).is_none()))
}

/// The event's own fields, and the marks of those that were bad.
pub(super) fn patch_fields(person: &mut Person, event: &Event, patch: &Patch, policy: &Policy) {
    person.patch(patch);
    // `new_email` beside a good `email` is a remark for the ledger: the person's address is good.
    person
        .degraded
        .extend(event.degraded.iter().filter(|name| !name.starts_with("new_")).cloned());
    if dropped_types(event, policy) {
        person.degraded.insert("profile_types".to_owned());
    }
}

/// The profiles of a person who becomes known or real: exactly those named, else those of every creation.
fn make_first_profiles(person: &mut Person, event: &Event, patch: &Patch, policy: &Policy) -> Vec<String> {
    let types = wanted_types(patch, policy).unwrap_or_else(|| policy.creation_types().collect());
    person.make_profiles(types.into_iter(), event, policy)
}
