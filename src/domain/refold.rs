//! Folding a history again, and finding in the result the people who are stored already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

use super::checkpoint::{Checkpoint, Spacing};
use super::event::{Event, EventRef};
use super::person::Person;
use super::policy::Policy;
use super::verdict::Verdict;
use super::world::{PersonId, World};

/// One event of a history, with the policy it was evaluated by.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// The policy in force when it was evaluated.
    pub policy: Arc<Policy>,
    /// Whether the stored state includes it already.
    pub known: bool,
}

/// The result of folding a history again.
#[derive(Debug)]
pub struct Refolded {
    /// The world as it should be; people and rows that are stored carry the names of their rows.
    pub world: World,
    /// One verdict per entry, in the order of the entries.
    pub verdicts: Vec<Verdict>,
    /// Checkpoints that are due, in the order of the history.
    pub checkpoints: Vec<Checkpoint>,
    /// Whom each event was about, of those that were about anybody.
    pub lives: Lives,
}

/// Folds `history`, sorted by position, on top of `base` or from nothing. `history` is all that follows `base` in the
/// component, `stored` the stored state of the same component.
pub fn refold(base: Option<&Checkpoint>, history: &[Entry], stored: &World, spacing: Spacing) -> Refolded {
    let due = Due::after(spacing, history.len());
    let after = Fold::of(
        base,
        history.iter().map(|entry| (&entry.event, &*entry.policy)),
        Some(&due),
    );
    settle_rows(after, stored, || {
        let known = history.iter().filter(|entry| entry.known);
        Fold::of(base, known.map(|entry| (&entry.event, &*entry.policy)), None)
    })
}

/// Folds the whole `history`, sorted by position, from nothing, each event evaluated anew by `policy`.
pub fn rebuild(history: &[Entry], policy: &Policy, stored: &World, spacing: Spacing) -> Refolded {
    let due = Due::after(spacing, history.len());
    let after = Fold::of(None, history.iter().map(|entry| (&entry.event, policy)), Some(&due));
    settle_rows(after, stored, || {
        Fold::of(None, history.iter().map(|entry| (&entry.event, &*entry.policy)), None)
    })
}

fn settle_rows(mut after: Fold, stored: &World, before: impl FnOnce() -> Fold) -> Refolded {
    let pairs = match the_only_pair(&after.world, stored) {
        Some(pair) => vec![pair],
        None => matches(&before(), &after, stored),
    };
    hand_over_rows(&mut after.world, stored, &pairs);
    Refolded {
        world: after.world,
        verdicts: after.verdicts,
        checkpoints: after.checkpoints,
        lives: after.lives,
    }
}

/// Where one present person stands at one key before and after, there is nothing to be found out: whatever events they
/// have in common, nobody else is there to be matched.
fn the_only_pair(new: &World, stored: &World) -> Option<(PersonId, PersonId)> {
    let (Some((new_id, person)), Some((old_id, known))) =
        (new.persons.first_key_value(), stored.persons.first_key_value())
    else {
        return None;
    };
    let alone = new.persons.len() == 1 && stored.persons.len() == 1;
    let present = person.deleted_at.is_none() && known.deleted_at.is_none();
    (alone && present && person.key == known.key).then_some((*new_id, *old_id))
}

/// When to make checkpoints.
struct Due {
    spacing: Spacing,
    after: Vec<usize>,
}

impl Due {
    fn after(spacing: Spacing, folded: usize) -> Self {
        Self {
            spacing,
            after: spacing.due(folded),
        }
    }

    fn now(&self, folded: usize, world: &World, events: u64) -> bool {
        self.after.contains(&folded) && self.spacing.is_worth(world, events)
    }
}

/// Which person each event was applied to.
pub type Lives = BTreeMap<EventRef, PersonId>;

/// A fold and what is to be known of it afterwards.
#[derive(Default)]
struct Fold {
    world: World,
    lives: Lives,
    /// Events that were applied to each person before the fold began.
    credits: BTreeMap<PersonId, u64>,
    verdicts: Vec<Verdict>,
    checkpoints: Vec<Checkpoint>,
}

impl Fold {
    fn of<'a>(
        base: Option<&Checkpoint>,
        history: impl Iterator<Item = (&'a Event, &'a Policy)>,
        due: Option<&Due>,
    ) -> Self {
        let mut fold = Self::default();
        if let Some(base) = base {
            fold.world = base.world.clone();
            fold.credits.clone_from(&base.credits);
        }
        let begun = base.map_or(0, |base| base.events);
        for (event, policy) in history {
            let (verdict, person) = fold.world.apply(event, policy);
            if let Some(id) = person {
                fold.lives.insert(event.reference, id);
            }
            fold.verdicts.push(verdict);
            let events = begun + fold.verdicts.len() as u64;
            if due.is_some_and(|due| due.now(fold.verdicts.len(), &fold.world, events)) {
                let checkpoint = fold.checkpoint(event, events);
                fold.checkpoints.push(checkpoint);
            }
        }
        fold
    }

    fn checkpoint(&self, last: &Event, events: u64) -> Checkpoint {
        let mut credits = self.credits.clone();
        for id in self.lives.values() {
            *credits.entry(*id).or_default() += 1;
        }
        credits.retain(|id, _| self.world.persons.contains_key(&self.world.survivor(*id)));
        Checkpoint {
            at: last.position.clone(),
            events,
            world: self.world.clone(),
            credits,
        }
    }
}

