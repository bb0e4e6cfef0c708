//! `rollcall explain`

use std::process::ExitCode;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{print_json, say};
use crate::config::Config;
use crate::domain::{Effects, Holder, Kind, Outcome, Person, Reason};
use crate::explain::{Chapter, explain};
use crate::store::{MailKind, Store};
use crate::wiring;

/// Arguments of `rollcall explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall explain ada@example.com\n  rollcall explain u1 --json | jq -r '[.time, .type, .outcome] | @tsv'\n\nExit code 1 when nothing is known of the user."
)]
pub(super) struct Args {
    /// A key of the user, also one they had before.
    #[arg(value_name = "USER_ID")]
    user_id: String,
    /// Print one JSON object per event.
    #[arg(long)]
    json: bool,
}

/// An event as it is shown.
#[derive(Debug, serde::Serialize)]
struct Line<'a> {
    time: String,
    #[serde(rename = "type")]
    kind: &'a str,
    source: &'a str,
    id: &'a str,
    user_id: &'a str,
    outcome: &'a str,
    reason: Option<&'a str>,
    effects: Option<&'a Effects>,
    degraded: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cascades: Option<&'a serde_json::Map<String, serde_json::Value>>,
    late: bool,
    stream_sequence: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let store = Store::open(&wiring::store(config)).await?;
    // Keys are stored as they are folded on entry.
    let key = if config.worker.user_id_is_email {
        args.user_id.to_lowercase()
    } else {
        args.user_id.clone()
    };
    let explained = explain(&store, &key).await?;
    store.close().await;
    if !args.json {
        say(&headline(&args.user_id, explained.holder, explained.person.as_ref()))?;
    }
    for chapter in &explained.chapters {
        if args.json {
            print_json(&line(chapter))?;
        } else {
            say(&told(chapter))?;
        }
    }
    Ok(ExitCode::from(u8::from(explained.chapters.is_empty())))
}

fn line(chapter: &Chapter) -> Line<'_> {
    Line {
        time: time_text(chapter),
        kind: chapter.row.kind.name(),
        source: &chapter.row.source,
        id: &chapter.row.event_id,
        user_id: &chapter.row.user_id,
        outcome: chapter.row.outcome.name(),
        reason: chapter.row.reason.map(crate::domain::Reason::name),
        effects: chapter.effects.as_ref(),
        degraded: &chapter.degraded,
        cascades: chapter.cascades.as_ref(),
        late: chapter.row.late,
        stream_sequence: chapter.row.stream_sequence,
        result: result(chapter),
    }
}

/// What whoever asked for a user or for a new password wants to know: whether it worked, and whether the mail went out.
fn result(chapter: &Chapter) -> Option<Value> {
    let row = &chapter.row;
    let kind = match row.kind {
        Kind::Created => MailKind::Welcome,
        Kind::PasswordReset => MailKind::PasswordReset,
        _ => return None,
    };
    let success = row.outcome == Outcome::Applied;
    let mail = chapter.mails.iter().find(|mail| mail.kind == kind);
    let sent = mail.is_some_and(|mail| mail.sent);
    let error = mail.and_then(|mail| mail.error.as_deref());
    let why = row.reason.filter(|_| !success).map(Reason::meaning);
    Some(match kind {
        MailKind::Welcome => json!({
            "success": success,
            "user": row.key,
            "message": why.unwrap_or("the user is there"),
            "email_sent": sent,
            "email_error": error,
        }),
        MailKind::PasswordReset => json!({
            "success": success,
            "message": why.unwrap_or(match (sent, mail) {
                (true, _) => "the mail was sent",
                (false, Some(_)) => "the mail is not sent",
                (false, None) => "no mail was asked for: mail is off, or the event was too old",
            }),
            "email_sent": sent,
            "error": error,
        }),
    })
}

/// What became of the mails of an event, in words.
fn mailed(chapter: &Chapter) -> Vec<String> {
    let mails = chapter.mails.iter();
    mails
        .map(|mail| match (&mail.error, mail.sent) {
            (_, true) => format!("; {} mail sent", mail.kind.name()),
            (Some(error), false) => format!("; {} mail not sent: {error}", mail.kind.name()),
            (None, false) => format!("; {} mail waits", mail.kind.name()),
        })
        .collect()
}

