//! Who is who after a fold from the beginning: people are matched, and their rows stay theirs.

use super::*;

/// The rows before and after the last `late` events of a story arrive at once, and what is written.
fn refolded(policy: &Policy, texts: &[&str], late: usize) -> (BTreeMap<String, uuid::Uuid>, World, Difference) {
    let known = texts.len() - late;
    let mut storage = Storage::of(policy, &texts[..known]);
    let before = rows(&storage.world());
    let mut again = refold(
        None,
        &entries(policy, texts, known),
        &storage.world(),
        Spacing::STANDARD,
    );
    let difference = storage.difference(&mut again.world);
    assert_eq!(
        picture(&again.world),
        picture(&world(policy, texts)),
        "a refold is the fold of all events"
    );
    (before, again.world, difference)
}

#[test]
fn rows_stay_when_a_late_event_changes_who_began() {
    for late in [
        "created ada @2",
        "updated ada phone=1 @2",
        "joined ada org=book @2",
        "archived ada @2",
    ] {
        let story = &[
            "updated ada @5",
            "joined ada org=acme @6",
            "updated ada profiles=partner @7",
            late,
        ];
        let (before, world, difference) = refolded(&policy(), story, 1);
        let after = rows(&world);
        for row in ["ada", "ada/client", "ada/partner", "ada+acme"] {
            assert_eq!(after[row], before[row], "{row} after {late}");
        }
        assert!(
            difference.new_profiles.is_empty() && difference.gone_profiles.is_empty(),
            "{late}"
        );
        assert!(difference.gone_customers.is_empty(), "{late}");
        assert_ne!(person(&world, "ada").began, event(1, story[0]).reference);
    }
}

#[test]
fn nothing_is_written_when_a_late_event_changes_nothing() {
    let story = &["created ada @1", "updated ada phone=2 @5", "archived ada @3"];
    let (_, _, difference) = refolded(&policy(), story, 1);
    assert_eq!(difference, Difference::default());
}

