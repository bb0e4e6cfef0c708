//! Events that are nothing but data on a subject.

use super::*;

const DATA: &str = r#"{"user_id":"u-1","email":"ada@example.com"}"#;

#[test]
fn type_source_id_and_time_come_from_the_broker() {
    let envelope = bare("user.created", DATA).accepted();
    assert_eq!(envelope.event.body.kind(), Kind::Created);
    assert_eq!(envelope.event.source, "nats://USERS");
    assert_eq!(envelope.id, "USERS:7:1769850000000000000");
    assert_eq!(envelope.event.time, instant::of(PUBLISHED));
    assert_eq!(envelope.sequence, "");
    assert!(!envelope.states_time);
}

#[test]
fn the_message_id_is_the_id_where_there_is_one() {
    for (name, id) in [
        ("Nats-Msg-Id", "m-1"),
        ("nats-msg-id", "https://id.example.com e-1"),
        ("NATS-MSG-ID", "%25"),
    ] {
        assert_eq!(bare("user.created", DATA).header(name, id).accepted().id, id);
    }
    // The broker takes an empty message id for none.
    assert_eq!(
        bare("user.created", DATA).header("Nats-Msg-Id", "").accepted().id,
        "USERS:7:1769850000000000000"
    );
}

#[test]
fn the_message_id_has_up_to_1024_bytes() {
    let longest = format!("{SECRET}{}", "x".repeat(1024 - SECRET.len()));
    bare("user.created", DATA).header("Nats-Msg-Id", &longest).accepted();
    all_refused(&[
        (
            "too long",
            bare("user.created", DATA).header("Nats-Msg-Id", &format!("{longest}x")),
            &["the message id is longer than 1024 bytes"],
        ),
        (
            "U+0000",
            bare("user.created", DATA).header("Nats-Msg-Id", "s3cret\0"),
            &["the message id contains U+0000"],
        ),
    ]);
}

#[test]
fn further_tokens_of_the_subject_are_ignored() {
    for subject in [
        "user.created",
        "user.created.eu",
        "user.created.eu.tenant-1",
        "user.created.",
    ] {
        let envelope = bare(subject, DATA).accepted();
        assert_eq!(envelope.event.body.kind(), Kind::Created, "{subject}");
    }
    for kind in Kind::ALL {
        let data = r#"{"user_id":"u-1","new_user_id":"u-2","organization_id":"acme","code":"1"}"#;
        let envelope = bare(&format!("{}.eu", kind.name()), data).accepted();
        assert_eq!(envelope.event.body.kind(), kind);
    }
}

#[test]
fn a_bare_event_says_its_fields_and_nothing_else() {
    let data =
        r#"{"user_id":"u-1","type":"user.deleted","id":"x","source":"y","time":"2020-01-01T00:00:00Z","sequence":"9"}"#;
    let envelope = bare("user.created", data).accepted();
    let plain = bare("user.created", r#"{"user_id":"u-1"}"#).accepted();
    assert_eq!(envelope.event, plain.event);
}
