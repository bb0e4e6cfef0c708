//! The same after a fold from the beginning: the difference between what was and what should have been.

use super::*;
use crate::domain::cascade::{Told, late};

/// The trail when the last `news` events of a story come late.
#[track_caller]
fn late_under(policy: &Policy, texts: &[&str], news: usize) -> Followed {
    let known = texts.len() - news;
    let mut storage = Storage::of(policy, &texts[..known]);
    let stored = storage.world();
    let history = entries(policy, texts, known);
    let mut again = refold(None, &history, &stored, Spacing::STANDARD);
    storage.difference(&mut again.world);
    let told: Vec<Told<'_>> = history
        .iter()
        .zip(&again.verdicts)
        .map(|(entry, verdict)| Told {
            event: entry.event.reference,
            verdict,
            is_news: !entry.known,
        })
        .collect();
    Followed::of(&late(&stored, &again.world, &told))
}

#[track_caller]
fn came_late(texts: &[&str], news: usize) -> Followed {
    late_under(&policy(), texts, news)
}

#[test]
fn without_news_nothing_is_followed_late() {
    let nothing = came_late(&["created ada", "renamed ada->ben"], 0);
    assert_eq!(
        (nothing.passages.len(), nothing.turns.len(), nothing.taken.len()),
        (0, 0, 0)
    );
    // … and where the news changed nothing about keys and names.
    for story in [
        &["created ada @1", "updated ada phone=2 @5", "updated ada phone=1 @3"][..],
        &[
            "created ada username=a @1",
            "renamed ada->ben @2",
            "updated ben phone=2 @5",
            "updated ben phone=1 @3",
        ],
        &["created ada @1", "deleted ada @5", "updated ada phone=1 @3"],
    ] {
        let nothing = came_late(story, 1);
        let all = (nothing.passages.len(), nothing.turns.len(), nothing.taken.len());
        assert_eq!(all, (0, 0, 0), "{story:?}");
    }
}

#[test]
fn a_late_rename_moves_what_stands_under_the_old_key() {
    let moved = came_late(
        &[
            "created ada username=a @1",
            "updated ada phone=1 @5",
            "renamed ada->ben @3",
        ],
        1,
    );
    assert_eq!(moved.passages, ["3 user_id ada->ben"]);
    assert_eq!(moved.turns, ["3 ada->ben a"]);
    // Every alias follows, and of several news the one that speaks of the key is to blame.
    let further = came_late(
        &[
            "created ada @1",
            "renamed ada->ben @2",
            "updated ben phone=1 @9",
            "renamed ben->cid @5",
            "updated ben phone=2 @6",
        ],
        2,
    );
    assert_eq!(further.passages, ["5 user_id ada->cid", "4 user_id ben->cid"]);
    assert_eq!(further.turns, ["4 ben->cid"]);
}

#[test]
fn rows_under_a_key_that_is_somebody_elses_by_now_are_nobodys() {
    let again = came_late(
        &[
            "created ada @1",
            "updated ada phone=1 @2",
            "updated ada phone=2 @7",
            "renamed ada->ben @4",
            "created ada @5",
        ],
        2,
    );
    assert_eq!(again.passages, ["4 user_id ada->ben?"]);
    assert_eq!(again.turns, ["4 ada->ben"]);
    assert_eq!(again.taken, ["ben", "ada"]);
}

#[test]
fn a_late_deletion_buries_the_keys_and_the_names() {
    let gone = came_late(
        &[
            "created ada email=a@x username=a @1",
            "renamed ada->ben @2",
            "updated ben @4",
            "deleted ben @3",
        ],
        1,
    );
    assert_eq!(
        gone.passages,
        ["4 user_id ada+1", "4 user_id ben+1", "4 email a@x+1", "4 username a+1"]
    );
    assert_eq!(gone.turns, ["4 ben-> a@x a"]);
    let unknown = came_late(&["left ada org=acme @5", "deleted ada @3"], 1);
    assert_eq!(
        (unknown.passages, unknown.turns),
        (vec!["2 user_id ada+2".to_owned()], vec!["2 ada->".to_owned()])
    );
}

#[test]
fn a_key_that_never_was_anybodys_is_left_as_by_one_who_went() {
    let never = came_late(&["renamed ada->ben username=b @5", "deleted ada @1"], 1);
    assert_eq!(never.passages, ["2 user_id ada+1", "2 user_id ben+1", "2 username b+1"]);
    assert_eq!(never.turns, ["2 ben-> b"]);
}

