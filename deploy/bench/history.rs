//! A mixed history: half of it sign-ups, the rest news of people who are there; some of it twice, some of it late. It also
//! knows whose keys changed how, which is what the plain script is given.

use serde_json::json;
use std::collections::BTreeMap;

use crate::broker::Event;
use crate::people::{details, event, key, mixed};

/// In percent of the distinct events, beside sign-ups.
const UPDATED: u64 = 20;
const RENAMED: u64 = 10;
const JOINED: u64 = 10;
const DELETED: u64 = 10;
/// In percent of the distinct events: copies on top, and how many of them come late. Only updates do.
const COPIES: u64 = 5;
const LATE: u64 = 5;
/// A tick of the history has this many steps, so that there is room before an event.
const STEPS: u64 = 2;
const ORGANIZATIONS: u64 = 100;
/// New keys are those of people who never sign up.
const RENAMES: u64 = 1 << 40;

/// The history, and what a script has to know of it.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    /// How many of them are no copies.
    pub(crate) distinct: u64,
    /// First keys of everybody, in the order of their sign-ups.
    pub(crate) people: Vec<String>,
    /// First and last key of those who have another one.
    pub(crate) moved: BTreeMap<String, String>,
    /// First keys of those who are deleted.
    pub(crate) gone: Vec<String>,
    /// First keys of those who were updated, and memberships by first key.
    pub(crate) updated: Vec<String>,
    pub(crate) joined: Vec<(String, String)>,
}

/// Somebody who is there.
struct Person {
    first: String,
    key: String,
    /// The key before the last event, where that was a rename.
    before: String,
    /// Tick of the last event.
    last: u64,
    events: u64,
}

/// A history of so many distinct events.
pub(crate) fn history(distinct: u64) -> History {
    let mut history = History {
        distinct,
        ..History::default()
    };
    let mut alive: Vec<Person> = Vec::new();
    for number in 0..distinct {
        let dice = mixed(number ^ (1 << 50));
        let tick = (number + 1) * STEPS;
        let event = history.next(&mut alive, number, tick, dice);
        history.events.push(event);
        if mixed(dice) % 100 < COPIES {
            let copied = &history.events[(mixed(dice ^ 1) % history.events.len() as u64) as usize];
            history.events.push(Event {
                subject: copied.subject,
                payload: copied.payload.clone(),
            });
        }
    }
    for person in alive.into_iter().filter(|person| person.key != person.first) {
        history.moved.insert(person.first, person.key);
    }
    history
}

impl History {
    fn next(&mut self, alive: &mut Vec<Person>, number: u64, tick: u64, dice: u64) -> Event {
        let id = format!("m{number}");
        let roll = dice % 100;
        let chosen = choose(alive, dice / 100, roll < LATE);
        let Some(index) = chosen.filter(|_| roll < UPDATED + RENAMED + JOINED + DELETED) else {
            return self.sign_up(alive, &id, tick);
        };
        let person = &mut alive[index];
        person.events += 1;
        if roll < LATE {
            self.updated.push(person.first.clone());
            let data = json!({"user_id": person.before, "phone": format!("+4940{number:07}")});
            return event("updated", &id, person.last - 1, &data);
        }
        person.last = tick;
        person.before.clone_from(&person.key);
        if roll < UPDATED {
            self.updated.push(person.first.clone());
            let data =
                json!({"user_id": person.key, "phone": format!("+4930{number:07}"), "metadata": {"plan": "paid"}});
            event("updated", &id, tick, &data)
        } else if roll < UPDATED + RENAMED {
            person.key = key(RENAMES + number);
            event(
                "renamed",
                &id,
                tick,
                &json!({"user_id": person.before, "new_user_id": person.key}),
            )
        } else if roll < UPDATED + RENAMED + JOINED {
            let organization = format!("org_{}", dice / 100 % ORGANIZATIONS);
            self.joined.push((person.first.clone(), organization.clone()));
            let data = json!({"user_id": person.key, "organization_id": organization});
            event("joined", &id, tick, &data)
        } else {
            let person = alive.swap_remove(index);
            self.gone.push(person.first);
            event("deleted", &id, tick, &json!({"user_id": person.key}))
        }
    }

    fn sign_up(&mut self, alive: &mut Vec<Person>, id: &str, tick: u64) -> Event {
        let number = self.people.len() as u64;
        let key = key(number);
        self.people.push(key.clone());
        alive.push(Person {
            first: key.clone(),
            key: key.clone(),
            before: key,
            last: tick,
            events: 1,
        });
        event("created", id, tick, &details(number))
    }
}

/// Somebody; for a late event somebody of whom there is more news than the sign-up, if a few tries find one.
fn choose(alive: &[Person], dice: u64, late: bool) -> Option<usize> {
    let somebody = |salt: u64| (mixed(dice ^ salt) % alive.len() as u64) as usize;
    if alive.is_empty() {
        return None;
    }
    let mut tries = (1..8).map(somebody);
    let busy = tries.find(|index| alive[*index].events > 1);
    if late {
        busy.or(Some(somebody(8)))
    } else {
        Some(somebody(0))
    }
}
