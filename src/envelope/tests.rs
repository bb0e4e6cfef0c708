//! What the decoder takes, what it refuses, and how it says so.

mod attributes;
mod bare;
mod copies;
mod data;
mod degraded;
mod errors;
mod headers;
mod json;
mod limits;
mod random;
mod recalled;
mod resets;
mod schemas;

use super::*;
use crate::domain::{Body, Change, Patch};
use time::macros::datetime;

/// When the broker stored every message of these tests.
const PUBLISHED: OffsetDateTime = datetime!(2026-01-31 09:00:00 UTC);

/// What stands in every value that is refused, so that a message which repeats a value is found out.
const SECRET: &str = "s3cret";

/// A message to be decoded.
#[derive(Debug, Clone)]
struct Message {
    subject: String,
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

impl Message {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes away every header of this name.
    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// Gives a header another value.
    fn with(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    fn decode_with(&self, intake: &Intake) -> Result<Envelope, Refusal> {
        decode(
            &Incoming {
                subject: &self.subject,
                headers: &self.headers,
                payload: &self.payload,
                stream: "USERS",
                sequence: 7,
                published: PUBLISHED,
            },
            intake,
        )
    }

    fn decode(&self) -> Result<Envelope, Refusal> {
        self.decode_with(&intake())
    }

    #[track_caller]
    fn accepted(&self) -> Envelope {
        match self.decode() {
            Ok(envelope) => envelope,
            Err(refusal) => panic!("should be accepted, but: {refusal}"),
        }
    }

    #[track_caller]
    fn refused(&self) -> String {
        match self.decode() {
            Err(Refusal::Undecodable(message)) => message,
            other => panic!("should be undecodable, but: {other:?}"),
        }
    }
}

fn intake() -> Intake {
    Intake {
        max_future: std::time::Duration::from_mins(5),
        ..Intake::default()
    }
}

/// The payload is the data.
fn bare(subject: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message {
        subject: subject.to_owned(),
        headers: Vec::new(),
        payload: payload.into(),
    }
}

/// `ce-` headers, the payload is the data.
fn binary(kind: &str, payload: impl Into<Vec<u8>>) -> Message {
    bare(kind, payload)
        .header("ce-specversion", "1.0")
        .header("ce-type", kind)
        .header("ce-source", "https://id.example.com")
        .header("ce-id", "e-1")
}

/// The payload is the whole event, written as it is.
fn structured(payload: impl Into<Vec<u8>>) -> Message {
    bare("user.any", payload).header("Content-Type", "application/cloudevents+json")
}

/// A structured event with good attributes, some more attributes (`"name":value,`) and its data.
fn event(kind: &str, more: &str, data: &str) -> Message {
    structured(format!(
        r#"{{"specversion":"1.0","type":"{kind}","source":"https://id.example.com","id":"e-1",{more}"data":{data}}}"#
    ))
}

/// The fields of an event that has some.
#[track_caller]
fn patch(envelope: &Envelope) -> &Patch {
    match &envelope.event.body {
        Body::Created(patch) | Body::Updated(patch) | Body::Renamed { patch, .. } => patch,
        other => panic!("{other:?} has no fields"),
    }
}

fn set(text: &str) -> Change<String> {
    Change::Set(text.to_owned())
}

/// The names of the dropped fields.
fn dropped(envelope: &Envelope) -> Vec<&str> {
    envelope.event.degraded.iter().map(String::as_str).collect()
}

/// A message that must be refused: why, the message, and what the error has to say.
type Refused<'a> = (&'a str, Message, &'a [&'a str]);

/// Every message is refused with an error that says all it has to and nothing of the value.
#[track_caller]
fn all_refused(table: &[Refused<'_>]) {
    let mut wrong = Vec::new();
    for (why, message, says) in table {
        match message.decode() {
            Err(Refusal::Undecodable(error)) => {
                let missing: Vec<_> = says.iter().filter(|part| !error.contains(**part)).collect();
                if !missing.is_empty() {
                    wrong.push(format!("{why}: {error:?} does not say {missing:?}"));
                }
                if error.contains(SECRET) {
                    wrong.push(format!("{why}: {error:?} tells the value"));
                }
            }
            other => wrong.push(format!("{why}: should be undecodable, but {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
