//! When an event is a copy of one that is stored, and what is left of one that is tried with less.

use super::*;

const CREATED: &str = r#"{"user_id":"u-1","email":"ada@example.com","phone":"+30 1"}"#;

#[test]
fn a_copy_has_the_same_content_and_the_same_time_if_it_says_one() {
    let other = [0; 32];
    let time = |second: i64| Timestamp {
        seconds: 1_769_850_000 + second,
        nanos: 0,
    };
    let stated = event("user.created", r#""time":"2026-01-31T09:00:00Z","#, CREATED).accepted();
    let bare = bare("user.created", CREATED).accepted();
    for (envelope, content, second, repeats) in [
        (&stated, stated.content, 0, true),
        (&stated, stated.content, 1, false),
        (&stated, other, 0, false),
        (&stated, other, 1, false),
        // The time of a bare event is when it was published: it is another each time.
        (&bare, bare.content, 0, true),
        (&bare, bare.content, 1, true),
        (&bare, other, 0, false),
        (&bare, other, 1, false),
    ] {
        let stated = envelope.states_time;
        assert_eq!(
            envelope.repeats(&content, time(second)),
            repeats,
            "states its time: {stated}, other content: {}, {second} s later",
            content == other
        );
    }
}

#[test]
fn a_reduced_creation_is_the_same_event_with_less() {
    let whole = event("user.created", r#""createdvia":"backfill","#, CREATED).accepted();
    let reduced = whole.reduced().expect("there is a telephone number to leave out");
    assert!(reduced.reduced && !whole.reduced);
    assert_eq!(patch(&reduced).email, set("ada@example.com"));
    assert_eq!(patch(&reduced).phone, Change::Keep);
    assert_eq!(dropped(&reduced), ["phone"]);
    let rest = Envelope {
        event: whole.event.clone(),
        reduced: false,
        ..reduced
    };
    assert_eq!(rest, whole);
}

#[test]
fn where_nothing_is_left_out_nothing_is_reduced() {
    for message in [
        bare("user.created", r#"{"user_id":"u-1","email":"ada@example.com"}"#),
        bare("user.updated", CREATED),
        bare("user.deleted", r#"{"user_id":"u-1"}"#),
    ] {
        assert_eq!(message.accepted().reduced(), None);
    }
}
