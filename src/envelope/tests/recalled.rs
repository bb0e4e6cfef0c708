//! What the ledger keeps makes the same event again.

use super::*;

/// One of each type and some that are odd.
const HISTORY: [(&str, &str); 14] = [
    (
        "user.created",
        r#"{"user_id":"u-1","email":"ada@example.com","email_verified":true,"metadata":{"a":[1,2.5,null]}}"#,
    ),
    (
        "user.created",
        r#"{"user_id":"u-1","email":null,"phone":17,"profile_types":["client",1],"unknown":"\u0000"}"#,
    ),
    ("user.created", r#"{"user_id":"u-1","profile_types":[]}"#),
    (
        "user.updated",
        r#"{"user_id":"u-1","email":null,"active":false,"first_name":"Zoë","organization_id":"acme"}"#,
    ),
    (
        "user.updated",
        r#" { "user_id" : "u-1" , "shoe_size" : 18446744073709551617 } "#,
    ),
    (
        "user.renamed",
        r#"{"user_id":"u-1","new_user_id":"u-2","new_email":"ada@new.example.com","username":"ada"}"#,
    ),
    (
        "user.renamed",
        r#"{"user_id":"U-1","new_user_id":"u-1","new_email":"bad"}"#,
    ),
    (
        "user.renamed",
        r#"{"user_id":"u-1","new_username":"ada","email":"bad","email_verified":true}"#,
    ),
    ("user.deleted", r#"{"user_id":"u-1"}"#),
    (
        "user.joined",
        r#"{"user_id":"u-1","organization_id":"acme","customer_name":"Acme Ltd"}"#,
    ),
    (
        "user.joined",
        r#"{"user_id":"u-1","organization_id":"acme","customer_name":17}"#,
    ),
    ("user.left", r#"{"user_id":"u-1","organization_id":"acme"}"#),
    ("user.activated", r#"{"user_id":"u-1"}"#),
    ("user.archived", r#"{"user_id":"u-1","profile_type":"client"}"#),
];

fn recorded(envelope: &Envelope) -> Recorded<'_> {
    Recorded {
        kind: envelope.event.body.kind(),
        source: &envelope.event.source,
        id: &envelope.id,
        key: envelope.event.key.clone(),
        new_key: envelope.event.new_key().map(str::to_owned),
        position: envelope.event.position.clone(),
        data: &envelope.data,
        backfill: envelope.event.backfill,
        reduced: false,
        inputs: crate::domain::Inputs::default(),
    }
}

#[test]
fn an_event_of_the_ledger_is_the_event_that_was_decoded() {
    let plain = intake();
    let prefixed = Intake {
        key_prefixes: vec![("https://id.example.com".to_owned(), "id:".to_owned())],
        ..intake()
    };
    let folded = Intake {
        user_id_is_email: true,
        ..intake()
    };
    for (kind, data) in HISTORY {
        let more = r#""time":"2026-01-30T12:00:00.123456789+02:00","sequence":"007","createdvia":"backfill","#;
        for message in [bare(kind, data), binary(kind, data), event(kind, more, data)] {
            for intake in [&plain, &prefixed, &folded] {
                let envelope = message.decode_with(intake).expect("every event of the history is good");
                let again = recall(recorded(&envelope)).expect("the ledger holds what was decoded");
                assert_eq!(again, envelope.event, "{kind} {data}");
            }
        }
    }
}

#[test]
fn keys_are_taken_as_they_were_stored() {
    let envelope = bare("user.renamed", r#"{"user_id":"u-1","new_user_id":"u-2"}"#).accepted();
    let stored = Recorded {
        key: "hr:u-1".to_owned(),
        new_key: Some("hr:u-2".to_owned()),
        ..recorded(&envelope)
    };
    let event = recall(stored).expect("good data");
    assert_eq!((event.key.as_str(), event.new_key()), ("hr:u-1", Some("hr:u-2")));
}

#[test]
fn what_was_reduced_is_reduced_again() {
    let whole = bare(
        "user.created",
        r#"{"user_id":"u-1","email":"ada@example.com","phone":"1"}"#,
    )
    .accepted();
    let reduced = whole.reduced().expect("there is something to leave out");
    let again = |envelope: &Envelope| {
        recall(Recorded {
            reduced: true,
            ..recorded(envelope)
        })
    };
    assert_eq!(again(&reduced), Ok(reduced.event.clone()));
    let minimal = bare("user.created", r#"{"user_id":"u-1"}"#).accepted();
    let refusal = again(&minimal).expect_err("nothing can have been left out");
    assert_eq!(refusal.reason(), Reason::Undecodable);
}

#[test]
fn damaged_data_are_refused() {
    let envelope = bare("user.deleted", r#"{"user_id":"u-1"}"#).accepted();
    for data in ["", "s3cret", "{}", r#"{"user_id":"s3cret","user_id":"u-1"}"#] {
        let refusal = recall(Recorded {
            data,
            ..recorded(&envelope)
        })
        .expect_err("not what was stored");
        assert_eq!(refusal.reason(), Reason::Undecodable);
        assert!(!refusal.to_string().contains(SECRET), "{refusal}");
    }
}

#[test]
fn an_identity_is_source_and_id_and_nothing_between() {
    assert_eq!(reference("a", "b"), reference("a", "b"));
    assert_ne!(reference("a", "b"), reference("b", "a"));
    assert_ne!(reference("ab", "c"), reference("a", "bc"));
    assert_ne!(reference("", "ab"), reference("a", "b"));
    let one = bare("user.deleted", r#"{"user_id":"u-1"}"#)
        .header("Nats-Msg-Id", "m-1")
        .accepted();
    assert_eq!(one.event.reference, reference("nats://USERS", "m-1"));
}
