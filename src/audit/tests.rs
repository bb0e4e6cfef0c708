use bytes::Bytes;

use super::*;
use crate::envelope::{Envelope, Intake, decode};
use crate::jetstream::StoredMessage;

const EVENT: &str = r#"{"specversion":"1.0","type":"user.created","source":"s","id":"1","data":{"user_id":"u"}}"#;

/// The consumer has acknowledged up to 10 and delivered up to 20.
fn reached(in_hand: u64) -> Reached {
    Reached {
        acknowledged: 10,
        delivered: 20,
        in_hand,
        waiting: 0,
    }
}

fn in_hand(sequence: u64, payload: &str) -> InHand {
    let message = StoredMessage {
        subject: "user.created".to_owned(),
        headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        sequence,
        published: OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(1_234_567),
        defect: None,
    };
    let mut in_hand = InHand {
        message,
        decoded: Err(Refusal::Undecodable(String::new())),
    };
    in_hand.decoded = decode(&in_hand.incoming("USERS"), &Intake::default());
    in_hand
}

fn envelope(in_hand: &InHand) -> &Envelope {
    in_hand.decoded.as_ref().expect("an event")
}

/// What the ledger has when this message was applied; times lose what is finer than a microsecond on the way.
fn entered(in_hand: &InHand, outcome: Outcome) -> Entered {
    let envelope = envelope(in_hand);
    Entered {
        source: envelope.event.source.clone(),
        event_id: envelope.id.clone(),
        content: envelope.content.to_vec(),
        position: envelope.event.position.clone(),
        outcome,
        reason: None,
        stream_sequence: in_hand.message.sequence as i64,
        published: OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_234),
    }
}

#[test]
fn an_event_of_the_ledger_stands_as_it_is_there() {
    let message = in_hand(5, EVENT);
    let letter = Some(Reason::KeyTaken);
    for (outcome, letter, expected) in [
        (Outcome::Applied, None, Standing::Applied),
        (Outcome::Applied, letter, Standing::Applied),
        (Outcome::Ignored, None, Standing::Ignored),
        (Outcome::Rejected, letter, Standing::Rejected),
        (Outcome::Rejected, None, Standing::Hole(Missing::Letter)),
    ] {
        let entered = entered(&message, outcome);
        for in_hand in [0, 3] {
            assert_eq!(
                standing(&message, Some(&entered), nowhere_but(letter, reached(in_hand))),
                expected,
                "{outcome:?} {letter:?}"
            );
        }
        assert_eq!(
            needs_letter(&message, Some(&entered)),
            outcome == Outcome::Rejected,
            "{outcome:?}"
        );
    }
    // A replay may be ahead of the worker.
    let waiting = in_hand(25, EVENT);
    let entered = entered(&waiting, Outcome::Applied);
    assert_eq!(
        standing(&waiting, Some(&entered), nowhere_but(None, reached(0))),
        Standing::Applied
    );
}

fn nowhere_but(letter: Option<Reason>, reached: Reached) -> Whereabouts {
    Whereabouts {
        letter,
        parked: false,
        reached,
    }
}

#[test]
fn only_the_message_that_the_event_came_from_is_no_copy() {
    let message = in_hand(5, EVENT);
    let mut other = entered(&message, Outcome::Rejected);
    other.stream_sequence = 4;
    assert_eq!(
        standing(&message, Some(&other), nowhere_but(None, reached(0))),
        Standing::Duplicate
    );
    let mut of_former_stream = entered(&message, Outcome::Applied);
    of_former_stream.published -= time::Duration::DAY;
    assert_eq!(
        standing(&message, Some(&of_former_stream), nowhere_but(None, reached(0))),
        Standing::Duplicate
    );
}

#[test]
fn what_is_nowhere_is_a_hole_only_where_it_was_acknowledged() {
    let conflict = in_hand(5, &EVENT.replace("\"u\"", "\"other\""));
    let conflict = Some(entered(&conflict, Outcome::Applied));
    for (payload, entered, missing) in [
        (EVENT, None, Missing::Event),
        (EVENT, conflict.as_ref(), Missing::Conflict),
        ("not JSON", None, Missing::Burial),
    ] {
        for (sequence, in_hand_there, expected) in [
            (5, 0, Standing::Hole(missing)),
            (5, 3, Standing::Hole(missing)),
            (10, 3, Standing::Hole(missing)),
            (11, 3, Standing::InHand),
            (20, 3, Standing::InHand),
            (20, 0, Standing::Hole(missing)),
            (21, 3, Standing::Waiting),
            (21, 0, Standing::Waiting),
        ] {
            let message = in_hand(sequence, payload);
            assert!(needs_letter(&message, entered), "{payload}");
            let found = standing(&message, entered, nowhere_but(None, reached(in_hand_there)));
            assert_eq!(found, expected, "{payload} at {sequence} with {in_hand_there} in hand");
            let buried = Some(Reason::Undecodable);
            let parked = Whereabouts {
                parked: true,
                ..nowhere_but(None, reached(in_hand_there))
            };
            assert_eq!(
                standing(&message, entered, parked),
                Standing::Parked,
                "{payload} at {sequence}"
            );
            let found = standing(&message, entered, nowhere_but(buried, reached(in_hand_there)));
            assert_eq!(found, Standing::Dead(Reason::Undecodable), "{payload} at {sequence}");
        }
    }
    let unknown = |sequence| in_hand(sequence, &EVENT.replace("user.created", "user.exploded"));
    assert_eq!(
        standing(&unknown(5), None, nowhere_but(None, reached(0))),
        Standing::UnknownType
    );
    assert_eq!(
        standing(&unknown(21), None, nowhere_but(None, reached(0))),
        Standing::Waiting
    );
    assert!(!needs_letter(&unknown(5), None));
}

#[test]
fn gaps_are_what_the_stream_no_longer_has() {
    let mut audited = Audited::beginning_at(1);
    for sequence in [3, 4, 9] {
        audited.note(&in_hand(sequence, EVENT), Standing::Applied);
    }
    audited.note_deleted(11 + 1);
    assert_eq!((audited.deleted, audited.messages), (2 + 4 + 2, 3));
    assert_eq!(audited.stretches, [(1, 2), (5, 8), (10, 11)]);
}
