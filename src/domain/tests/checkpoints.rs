//! A history is folded on top of any of its checkpoints as from its beginning; where they stand, and which may go.

use super::*;

/// Everything a world can hold: aliases, a merge, a tombstone, a departed person, memberships, attributes.
const HISTORY: [&str; 12] = [
    "created ada email=a@x @1",
    "joined ada org=acme name=Acme @2",
    "updated ben phone=1 @3",
    "renamed ada->ben @4",
    "deleted zoe @5",
    "created cid profiles=client,partner @6",
    "deleted cid @7",
    "created dan backfill !phone @8",
    "renamed dan->eve @9",
    "updated eve username=eve @10",
    "activated ada @11",
    "created ada @12",
];

/// Wherever there can be one.
const EVERYWHERE: Spacing = Spacing { every: 1, worth: 0 };

fn archiving() -> Policy {
    let mut policy = policy();
    policy.on_delete = OnDelete::Archive;
    policy.profiles[0].attributes.insert("tier".to_owned(), json!("free"));
    policy
}

/// The checkpoints that the fold of a history leaves behind.
fn checkpoints(history: &[Entry], spacing: Spacing) -> Vec<Checkpoint> {
    refold(None, history, &World::default(), spacing).checkpoints
}

fn places(checkpoints: &[Checkpoint]) -> Vec<u64> {
    checkpoints.iter().map(|checkpoint| checkpoint.events).collect()
}

#[test]
fn a_checkpoint_is_the_world_after_its_events() {
    let policy = archiving();
    let history = entries(&policy, &HISTORY, HISTORY.len());
    let made = checkpoints(&history, EVERYWHERE);
    assert_eq!(places(&made), [4, 8, 10, 11]);
    for checkpoint in made {
        let events = checkpoint.events as usize;
        assert_eq!(checkpoint.at, history[events - 1].event.position);
        assert_eq!(checkpoint.world, world(&policy, &HISTORY[..events]));
    }
}

#[test]
fn what_is_stored_of_a_checkpoint_is_all_of_it() {
    let policy = archiving();
    for made in checkpoints(&entries(&policy, &HISTORY, HISTORY.len()), EVERYWHERE) {
        let state = made.state().expect("plain values");
        let restored = Checkpoint::restore(made.at.clone(), made.events, &state).expect("what was written");
        assert_eq!(restored, made);
    }
    let at = history(&HISTORY[..1])[0].position.clone();
    for text in ["", "{}", "[]", r#"{"next":1,"people":[],"holders":[],"absorbed":[]}"#] {
        assert!(Checkpoint::restore(at.clone(), 1, text).is_err(), "{text}");
    }
}

#[test]
fn attributes_are_stored_where_there_are_some() {
    let made = checkpoints(&entries(&archiving(), &HISTORY, HISTORY.len()), EVERYWHERE);
    let state: Value = serde_json::from_str(&made[1].state().expect("plain values")).expect("JSON");
    let attributes: Vec<&Value> = (0..3).map(|person| &state["people"][person]["attributes"]).collect();
    assert_eq!(
        attributes,
        [&json!({"client": {"tier": "free"}}); 3],
        "cid has a partner profile without any"
    );
}

#[test]
fn on_top_of_a_checkpoint_everything_becomes_what_it_is_from_the_beginning() {
    let policy = archiving();
    let history = entries(&policy, &HISTORY, HISTORY.len() - 1);
    let stored = Storage::of(&policy, &HISTORY[..HISTORY.len() - 1]).world();
    let whole = refold(None, &history, &stored, EVERYWHERE);
    for base in checkpoints(&history, EVERYWHERE) {
        let events = base.events as usize;
        let rest = refold(Some(&base), &history[events..], &stored, EVERYWHERE);
        assert_eq!(rest.world, whole.world, "on top of {events}");
        assert_eq!(rest.verdicts, whole.verdicts[events..], "on top of {events}");
        // … and so do the checkpoints that follow.
        let later = rest.checkpoints.iter().all(|made| whole.checkpoints.contains(made));
        assert!(later, "on top of {events}");
        assert_eq!(places(&rest.checkpoints).last(), (events < 11).then_some(&11));
    }
}

