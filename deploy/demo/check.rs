//! Compares the books with the tables and streams. The worker's own counters are not asked.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use crate::books::{Books, Row};
use crate::found::Found;

/// One line per difference, worded so that a reader can go and look.
pub(crate) fn differences(books: &Books, found: &Found) -> Vec<String> {
    let mut all = Vec::new();
    rows(
        "profiles",
        &["user_id", "profile_type"],
        &books.profiles,
        &found.profiles,
        &mut all,
    );
    rows(
        "customers",
        &["user_id", "organization_id"],
        &books.customers,
        &found.customers,
        &mut all,
    );
    rows(
        "ledger",
        &["source", "event_id"],
        &books.ledger,
        &found.ledger,
        &mut all,
    );
    keys(&books.keys, &found.keys, &mut all);
    links(found, &mut all);
    let dead = found
        .dead
        .iter()
        .map(|(reason, dead)| (reason.clone(), dead.count))
        .collect();
    counts("dead letters", &books.dead, &dead, &mut all);
    let published = books.mail.published - books.mail.dropped;
    let unknown = books.mail.unknown_type;
    for (what, expected, actual) in [
        ("messages in the stream", published, found.messages),
        (
            "messages that the broker dropped",
            books.mail.dropped,
            found.played.dropped,
        ),
        ("messages of an unknown type", unknown, found.unknown_type),
        ("duplicates", books.mail.copies, found.duplicates()),
        (
            "messages in the stream of dead letters",
            found.buried,
            found.dead_stream,
        ),
    ] {
        if expected != actual {
            all.push(format!("{what}: expected {expected}, found {actual}"));
        }
    }
    all
}

/// Both sides by their key; every expected column must have the expected value.
fn rows(table: &str, key: &[&str], expected: &[Row], found: &[Row], all: &mut Vec<String>) {
    let name = |row: &Row| {
        key.iter()
            .map(|column| show(row.get(*column)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut actual: BTreeMap<String, &Row> = BTreeMap::new();
    for row in found {
        if actual.insert(name(row), row).is_some() {
            all.push(format!("{table}: {} is there twice", name(row)));
        }
    }
    for row in expected {
        let Some(other) = actual.remove(&name(row)) else {
            all.push(format!("{table}: {} is missing", name(row)));
            continue;
        };
        for (column, value) in row {
            if other.get(column) != Some(value) {
                let is = show(other.get(column));
                all.push(format!(
                    "{table}: {}: {column} is {is} instead of {}",
                    name(row),
                    show(Some(value))
                ));
            }
        }
    }
    all.extend(actual.keys().map(|name| format!("{table}: {name} should not be there")));
}

fn keys(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>, all: &mut Vec<String>) {
    let both: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for key in both {
        let [should, is] = [expected, found].map(|side| side.get(key).map_or("unknown", String::as_str));
        if should != is {
            all.push(format!("keys: {key} is {is} instead of {should}"));
        }
    }
}

/// A customer row points at the profile of the same user.
fn links(found: &Found, all: &mut Vec<String>) {
    let owner = |row: &Row| (show(row.get("profile_id")), show(row.get("user_id")));
    let owners: BTreeMap<String, String> = found.profiles.iter().map(owner).collect();
    for row in &found.customers {
        let (profile, user) = owner(row);
        if owners.get(&profile) != Some(&user) {
            all.push(format!(
                "customers: {user}: profile_id {profile} is no profile of this user"
            ));
        }
    }
}

fn counts(what: &str, expected: &BTreeMap<String, usize>, found: &BTreeMap<String, usize>, all: &mut Vec<String>) {
    let both: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for name in both {
        let [should, is] = [expected, found].map(|side| side.get(name).copied().unwrap_or(0));
        if should != is {
            all.push(format!("{what}: {name}: expected {should}, found {is}"));
        }
    }
}

fn show(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
