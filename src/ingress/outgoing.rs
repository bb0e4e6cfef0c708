//! What goes to the broker: events, and the letters of bodies that are no events.
//!
//! Subjects are made of our own words only, and no header comes from a request: `Nats-*` are commands to JetStream.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::translation::Canonical;
use crate::domain::{Reason, hex};
use crate::envelope::Subjects;
use crate::jetstream::Outgoing;

/// Longest account of what was wrong, in characters.
const ERROR_MAX: usize = 512;

/// The message of an event: its subject is its type, and its user where subjects say so.
pub(super) fn event(event: &Canonical, subjects: Subjects) -> Outgoing {
    let user_id = event.data.get("user_id").and_then(Value::as_str);
    Outgoing {
        subject: subjects.of(event.kind.name(), user_id),
        headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
        payload: Bytes::from(event.to_json().to_string()),
        message_id: message_id(&event.source, &event.id),
    }
}

/// What the stream recognises an event by: source and id. Where a blank in them would make that ambiguous, or a control
/// would break the header, their hash.
pub fn message_id(source: &str, id: &str) -> String {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if source.contains(odd) || id.contains(odd) {
        return hex(&Sha256::digest(format!("{}:{source}{id}", source.len())));
    }
    format!("{source} {id}")
}

/// A verified body that is no event, or holds some that are none: a repetition would not heal it.
pub(super) fn letter(
    prefix: &str,
    endpoint: &str,
    wrong: &[String],
    content: Vec<u8>,
    now: OffsetDateTime,
) -> Outgoing {
    let mut wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    wrong.dedup();
    let error: String = wrong.join("; ").chars().take(ERROR_MAX).collect();
    let reason = Reason::Undecodable;
    let at = now.format(&Rfc3339).unwrap_or_default();
    let fingerprint = hex(&Sha256::digest(format!("{endpoint}\n{error}"))[..8]);
    let headers = [
        ("Reason", reason.name().to_owned()),
        ("Remedy", reason.remedy().to_owned()),
        ("Error", error),
        ("Subject", format!("ingress.{endpoint}")),
        ("Attempts", "1".to_owned()),
        ("First-Attempt", at.clone()),
        ("Last-Attempt", at),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Fingerprint", fingerprint),
    ];
    let hash = hex(&Sha256::digest(&content));
    Outgoing {
        subject: format!("{prefix}.ingress.{endpoint}"),
        headers: headers
            .into_iter()
            .map(|(name, value)| (format!("Rollcall-{name}"), value))
            .collect(),
        payload: Bytes::from(content),
        message_id: format!("ingress:{endpoint}:{hash}"),
    }
}

/// The same letter without the body: how long it was, and its hash, by which the sender's copy can be recognised.
pub(super) fn reduced(letter: Outgoing, why: &str) -> Outgoing {
    let mut headers = letter.headers;
    headers.push(("Rollcall-Payload".to_owned(), format!("omitted: {why}")));
    headers.push(("Rollcall-Payload-Bytes".to_owned(), letter.payload.len().to_string()));
    headers.push((
        "Rollcall-Payload-Sha256".to_owned(),
        hex(&Sha256::digest(&letter.payload)),
    ));
    Outgoing {
        headers,
        payload: Bytes::new(),
        ..letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Kind;
    use crate::envelope::word_of;

    #[test]
    fn a_reduced_letter_says_what_it_lacks() {
        let full = letter(
            "dead",
            "std",
            &["x".to_owned()],
            b"secret".to_vec(),
            OffsetDateTime::UNIX_EPOCH,
        );
        let reduced = reduced(full.clone(), "it is too large");
        assert!(reduced.payload.is_empty());
        assert_eq!(
            (&reduced.subject, &reduced.message_id),
            (&full.subject, &full.message_id)
        );
        let said = &reduced.headers[full.headers.len()..];
        assert_eq!(said[0].1, "omitted: it is too large");
        assert_eq!(said[1].1, "6");
        assert_eq!(said[2].1, hex(&Sha256::digest(b"secret")));
    }

    #[test]
    fn blanks_in_source_or_id_do_not_make_two_events_one() {
        assert_eq!(message_id("s", "1"), "s 1");
        assert_ne!(message_id("a", "b c"), message_id("a b", "c"));
        assert_eq!(message_id("a", "b c").len(), 64);
        assert_eq!(message_id("a", "b\r\nNats-Rollup: all").len(), 64);
    }

    #[test]
    fn nothing_of_an_event_gets_into_subject_or_headers() {
        for id in ["user.*", "a.>", ">", "*", "a b", "a\r\nNats-Rollup: all", "\u{1}"] {
            let canonical = Canonical {
                kind: Kind::Created,
                source: format!("idp://{id}"),
                id: id.to_owned(),
                time: None,
                sequence: None,
                incomplete: false,
                data: serde_json::Map::from_iter([("user_id".to_owned(), id.into())]),
            };
            let by_user = event(&canonical, Subjects::ByUser).subject;
            assert_eq!(by_user, format!("user.created.{}", word_of(id)));
            let message = event(&canonical, Subjects::ByType);
            assert_eq!(message.subject, "user.created");
            assert_eq!(message.headers.len(), 1);
            assert!(!message.message_id.contains(char::is_control), "{id:?}");
        }
    }
}
