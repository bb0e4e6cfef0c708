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
    let mut parts = match (outcome, line["reason"].as_str()) {
        ("applied", None) => Vec::new(),
        ("applied", Some(reason)) => vec![reason.to_owned()],
        (outcome, reason) => vec![format!("{outcome}: {}", reason.unwrap_or("no reason"))],
    };
    parts.extend(Some(told(line)).filter(|told| !told.is_empty()));
    let said = parts.join(" · ");
    shortened(format!("{kind:<12}{said}").trim_end())
}

/// What the event changed, as a reader would say it: the old and the new key, then the fields that say most.
fn told(line: &Value) -> String {
    let empty = Map::new();
    let data = line["data"].as_object().unwrap_or(&empty);
    let text = |field: &str| data.get(field).and_then(Value::as_str);
    let mut parts = Vec::new();
    if let (Some(from), Some(to)) = (text("user_id"), text("new_user_id")) {
        parts.push(format!("{from} → {to}"));
    }
    if let [name, from, to] = [
        "/effects/transition/0",
        "/effects/transition/1",
        "/effects/transition/2",
    ]
    .map(|path| line.pointer(path))
        && let (Some(name), Some(from), Some(to)) = (plain(name), plain(from), plain(to))
    {
        parts.push(format!("{name}: {from} → {to}"));
    }
    for (field, value) in data {
        let known = |better: &str| text(better).is_some();
        match (field.as_str(), value) {
            ("user_id" | "new_user_id" | "email_verified", _) => {}
            ("first_name" | "last_name", _) if known("full_name") => {}
            ("organization_id", _) if known("customer_name") => {}
            (field, Value::Null) => parts.push(format!("no {field} any more")),
            ("phone" | "external_id" | "username", Value::String(value)) => parts.push(format!("{field} {value}")),
            (_, Value::String(value)) => parts.push(value.clone()),
            (field, Value::Object(members)) => {
                let names: Vec<&str> = members.keys().map(String::as_str).collect();
                parts.push(format!("{field}: {}", names.join(", ")));
            }
            (field, value) => parts.push(format!("{field} {value}")),
        }
    }
    parts.join(", ")
}

fn plain(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}
