//! A dead letter made into a message again: structured, under its original source, id and time. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::dead_letters::{REDRIVE, header, message_id_of, our_header};
use crate::domain::{Kind, Reason, Timestamp};
use crate::envelope::{self, Envelope, Incoming, Intake};
use crate::jetstream::{Outgoing, StoredMessage};

/// What a dead letter is about, where it can be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Sequence in the stream of dead letters.
    pub sequence: u64,
    /// Its message id.
    pub message_id: String,
    /// Why it is dead.
    pub reason: Reason,
    /// What was wrong.
    pub error: String,
    /// Equal for letters that died of the same thing.
    pub fingerprint: String,
    /// CloudEvents source of the event.
    pub source: String,
    /// Its id.
    pub event_id: String,
    /// Its type.
    pub kind: Kind,
    /// The user it is about, as it says.
    pub user_id: String,
    /// When it was buried.
    pub buried: OffsetDateTime,
}

/// Why a dead letter cannot be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// There is no event in it.
    Undecodable,
    /// Another event has its source and id.
    IdConflict,
    /// Payload or headers did not fit beside what the letter says.
    LeftOut,
    /// It is none of our letters.
    Foreign,
}

impl Unfit {
    /// What to do instead, in one line.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Undecodable => {
                "not an event, so there is none to be sent again: correct it at its source and publish it anew"
            }
            Self::IdConflict => "another event has this source and id: publish this one under an id of its own",
            Self::LeftOut => {
                "the letter was too large to hold all of its message: take the message from its stream and publish it anew"
            }
            Self::Foreign => "no worker wrote this letter, or it is damaged",
        }
    }
}

/// A letter and the message that brings its event back, under a message id that begins with that of the letter.
///
/// # Errors
/// Why there is none.
pub fn revive(letter: &StoredMessage, run: &str) -> Result<(Letter, Outgoing), Unfit> {
    let ours = |name: &str| our_header(&letter.headers, name);
    let message_id = message_id_of(&letter.headers).ok_or(Unfit::Foreign)?;
    let reason = ours("reason").and_then(Reason::from_name).ok_or(Unfit::Foreign)?;
    match reason {
        Reason::Undecodable => return Err(Unfit::Undecodable),
        Reason::IdConflict => return Err(Unfit::IdConflict),
        _ if ours("payload-bytes").is_some() => return Err(Unfit::LeftOut),
        _ => {}
    }
    let envelope = read(letter)?;
    // With headers left out it would be another event.
    let named = |name: &str| ours(name).unwrap_or_default();
    if !is_line_of(named("source"), &envelope.event.source) || !is_line_of(named("event-id"), &envelope.id) {
        return Err(Unfit::LeftOut);
    }
    let kind = envelope.event.body.kind();
    let outgoing = Outgoing {
        subject: subject(named("subject"), kind),
        headers: vec![
            ("Content-Type".to_owned(), "application/cloudevents+json".to_owned()),
            (REDRIVE.to_owned(), message_id.to_owned()),
        ],
        payload: Bytes::from(structured(letter, &envelope).ok_or(Unfit::Foreign)?),
        message_id: format!("{message_id}:redrive:{run}"),
    };
    let letter = Letter {
        sequence: letter.sequence,
        message_id: message_id.to_owned(),
        reason,
        error: named("error").to_owned(),
        fingerprint: named("fingerprint").to_owned(),
        source: envelope.event.source,
        event_id: envelope.id,
        kind,
        user_id: envelope.user_id,
        buried: letter.published,
    };
    Ok((letter, outgoing))
}

/// The event as it was when it was delivered: where, when and with which headers is all in the letter.
fn read(letter: &StoredMessage) -> Result<Envelope, Unfit> {
    let ours = |name: &str| our_header(&letter.headers, name);
    let own = |name: &str| {
        let lower = name.to_ascii_lowercase();
        !lower.starts_with("rollcall-") && !lower.starts_with("nats-")
    };
    let mut headers: Vec<(String, String)> = letter.headers.iter().filter(|(name, _)| own(name)).cloned().collect();
    headers.extend(ours("message-id").map(|id| ("Nats-Msg-Id".to_owned(), id.to_owned())));
    let published = ours("time").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let message = Incoming {
        subject: ours("subject").unwrap_or_default(),
        headers: &headers,
        payload: &letter.payload,
        stream: ours("stream").unwrap_or_default(),
        sequence: ours("sequence")
            .and_then(|number| number.parse().ok())
            .unwrap_or_default(),
        published: published.ok_or(Unfit::Foreign)?,
    };
    // Whether its time has come by now is for the worker to say.
    let intake = Intake {
        max_future: Duration::MAX,
        ..Intake::default()
    };
    envelope::decode(&message, &intake).map_err(|_| Unfit::LeftOut)
}

/// The event as one JSON object; of a structured one everything stays as it was.
fn structured(letter: &StoredMessage, envelope: &Envelope) -> Option<String> {
    let media_type = header(&letter.headers, "content-type").unwrap_or_default();
    let is_structured = media_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("application/cloudevents+json");
    let mut event: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    let say = |event: &mut BTreeMap<String, Box<RawValue>>, name: &str, value: &str| {
        event.insert(name.to_owned(), to_raw_value(value).ok()?);
        Some(())
    };
    if is_structured {
        event = serde_json::from_slice(&letter.payload).ok()?;
    } else {
        let source = &envelope.event.source;
        let kind = envelope.event.body.kind().name();
        for (name, value) in [
            ("specversion", "1.0"),
            ("type", kind),
            ("source", source),
            ("id", &envelope.id),
        ] {
            say(&mut event, name, value)?;
        }
        if !envelope.sequence.is_empty() {
            say(&mut event, "sequence", &envelope.sequence)?;
        }
        if envelope.event.backfill {
            say(&mut event, "createdvia", "backfill")?;
        }
        event.insert("data".to_owned(), serde_json::from_slice(&letter.payload).ok()?);
    }
    if !(is_structured && envelope.states_time) {
        say(&mut event, "time", &time_text(envelope.event.time)?)?;
    }
    serde_json::to_string(&event).ok()
}

fn time_text(time: Timestamp) -> Option<String> {
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}

/// Where it was published before, if it can be published there; the type says it as well.
fn subject(before: &str, kind: Kind) -> String {
    let plain =
        |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>'));
    if before.starts_with("user.") && before.split('.').all(plain) {
        before.to_owned()
    } else {
        kind.name().to_owned()
    }
}

/// Whether a header that is one line of bounded length stands for a text.
fn is_line_of(line: &str, text: &str) -> bool {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.chars().all(|c| chars.next() == Some(c)) && (chars.next().is_none() || line.chars().count() >= 1024)
}
