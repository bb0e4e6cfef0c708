//! What the two sources say: events as they happen, and the three forms in which they travel.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};

/// Who says it. What comes through the stream without an envelope has the stream as its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Hr,
    Shop,
    Stream,
}

impl Source {
    pub(crate) fn uri(self) -> &'static str {
        match self {
            Self::Hr => "https://id.example.com/hr",
            Self::Shop => "https://id.example.com/shop",
            Self::Stream => "nats://USERS",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hr => "hr",
            Self::Shop => "shop",
            Self::Stream => "bare",
        }
    }
}

/// One fact about one user.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) source: Source,
    pub(crate) number: usize,
    /// The type without `user.`.
    pub(crate) kind: &'static str,
    /// None: whenever the broker stores it.
    pub(crate) time: Option<OffsetDateTime>,
    pub(crate) backfill: bool,
    pub(crate) data: Map<String, Value>,
}

/// One message as the broker gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) subject: String,
    /// `Nats-Msg-Id`: the broker drops a second message with the same one.
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) payload: String,
}

impl Event {
    pub(crate) fn id(&self) -> String {
        format!("{}-{:05}", self.source.word(), self.number)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.data.get(field).and_then(Value::as_str)
    }

    pub(crate) fn user_id(&self) -> &str {
        self.text("user_id").unwrap_or_default()
    }

    /// The event in the form its source uses: the shop sends every fourth in binary form, `hr` all as one JSON document.
    pub(crate) fn message(&self) -> Message {
        match self.source {
            Source::Stream => self.bare(),
            Source::Shop if self.number.is_multiple_of(4) => self.binary(),
            Source::Hr | Source::Shop => self.structured(),
        }
    }

    fn subject(&self) -> String {
        format!("user.{}", self.kind)
    }

    fn message_id(&self) -> String {
        format!("{} {}", self.source.uri(), self.id())
    }

    /// The shop keeps the clock of its town, `hr` keeps UTC; the instant is what counts.
    fn time_text(&self) -> String {
        let Some(time) = self.time else { return String::new() };
        let hours = if self.source == Source::Shop { 2 } else { 0 };
        let local = UtcOffset::from_hms(hours, 0, 0).map_or(time, |offset| time.to_offset(offset));
        local.format(&Rfc3339).unwrap_or_default()
    }

    fn structured(&self) -> Message {
        let mut envelope = json!({
            "specversion": "1.0", "id": self.id(), "source": self.source.uri(), "type": self.subject(),
            "time": self.time_text(), "datacontenttype": "application/json", "data": self.data,
        });
        if self.backfill {
            envelope["createdvia"] = json!("backfill");
        }
        Message {
            subject: self.subject(),
            id: self.message_id(),
            headers: BTreeMap::from([("Content-Type".into(), "application/cloudevents+json".into())]),
            payload: envelope.to_string(),
        }
    }

    fn binary(&self) -> Message {
        let headers = [
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id()),
            ("ce-source", self.source.uri().to_owned()),
            ("ce-type", self.subject()),
            ("ce-time", self.time_text()),
            ("Content-Type", "application/json".to_owned()),
        ];
        Message {
            subject: self.subject(),
            id: self.message_id(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            payload: Value::Object(self.data.clone()).to_string(),
        }
    }

    fn bare(&self) -> Message {
        Message {
            subject: self.subject(),
            id: self.id(),
            headers: BTreeMap::new(),
            payload: Value::Object(self.data.clone()).to_string(),
        }
    }
}

/// An instant as the books and the tables write it: UTC, six decimals.
pub(crate) fn instant(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    time.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}
