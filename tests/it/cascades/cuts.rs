//! Cutting a history into other batches changes nothing in the application's tables, nor in what the ledger says of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use rollcall::apply::Applier;
use rollcall::domain::Position;
use rollcall::envelope::{Incoming, Intake, decode};
use serde_json::Value;

use super::applier;
use crate::histories::{Dice, history};
use crate::world::{Base, Message, Stream, apply, differing, on_both};

/// Histories per database.
const HISTORIES: u64 = 12;
const FIRST_SEED: u64 = 71_000;
const KEYS: [&str; 6] = ["ada", "bob", "cyd", "dee", "Eve", "eve"];

/// Name, key, when it changes, when the person goes.
const TABLES: [(&str, &str, &str, &str); 8] = [
    ("permissions", "user_id", "rewrite", "delete"),
    ("reviews", "user_id", "rewrite", "anonymise"),
    ("orders", "user_id", "rewrite", "keep"),
    ("sessions", "user_id", "delete", "delete"),
    ("hints", "user_id", "nullify", "nullify"),
    ("archive", "user_id", "keep", "delete"),
    ("letters", "email", "rewrite", "delete"),
    ("handles", "username", "rewrite", "nullify"),
];

on_both!(the_cut_of_a_history_does_not_show);

async fn the_cut_of_a_history_does_not_show(mut base: Base) -> Result<()> {
    let mut moved = 0;
    for seed in FIRST_SEED..FIRST_SEED + HISTORIES {
        let stream = in_order(&history(seed));
        let mut dice = Dice::new(seed);
        let mut expected: Option<Vec<String>> = None;
        for cut in 0..3 {
            let base = base.another()?;
            let applier = prepared(&base, &stream).await?;
            let mut rest = &stream.messages[..];
            while !rest.is_empty() {
                let size = match cut {
                    0 => 1,
                    1 => rest.len(),
                    _ => (1 + dice.below(9)).min(rest.len()),
                };
                let (batch, more) = rest.split_at(size);
                apply(&applier, batch).await?;
                rest = more;
            }
            let found = everything(&base).await?;
            moved += found.iter().filter(|line| line.starts_with("ledger ")).count();
            match &expected {
                None => expected = Some(found),
                Some(expected) => {
                    let lines = differing(&found, expected);
                    assert!(lines.is_empty(), "seed {seed}, cut {cut}:\n{}", lines.join("\n"));
                }
            }
        }
    }
    assert!(moved > 60, "only {moved} events did anything");
    Ok(())
}

/// The events as they happened, none of them late.
fn in_order(events: &[Value]) -> Stream {
    let mut all = Stream::new();
    for event in events {
        all.event(event);
    }
    let mut placed: Vec<(Position, Message)> = all
        .messages
        .into_iter()
        .filter_map(|message| Some((position(&message)?, message)))
        .collect();
    placed.sort_by(|a, b| a.0.cmp(&b.0));
    Stream {
        messages: placed.into_iter().map(|(_, message)| message).collect(),
    }
}

fn position(message: &Message) -> Option<Position> {
    let intake = Intake {
        max_future: Duration::from_mins(5),
        ..Intake::default()
    };
    let incoming = Incoming {
        subject: &message.subject,
        headers: &message.headers,
        payload: &message.payload,
        stream: "USERS",
        sequence: message.sequence,
        published: message.published,
    };
    decode(&incoming, &intake).ok().map(|envelope| envelope.event.position)
}

/// Tables with rows for every value that the history names.
async fn prepared(base: &Base, stream: &Stream) -> Result<Applier> {
    let (mut lines, mut script) = (String::new(), String::new());
    for (name, key, on_rename, on_delete) in TABLES {
        write!(
            script,
            "CREATE TABLE {name} (id integer, \"user\" text); CREATE INDEX {name}_user ON {name} (\"user\"); "
        )?;
        let values: BTreeSet<String> = match key {
            "user_id" => KEYS.iter().map(|key| (*key).to_owned()).collect(),
            field => stream
                .messages
                .iter()
                .flat_map(|message| named(message, field))
                .collect(),
        };
        for (value, n) in values.iter().zip(1..) {
            let value = value.replace('\'', "''");
            let rows = format!("({n}, '{value}'), ({n}, '{value}')");
            write!(script, "INSERT INTO {name} (id, \"user\") VALUES {rows}; ")?;
        }
        write!(
            lines,
            "[[cascade]]\ntable = \"{name}\"\ncolumn = \"user\"\nkey = \"{key}\"\non_rename = \"{on_rename}\"\n\
             on_delete = \"{on_delete}\"\n"
        )?;
    }
    base.script(&script).await?;
    applier(base, &lines).await
}

/// The values of a field and of its new form in an event.
fn named(message: &Message, field: &str) -> Vec<String> {
    let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let values = [field.to_owned(), format!("new_{field}")].map(|name| event["data"][name].as_str().map(str::to_owned));
    values
        .into_iter()
        .flatten()
        .filter(|value| !value.contains('\0') && value.len() < 300)
        .collect()
}

async fn everything(base: &Base) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, ..) in TABLES {
        let rows = base.lines(&["id", "\"user\""], name).await?;
        // Rows are told apart by their id; which of two equal ones is which does not matter.
        lines.extend(rows.iter().zip(0..).map(|(row, n)| format!("{name} {n} {row}")));
    }
    let ledger = base
        .lines(
            &["source", "event_id", "cascades"],
            "@ledger WHERE cascades IS NOT NULL",
        )
        .await?;
    lines.extend(ledger.iter().map(|line| format!("ledger {line}")));
    Ok(lines)
}