/// Pairs new people with stored ones: by most events in common, then by key.
fn matches(before: &Fold, after: &Fold, stored: &World) -> Vec<(PersonId, PersonId)> {
    let stored_by_beginning: BTreeMap<EventRef, PersonId> =
        stored.persons.iter().map(|(id, person)| (person.began, *id)).collect();
    let old_of = |id: PersonId| {
        let person = before.world.persons.get(&before.world.survivor(id))?;
        stored_by_beginning.get(&person.began).copied()
    };
    let new_of = |id: PersonId| Some(after.world.survivor(id)).filter(|id| after.world.persons.contains_key(id));
    let mut common: BTreeMap<(PersonId, PersonId), u64> = BTreeMap::new();
    let mut count = |new: Option<PersonId>, old: Option<PersonId>, events: u64| {
        if let (Some(new), Some(old)) = (new, old) {
            *common.entry((new, old)).or_default() += events;
        }
    };
    for (reference, id) in &before.lives {
        let new = after.lives.get(reference).and_then(|id| new_of(*id));
        count(new, old_of(*id), 1);
    }
    // What came before the fold began is the same in both.
    for (id, events) in &before.credits {
        count(new_of(*id), old_of(*id), *events);
    }
    let stored_by_key: BTreeMap<&str, PersonId> = stored
        .persons
        .iter()
        .filter(|(_, person)| person.deleted_at.is_none())
        .map(|(id, person)| (person.key.as_str(), *id))
        .collect();
    // A key alone does not bring rows back from a departed person: they are never used again.
    for (new, person) in after
        .world
        .persons
        .iter()
        .filter(|(_, person)| person.deleted_at.is_none())
    {
        if let Some(old) = stored_by_key.get(person.key.as_str()) {
            common.entry((*new, *old)).or_default();
        }
    }
    let same_key = |new: PersonId, old: PersonId| after.world.persons[&new].key == stored.persons[&old].key;
    let mut candidates: Vec<(u64, bool, PersonId, PersonId)> = common
        .into_iter()
        .map(|((new, old), events)| (events, same_key(new, old), new, old))
        .collect();
    candidates.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| (a.2, a.3).cmp(&(b.2, b.3))));
    let (mut taken_new, mut taken_old) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    for (_, _, new, old) in candidates {
        if !taken_new.contains(&new) && !taken_old.contains(&old) {
            taken_new.insert(new);
            taken_old.insert(old);
            pairs.push((new, old));
        }
    }
    pairs
}

/// Rows follow their person; those of a person who became part of another follow the event that made them.
fn hand_over_rows(world: &mut World, stored: &World, pairs: &[(PersonId, PersonId)]) {
    let mut free: BTreeSet<Uuid> = stored.row_names().collect();
    let mut take = |row: Option<Uuid>| row.filter(|row| free.remove(row));
    for (new, old) in pairs {
        let (Some(person), Some(known)) = (world.persons.get_mut(new), stored.persons.get(old)) else {
            continue;
        };
        person.row = take(known.row);
        for (name, profile) in &mut person.profiles {
            profile.row = take(known.profiles.get(name).and_then(|known| known.row));
        }
        for (organization, customer) in &mut person.customers {
            let stored = known.customers.get(organization).and_then(|known| known.row);
            customer.row = customer.found.or_else(|| take(stored));
        }
    }
    let mut made_profiles: BTreeMap<(EventRef, &str), Uuid> = BTreeMap::new();
    let mut made_customers: BTreeMap<(EventRef, &str), Uuid> = BTreeMap::new();
    for known in stored.persons.values() {
        let profiles = known
            .profiles
            .iter()
            .filter_map(|(name, p)| Some(((p.made_by, name.as_str()), p.row?)));
        let customers = known
            .customers
            .iter()
            .filter_map(|(name, c)| Some(((c.made_by, name.as_str()), c.row?)));
        made_profiles.extend(profiles);
        made_customers.extend(customers);
    }
    for person in world.persons.values_mut() {
        for (name, profile) in person.profiles.iter_mut().filter(|(_, profile)| profile.row.is_none()) {
            profile.row = take(made_profiles.get(&(profile.made_by, name.as_str())).copied());
        }
        for (name, customer) in person
            .customers
            .iter_mut()
            .filter(|(_, customer)| customer.row.is_none())
        {
            let made = made_customers.get(&(customer.made_by, name.as_str())).copied();
            customer.row = customer.found.or_else(|| take(made));
        }
    }
}

impl World {
    /// The names of every row of everybody; one set, because ids of persons, profiles and customers never coincide.
    pub fn row_names(&self) -> impl Iterator<Item = Uuid> {
        self.people().flat_map(rows)
    }
}

fn rows(person: &Person) -> impl Iterator<Item = Uuid> {
    let profiles = person.profiles.values().map(|profile| profile.row);
    let customers = person.customers.values().map(|customer| customer.row);
    std::iter::once(person.row).chain(profiles).chain(customers).flatten()
}

#[cfg(test)]
mod tests;
