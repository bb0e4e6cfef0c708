//! A key moves: to a free key, onto another person, or nowhere.

use super::event::{Change, Event, Patch, is_address};
use super::person::{Customer, Fields, Person, Via};
use super::policy::Policy;
use super::verdict::{Effects, Reason, Verdict};
use super::world::{Holder, PersonId, Ruling, Subject, World, patch_fields, wanted_types};

impl World {
    pub(super) fn renamed(
        &mut self,
        event: &Event,
        to: Option<&str>,
        patch: &Patch,
        policy: &Policy,
        subject: Subject,
    ) -> Ruling {
        let to = to.filter(|to| *to != event.key);
        let Subject::Active(id) = subject else {
            return self.renamed_unknown(event, to, patch, policy);
        };
        let current = self.person(id).key.clone();
        let Some(to) = to.filter(|to| *to != current) else {
            return self.updated(id, event, patch, policy);
        };
        match self.holders.get(to) {
            Some(Holder::Active(other)) => {
                let other = *other;
                if !self.person(id).provisional && !self.person(other).provisional {
                    return (Verdict::rejected(Reason::KeyTaken), None);
                }
                self.merge(id, other, to, event, patch, policy)
            }
            Some(Holder::Alias(_) | Holder::Tombstone) | None => self.moved(id, to, event, patch, policy),
        }
    }

