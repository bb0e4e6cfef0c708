//! Bytes and headers in, one validated event out. Pure: the same message always decodes to the same envelope.
//!
//! Errors name the attribute or field and the rule it breaks, never its value: values are personal data.

pub mod contract;
mod fields;
mod form;
mod instant;
mod json;
pub mod schema;
mod subject;

use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use time::OffsetDateTime;

use crate::domain::{Event, EventRef, Inputs, Kind, Position, Reason, Timestamp};

pub use json::content_hash;
pub use subject::{Subjects, word_of};

/// A message as the broker delivered it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Subject it was published on.
    pub subject: &'a str,
    /// Header names and values as received; names compare ignoring case.
    pub headers: &'a [(String, String)],
    /// The payload.
    pub payload: &'a [u8],
    /// Name of the stream.
    pub stream: &'a str,
    /// Sequence within the stream.
    pub sequence: u64,
    /// When the broker stored it.
    pub published: OffsetDateTime,
}

/// What configuration says about reading events.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// How far an event's time may lie after the broker's.
    pub max_future: std::time::Duration,
    /// Whether the user's key is the address: keys are then lower-cased.
    pub user_id_is_email: bool,
    /// Prefix of the keys of a source, by source.
    pub key_prefixes: Vec<(String, String)>,
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The event to be folded.
    pub event: Event,
    /// CloudEvents id; unique within the event's source.
    pub id: String,
    /// `user_id` as the event says it.
    pub user_id: String,
    /// The data object, byte for byte; of a password reset only what is no secret.
    pub data: String,
    /// SHA-256 of type and data, independent of white space and the order of keys.
    pub content: [u8; 32],
    /// Whether the event itself says when it happened; else the time is the broker's.
    pub states_time: bool,
    /// The CloudEvents extension `sequence`, empty when absent.
    pub sequence: String,
    /// What the ledger must not have, and a mail needs: `data` is without it.
    pub sealed: Option<Sealed>,
    /// Whether the event has only the minimal fields of what the data says: see [`Envelope::reduced`].
    pub reduced: bool,
}

/// A text that shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

impl Envelope {
    /// A creation with its minimal fields, where that leaves something out: the last try before a user is left without a
    /// record. Identity, position, data and content stay those of the whole event.
    pub fn reduced(&self) -> Option<Self> {
        self.event.reduced().map(|event| Self {
            event,
            reduced: true,
            ..self.clone()
        })
    }
}

/// Why a message is no event for the fold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a valid event: what is wrong, and where.
    #[error("{0}")]
    Undecodable(String),
    /// A type that is none of ours.
    #[error("type `{0}` is not one of Rollcall's")]
    UnknownType(String),
    /// It claims to happen after the broker stored it.
    #[error("time lies {seconds} s after the broker's, more than max_future allows")]
    TimeInFuture {
        /// How far ahead, in whole seconds.
        seconds: i64,
        /// Its identity: source and id.
        identity: (String, String),
    },
}

impl Envelope {
    /// Whether an event with this content and time, stored under the same identity, is a copy of this one. The time of
    /// a bare event is when it was published, and so differs between copies.
    pub fn repeats(&self, content: &[u8], time: Timestamp) -> bool {
        content == self.content && (!self.states_time || time == self.event.time)
    }
}

impl Refusal {
    /// A message whose headers break the broker's protocol.
    pub fn broken_headers(defect: &str) -> Self {
        Self::Undecodable(format!("the headers break the protocol: {defect}"))
    }

    /// The reason as it is counted and shown.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Undecodable(_) => Reason::Undecodable,
            Self::UnknownType(_) => Reason::UnknownType,
            Self::TimeInFuture { .. } => Reason::TimeInFuture,
        }
    }

    /// Source and id, where they could be read.
    pub fn identity(&self) -> Option<&(String, String)> {
        match self {
            Self::TimeInFuture { identity, .. } => Some(identity),
            Self::Undecodable(_) | Self::UnknownType(_) => None,
        }
    }
}

fn undecodable(message: impl Into<String>) -> Refusal {
    Refusal::Undecodable(message.into())
}

