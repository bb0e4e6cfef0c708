//! Which events of a history were about one person.

use super::refold::Entry;
use super::verdict::Outcome;
use super::world::{Holder, PersonId, World};

/// What a key stands for at the end of a history, and which of its entries were about whom it stands for.
#[derive(Debug)]
pub struct Story {
    /// The world at the end.
    pub world: World,
    /// What the key stands for; `None` when nobody is known by it.
    pub holder: Option<Holder>,
    /// The person, if one is there.
    pub person: Option<PersonId>,
    /// Indices of the entries, in order.
    pub entries: Vec<usize>,
}

/// Reads `history`, sorted by position, for the person that `key` stands for at its end. What was ignored or rejected
/// belongs to the person it was meant for then, and to whoever has one of the keys it names; what every earlier person
/// did who held a key that is now a tombstone belongs to that key.
pub fn story(history: &[Entry], key: &str) -> Story {
    let mut world = World::default();
    let mut about_whom: Vec<(Outcome, Option<PersonId>)> = Vec::new();
    for entry in history {
        let meant = match world.holders.get(&entry.event.key) {
            Some(Holder::Active(id) | Holder::Alias(id)) => Some(*id),
            Some(Holder::Tombstone) | None => None,
        };
        let (verdict, person) = world.apply(&entry.event, &entry.policy);
        about_whom.push((verdict.outcome, person.or(meant)));
    }
    let holder = world.holders.get(key).copied();
    let person = match holder {
        Some(Holder::Active(id) | Holder::Alias(id)) => Some(id),
        Some(Holder::Tombstone) | None => None,
    };
    let known = person.and_then(|id| world.persons.get(&id));
    let is_theirs =
        |name: &str| name == key || known.is_some_and(|person| person.key == name || person.aliases.contains(name));
    let chapters: Vec<(bool, bool, Option<PersonId>)> = history
        .iter()
        .zip(about_whom)
        .map(|(entry, (outcome, id))| {
            let aimed = outcome != Outcome::Applied && entry.event.other_key().is_some_and(is_theirs);
            let names = is_theirs(&entry.event.key) || entry.event.other_key().is_some_and(is_theirs);
            (names, aimed, id.map(|id| world.survivor(id)))
        })
        .collect();
    let last = chapters
        .iter()
        .rev()
        .find_map(|(names, _, life)| life.filter(|_| *names));
    let about = person.or(last);
    let entries = chapters
        .iter()
        .enumerate()
        .filter(|(_, (names, aimed, life))| {
            let theirs = life.is_some() && *life == about;
            theirs || *aimed || (*names && (life.is_none() || person.is_none()))
        })
        .map(|(index, _)| index)
        .collect();
    Story {
        world,
        holder,
        person,
        entries,
    }
}
