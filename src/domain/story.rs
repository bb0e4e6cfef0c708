//! Which events of a history were about one person.

use super::refold::{Entry, fold};
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

/// Reads `history`, sorted by position, for the person that `key` stands for at its end. Events that name one of
/// their keys and did nothing belong to the story; so do those of every earlier person who held a key that is now a tombstone.
pub fn story(history: &[Entry], key: &str) -> Story {
    let (world, lives, _) = fold(history.iter());
    let holder = world.holders.get(key).copied();
    let person = match holder {
        Some(Holder::Active(id) | Holder::Alias(id)) => Some(id),
        Some(Holder::Tombstone) | None => None,
    };
    let life = |entry: &Entry| lives.get(&entry.event.reference).map(|id| world.survivor(*id));
    let known = person.and_then(|id| world.persons.get(&id));
    let is_theirs =
        |name: &str| name == key || known.is_some_and(|person| person.key == name || person.aliases.contains(name));
    let names = |entry: &Entry| is_theirs(&entry.event.key) || entry.event.other_key().is_some_and(is_theirs);
    let last = history.iter().filter(|entry| names(entry)).filter_map(life).next_back();
    let about = person.or(last);
    let entries = history
        .iter()
        .enumerate()
        .filter(|(_, entry)| match (life(entry), about) {
            (Some(life), Some(about)) => life == about || (person.is_none() && names(entry)),
            _ => names(entry),
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
