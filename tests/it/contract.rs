//! What senders are told of events is what the decoder does: schemas, the AsyncAPI document, and `docs/EVENTS.md`.

mod broken;
mod documents;
mod good;

use jsonschema::Validator;
use rollcall::domain::Kind;
use rollcall::envelope::{Envelope, Incoming, Intake, Refusal, decode, schema};
use serde_json::Value;
use time::OffsetDateTime;

/// The folder of the documents.
fn docs() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The validator of the data of a type.
fn of_data(kind: Kind) -> Validator {
    jsonschema::draft202012::new(&schema::data_document(kind)).expect("a schema")
}

/// The validator of whole events of a type in structured form.
fn of_events(kind: Kind) -> Validator {
    jsonschema::draft202012::new(&schema::event_document(kind)).expect("a schema")
}

/// What the decoder makes of data as a bare event.
fn decoded(kind: Kind, data: &Value) -> Result<Envelope, Refusal> {
    decoded_with(kind.name(), &[], data)
}

fn decoded_with(subject: &str, headers: &[(String, String)], payload: &Value) -> Result<Envelope, Refusal> {
    let payload = payload.to_string();
    let message = Incoming {
        subject,
        headers,
        payload: payload.as_bytes(),
        stream: "USERS",
        sequence: 1,
        published: OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_hours(500_000),
    };
    decode(&message, &Intake::default())
}