#[test]
fn a_late_change_of_a_name_is_followed_unless_somebody_has_it() {
    let changed = came_late(
        &[
            "created ada username=a @1",
            "updated ada phone=1 @5",
            "updated ada username=b @3",
        ],
        1,
    );
    assert_eq!(
        (changed.passages, changed.turns.len()),
        (vec!["3 username a->b".to_owned()], 0)
    );
    let cleared = came_late(
        &[
            "created ada email=a@x @1",
            "updated ada phone=1 @5",
            "updated ada email=null @3",
        ],
        1,
    );
    assert_eq!(cleared.passages, ["3 email a@x->"]);
}

#[test]
fn of_two_with_one_address_neither_has_rows_of_their_own() {
    let held = came_late(
        &[
            "created ada email=a@x @1",
            "created ben email=a@x @2",
            "updated ada phone=1 @5",
            "updated ada email=b@x @3",
        ],
        1,
    );
    assert_eq!(held.passages, ["4 email a@x->b@x?"]);
}

#[test]
fn of_several_news_the_one_that_speaks_of_a_value_is_to_blame() {
    let renamed = came_late(
        &[
            "created ben @1",
            "updated ben phone=1 @9",
            "renamed ada->ben @3",
            "updated ben phone=2 @4",
        ],
        2,
    );
    assert_eq!(renamed.passages, ["3 user_id ada->ben"]);
    let deleted = came_late(
        &[
            "created ada email=a@x @1",
            "renamed ada->ben @2",
            "updated ben phone=1 @9",
            "deleted ben @3",
            "updated ada phone=2 @4",
        ],
        2,
    );
    assert_eq!(
        deleted.passages,
        ["4 user_id ada+1", "4 user_id ben+1", "4 email a@x+1"]
    );
    assert_eq!(deleted.turns, ["4 ben-> a@x"]);
    let named = came_late(
        &[
            "created ada username=a @1",
            "updated ada phone=1 @9",
            "updated ada username=b @3",
            "updated ada phone=2 @4",
        ],
        2,
    );
    assert_eq!(named.passages, ["3 username a->b"]);
    // The other who became part of the person left their key by the merge, whatever moved both later.
    let merged = came_late(
        &[
            "created ada @1",
            "updated ada phone=1 @10",
            "updated ada phone=2 @11",
            "updated ben @2",
            "renamed ben->cid @9",
            "renamed ada->ben @5",
            "updated ada phone=3 @6",
        ],
        2,
    );
    assert_eq!(merged.passages, ["6 user_id ada->cid", "6 user_id ben->cid"]);
}

#[test]
fn who_turns_out_to_be_another_goes_where_they_are() {
    let merged = came_late(
        &[
            "created ada username=a @1",
            "updated ben username=b @2",
            "updated ben phone=1 @9",
            "renamed ada->ben @5",
        ],
        1,
    );
    assert_eq!(merged.passages, ["4 user_id ada->ben", "4 username b->a"]);
    assert_eq!(merged.turns, ["4 ada->ben a"]);
}

#[test]
fn who_was_deleted_before_another_took_the_key_did_not_become_them() {
    let taken = came_late(
        &[
            "created ada username=a @1",
            "created ben @3",
            "updated ben phone=1 @9",
            "deleted ada @2",
            "renamed ben->ada @5",
        ],
        2,
    );
    assert_eq!(
        taken.passages,
        ["4 user_id ada+1?", "5 user_id ben->ada", "4 username a+1"]
    );
    assert_eq!(taken.turns, ["4 ada-> a", "5 ben->ada"]);
}

#[test]
fn aliases_follow_who_moved_on_even_if_somebody_took_the_key_in_between() {
    let moved = came_late(
        &[
            "created ada @1",
            "renamed ada->ben @2",
            "updated ada phone=1 @3",
            "updated ada phone=2 @9",
            "renamed ben->cid @5",
            "created ben @6",
        ],
        2,
    );
    assert_eq!(moved.passages, ["6 user_id ada->cid", "5 user_id ben->cid?"]);
    assert_eq!(moved.turns, ["5 ben->cid"]);
    assert_eq!(moved.taken, ["cid", "ben"]);
}

#[test]
fn addresses_and_names_that_are_taken_late_are_told_too() {
    let named = came_late(
        &[
            "created ada email=a@x username=a @1",
            "updated ada phone=1 @5",
            "updated ada email=b@x username=b @3",
        ],
        1,
    );
    assert_eq!(named.taken, ["b@x", "b"]);
    let new = came_late(
        &[
            "created ada @1",
            "renamed ada->ben @5",
            "created cid email=c@x @2",
            "renamed ada->cid @3",
        ],
        2,
    );
    assert!(new.taken.contains(&"c@x".to_owned()), "{:?}", new.taken);
}
