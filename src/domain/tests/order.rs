//! The order in which things happened, whatever order they are told in.

use super::*;

/// A history in which everything happens at once.
const AT_ONCE: [&str; 10] = [
    "created ada @5",
    "updated ada @5 phone=1",
    "joined ada org=acme @5",
    "left ada org=acme @5",
    "activated ada @5",
    "archived ada @5",
    "reactivated ada @5",
    "renamed ada->ben @5",
    "deleted ben @5",
    "password_reset ben @5",
];

#[test]
fn at_one_instant_the_rank_of_the_type_decides() {
    let ranks: Vec<_> = Kind::ALL.iter().map(|kind| (kind.name(), kind.rank())).collect();
    assert_eq!(
        ranks,
        [
            ("user.created", 0),
            ("user.updated", 1),
            ("user.joined", 2),
            ("user.left", 3),
            ("user.activated", 4),
            ("user.archived", 5),
            ("user.reactivated", 6),
            ("user.renamed", 7),
            ("user.deleted", 8),
            ("user.password_reset", 9),
        ]
    );
    for turn in 0..AT_ONCE.len() {
        let mut told = AT_ONCE;
        told.rotate_left(turn);
        let order: Vec<Kind> = history(&told).iter().map(|event| event.body.kind()).collect();
        assert_eq!(order, Kind::ALL);
        told.reverse();
        let order: Vec<Kind> = history(&told).iter().map(|event| event.body.kind()).collect();
        assert_eq!(order, Kind::ALL);
    }
}

#[test]
fn at_one_instant_a_whole_life_is_lived_in_order() {
    for turn in 0..AT_ONCE.len() {
        let mut told = AT_ONCE;
        told.rotate_left(turn);
        let (world, verdicts) = fold(&policy(), &told);
        let (last, life) = verdicts.split_last().expect("a history has an end");
        assert_eq!(life.iter().map(outcome).collect::<Vec<_>>(), ["applied"; 9]);
        assert_eq!(outcome(last), "ignored: after_deletion");
        assert_eq!(picture(&world), ["ada +", "ben +"]);
    }
}

#[test]
fn time_goes_before_sequence_before_rank_before_source_before_id() {
    let at = |seconds, nanos, sequence: &str, kind, source: &str, id: &str| {
        Position::new(Timestamp { seconds, nanos }, sequence, kind, source, id)
    };
    let sorted = [
        at(1, 0, "9", Kind::Deleted, "z", "z"),
        at(1, 1, "", Kind::Deleted, "z", "z"),
        at(1, 1, "1", Kind::Deleted, "z", "z"),
        at(1, 1, "2", Kind::Created, "z", "z"),
        at(1, 1, "2", Kind::Updated, "a", "z"),
        at(1, 1, "2", Kind::Updated, "b", "a"),
        at(1, 1, "2", Kind::Updated, "b", "b"),
    ];
    assert!(sorted.is_sorted_by(|a, b| a < b));
}

#[test]
fn every_rank_sorts_among_every_other_with_any_sequence() {
    let time = Timestamp { seconds: 1, nanos: 0 };
    let sequences = ["", "0", "1", "9", "10", "010x", "a", "b"];
    let mut sorted = Vec::new();
    for sequence in sequences {
        sorted.extend(Kind::ALL.map(|kind| Position::new(time, sequence, kind, "s", "1")));
    }
    assert!(sorted.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_position_keeps_its_time_and_its_bytes() {
    for (seconds, nanos) in [
        (-62_135_596_800, 0),
        (-1, 999_999_999),
        (0, 0),
        (1_769_850_000, 123_456_789),
        (253_402_300_799, 1),
    ] {
        let time = Timestamp { seconds, nanos };
        let position = Position::new(time, "7", Kind::Left, "s\0", "1");
        assert_eq!(position.time(), time);
        assert_eq!(Position::from_bytes(position.as_bytes().to_vec()), position);
    }
    assert_eq!(
        Timestamp {
            seconds: -1,
            nanos: 999_999_999
        }
        .micros(),
        -1
    );
    assert_eq!(
        Timestamp {
            seconds: 1,
            nanos: 1_999
        }
        .micros(),
        1_000_001
    );
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let story = [
        "updated ada @1 phone=1",
        "renamed ada->ben @2",
        "created ada @3",
        "joined ben org=acme @4",
        "created ben @5 full_name=Ben",
        "renamed ada->cid @6",
        "left ada org=acme @7",
        "deleted cid @8",
        "created cid @9",
        "renamed cid->ada @10",
    ];
    let (expected, _) = fold(&policy(), &story);
    let mut told = story;
    for turn in 0..story.len() {
        told.rotate_left(1);
        if turn % 2 == 1 {
            told[..6].reverse();
        }
        assert_eq!(picture(&world(&policy(), &told)), picture(&expected), "{told:?}");
    }
}
