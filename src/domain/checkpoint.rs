//! A world in the midst of a long history, kept so that a late event need not fold everything before it again.
//!
//! Checkpoints stand ever farther apart towards the beginning: an event that is late by n events costs about n, and a
//! history of n events keeps about log n of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::person::Person;
use super::position::Position;
use super::world::{Holder, PersonId, World};

/// Where checkpoints stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// Events between the end of a history and its last checkpoint, at least.
    pub every: usize,
    /// Events that a checkpoint stands for per key and person in its world, at least: it has to be worth its room.
    pub worth: u64,
}

impl Spacing {
    /// What the worker uses.
    pub const STANDARD: Self = Self { every: 256, worth: 8 };

    /// Shorter histories have no checkpoints: there is one only where this many events stand on either side of it.
    pub fn long_history(self) -> u64 {
        2 * self.every as u64
    }

    /// After how many of the `folded` events that follow the last checkpoint new ones are due.
    pub(super) fn due(self, folded: usize) -> Vec<usize> {
        let distances = std::iter::successors(Some(self.every), |distance| distance.checked_mul(2));
        distances
            .take_while(|distance| distance + self.every <= folded)
            .map(|distance| folded - distance)
            .collect()
    }

    /// Whether a world is small beside the history it stands for.
    pub(super) fn is_worth(self, world: &World, events: u64) -> bool {
        (world.holders.len() + world.persons.len()) as u64 * self.worth <= events
    }
}

/// The world after the first `events` events of a component's history, the last of them at `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Position of the last event in it.
    pub at: Position,
    /// How many events it stands for.
    pub events: u64,
    /// The world then; its rows are not named.
    pub world: World,
    /// How many events were applied to each person who still counts.
    pub credits: BTreeMap<PersonId, u64>,
}

/// A [`Checkpoint`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    next: u32,
    people: Vec<KeptPerson>,
    holders: Vec<(String, KeptHolder)>,
    absorbed: Vec<(u32, u32)>,
    credits: Vec<(u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct KeptPerson {
    id: u32,
    person: Person,
    /// By profile type; in a stored row they belong to the application, so a person's own form leaves them out.
    attributes: BTreeMap<String, Map<String, Value>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeptHolder {
    Active(u32),
    Alias(u32),
    Tombstone,
}

impl Checkpoint {
    /// The state as JSON; position and number of events are kept beside it.
    ///
    /// # Errors
    /// Never in practice: these are plain values.
    pub fn state(&self) -> serde_json::Result<String> {
        let world = &self.world;
        serde_json::to_string(&Kept {
            next: world.next,
            people: world.persons.iter().map(|(id, person)| kept(*id, person)).collect(),
            holders: world
                .holders
                .iter()
                .map(|(key, holder)| (key.clone(), KeptHolder::from(*holder)))
                .collect(),
            absorbed: world.absorbed.iter().map(|(from, to)| (from.0, to.0)).collect(),
            credits: self.credits.iter().map(|(id, count)| (id.0, *count)).collect(),
        })
    }

    /// What [`Checkpoint::state`] wrote.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn restore(at: Position, events: u64, state: &str) -> serde_json::Result<Self> {
        let kept: Kept = serde_json::from_str(state)?;
        let mut world = World {
            next: kept.next,
            absorbed: kept
                .absorbed
                .into_iter()
                .map(|(from, to)| (PersonId(from), PersonId(to)))
                .collect(),
            ..World::default()
        };
        for KeptPerson {
            id,
            mut person,
            mut attributes,
        } in kept.people
        {
            for (name, profile) in &mut person.profiles {
                profile.attributes = attributes.remove(name).unwrap_or_default();
            }
            world.persons.insert(PersonId(id), person.into());
        }
        for (key, holder) in kept.holders {
            world.admit_key(&key, holder.into());
        }
        Ok(Self {
            at,
            events,
            world,
            credits: kept
                .credits
                .into_iter()
                .map(|(id, count)| (PersonId(id), count))
                .collect(),
        })
    }
}

fn kept(id: PersonId, person: &Person) -> KeptPerson {
    let attributes = person
        .profiles
        .iter()
        .map(|(name, profile)| (name.clone(), profile.attributes.clone()));
    KeptPerson {
        id: id.0,
        attributes: attributes.filter(|(_, attributes)| !attributes.is_empty()).collect(),
        person: person.stripped(),
    }
}

impl From<Holder> for KeptHolder {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Active(id) => Self::Active(id.0),
            Holder::Alias(id) => Self::Alias(id.0),
            Holder::Tombstone => Self::Tombstone,
        }
    }
}

impl From<KeptHolder> for Holder {
    fn from(holder: KeptHolder) -> Self {
        match holder {
            KeptHolder::Active(id) => Self::Active(PersonId(id)),
            KeptHolder::Alias(id) => Self::Alias(PersonId(id)),
            KeptHolder::Tombstone => Self::Tombstone,
        }
    }
}

/// Which of the checkpoints after `events` (ascending) of a history of `total` events stand closer to the next than
/// they are of use: indices, the last first.
pub fn redundant(events: &[u64], total: u64) -> Vec<usize> {
    let mut last = 0;
    let mut redundant = Vec::new();
    for (index, at) in events.iter().enumerate().rev() {
        let distance = total.saturating_sub(*at);
        if distance * 2 < last * 3 {
            redundant.push(index);
        } else {
            last = distance;
        }
    }
    redundant
}
