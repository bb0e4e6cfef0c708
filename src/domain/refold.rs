//! Folding a history again, and finding in the result the people who are stored already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

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
}

/// Folds `history`, sorted by position, from nothing. `stored` is the stored state of the same component.
pub fn refold(history: &[Entry], stored: &World) -> Refolded {
    let (before, lives_before, _) = fold(history.iter().filter(|entry| entry.known));
    let (mut world, lives, verdicts) = fold(history.iter());
    let pairs = matches(&before, &lives_before, &world, &lives, stored);
    hand_over_rows(&mut world, stored, &pairs);
    Refolded { world, verdicts }
}

/// Which person each event was applied to.
type Lives = BTreeMap<EventRef, PersonId>;

fn fold<'a>(history: impl Iterator<Item = &'a Entry>) -> (World, Lives, Vec<Verdict>) {
    let mut world = World::default();
    let mut lives = Lives::new();
    let mut verdicts = Vec::new();
    for entry in history {
        let (verdict, person) = world.apply(&entry.event, &entry.policy);
        if let Some(id) = person {
            lives.insert(entry.event.reference, id);
        }
        verdicts.push(verdict);
    }
    (world, lives, verdicts)
}

/// Pairs new people with stored ones: by most events in common, then by key.
fn matches(
    before: &World,
    lives_before: &Lives,
    world: &World,
    lives: &Lives,
    stored: &World,
) -> Vec<(PersonId, PersonId)> {
    let stored_by_beginning: BTreeMap<EventRef, PersonId> =
        stored.persons.iter().map(|(id, person)| (person.began, *id)).collect();
    let mut common: BTreeMap<(PersonId, PersonId), usize> = BTreeMap::new();
    for (reference, id) in lives_before {
        let old = before
            .persons
            .get(&before.survivor(*id))
            .and_then(|person| stored_by_beginning.get(&person.began));
        let new = lives
            .get(reference)
            .map(|id| world.survivor(*id))
            .filter(|id| world.persons.contains_key(id));
        if let (Some(old), Some(new)) = (old, new) {
            *common.entry((new, *old)).or_default() += 1;
        }
    }
    let mut candidates: Vec<(usize, bool, PersonId, PersonId)> = Vec::new();
    for (new, person) in &world.persons {
        for (old, known) in &stored.persons {
            let same_key = person.key == known.key;
            let count = common.get(&(*new, *old)).copied().unwrap_or_default();
            // A key alone does not bring rows back from a departed person: they are never used again.
            let present = person.deleted_at.is_none() && known.deleted_at.is_none();
            if count > 0 || (same_key && present) {
                candidates.push((count, same_key, *new, *old));
            }
        }
    }
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
    let mut free: BTreeSet<Uuid> = stored.persons.values().flat_map(rows).collect();
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
            customer.row = take(known.customers.get(organization).and_then(|known| known.row));
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
            customer.row = take(made_customers.get(&(customer.made_by, name.as_str())).copied());
        }
    }
}

/// Every row of a person; one set, because ids of persons, profiles and customers never coincide.
fn rows(person: &Person) -> impl Iterator<Item = Uuid> {
    let profiles = person.profiles.values().map(|profile| profile.row);
    let customers = person.customers.values().map(|customer| customer.row);
    std::iter::once(person.row).chain(profiles).chain(customers).flatten()
}