    /// News of a rename may come before news of the person: then the new key is where they stand.
    fn renamed_unknown(&mut self, event: &Event, to: Option<&str>, patch: &Patch, policy: &Policy) -> Ruling {
        let Some(to) = to else {
            return self.begin(&event.key, event, patch, policy, Via::Implicit);
        };
        if let Some(Holder::Active(id)) = self.holders.get(to) {
            let id = *id;
            let mut effects = Effects {
                alias: Some(event.key.clone()),
                ..Effects::default()
            };
            let before = self.naming(id);
            self.point(event.key.clone(), id);
            self.finish(id, event, policy, &before, &mut effects);
            return (Verdict::noted(effects, Reason::AlreadyRenamed), Some(id));
        }
        let mut effects = Effects {
            alias: Some(event.key.clone()),
            ..Effects::default()
        };
        let id = self.begin_person(to, event, patch, policy, Via::Implicit, &mut effects);
        self.point(event.key.clone(), id);
        self.finish(id, event, policy, &(to.to_owned(), Fields::default()), &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    fn moved(&mut self, id: PersonId, to: &str, event: &Event, patch: &Patch, policy: &Policy) -> Ruling {
        let before = self.naming(id);
        let mut effects = Effects {
            key: Some((before.0.clone(), to.to_owned())),
            ..Effects::default()
        };
        self.take(to, id);
        self.point(before.0.clone(), id);
        let person = self.person_mut(id);
        to.clone_into(&mut person.key);
        adopt_address(person, policy);
        self.patch_and_finish(id, &before, event, patch, policy, &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    /// Two people turn out to be one. The real one survives, or the renamed one if neither is real.
    fn merge(
        &mut self,
        renamed: PersonId,
        holder: PersonId,
        to: &str,
        event: &Event,
        patch: &Patch,
        policy: &Policy,
    ) -> Ruling {
        let (survivor, other) = if self.person(renamed).provisional && !self.person(holder).provisional {
            (holder, renamed)
        } else {
            (renamed, holder)
        };
        let before = self.naming(survivor);
        let before_other = self.naming(other);
        let old_key = self.person(renamed).key.clone();
        let mut effects = Effects {
            merged: Some(before_other.0.clone()),
            key: Some((old_key.clone(), to.to_owned())),
            ..Effects::default()
        };

        let Some(mut absorbed) = self.persons.remove(&other) else {
            return (Verdict::rejected(Reason::KeyTaken), None);
        };
        self.absorbed.insert(other, survivor);
        let person = self.person_mut(survivor);
        to.clone_into(&mut person.key);
        if survivor == renamed {
            adopt_address(person, policy);
        }
        let aliases = std::mem::take(&mut absorbed.aliases);
        let taken_over = person.absorb(*absorbed);
        self.holders.insert(to.to_owned(), Holder::Active(survivor));
        for key in aliases.into_iter().chain([old_key]) {
            self.point(key, survivor);
        }
        self.patch_and_finish(survivor, &before, event, patch, policy, &mut effects);
        // What came from the other was named after the other's fields.
        self.person_mut(survivor).refresh(
            |name| taken_over.contains(name),
            (&before_other.0, &before_other.1),
            policy,
        );
        (Verdict::applied(effects), Some(survivor))
    }

    fn patch_and_finish(
        &mut self,
        id: PersonId,
        before: &(String, Fields),
        event: &Event,
        patch: &Patch,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let person = self.person_mut(id);
        patch_fields(person, event, patch, policy);
        let wanted = wanted_types(patch, policy).unwrap_or_default();
        effects.profiles_made = person.make_profiles(wanted.into_iter(), event, policy);
        self.finish(id, event, policy, before, effects);
    }
}

/// Where the key is the address, a new key is a new address.
fn adopt_address(person: &mut Person, policy: &Policy) {
    if policy.key_is_email && is_address(&person.key) {
        let patch = Patch {
            email: Change::Set(person.key.clone()),
            ..Patch::default()
        };
        person.patch(&patch);
    }
}

impl Person {
    /// Takes over what the other has and this one lacks; returns the profile types that came along.
    fn absorb(&mut self, other: Self) -> Vec<String> {
        self.absorb_fields(other.fields, &other.degraded);
        let mut taken_over = Vec::new();
        for (name, theirs) in other.profiles {
            if let Some(ours) = self.profiles.get_mut(&name) {
                if ours.organization_id.is_none() {
                    ours.organization_id = theirs.organization_id;
                }
            } else {
                taken_over.push(name.clone());
                self.profiles.insert(name, theirs);
            }
        }
        for (organization, theirs) in other.customers {
            match self.customers.remove(&organization) {
                Some(ours) => self.customers.insert(organization, later_join(ours, theirs)),
                None => self.customers.insert(organization, theirs),
            };
        }
        self.link = self.link.take().or(other.link);
        self.version += other.version;
        taken_over
    }

    /// Values of the other fill gaps only; a field's mark comes from the side whose value is kept.
    fn absorb_fields(&mut self, theirs: Fields, their_degraded: &std::collections::BTreeSet<String>) {
        let mut ours = std::mem::take(&mut self.fields);
        let mut degraded = std::mem::take(&mut self.degraded);
        let mut settle = |name: &str, ours_present: bool, theirs_present: bool| {
            let theirs_marked = their_degraded.contains(name);
            if !ours_present && theirs_present {
                degraded.remove(name);
            }
            if !ours_present && theirs_marked {
                degraded.insert(name.to_owned());
            }
        };
        settle("email", ours.email.is_some(), theirs.email.is_some());
        settle("email_verified", ours.email.is_some(), theirs.email.is_some());
        if ours.email.is_none() {
            ours.email = theirs.email;
            ours.email_verified = theirs.email_verified;
        }
        macro_rules! fill {
            ($($field:ident),*) => {$(
                settle(stringify!($field), ours.$field.is_some(), theirs.$field.is_some());
                ours.$field = ours.$field.take().or(theirs.$field);
            )*};
        }
        fill!(
            username,
            first_name,
            last_name,
            full_name,
            phone,
            external_id,
            active,
            organization_id,
            metadata
        );
        settle("profile_types", false, false);
        settle("customer_name", false, false);
        self.fields = ours;
        self.degraded = degraded;
    }
}

fn later_join(ours: Customer, theirs: Customer) -> Customer {
    let (later, earlier) = if theirs.joined > ours.joined {
        (theirs, ours)
    } else {
        (ours, theirs)
    };
    Customer {
        name: later.name.or(earlier.name),
        // The application's row stands; one that the worker made goes.
        found: later.found.or(earlier.found),
        row: later.found.or(earlier.found).or(later.row).or(earlier.row),
        ..later
    }
}