#[test]
fn what_was_applied_before_a_checkpoint_counts_when_people_are_matched() {
    let story = [
        "created ada @1",
        "updated ada phone=1 @2",
        "updated ada phone=2 @3",
        "updated ada phone=3 @7",
        "renamed ada->ben @4",
        "created ada @5",
    ];
    let history = entries(&policy(), &story, 4);
    let stored = Storage::of(&policy(), &story[..4]).world();
    let base = checkpoints(&history, Spacing { every: 3, worth: 0 }).remove(0);
    assert_eq!((base.events, base.credits.get(&PersonId(0))), (3, Some(&3)));
    let again = refold(Some(&base), &history[3..], &stored, EVERYWHERE);
    // Three of the four known events are the renamed one's: the rows go with them, not with the key.
    assert_eq!(rows(&again.world)["ben/client"], rows(&stored)["ada/client"]);
}

#[test]
fn credits_are_of_those_who_still_count() {
    let story = [
        "created ada",
        "updated ada",
        "deleted ada",
        "created ben",
        "updated ben",
        "updated cid",
        "renamed ben->cid",
        "updated ben",
        "created zoe",
    ];
    let made = checkpoints(&entries(&policy(), &story, 0), EVERYWHERE);
    let last = made.last().expect("a checkpoint before the last event");
    let credits: Vec<(u32, u64)> = last.credits.iter().map(|(id, events)| (id.0, *events)).collect();
    // ada is gone, cid is now a part of ben.
    assert_eq!((last.events, credits), (8, vec![(1, 4), (2, 1)]));
}

#[test]
fn checkpoints_stand_ever_farther_apart_towards_the_beginning() {
    let every = |every| Spacing { every, worth: 0 };
    for (spacing, folded, after) in [
        (every(1), 0, &[][..]),
        (every(1), 1, &[]),
        (every(1), 2, &[1]),
        (every(1), 3, &[1, 2]),
        (every(1), 12, &[4, 8, 10, 11]),
        (every(3), 5, &[]),
        (every(3), 6, &[3]),
        (every(3), 8, &[5]),
        (every(3), 9, &[3, 6]),
        (every(3), 15, &[3, 9, 12]),
        (every(3), 28, &[4, 16, 22, 25]),
    ] {
        let mut due = spacing.due(folded);
        due.sort_unstable();
        assert_eq!(due, after, "{folded} events, {spacing:?}");
        assert_eq!(due.is_empty(), (folded as u64) < spacing.long_history());
    }
    assert_eq!(Spacing::STANDARD.long_history(), 512);
}

#[test]
fn a_checkpoint_has_to_be_small_beside_the_history_it_stands_for() {
    // Two keys, two of them holders, and one person: three for each of whom there have to be `worth` events.
    let world = world(&policy(), &["created ada", "deleted zoe"]);
    for (worth, events, is_worth) in [
        (0, 0, true),
        (1, 2, false),
        (1, 3, true),
        (8, 23, false),
        (8, 24, true),
        (8, 25, true),
    ] {
        let spacing = Spacing { every: 1, worth };
        assert_eq!(
            spacing.is_worth(&world, events),
            is_worth,
            "{worth} for each, {events} events"
        );
    }
    // Four people are worth nothing after four events; after eight they are.
    let mut story = vec!["created ada", "created ben", "created cid", "created dan"];
    story.extend(["updated ada"; 8]);
    let history = entries(&policy(), &story, 0);
    let spacing = |worth| Spacing { every: 1, worth };
    assert_eq!(places(&checkpoints(&history, spacing(0))), [4, 8, 10, 11]);
    assert_eq!(places(&checkpoints(&history, spacing(1))), [8, 10, 11]);
    assert_eq!(places(&checkpoints(&history, spacing(2))), [0; 0]);
}

#[test]
fn of_two_checkpoints_that_stand_too_close_the_earlier_one_goes() {
    for (events, total, redundant_ones) in [
        (&[][..], 100, &[][..]),
        (&[50], 100, &[]),
        // Distances from the end: 50, 10.
        (&[50, 90], 100, &[]),
        // 16, 15, 14, 10: each less than half again as far as the last that stays.
        (&[84, 85, 86, 90], 100, &[2, 0]),
        (&[85, 90], 100, &[]),
        (&[86, 90], 100, &[0]),
        // 64, 32, 16, 8 and one beside each.
        (&[36, 60, 68, 82, 84, 91, 92], 100, &[5, 3, 1]),
        (&[100], 100, &[]),
        (&[99, 100], 100, &[]),
    ] {
        assert_eq!(redundant(events, total), redundant_ones, "{events:?} of {total}");
    }
}
