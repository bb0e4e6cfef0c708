//! What is stored about keys, and the world that it makes.

use std::collections::BTreeMap;
use uuid::Uuid;

use super::component::{Plan, Stored};
use super::person::Person;
use super::position::Position;
use super::world::{Holder, PersonId, World};

/// What is stored about a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// The key.
    pub key: String,
    /// The root of its component.
    pub root: String,
    /// What it stands for.
    pub holder: StoredHolder,
    /// On a root: the greatest position of its component.
    pub newest: Option<Position>,
    /// On a root: the events of its component.
    pub events: u64,
}

/// [`Holder`] as it is stored: by the row name of the person.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredHolder {
    /// Nobody: the key is known only from events that changed nothing.
    Unknown,
    /// The current key of this person.
    Active(Box<Person>),
    /// A key that the person with this row left.
    Alias(Uuid),
    /// A key whose person was deleted.
    Tombstone,
}

impl KeyRow {
    /// Of a key that nothing is stored about: the root of itself, and nobody's.
    pub fn unknown(key: String) -> Self {
        Self {
            root: key.clone(),
            key,
            holder: StoredHolder::Unknown,
            newest: None,
            events: 0,
        }
    }
}

impl World {
    /// The world that stored keys make, with the departed people that belong to it.
    pub fn from_rows<'a>(rows: impl Iterator<Item = &'a KeyRow> + Clone, departed: Vec<Person>) -> Self {
        let mut world = Self::default();
        let mut ids = BTreeMap::new();
        for row in rows.clone() {
            if let StoredHolder::Active(person) = &row.holder {
                let name = person.row;
                let id = world.admit(person.clone());
                ids.extend(name.map(|name| (name, id)));
                world.admit_key(&row.key, Holder::Active(id));
            }
        }
        for row in rows {
            match &row.holder {
                StoredHolder::Alias(name) => {
                    if let Some(id) = ids.get(name) {
                        world.admit_key(&row.key, Holder::Alias(*id));
                    }
                }
                StoredHolder::Tombstone => world.admit_key(&row.key, Holder::Tombstone),
                StoredHolder::Active(_) | StoredHolder::Unknown => {}
            }
        }
        for person in departed {
            world.admit(person);
        }
        world
    }
}

/// The keys of `rows` and `new` whose row changes. The people go with their keys.
pub(super) fn changed_keys(rows: &BTreeMap<String, KeyRow>, mut new: World, plan: &Plan) -> Vec<KeyRow> {
    let holders = std::mem::take(&mut new.holders);
    // Before anybody goes.
    let aliased: BTreeMap<PersonId, Uuid> = holders
        .values()
        .filter_map(|holder| match holder {
            Holder::Alias(id) => Some((*id, new.persons.get(id)?.row?)),
            Holder::Active(_) | Holder::Tombstone => None,
        })
        .collect();
    let mut changed = Vec::new();
    let gone = rows.iter().filter(|(key, _)| !holders.contains_key(*key));
    for (key, row) in gone {
        changed.extend(key_row(key.clone(), Some(row), StoredHolder::Unknown, plan));
    }
    for (key, holder) in holders {
        let row = rows.get(&key);
        let holder = match holder {
            Holder::Active(id) => match new.persons.remove(&id) {
                Some(mut person) => {
                    person.strip();
                    StoredHolder::Active(person)
                }
                None => StoredHolder::Unknown,
            },
            Holder::Alias(id) => match aliased.get(&id) {
                Some(row) => StoredHolder::Alias(*row),
                None => StoredHolder::Unknown,
            },
            Holder::Tombstone => StoredHolder::Tombstone,
        };
        changed.extend(key_row(key, row, holder, plan));
    }
    changed
}

/// The row of a key that is held like this, if that is not how it is stored.
fn key_row(key: String, was: Option<&KeyRow>, holder: StoredHolder, plan: &Plan) -> Option<KeyRow> {
    let root = was.map_or(key.as_str(), |row| row.root.as_str());
    let root = plan.merged.get(root).map_or(root, String::as_str);
    let stored = plan.components.get(root).filter(|_| root == key);
    let (newest, events) = match (stored, was) {
        (Some(Stored { newest, events, .. }), _) => (newest.clone(), *events),
        (None, Some(was)) if root == key => (was.newest.clone(), was.events),
        _ => (None, 0),
    };
    let row = KeyRow {
        root: root.to_owned(),
        key,
        holder,
        newest,
        events,
    };
    (was != Some(&row)).then_some(row)
}