#[test]
fn only_what_a_late_event_changed_is_written() {
    let story = &[
        "created ada full_name=Ada @1",
        "updated ada phone=2 @5",
        "updated ada phone=1 username=u @3",
    ];
    let (_, _, difference) = refolded(&policy(), story, 1);
    let [change] = difference.profiles.as_slice() else {
        panic!("one profile changes: {difference:?}")
    };
    let columns: Vec<_> = PROFILE_COLUMNS
        .iter()
        .enumerate()
        .filter(|(bit, _)| change.changed & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    assert_eq!(columns, ["username", "version"]);
    assert_eq!(change.row.phone.as_deref(), Some("2"));
}

#[test]
fn merges_keep_rows() {
    let story = &[
        "created ada @1",
        "updated ada phone=1 @1",
        "joined ada org=acme @2",
        "updated ben profiles=client,partner @3",
        "joined ben org=book @4",
    ];
    let before = rows(&Storage::of(&policy(), story).world());
    let merge = "renamed ada->ben @5";
    let (fast, difference) = Storage::of(&policy(), story).then(&policy(), &event(6, merge));
    let late: Vec<&str> = story.iter().copied().chain([merge]).collect();
    let (_, slow, again) = refolded(&policy(), &late, 1);
    for (world, difference) in [(fast, difference), (slow, again)] {
        let after = rows(&world);
        assert_eq!(after["ben"], before["ada"]);
        assert_eq!(after["ben/client"], before["ada/client"]);
        assert_eq!(after["ben/partner"], before["ben/partner"]);
        assert_eq!(after["ben+acme"], before["ada+acme"]);
        assert_eq!(after["ben+book"], before["ben+book"]);
        assert_eq!(difference.gone_profiles, [before["ben/client"]]);
        assert!(difference.new_profiles.is_empty() && difference.new_customers.is_empty());
        assert!(difference.gone_customers.is_empty());
    }
}

#[test]
fn rows_of_a_membership_that_both_had_stay_with_the_survivor_or_the_later_join() {
    let story = &["created ada @1", "joined ada org=acme @2", "joined ben org=acme @3"];
    let before = rows(&Storage::of(&policy(), story).world());
    let (world, difference) = Storage::of(&policy(), story).then(&policy(), &event(4, "renamed ada->ben"));
    let kept = rows(&world)["ben+acme"];
    assert!([before["ada+acme"], before["ben+acme"]].contains(&kept));
    assert_eq!(difference.gone_customers.len(), 1);
    assert!(!difference.gone_customers.contains(&kept));
}

#[test]
fn a_membership_that_is_not_stored_yet_takes_the_row_of_the_one_that_is() {
    let given = &["created ada", "joined ada org=acme"];
    let mut storage = Storage::of(&policy(), given);
    let before = rows(&storage.world());
    let mut new = storage.world();
    for (n, text) in [(3, "joined ben org=acme"), (4, "renamed ada->ben")] {
        new.apply(&event(n, text), &policy());
    }
    let difference = storage.difference(&mut new);
    assert_eq!(rows(&new)["ben+acme"], before["ada+acme"]);
    assert!(difference.new_customers.is_empty() && difference.gone_customers.is_empty());
}

#[test]
fn a_merge_that_a_late_event_undoes_gives_the_rows_back() {
    let story = &[
        "created ada @1",
        "updated ben profiles=partner @3",
        "joined ben org=book @4",
        "renamed ada->ben @5",
        "updated ben phone=1 @6",
        "created ben profiles=partner @2",
    ];
    let merged = rows(&Storage::of(&policy(), &story[..5]).world());
    let (before, world, difference) = refolded(&policy(), story, 1);
    assert_eq!(before, merged);
    let after = rows(&world);
    assert_eq!(
        outcome(&verdict(&policy(), &[story[0], story[5], story[3]])),
        "rejected: key_taken"
    );
    // Most of the events are now about the other, whose partner profile and customer were kept all along.
    assert_eq!(after["ben/partner"], before["ben/partner"]);
    assert_eq!(after["ben+book"], before["ben+book"]);
    assert!(difference.gone_customers.is_empty());
    assert_eq!(after.len(), 6, "{after:?}");
}

#[test]
fn the_rows_go_with_most_of_the_events() {
    let story = &[
        "created ada @1",
        "updated ada phone=1 @5",
        "updated ada phone=2 @6",
        "updated ada phone=3 @7",
        "renamed ada->ben @2",
        "created ada @3",
    ];
    let (before, world, difference) = refolded(&policy(), story, 2);
    let after = rows(&world);
    assert_eq!(after["ada/client"], before["ada/client"]);
    assert_eq!(after["ada"], before["ada"]);
    assert_eq!(
        difference
            .new_profiles
            .iter()
            .map(|row| row.user_id.as_str())
            .collect::<Vec<_>>(),
        ["ben"]
    );
    assert!(difference.gone_profiles.is_empty());
}

#[test]
fn the_rows_go_with_most_of_the_events_to_another_key() {
    let story = &[
        "created ada @1",
        "updated ada phone=1 @2",
        "updated ada phone=2 @3",
        "updated ada phone=3 @7",
        "renamed ada->ben @4",
        "created ada @5",
    ];
    let (before, world, difference) = refolded(&policy(), story, 2);
    let after = rows(&world);
    assert_eq!(after["ben/client"], before["ada/client"]);
    assert_eq!(
        difference
            .new_profiles
            .iter()
            .map(|row| row.user_id.as_str())
            .collect::<Vec<_>>(),
        ["ada"]
    );
}

#[test]
fn the_key_decides_between_equals() {
    let story = &[
        "created ada @1",
        "updated ada phone=1 @5",
        "renamed ada->ben @2",
        "created ada @3",
    ];
    let (before, world, _) = refolded(&policy(), story, 2);
    assert_eq!(rows(&world)["ada/client"], before["ada/client"]);
}

#[test]
fn a_person_who_was_deleted_in_between_is_the_one_with_the_events() {
    let story = &[
        "created ada @1",
        "updated ada phone=1 @5",
        "joined ada org=acme @6",
        "deleted ada @2",
        "created ada @3",
    ];
    let (before, world, difference) = refolded(&policy(), story, 2);
    let after = rows(&world);
    assert_eq!(after, before);
    assert!(difference.new_profiles.is_empty() && difference.gone_profiles.is_empty());
    assert_eq!(person(&world, "ada").version, 3);
}

#[test]
fn rows_of_a_departed_person_are_not_given_to_another() {
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let story = &["updated ada @5", "deleted ada @6", "deleted ada @1", "created ada @9"];
    let (before, world, difference) = refolded(&archive, story, 2);
    let after = rows(&world);
    // The person who was departed turns out never to have been; the newcomer shares no event with them.
    assert!(
        !before.values().any(|row| *row == after["ada/client"]),
        "{difference:?}"
    );
    assert_eq!(difference.new_profiles.len(), 1);
    assert_eq!(difference.gone_profiles, [before["ada/client"]]);
}

#[test]
fn a_departed_person_comes_back_when_the_deletion_was_another_ones() {
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let story = &[
        "created ada @1",
        "joined ada org=acme @2",
        "deleted ada @6",
        "renamed ada->ben @3",
        "created ada @4",
    ];
    let (before, world, difference) = refolded(&archive, story, 2);
    let after = rows(&world);
    assert_eq!(after["ben/client"], before["ada/client"]);
    assert_eq!(after["ben+acme"], before["ada+acme"]);
    assert_eq!(difference.returned.len(), 1);
    assert_eq!(difference.departed.len(), 1);
    assert_eq!(
        picture(&world),
        [
            "ada +",
            "ben user client:draft@acme +acme",
            "departed: ada user client:draft"
        ]
    );
}

#[test]
fn removed_profiles_are_not_removed_because_configuration_changed() {
    let story = ["created ada profiles=client,partner", "updated ada phone=1"];
    let mut history = entries(&policy(), &story, 1);
    let later = Policy {
        profiles: vec![rule("client", CreateOn::Creation)],
        ..policy()
    };
    history[1].policy = Arc::new(later);
    let again = refold(
        None,
        &history,
        &Storage::of(&policy(), &story[..1]).world(),
        Spacing::STANDARD,
    );
    assert_eq!(picture(&again.world), ["ada user phone=1 client:draft partner:draft"]);
}

#[test]
fn where_two_people_become_one_the_rows_are_those_with_most_of_the_events() {
    let story = &[
        "created ben @1",
        "updated ben phone=1 @5",
        "updated ben phone=2 @6",
        "updated ada @7",
        "renamed ben->ada @2",
    ];
    let (before, world, _) = refolded(&policy(), story, 1);
    let after = rows(&world);
    assert_eq!(after["ada"], before["ben"]);
    assert_eq!(after["ada/client"], before["ben/client"]);
}

#[test]
fn where_one_becomes_two_the_rows_do_not_stay_with_the_key() {
    let story = &[
        "created ada @2",
        "updated ada phone=1 @3",
        "updated zoe @1",
        "renamed ada->ben @5",
        "renamed zoe->ada @6",
    ];
    let (before, world, difference) = refolded(&policy(), story, 3);
    let after = rows(&world);
    assert_eq!(after["ben"], before["ada"]);
    assert_eq!(after["ben/client"], before["ada/client"]);
    assert_eq!(difference.new_profiles.len(), 1);
}
