//! A second fold, written from the contract and for reading: one person at a time, one event at a time, plain maps.
//! It exists to disagree with the product when the product is wrong, so it must never use anything of the crate.
//! `rules`, `renames` and `memberships` are the table of section 3 row by row; `patch` the optional fields; `merge`
//! two persons into one; `event` the order and the reading of an event; `cells` all that a run has to visit.

mod cells;
mod event;
mod memberships;
mod merge;
mod patch;
mod renames;
mod rules;
mod state;
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use cells::CELLS;
use event::Event;
use serde_json::Value;
use state::State;

/// One configured profile type.
#[derive(Debug, Clone)]
pub(crate) struct TypeSetting {
    pub(crate) name: String,
    /// `draft`, `active` or `archived`.
    pub(crate) initial: String,
    /// Not made at creation unless the event names it.
    pub(crate) on_activation: bool,
    /// Types that a legal activation of this type makes.
    pub(crate) activation_creates: Vec<String>,
}

/// What the fold takes from configuration. The first type is the default of transitions and of customers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) protected: Vec<String>,
    pub(crate) types: Vec<TypeSetting>,
    pub(crate) customer_type: Option<String>,
    pub(crate) archive_on_delete: bool,
}

/// One profile of a person; times are microseconds since 1970, truncated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    pub(crate) status: String,
    pub(crate) organization_id: Option<String>,
    pub(crate) display_name: String,
    pub(crate) created_at: i64,
    pub(crate) is_active: bool,
}

/// One membership; `created_at` is its first join, `updated_at` its last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Customer {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// One person. `fields` has a key for each known value: `email`, `email_verified`, `username`, `first_name`,
/// `last_name`, `full_name`, `phone`, `external_id`, `active`, `organization_id`, `metadata`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) provisional: bool,
    pub(crate) fields: BTreeMap<String, Value>,
    pub(crate) degraded: BTreeSet<String>,
    /// By profile type.
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// By organization.
    pub(crate) customers: BTreeMap<String, Customer>,
    pub(crate) version: u64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// `implicit`, `event` or `backfill`.
    pub(crate) created_via: String,
}

/// A deleted person whose rows configuration keeps, as they stood after the deletion.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Departed {
    pub(crate) key: String,
    pub(crate) deleted_at: i64,
    pub(crate) user: User,
}

/// What an event came to: `applied`, `ignored` or `rejected`, and why it did not have its main effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
}

/// The end of a fold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    /// By current key.
    pub(crate) users: BTreeMap<String, User>,
    /// From an old key to the current key of the person who left it.
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) tombstones: BTreeSet<String>,
    /// By `(source, id)`.
    pub(crate) verdicts: BTreeMap<(String, String), Verdict>,
    /// How often each `(row, column)` of the table was visited.
    pub(crate) visits: BTreeMap<(String, String), u64>,
    /// In the order of their deletions; empty unless `archive_on_delete`.
    pub(crate) departed: Vec<Departed>,
}

/// Applies the structured `CloudEvents` in position order, each `(source, id)` once. Events must be valid; a type that
/// is not one of the nine is passed over, for it never enters the ledger.
pub(crate) fn fold(events: &[Value], settings: &Settings) -> World {
    let mut ledger: BTreeMap<(String, String), Event> = BTreeMap::new();
    for event in events.iter().filter_map(|value| Event::read(value, settings)) {
        ledger.entry((event.source.clone(), event.id.clone())).or_insert(event);
    }
    let mut sorted: Vec<Event> = ledger.into_values().collect();
    sorted.sort_by(|a, b| a.position.cmp(&b.position));

    let mut state = State::new(settings);
    let mut verdicts = BTreeMap::new();
    for (step, event) in sorted.iter().enumerate() {
        let verdict = state.apply(step, event);
        state.derive();
        verdicts.insert((event.source.clone(), event.id.clone()), verdict);
    }
    state.into_world(verdicts)
}
