//! The story of one user, from the lines of `rollcall explain`.

use serde_json::{Map, Value};
use std::fmt::Write as _;

use crate::summary::Paint;

/// Longer values would break the page.
const WIDEST: usize = 88;

/// One sentence per event.
pub(crate) fn lines(explained: &[Value]) -> Vec<String> {
    explained
        .iter()
        .filter(|line| line.get("type").is_some())
        .map(|line| format!("{}  {}", day(line), sentence(line)))
        .collect()
}

/// The story for the page; what had no effect is dimmed.
pub(crate) fn timeline(explained: &[Value], paint: Paint) -> String {
    let mut page = String::new();
    for line in explained.iter().filter(|line| line.get("type").is_some()) {
        let text = format!("{}  {}", day(line), sentence(line));
        let text = if line["outcome"] == "applied" {
            text
        } else {
            paint.dim(&text)
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "    {text}");
    }
    page
}

fn day(line: &Value) -> &str {
    line["time"]
        .as_str()
        .and_then(|time| time.get(..10))
        .unwrap_or("          ")
}

fn sentence(line: &Value) -> String {
    let kind = line["type"].as_str().unwrap_or_default();
    let kind = kind.strip_prefix("user.").unwrap_or(kind);
    let outcome = line["outcome"].as_str().unwrap_or_default();
    let said = match (outcome, line["reason"].as_str()) {
        ("applied", None) => told(line),
        ("applied", Some(reason)) => format!("{} ({reason})", told(line)),
        (outcome, reason) => format!("{outcome}: {} · {}", reason.unwrap_or("no reason"), told(line)),
    };
    shortened(format!("{kind:<12}{said}").trim_end())
}

/// What the event said, without the key under which it said so.
fn told(line: &Value) -> String {
    let empty = Map::new();
    let data = line["data"].as_object().unwrap_or(&empty);
    let user = data.get("user_id").and_then(Value::as_str).unwrap_or_default();
    let mut parts = Vec::new();
    if let Some(new) = data.get("new_user_id").and_then(Value::as_str) {
        parts.push(format!("{user} → {new}"));
    }
    for (field, value) in data {
        match (field.as_str(), value) {
            ("user_id" | "new_user_id" | "email_verified", _) => {}
            (_, Value::String(text)) => parts.push(text.clone()),
            (field, Value::Null) => parts.push(format!("no {field}")),
            (field, value) => parts.push(format!("{field} {value}")),
        }
    }
    parts.join(", ")
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}
