//! The fold, as tables that read like the contract: what was, what happens, what becomes of it, what is then.
//!
//! Events are written as `type key name=value …`; one second passes from each to the next unless it says `@second`.
//! A world is written as one line per key.

mod checkpoints;
mod courses;
mod created;
mod customers;
mod degraded;
mod difference;
mod display;
mod effects;
mod keys;
mod linking;
mod merged;
mod order;
mod people;
mod profiles;
mod protected;
mod reduced;
mod refolded;
mod renamed;
mod repaired;
mod storage;
mod stories;
mod table;
mod told;
mod trails;
mod transitions;
mod words;

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use storage::{Storage, entries, rows};
use told::event;

/// One type made at creation, one on request, one made by an activation; nothing else out of the ordinary.
pub(super) fn policy() -> Policy {
    Policy {
        protected: vec!["Administrator".to_owned()],
        profiles: vec![
            rule("client", CreateOn::Creation),
            rule("partner", CreateOn::Activation),
            rule("guest", CreateOn::Activation),
        ],
        customer_type: "client".to_owned(),
        on_delete: OnDelete::Delete,
        key_is_email: false,
        sources: Vec::new(),
        lookup: None,
    }
}

fn rule(name: &str, create_on: CreateOn) -> ProfileRule {
    let sources = [
        "full_name",
        "first_name + last_name",
        "metadata.display_name",
        "username",
        "email",
        "user_id",
    ];
    ProfileRule {
        name: name.to_owned(),
        initial: Status::Draft,
        create_on,
        activation_creates: Vec::new(),
        requires: Vec::new(),
        attributes: Map::new(),
        backfill_attributes: Map::new(),
        synchronised: Vec::new(),
        display_name: sources.map(str::to_owned).to_vec(),
        display_owner: DisplayOwner::Worker,
    }
}

/// The events of a history, numbered from one, in position order.
fn history(texts: &[&str]) -> Vec<Event> {
    let mut events: Vec<_> = texts.iter().enumerate().map(|(n, text)| event(n + 1, text)).collect();
    events.sort_by(|a, b| a.position.cmp(&b.position));
    events
}

/// The world that a history makes, and the verdict on each of its events.
fn fold(policy: &Policy, texts: &[&str]) -> (World, Vec<Verdict>) {
    let mut world = World::default();
    let verdicts = history(texts)
        .iter()
        .map(|event| world.apply(event, policy).0)
        .collect();
    (world, verdicts)
}

pub(super) fn world(policy: &Policy, texts: &[&str]) -> World {
    fold(policy, texts).0
}

/// The last verdict of a history.
fn verdict(policy: &Policy, texts: &[&str]) -> Verdict {
    fold(policy, texts).1.pop().expect("a history has an event")
}

fn outcome(verdict: &Verdict) -> String {
    match verdict.reason {
        Some(reason) => format!("{}: {}", verdict.outcome.name(), reason.name()),
        None => verdict.outcome.name().to_owned(),
    }
}

/// The one person at a key.
#[track_caller]
fn person<'a>(world: &'a World, key: &str) -> &'a Person {
    match world.holders.get(key) {
        Some(Holder::Active(id) | Holder::Alias(id)) => &world.persons[id],
        other => panic!("{key} is {other:?}"),
    }
}

/// A world, one line per key; departed people who are kept come last.
fn picture(world: &World) -> Vec<String> {
    let mut lines: Vec<String> = world
        .holders
        .iter()
        .map(|(key, holder)| match holder {
            Holder::Active(id) => portrait(&world.persons[id]),
            Holder::Alias(id) => format!("{key} -> {}", world.persons[id].key),
            Holder::Tombstone => format!("{key} +"),
        })
        .collect();
    let departed = world.persons.values().filter(|person| person.deleted_at.is_some());
    lines.extend(departed.map(|person| format!("departed: {}", portrait(person))));
    lines
}