/// Decodes one message in any of the three forms.
///
/// # Errors
/// [`Refusal`] says why the message is no event for the fold.
pub fn decode(message: &Incoming<'_>, intake: &Intake) -> Result<Envelope, Refusal> {
    let attributes = form::read(message)?;
    let Some(kind) = Kind::from_name(&attributes.kind) else {
        return Err(Refusal::UnknownType(attributes.kind));
    };
    let broker_time = instant::of(message.published);
    let time = attributes.time.unwrap_or(broker_time);
    let read = fields::read(kind, &attributes.value)?;
    let (data, content) = match &read.reset {
        None => (attributes.data, json::content_hash(kind.name(), &attributes.value)),
        // Of a short code even the hash would tell it.
        Some(reset) => {
            let redacted = reset.redacted(&read.user_id);
            (redacted.to_string(), json::content_hash(kind.name(), &redacted))
        }
    };
    let limit = i128::try_from(intake.max_future.as_nanos()).unwrap_or(i128::MAX);
    let ahead = instant::nanos(time) - instant::nanos(broker_time);
    if ahead > limit {
        let seconds = i64::try_from(ahead / 1_000_000_000).unwrap_or(i64::MAX);
        return Err(Refusal::TimeInFuture {
            seconds,
            identity: (attributes.source, attributes.id),
        });
    }
    let event = Event {
        reference: reference(&attributes.source, &attributes.id),
        position: Position::new(time, &attributes.sequence, kind, &attributes.source, &attributes.id),
        time,
        key: key(&read.user_id, &attributes.source, intake),
        body: with_keys(read.body, &attributes.source, intake),
        cascade_failed: false,
        degraded: read.degraded,
        backfill: attributes.backfill,
        inputs: Inputs::default(),
        source: attributes.source,
    };
    Ok(Envelope {
        event,
        id: attributes.id,
        user_id: read.user_id,
        data,
        content,
        states_time: attributes.time.is_some(),
        sequence: attributes.sequence,
        sealed: read.reset.as_ref().map(fields::Reset::sealed),
        reduced: false,
    })
}

/// What the ledger keeps of an event, and from which the event is made again for a later fold.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the ledger")]
pub struct Recorded<'a> {
    pub kind: Kind,
    pub source: &'a str,
    pub id: &'a str,
    pub key: String,
    pub new_key: Option<String>,
    pub position: Position,
    pub data: &'a str,
    pub backfill: bool,
    pub reduced: bool,
    pub inputs: Inputs,
}

/// Makes an event of the ledger again. Keys and position are taken as they were stored: configuration may have changed.
///
/// # Errors
/// When the stored data is not what [`decode`] once accepted.
pub fn recall(recorded: Recorded<'_>) -> Result<Event, Refusal> {
    let value = json::parse(recorded.data.as_bytes(), "data")?;
    let read = fields::read(recorded.kind, &value)?;
    let mut body = read.body;
    if let crate::domain::Body::Renamed { to, .. } = &mut body {
        *to = recorded.new_key;
    }
    let event = Event {
        reference: reference(recorded.source, recorded.id),
        source: recorded.source.to_owned(),
        time: recorded.position.time(),
        position: recorded.position,
        key: recorded.key,
        body,
        cascade_failed: false,
        degraded: read.degraded,
        backfill: recorded.backfill,
        inputs: recorded.inputs,
    };
    if !recorded.reduced {
        return Ok(event);
    }
    // That it was reduced is an input of the fold, whatever made it necessary then.
    event
        .reduced()
        .ok_or_else(|| undecodable("a reduced event that has nothing to leave out"))
}

/// An identity in 16 bytes.
pub fn reference(source: &str, id: &str) -> EventRef {
    let mut hash = Sha256::new();
    hash.update((source.len() as u64).to_be_bytes());
    hash.update(source.as_bytes());
    hash.update(id.as_bytes());
    let digest = hash.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    EventRef(short)
}

fn key(user_id: &str, source: &str, intake: &Intake) -> String {
    let prefix = intake
        .key_prefixes
        .iter()
        .find(|(name, _)| name == source)
        .map_or("", |(_, prefix)| prefix);
    if intake.user_id_is_email {
        format!("{prefix}{}", user_id.to_lowercase())
    } else {
        format!("{prefix}{user_id}")
    }
}

fn with_keys(body: crate::domain::Body, source: &str, intake: &Intake) -> crate::domain::Body {
    match body {
        crate::domain::Body::Renamed { to: Some(to), patch } => crate::domain::Body::Renamed {
            to: Some(key(&to, source, intake)),
            patch,
        },
        other => other,
    }
}

/// What the data of an event says.
struct Read {
    user_id: String,
    body: crate::domain::Body,
    degraded: BTreeSet<String>,
    reset: Option<fields::Reset>,
}

/// The attributes of an event, whatever form it came in.
struct Attributes {
    kind: String,
    source: String,
    id: String,
    time: Option<Timestamp>,
    sequence: String,
    backfill: bool,
    data: String,
    value: serde_json::Value,
}

#[cfg(test)]
mod tests;