fn headline(key: &str, holder: Option<Holder>, person: Option<&Person>) -> String {
    let state = match (holder, person) {
        (Some(Holder::Active(_)), Some(_)) => key.to_owned(),
        (Some(Holder::Alias(_)), Some(person)) => format!("{key}, now {}", person.key),
        (Some(Holder::Tombstone), _) => return format!("{key}: deleted"),
        _ => return format!("{key}: nobody is known by this key"),
    };
    let Some(person) = person else { return state };
    let provisional = if person.provisional { ", not created yet" } else { "" };
    let profiles: Vec<String> = person
        .profiles
        .iter()
        .map(|(name, profile)| format!("{name} {} ({})", profile.status.name(), profile.display_name))
        .collect();
    let degraded: Vec<&str> = person.degraded.iter().map(String::as_str).collect();
    let degraded = if degraded.is_empty() {
        String::new()
    } else {
        format!("; degraded: {}", degraded.join(", "))
    };
    format!(
        "{state}: version {}{provisional}; profiles: {}{degraded}",
        person.version,
        profiles.join(", ")
    )
}

fn told(chapter: &Chapter) -> String {
    let row = &chapter.row;
    let mut parts = vec![format!(
        "{}  {:<16} {:<9}",
        time_text(chapter),
        row.kind.name(),
        row.outcome.name()
    )];
    parts.extend(row.reason.map(|reason| format!(" {}", reason.name())));
    parts.extend(
        chapter
            .effects
            .as_ref()
            .map(|effects| format!(" {}", deeds(effects).join("; "))),
    );
    if !chapter.degraded.is_empty() {
        parts.push(format!("; dropped {}", chapter.degraded.join(", ")));
    }
    let steps = chapter.cascades.iter().flatten();
    parts.extend(steps.map(|(name, note)| format!("; {}", step(name, note))));
    if row.late {
        parts.push("; came late".to_owned());
    }
    parts.extend(mailed(chapter));
    parts.push(format!("  [{} {}]", row.source, row.event_id));
    parts.concat()
}

/// What a step did, in words: `user_permissions 3`, `sessions 0 (failed: …)`.
fn step(name: &str, note: &serde_json::Value) -> String {
    if let Some(rows) = note.as_u64() {
        return format!("{name} {rows}");
    }
    if let Some(events) = note.as_array() {
        let events: Vec<&str> = events.iter().filter_map(serde_json::Value::as_str).collect();
        return format!("{name} ({})", events.join(", "));
    }
    let text = |key: &str| note.get(key).and_then(serde_json::Value::as_str);
    let rows = note.get("rows").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let waiting = note.get("waiting").map(|_| "the rest is on its way".to_owned());
    let remark = text("note").map(|remark| match text("error") {
        Some(error) => format!("{remark}: {error}"),
        None => remark.to_owned(),
    });
    let told: Vec<String> = waiting.into_iter().chain(remark).collect();
    format!("{name} {rows} ({})", told.join("; "))
}

/// What an event changed, in words.
fn deeds(effects: &Effects) -> Vec<String> {
    let mut deeds = Vec::new();
    let mut say = |text: String| deeds.push(text);
    if let Some(began) = &effects.began {
        say(format!("began as {began}"));
    }
    if effects.became_real {
        say("became real".to_owned());
    }
    if let Some((from, to)) = &effects.key {
        say(format!("{from} → {to}"));
    }
    if let Some(merged) = &effects.merged {
        say(format!("merged with {merged}"));
    }
    if let Some(alias) = &effects.alias {
        say(format!("{alias} points here"));
    }
    if !effects.profiles_made.is_empty() {
        say(format!("made {}", effects.profiles_made.join(", ")));
    }
    if let Some((name, from, to)) = &effects.transition {
        say(format!("{name} {from} → {to}"));
    }
    if let Some(organization) = &effects.joined {
        say(format!("joined {organization}"));
    }
    if let Some(organization) = &effects.left {
        say(format!("left {organization}"));
    }
    if !effects.fields.is_empty() {
        say(format!("changed {}", effects.fields.join(", ")));
    }
    if !effects.tombstones.is_empty() {
        say(format!("tombstones {}", effects.tombstones.join(", ")));
    }
    if deeds.is_empty() {
        deeds.push("nothing new".to_owned());
    }
    deeds
}

fn time_text(chapter: &Chapter) -> String {
    let time = chapter.row.position.time();
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
