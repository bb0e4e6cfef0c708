//! The books: everything that must come out of a year, written down before Rollcall sees the first message.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::event::instant;
use crate::person::object;
use crate::post::{Post, post};
use crate::year::{Happening, Year};

/// One expected row: a value for each column that the books can know.
pub(crate) type Row = Map<String, Value>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Books {
    pub(crate) seed: u64,
    pub(crate) mail: Mail,
    pub(crate) profiles: Vec<Row>,
    pub(crate) customers: Vec<Row>,
    /// Key to `active`, `alias` or `tombstone`.
    pub(crate) keys: BTreeMap<String, String>,
    pub(crate) ledger: Vec<Row>,
    /// Messages by reason that must lie in the dead letters at the end.
    pub(crate) dead: BTreeMap<String, usize>,
}

/// What is sent, in messages.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) published: usize,
    /// The broker drops these itself.
    pub(crate) dropped: usize,
    pub(crate) copies: usize,
    pub(crate) out_of_order: usize,
    pub(crate) unknown_type: usize,
    pub(crate) people: usize,
}

impl Books {
    /// The books of a year, and its post.
    pub(crate) fn of(seed: u64) -> (Self, Post) {
        let year = Year::of(seed);
        let post = post(&year);
        let mail = Mail {
            published: post.messages.len(),
            dropped: post.dropped,
            copies: post.copies,
            out_of_order: post.out_of_order,
            unknown_type: post.unknown_type,
            people: year.book.people.len(),
        };
        let books = Self {
            seed,
            mail,
            profiles: year.book.profile_rows(),
            customers: year.book.customer_rows(),
            keys: keys(&year),
            ledger: year.happenings.iter().map(ledger_row).collect(),
            dead: dead(&year, &post),
        };
        (books, post)
    }

    pub(crate) fn users(&self) -> BTreeSet<&str> {
        self.keys
            .iter()
            .filter(|(_, kind)| *kind == "active")
            .map(|(key, _)| key.as_str())
            .collect()
    }
}

fn ledger_row(happening: &Happening) -> Row {
    let (event, entry) = (&happening.event, happening.entry);
    let mut row = object(json!({
        "source": event.source.uri(), "event_id": event.id(), "user_id": event.user_id(), "type": format!("user.{}", event.kind),
        "outcome": entry.outcome, "reason": entry.reason, "data": event.data,
    }));
    if let Some(time) = event.time {
        row.insert("time".into(), json!(instant(time)));
    }
    row
}

fn keys(year: &Year) -> BTreeMap<String, String> {
    let book = &year.book;
    let all = [
        book.active.keys().map(|key| (key, "active")).collect::<Vec<_>>(),
        book.aliases.keys().map(|key| (key, "alias")).collect(),
        book.tombstones.iter().map(|key| (key, "tombstone")).collect(),
    ];
    all.into_iter()
        .flatten()
        .map(|(key, kind)| (key.clone(), kind.to_owned()))
        .collect()
}

fn dead(year: &Year, post: &Post) -> BTreeMap<String, usize> {
    let mut dead = BTreeMap::from([
        ("undecodable".to_owned(), post.undecodable),
        ("time_in_future".to_owned(), post.in_future),
    ]);
    for happening in year
        .happenings
        .iter()
        .filter(|happening| happening.entry.outcome == "rejected")
    {
        *dead
            .entry(happening.entry.reason.unwrap_or_default().to_owned())
            .or_default() += 1;
    }
    dead
}
