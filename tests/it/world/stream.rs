//! Messages as a broker would deliver them, applied without one.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Result;
use rollcall::apply::{Applier, Arrival, Givens, Settled};
use rollcall::clock::new_row_id;
use rollcall::envelope::{Incoming, Intake, decode};
use rollcall::store::StoreError;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A message as the broker would deliver it.
#[derive(Debug, Clone)]
pub struct Message {
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
    pub sequence: u64,
    pub published: OffsetDateTime,
}

/// When the tests play: 2020-03-01T00:00:00Z.
pub fn epoch() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_583_020_800).expect("a time")
}

/// When messages arrive, 2030-01-01T00:00:00Z: no event of the tests lies in the future.
fn arrival() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_893_456_000).expect("a time")
}

/// A structured event that happened so many minutes after [`epoch`], from source `idp`.
pub fn cloud_event(kind: &str, id: &str, minute: i64, data: &Value) -> Value {
    let time = (epoch() + time::Duration::minutes(minute))
        .format(&Rfc3339)
        .expect("a time");
    json!({
        "specversion": "1.0", "type": format!("user.{kind}"), "source": "idp", "id": id, "time": time, "data": data,
    })
}

/// Messages in the order in which they arrive, numbered as a stream would.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    pub messages: Vec<Message>,
}

impl Stream {
    pub fn new() -> Self {
        Self::default()
    }

    /// One more event: type without `user.`, id, minute, data.
    pub fn say(&mut self, kind: &str, id: &str, minute: i64, data: Value) -> &mut Self {
        let mut event = cloud_event(kind, id, minute, &Value::Null);
        event["data"] = data;
        self.event(&event)
    }

    /// One more structured event.
    pub fn event(&mut self, event: &Value) -> &mut Self {
        let subject = event["type"].as_str().unwrap_or("user.unknown").to_owned();
        let headers = vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
        self.message(&subject, headers, event.to_string().as_bytes())
    }

    /// One more message of any form.
    pub fn message(&mut self, subject: &str, headers: Vec<(String, String)>, payload: &[u8]) -> &mut Self {
        let sequence = self.messages.len() as u64 + 1;
        let published = arrival() + time::Duration::seconds(sequence as i64);
        let (subject, payload) = (subject.to_owned(), payload.to_owned());
        self.messages.push(Message {
            subject,
            headers,
            payload,
            sequence,
            published,
        });
        self
    }
}

impl Message {
    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            subject: &self.subject,
            headers: &self.headers,
            payload: &self.payload,
            stream: "USERS",
            sequence: self.sequence,
            published: self.published,
        }
    }
}

/// Applies messages as one batch.
pub async fn apply(applier: &Applier, messages: &[Message]) -> Result<Vec<Settled>, StoreError> {
    let intake = Intake {
        max_future: Duration::from_mins(5),
        ..Intake::default()
    };
    let arrivals: Vec<Arrival<'_>> = messages
        .iter()
        .map(|message| Arrival {
            message: message.incoming(),
            decoded: Cow::Owned(decode(&message.incoming(), &intake)),
        })
        .collect();
    let now = arrival() + time::Duration::days(1);
    applier
        .apply(
            &arrivals,
            Givens {
                now,
                mint: &mut new_row_id,
            },
        )
        .await
}

/// Applies all messages of a stream in batches of at most `size`; the outcomes in order.
pub async fn apply_cut(applier: &Applier, stream: &Stream, size: usize) -> Result<Vec<Settled>> {
    let mut settled = Vec::new();
    for batch in stream.messages.chunks(size.max(1)) {
        settled.extend(apply(applier, batch).await?);
    }
    Ok(settled)
}

/// Outcomes as words: `applied`, `ignored after_deletion`, `dead id_conflict` …
pub fn said(settled: &[Settled]) -> Vec<String> {
    settled
        .iter()
        .map(|settled| {
            let (outcome, reason) = match settled {
                Settled::Applied(reason) => ("applied", *reason),
                Settled::Duplicate => ("duplicate", None),
                Settled::Ignored(reason) => ("ignored", Some(*reason)),
                Settled::Rejected(reason) => ("rejected", Some(*reason)),
                Settled::Dead(reason) => ("dead", Some(*reason)),
            };
            reason.map_or_else(|| outcome.to_owned(), |reason| format!("{outcome} {}", reason.name()))
        })
        .collect()
}
