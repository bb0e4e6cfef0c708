//! How the news travels: an event as the broker gets it.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::people::{Fate, Micros};

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    One,
    Two,
    /// May only send updates.
    Few,
    /// What comes without an envelope.
    Stream,
}

impl Source {
    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::One => "https://one.example.com",
            Self::Two => "https://two.example.com",
            Self::Few => "https://few.example.com",
            Self::Stream => "nats://USERS",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Structured,
    Binary,
    Bare,
    /// Cut off in the middle.
    Broken,
}

/// One event, and what must become of it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Its own, of all events of the run.
    pub(super) number: u32,
    /// What it says its id is; two with one id are twins.
    pub(super) id: u32,
    pub(super) source: Source,
    pub(super) form: Form,
    /// The type without `user.`.
    pub(super) kind: &'static str,
    pub(super) story: u32,
    pub(super) user: String,
    pub(super) time: Micros,
    pub(super) data: Map<String, Value>,
    pub(super) fate: Fate,
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) number: u32,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    /// Without an envelope a copy under another message id would be another event.
    pub(super) is_bare: bool,
}

/// As the tables and the envelopes write it: UTC, six decimals.
pub(super) fn instant(time: Micros) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * 1000);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = time.format(&Rfc3339).unwrap_or_default();
    if let Some(whole) = text.strip_suffix('Z') {
        let (seconds, fraction) = whole.split_once('.').unwrap_or((whole, ""));
        text = format!("{seconds}.{fraction:0<6}Z");
    }
    text
}

impl Event {
    /// The message under its own message id.
    pub(super) fn message(&self) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", self.number.to_string());
        let subject = format!("user.{}", self.kind);
        let payload = match self.form {
            Form::Bare => Value::Object(self.data.clone()).to_string(),
            Form::Binary => {
                for (name, value) in [
                    ("ce-specversion", "1.0".to_owned()),
                    ("ce-id", self.id.to_string()),
                    ("ce-source", self.source.uri().to_owned()),
                    ("ce-type", subject.clone()),
                    ("ce-time", instant(self.time)),
                    ("Content-Type", "application/json".to_owned()),
                ] {
                    headers.insert(name, value);
                }
                Value::Object(self.data.clone()).to_string()
            }
            Form::Structured | Form::Broken => {
                headers.insert("Content-Type", "application/cloudevents+json");
                let envelope = json!({
                    "specversion": "1.0", "id": self.id.to_string(), "source": self.source.uri(), "type": subject,
                    "time": instant(self.time), "data": self.data,
                });
                let mut text = envelope.to_string();
                if self.form == Form::Broken {
                    text.truncate(text.len() / 2);
                }
                text
            }
        };
        Message {
            number: self.number,
            subject,
            headers,
            payload: Bytes::from(payload),
            is_bare: self.form == Form::Bare,
        }
    }
}

impl Message {
    /// The same once more, under a message id that the broker does not know.
    pub(super) fn copy(&self, number: usize) -> Self {
        let mut copy = self.clone();
        if !self.is_bare {
            copy.headers.insert("Nats-Msg-Id", format!("{}/{number}", self.number));
        }
        copy
    }
}
