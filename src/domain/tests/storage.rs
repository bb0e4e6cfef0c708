//! What a database would hold after a history, and what one more event would write to it.

use super::*;

/// A history of which the first `known` events are stored.
pub(super) fn entries(policy: &Policy, texts: &[&str], known: usize) -> Vec<Entry> {
    let policy = Arc::new(policy.clone());
    let mut entries: Vec<Entry> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| Entry {
            event: event(n + 1, text),
            policy: Arc::clone(&policy),
            known: n < known,
        })
        .collect();
    entries.sort_by(|a, b| a.event.position.cmp(&b.event.position));
    entries
}

/// What a database holds: keys and departed people, with the rows they name.
pub(super) struct Storage {
    rows: BTreeMap<String, KeyRow>,
    departed: Vec<Person>,
    minted: u128,
}

impl Storage {
    pub(super) fn of(policy: &Policy, texts: &[&str]) -> Self {
        let mut new = world(policy, texts);
        let mut storage = Self {
            rows: BTreeMap::new(),
            departed: Vec::new(),
            minted: 0,
        };
        let made = storage.difference(&mut new);
        storage.rows = made.keys.into_iter().map(|row| (row.key.clone(), row)).collect();
        storage.departed = made.departed;
        storage
    }

    pub(super) fn world(&self) -> World {
        World::from_rows(self.rows.values(), self.departed.clone())
    }

    /// What has to be written to get to a new world, in which every row is then named.
    pub(super) fn difference(&mut self, new: &mut World) -> Difference {
        name_rows(new, &mut || {
            self.minted += 1;
            uuid::Uuid::from_u128(self.minted)
        });
        difference(&self.rows, &self.world(), new.clone(), &Plan::default())
    }

    /// What one more event changes, on top of what is stored.
    pub(super) fn then(&mut self, policy: &Policy, event: &Event) -> (World, Difference) {
        let mut new = self.world();
        new.apply(event, policy);
        let difference = self.difference(&mut new);
        (new, difference)
    }
}

/// The row of every profile (`key/type`), customer (`key+organization`) and person (`key`).
pub(super) fn rows(world: &World) -> BTreeMap<String, uuid::Uuid> {
    let mut rows = BTreeMap::new();
    for person in world.persons.values() {
        let key = &person.key;
        rows.extend(person.row.map(|row| (key.clone(), row)));
        for (name, profile) in &person.profiles {
            rows.extend(profile.row.map(|row| (format!("{key}/{name}"), row)));
        }
        for (organization, customer) in &person.customers {
            rows.extend(customer.row.map(|row| (format!("{key}+{organization}"), row)));
        }
    }
    rows
}
