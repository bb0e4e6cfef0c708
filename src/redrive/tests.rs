//! What comes back from a dead letter, and which of them are brought back.

use bytes::Bytes;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::dead_letters::{REDRIVE, Undertaker, is_redrive};
use crate::domain::{Kind, Outcome};
use crate::envelope::{self, Envelope, Incoming, Intake};
use crate::jetstream::StoredMessage;

const BROKER_TIME: OffsetDateTime = datetime!(2026-01-31 09:00:00.123456789 UTC);

fn decoded(subject: &str, headers: &[(String, String)], payload: &[u8], published: OffsetDateTime) -> Envelope {
    let message = Incoming {
        subject,
        headers,
        payload,
        stream: "USERS",
        sequence: 7,
        published,
    };
    let intake = Intake {
        max_future: std::time::Duration::from_mins(5),
        ..Intake::default()
    };
    envelope::decode(&message, &intake).expect("an event")
}

/// The letter of a message as it lies in the stream.
fn buried(subject: &str, headers: &[(String, String)], payload: &[u8], reason: Reason) -> StoredMessage {
    let message = Incoming {
        subject,
        headers,
        payload,
        stream: "USERS",
        sequence: 7,
        published: BROKER_TIME,
    };
    let undertaker = Undertaker {
        subject_prefix: "dead".to_owned(),
        stream: "USERS".to_owned(),
    };
    let envelope = envelope::decode(&message, &Intake::default()).ok();
    let identity = envelope
        .as_ref()
        .map(|envelope| (envelope.event.source.as_str(), envelope.id.as_str()));
    let letter = undertaker.bury(&message, reason, "odd", identity, BROKER_TIME);
    let mut headers = letter.headers;
    headers.push(("Nats-Msg-Id".to_owned(), letter.message_id));
    StoredMessage {
        subject: letter.subject,
        headers,
        payload: letter.payload.into(),
        sequence: 3,
        published: BROKER_TIME,
        defect: None,
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(pair).collect()
}

const STRUCTURED: (&str, &str) = ("Content-Type", "application/cloudevents+json; charset=UTF-8");

#[test]
fn an_event_comes_back_as_it_was_whatever_form_it_had() {
    let timeless = r#"{"specversion":"1.0","type":"user.created","source":"idp","id":"1","x":7,
        "data":{ "user_id" : "u", "n": 1.50 }}"#;
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-type", "user.updated"),
        ("Ce-Source", "idp%20%C3%A9"),
        ("ce-id", "2"),
        ("ce-sequence", "12"),
        ("ce-createdvia", "backfill"),
        ("Nats-Msg-Id", "other"),
    ];
    let timed = [&binary[..], &[("ce-time", "2025-12-31T23:00:00.000000001-01:00")]].concat();
    let body = r#"{"user_id":"u","email":"a@example.com"}"#;
    let cases = [
        ("user.created", &[STRUCTURED][..], timeless),
        (
            "user.created.eu",
            &[STRUCTURED],
            r#"{"specversion":"1.0","type":"user.created","source":"idp","id":"1","time":"2026-01-01T00:00:00+02:00",
               "sequence":3,"data":{"user_id":"u"}}"#,
        ),
        ("user.updated", &binary, body),
        ("user.updated", &timed, body),
        ("user.created", &[], body),
        ("user.created.a.b", &[("Nats-Msg-Id", "mine")], body),
        (
            "user.password_reset",
            &[],
            r#"{"user_id":"u","link":"https://x.example/1","code":"9"}"#,
        ),
    ];
    for (subject, headers, payload) in cases {
        let headers = owned(headers);
        let before = decoded(subject, &headers, payload.as_bytes(), BROKER_TIME);
        let letter = buried(subject, &headers, payload.as_bytes(), Reason::Exhausted);
        let (letter, outgoing) = revive(&letter, "run").expect(subject);
        assert_eq!(
            (letter.source, letter.event_id, letter.user_id),
            (before.event.source.clone(), before.id.clone(), "u".to_owned())
        );
        assert!(is_redrive(&outgoing.headers), "{outgoing:?}");
        assert!(outgoing.message_id.starts_with("dlq:USERS:7:"), "{outgoing:?}");
        assert_ne!(outgoing.message_id, letter.message_id);
        assert_eq!(outgoing.subject, subject);
        let later = BROKER_TIME + Duration::days(1);
        let after = decoded(subject, &outgoing.headers, &outgoing.payload, later);
        // It says its time now, if it did not before.
        let states_time = before.states_time;
        assert_eq!(Envelope { states_time, ..after }, before, "{payload}");
    }
}

