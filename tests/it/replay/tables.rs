//! Every column that must be the same in a database that was lost and in the one that a replay makes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::world::{Base, Which, differing};

/// They name rows; who is linked to whom is compared as `links`.
const NOT_OF_PROFILES: [&str; 2] = ["profile_id", "customer_id"];
const NOT_OF_CUSTOMERS: [&str; 2] = ["customer_id", "profile_id"];
/// `policy_id` names a row; `late` says in what order this database got the events.
const NOT_OF_LEDGER: [&str; 3] = ["policy_id", "applied_at", "late"];
/// All but `root`, which is any key of the component (the least one is compared), and `person`, which names a row (their
/// key is compared). What is stored of a component stands with its root.
const KEYS: [&str; 7] = [
    "k.key",
    "(SELECT min(m.key) FROM @keys m WHERE m.root = k.root)",
    "k.holder",
    "p.key",
    "k.state",
    "hex(r.newest)",
    "r.events",
];
const KEY_ROWS: &str =
    "@keys k JOIN @keys r ON r.key = k.root LEFT JOIN @keys p ON p.person = k.person AND p.holder = 1";
/// All but `person`, which names a row.
const DEPARTED: [&str; 2] = ["key", "state"];
/// Those that are open: whether an event that applies in the end was rejected on the way, or how, depends on the batches.
/// All but the times; and `error`, which says in what order this database got the events.
const DEAD_LETTERS: [&str; 5] = ["message_id", "reason", "stream_sequence", "source", "event_id"];
/// Of those that never entered the ledger the error is compared as well.
const ERRORS: [&str; 2] = ["message_id", "error"];
const NEVER_ENTERED: &str =
    "@dead_letters WHERE reason IN ('undecodable', 'id_conflict', 'time_in_future', 'component_too_large')";
// The table `checkpoints` is not compared: which moments of a history it has depends on how the events arrived.
/// Messages that were sent have left it: nothing may wait.
const OUTBOX: [&str; 1] = ["message_id"];

/// The compared columns of all tables.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared(BTreeMap<&'static str, Vec<String>>);

impl Compared {
    pub(super) async fn read(base: &Base) -> Result<Self> {
        let links = "@profiles p JOIN @customers c ON c.customer_id = p.customer_id OR c.profile_id = p.profile_id";
        let direction = "CASE WHEN c.customer_id = p.customer_id THEN 'both' ELSE 'back' END";
        let linked = [
            "p.user_id",
            "p.profile_type",
            "c.user_id",
            "c.organization_id",
            direction,
        ];
        let open = "@dead_letters WHERE resolved_at IS NULL";
        let mut tables = BTreeMap::new();
        for (name, left_out) in [
            ("profiles", &NOT_OF_PROFILES[..]),
            ("customers", &NOT_OF_CUSTOMERS),
            ("ledger", &NOT_OF_LEDGER),
        ] {
            let columns = base.columns(name).await?;
            assert!(
                left_out
                    .iter()
                    .all(|column| columns.iter().any(|there| there == column)),
                "{columns:?}"
            );
            let compared = columns
                .iter()
                .map(String::as_str)
                .filter(|column| !left_out.contains(column));
            let compared: Vec<&str> = compared.map(bytes).collect();
            tables.insert(name, lines(base, &compared, &format!("@{name}")).await.context(name)?);
        }
        for (name, columns, from) in [
            ("links", &linked[..], links),
            ("keys", &KEYS, KEY_ROWS),
            ("departed", &DEPARTED, "@departed"),
            ("dead_letters", &DEAD_LETTERS, open),
            ("errors", &ERRORS, NEVER_ENTERED),
            ("outbox", &OUTBOX, "@outbox"),
            ("policies", &["body"], "@policies"),
        ] {
            tables.insert(name, lines(base, columns, from).await.context(name)?);
        }
        Ok(Self(tables))
    }

    pub(super) fn rows(&self, table: &str) -> usize {
        self.0[table].len()
    }

    pub(super) fn assert_same(&self, expected: &Self, context: &str) {
        let mut lines = Vec::new();
        for (table, found) in &self.0 {
            let differing = differing(found, &expected.0[table]);
            lines.extend(differing.into_iter().map(|line| format!("{table} {line}")));
        }
        assert!(lines.is_empty() && self == expected, "{context}:\n{}", lines.join("\n"));
    }
}

async fn lines(base: &Base, columns: &[&str], from: &str) -> Result<Vec<String>> {
    let written: Vec<String> = columns.iter().map(|column| spelt(base, column)).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    for row in base.select(&written, from).await? {
        let mut values = Vec::new();
        for (column, value) in columns.iter().zip(row) {
            values.push(match value {
                Some(state) if column.ends_with("state") => without_rows(&state)?,
                value => value.unwrap_or_else(|| "-".to_owned()),
            });
        }
        lines.push(values.join(" | "));
    }
    lines.sort_unstable();
    Ok(lines)
}

/// Columns of bytes are compared in hexadecimal.
fn bytes(column: &str) -> &str {
    match column {
        "position" => "hex(position)",
        "content" => "hex(content)",
        text => text,
    }
}

/// Bytes are shown differently.
fn spelt(base: &Base, column: &str) -> String {
    let named = column.replace("@keys", &base.table("keys"));
    match named.strip_prefix("hex(") {
        Some(rest) if base.which == Which::Postgres => {
            format!("encode({}, 'hex')", rest.trim_end_matches(')'))
        }
        _ => named,
    }
}

/// A stored person without the names of rows.
fn without_rows(state: &str) -> Result<String> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("row");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(state)?;
    strip(&mut value);
    Ok(value.to_string())
}
