//! Whatever arrives, the decoder answers, and always the same; what it accepts can be recalled from the ledger.
//!
//! The first byte of the input chooses the form of the message and its subject, the rest is the payload; in the last form it
//! is lines of headers, an empty line, and the payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall::domain::Kind;
use rollcall::envelope::{Envelope, Incoming, Intake, Recorded, Refusal, content_hash, decode, recall};
use time::OffsetDateTime;

/// The longest text of a refusal: it names fields and rules, and quotes no values but the name of an unknown type.
const LONGEST_REFUSAL: usize = 4_096;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let kind = Kind::ALL[usize::from(choice / 8) % Kind::ALL.len()];
    let (headers, payload) = match choice % 4 {
        0 => (Vec::new(), rest.to_owned()),
        1 => (vec![header("Content-Type", "application/cloudevents+json")], rest.to_owned()),
        2 => (binary(kind), rest.to_owned()),
        _ => split(rest),
    };
    let message = Incoming {
        subject: kind.name(),
        headers: &headers,
        payload: &payload,
        stream: "USERS",
        sequence: 7,
        published: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
    };
    let intake = Intake {
        max_future: std::time::Duration::from_secs(300),
        user_id_is_email: choice % 8 >= 4,
        key_prefixes: Vec::new(),
    };
    let answer = decode(&message, &intake);
    assert_eq!(answer, decode(&message, &intake), "the same message, the same answer");
    match answer {
        Ok(envelope) => stands(&envelope),
        Err(Refusal::UnknownType(_)) => {}
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(!text.is_empty() && text.len() < LONGEST_REFUSAL, "{text}");
        }
    }
});

/// What the ledger keeps of it makes the same event again.
fn stands(envelope: &Envelope) {
    let event = &envelope.event;
    let again = recall(Recorded {
        kind: event.body.kind(),
        source: &event.source,
        id: &envelope.id,
        key: event.key.clone(),
        new_key: event.new_key().map(str::to_owned),
        position: event.position.clone(),
        data: &envelope.data,
        backfill: event.backfill,
        reduced: false,
        inputs: rollcall::domain::Inputs::default(),
    });
    assert_eq!(again.as_ref(), Ok(event), "recalled from the ledger");
    let value = parsed(&envelope.data);
    assert_eq!(content_hash(event.body.kind().name(), &value), envelope.content);
    if let Some(reduced) = envelope.reduced() {
        assert_eq!(reduced.event.position, event.position);
        assert!(reduced.reduced && reduced.reduced().is_none(), "there is only one reduction");
    }
}

fn parsed(data: &str) -> serde_json::Value {
    serde_json::from_str(data).expect("accepted data are JSON")
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn binary(kind: Kind) -> Vec<(String, String)> {
    vec![
        header("ce-specversion", "1.0"),
        header("ce-type", kind.name()),
        header("ce-source", "idp"),
        header("ce-id", "1"),
    ]
}

/// Headers and payload, with an empty line between.
fn split(rest: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (head, payload) = end.map_or((rest, &rest[..0]), |end| (&rest[..end], &rest[end + 2..]));
    let lines = String::from_utf8_lossy(head).into_owned();
    let headers = lines.lines().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| header(name, value.trim_start())).collect();
    (headers, payload.to_owned())
}