/// A person in one line: key, kind, fields, marks, profiles with their organization, customers.
fn portrait(person: &Person) -> String {
    let Person { fields, .. } = person;
    let mut words = vec![
        person.key.clone(),
        if person.provisional { "provisional" } else { "user" }.to_owned(),
    ];
    for (name, value) in [
        ("email", &fields.email),
        ("username", &fields.username),
        ("first_name", &fields.first_name),
        ("last_name", &fields.last_name),
        ("full_name", &fields.full_name),
        ("phone", &fields.phone),
        ("external_id", &fields.external_id),
        ("org", &fields.organization_id),
    ] {
        words.extend(value.as_ref().map(|value| format!("{name}={value}")));
    }
    words.extend(fields.email_verified.map(|verified| format!("verified={verified}")));
    words.extend(fields.active.map(|active| format!("active={active}")));
    words.extend(
        fields
            .metadata
            .as_ref()
            .map(|metadata| format!("metadata={}", json!(metadata))),
    );
    words.extend(person.degraded.iter().map(|field| format!("!{field}")));
    for (name, profile) in &person.profiles {
        let organization = profile
            .organization_id
            .as_ref()
            .map(|name| format!("@{name}"))
            .unwrap_or_default();
        words.push(format!("{name}:{}{organization}", profile.status.name()));
    }
    for (organization, customer) in &person.customers {
        let name = customer
            .name
            .as_ref()
            .map(|name| format!("({name})"))
            .unwrap_or_default();
        words.push(format!("+{organization}{name}"));
    }
    words.join(" ")
}

/// One cell of the table: after `given`, `then` has this outcome and the world looks like this.
struct Cell<'a> {
    given: &'a [&'a str],
    then: &'a str,
    outcome: &'a str,
    world: &'a [&'a str],
}

/// The world is what it was.
const UNCHANGED: &[&str] = &["unchanged"];

fn cell<'a>(given: &'a [&'a str], then: &'a str, outcome: &'a str, world: &'a [&'a str]) -> Cell<'a> {
    Cell {
        given,
        then,
        outcome,
        world,
    }
}

/// Every cell holds, on top of the stored state as in a fold from nothing.
#[track_caller]
fn holds(policy: &Policy, cells: &[Cell<'_>]) {
    let wrong: Vec<String> = cells.iter().filter_map(|cell| cell.failure(policy)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Cell<'_> {
    fn failure(&self, policy: &Policy) -> Option<String> {
        let story: Vec<&str> = self.given.iter().copied().chain([self.then]).collect();
        let before = world(policy, self.given);
        let mut after = before.clone();
        let then = event(story.len(), self.then);
        let (verdict, _) = after.apply(&then, policy);
        let expected = if self.world == UNCHANGED {
            picture(&before)
        } else {
            self.world.iter().map(|&line| line.into()).collect()
        };
        let tell = |what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            format!(
                "{:?}, then {:?}: {what}\n    is        {found:?}\n    should be {expected:?}",
                self.given, self.then
            )
        };
        if outcome(&verdict) != self.outcome {
            return Some(tell("the outcome", &outcome(&verdict), &self.outcome));
        }
        if picture(&after) != expected {
            return Some(tell("the world", &picture(&after), &expected));
        }
        if verdict.outcome != Outcome::Applied && (after != before || verdict.effects != Effects::default()) {
            return Some(tell("what it changed", &after, &before));
        }
        // A reset is a fact of its own: it is applied, and means nothing to the world.
        let is_reset = self.then.starts_with("password_reset");
        if verdict.outcome == Outcome::Applied && (after == before) != is_reset {
            return Some(tell("what it changed", &"nothing", &"something"));
        }
        let stored = Storage::of(policy, self.given);
        let again = refold(
            None,
            &entries(policy, &story, self.given.len()),
            &stored.world(),
            Spacing::STANDARD,
        );
        if picture(&again.world) != expected {
            return Some(tell("the world folded again", &picture(&again.world), &expected));
        }
        None
    }
}