#[test]
fn what_is_no_whole_event_stays_where_it_is() {
    let good = br#"{"user_id":"u"}"#;
    let ce = owned(&[
        ("ce-specversion", "1.0"),
        ("ce-type", "user.created"),
        ("ce-source", "s"),
        ("ce-id", "1"),
    ]);
    let letter = |reason| buried("user.created", &ce, good, reason);
    let mut cut = letter(Reason::Exhausted);
    cut.payload = Bytes::new();
    cut.headers.push(("Rollcall-Payload-Bytes".to_owned(), "15".to_owned()));
    // Without them it could be taken for a bare event, which is another one.
    let mut bared = letter(Reason::Exhausted);
    bared.headers.retain(|(name, _)| !name.starts_with("ce-"));
    let mut foreign = letter(Reason::Exhausted);
    foreign.headers.retain(|(name, _)| name != "Rollcall-Reason");
    for (letter, expected) in [
        (
            buried("user.created", &[], b"{}", Reason::Undecodable),
            Unfit::Undecodable,
        ),
        (letter(Reason::IdConflict), Unfit::IdConflict),
        (cut, Unfit::LeftOut),
        (bared, Unfit::LeftOut),
        (foreign, Unfit::Foreign),
    ] {
        assert_eq!(revive(&letter, "run").map(|_| ()), Err(expected), "{letter:?}");
        assert!(expected.remedy().len() > 20);
    }
}

#[test]
fn the_header_of_a_redrive_is_carried_over_to_no_letter() {
    let headers = owned(&[STRUCTURED, (REDRIVE, "dlq:1")]);
    let payload = br#"{"specversion":"1.0","type":"user.created","source":"s","id":"1","data":{"user_id":"u"}}"#;
    let letter = buried("user.created", &headers, payload, Reason::KeyTaken);
    assert!(!is_redrive(&letter.headers), "{letter:?}");
}

fn letter(sequence: u64, fingerprint: &str) -> Letter {
    Letter {
        sequence,
        message_id: format!("dlq:{sequence}"),
        reason: Reason::RequirementsMissing,
        error: "odd".to_owned(),
        fingerprint: fingerprint.to_owned(),
        source: "idp".to_owned(),
        event_id: sequence.to_string(),
        kind: Kind::Activated,
        user_id: "u".to_owned(),
        buried: BROKER_TIME,
    }
}

fn choice(change: impl FnOnce(&mut Choice)) -> Choice {
    let mut choice = Choice::default();
    change(&mut choice);
    choice
}

fn named(name: &str) -> Choice {
    choice(|choice| choice.letters = BTreeSet::from([name.to_owned()]))
}

fn of_event(source: &str, id: &str) -> Choice {
    choice(|choice| choice.event = Some((source.to_owned(), id.to_owned())))
}

fn of_user(user: &str) -> Choice {
    choice(|choice| choice.users = vec![user.to_owned()])
}

fn of_reasons(reasons: &[Reason]) -> Choice {
    choice(|choice| choice.reasons = reasons.to_vec())
}

#[test]
fn a_choice_takes_what_fits_all_of_it() {
    let since = |time| choice(|choice| choice.since = Some(time));
    let of_kind = |kind| choice(|choice| choice.kinds = vec![kind]);
    let both = Choice {
        kinds: vec![Kind::Activated],
        ..of_user("v")
    };
    for (choice, expected) in [
        (Choice::default(), true),
        (named("3"), true),
        (named("dlq:3"), true),
        (named("4"), false),
        (of_event("idp", "3"), true),
        (of_event("other", "3"), false),
        (of_event("idp", "4"), false),
        (of_reasons(&[Reason::KeyTaken, Reason::RequirementsMissing]), true),
        (of_reasons(&[Reason::KeyTaken]), false),
        (of_kind(Kind::Activated), true),
        (of_kind(Kind::Created), false),
        (of_user("u"), true),
        (both, false),
        (since(BROKER_TIME), true),
        (since(BROKER_TIME + Duration::NANOSECOND), false),
    ] {
        let letter = letter(3, "a");
        let takes = choice.names(letter.sequence, &letter.message_id) && choice.takes(&letter);
        assert_eq!(takes, expected, "{choice:?}");
    }
    for (choice, expected) in [
        (Choice::default(), true),
        (named("3"), true),
        (of_reasons(&[Reason::Undecodable]), true),
        (of_reasons(&[Reason::KeyTaken]), false),
        // Nobody knows whom it is about.
        (of_user("u"), false),
    ] {
        let takes = choice.takes_unread(3, "dlq:3", BROKER_TIME, Some(Reason::Undecodable));
        assert_eq!(takes, expected, "{choice:?}");
    }
}

#[test]
fn the_first_of_each_group_go_first_and_speak_for_the_others() {
    let letters: Vec<Letter> = (0..10)
        .map(|n| letter(n, if n % 5 == 0 { "few" } else { "many" }))
        .collect();
    assert_eq!(first_ones(&letters), BTreeSet::from([0, 1, 2, 3, 5]));
    let same = Fate::Rejected(Some(Reason::RequirementsMissing));
    let other = Fate::Rejected(Some(Reason::KeyTaken));
    let applied = Fate::Settled(Outcome::Applied);
    for (few, many, expected) in [
        ([same, same], [same, same, same], &["few", "many"][..]),
        ([same, Fate::Absent], [same, applied, same], &["few"]),
        ([applied, same], [Fate::Absent; 3], &["many"]),
        ([other, same], [applied; 3], &[]),
    ] {
        let of = |group: &str| {
            letters
                .iter()
                .filter(move |letter| letter.fingerprint == group)
                .collect::<Vec<_>>()
        };
        let tried = of("few").into_iter().zip(few).chain(of("many").into_iter().zip(many));
        let found: Vec<String> = hopeless(tried).into_iter().collect();
        assert_eq!(found, expected, "{few:?} {many:?}");
    }
}
