//! What the application's tables have to follow: event by event, and as the difference after a fold from the beginning.

mod belated;

use super::*;
use crate::domain::cascade::{Fate, Passage, Trail, Turn, Watch};

fn number(event: EventRef) -> u128 {
    u128::from_be_bytes(event.0)
}

/// `2 user_id ada->ben`: by the second event; `+` departed, by the mark of whoever it was; `?` contested.
fn passage(passage: &Passage) -> String {
    let fate = match &passage.fate {
        Fate::Moved(value) => format!("->{value}"),
        Fate::Cleared => "->".to_owned(),
        Fate::Departed { mark } => format!("+{}", number(*mark)),
    };
    let contested = if passage.contested { "?" } else { "" };
    let event = number(passage.event);
    format!("{event} {} {}{fate}{contested}", passage.key.name(), passage.value)
}

/// `2 ada->ben a@x ada`: key before and after, address and user name.
fn turn(turn: &Turn) -> String {
    let mut words = vec![format!(
        "{} {}->{}",
        number(turn.event),
        turn.old_key,
        turn.new_key.as_deref().unwrap_or_default()
    )];
    words.extend(turn.email.clone());
    words.extend(turn.username.clone());
    words.join(" ")
}

struct Followed {
    passages: Vec<String>,
    turns: Vec<String>,
    taken: Vec<String>,
}

impl Followed {
    #[track_caller]
    fn of(trail: &Trail) -> Self {
        let doers = trail.passages.iter().map(|passage| passage.event);
        let doers: BTreeSet<EventRef> = doers.chain(trail.turns.iter().map(|turn| turn.event)).collect();
        assert!(doers.iter().all(|event| trail.names(*event)));
        assert_eq!(doers.len(), trail.events.len());
        assert!(!trail.names(EventRef([0xff; 16])));
        let is_empty = trail.passages.is_empty() && trail.turns.is_empty() && trail.taken.is_empty();
        assert_eq!(trail.is_empty(), is_empty);
        Self {
            passages: trail.passages.iter().map(passage).collect(),
            turns: trail.turns.iter().map(turn).collect(),
            taken: trail.taken.clone(),
        }
    }
}

/// The trail of the events after `given`.
#[track_caller]
fn watched_under(policy: &Policy, given: &[&str], then: &[&str]) -> Followed {
    let mut world = world(policy, given);
    let mut watch = Watch::over(&world);
    for (n, text) in (given.len() + 1..).zip(then) {
        let event = event(n, text);
        let seen = Watch::before(&world, &event);
        let (verdict, person) = world.apply(&event, policy);
        watch.after(&world, &event, &verdict, person, &seen);
    }
    Followed::of(&watch.into_trail())
}

#[track_caller]
fn watched(given: &[&str], then: &[&str]) -> Followed {
    watched_under(&policy(), given, then)
}

#[test]
fn whoever_gets_another_key_leaves_every_one_they_had() {
    let moved = watched(
        &["created ada email=a@x username=ada"],
        &["renamed ada->ben", "renamed ben->cid"],
    );
    assert_eq!(
        moved.passages,
        ["2 user_id ada->ben", "3 user_id ada->cid", "3 user_id ben->cid"]
    );
    assert_eq!(moved.turns, ["2 ada->ben a@x ada", "3 ben->cid a@x ada"]);
    assert_eq!(moved.taken, ["ben", "cid"]);
    // The whole way back: what is an alias by then follows.
    let back = watched(&["created ada", "renamed ada->ben"], &["renamed ben->ada"]);
    assert_eq!(
        (back.passages, back.turns),
        (vec!["3 user_id ben->ada".to_owned()], vec!["3 ben->ada".to_owned()])
    );
}

#[test]
fn news_of_a_rename_moves_rows_under_the_old_key() {
    // Nobody was known: a provisional person at the new key.
    let unknown = watched(&[], &["renamed ada->ben username=b"]);
    assert_eq!(unknown.passages, ["1 user_id ada->ben"]);
    assert_eq!(unknown.turns, ["1 ada->ben b"]);
    assert_eq!(unknown.taken, ["ben", "b"]);
    // The person stands at the new key already: only the old key is new.
    let already = watched(&["created ben"], &["renamed ada->ben"]);
    assert_eq!(already.passages, ["2 user_id ada->ben"]);
    assert_eq!((already.turns, already.taken), (vec![], vec![]));
}

#[test]
fn who_becomes_one_with_another_takes_their_keys_along() {
    let merged = watched(
        &["created ada username=a", "updated ben username=b", "renamed cid->ben"],
        &["renamed ada->ben"],
    );
    assert_eq!(
        merged.passages,
        ["4 user_id ada->ben", "4 user_id cid->ben", "4 username b->a"]
    );
    assert_eq!((merged.turns, merged.taken), (vec!["4 ada->ben a".to_owned()], vec![]));
}

#[test]
fn an_address_or_a_user_name_is_followed_like_a_key() {
    let given = &["created ada email=a@x username=a"];
    for (then, passages, taken) in [
        ("updated ada email=b@x", &["2 email a@x->b@x"][..], &["b@x"][..]),
        ("updated ada username=b", &["2 username a->b"], &["b"]),
        (
            "updated ada email=null username=b",
            &["2 email a@x->", "2 username a->b"],
            &["b"],
        ),
        ("updated ada email=a@x phone=1", &[], &[]),
    ] {
        let followed = watched(given, &[then]);
        assert_eq!(followed.passages, passages, "{then}");
        assert_eq!(followed.turns, [""; 0], "{then}");
        assert_eq!(followed.taken, taken, "{then}");
    }
    // The keys of who keeps them are left alone.
    let renamed = watched(
        &["created ada username=a", "renamed ada->ben"],
        &["updated ben username=b"],
    );
    assert_eq!(
        (renamed.passages, renamed.turns),
        (vec!["3 username a->b".to_owned()], vec![])
    );
    let new = watched(&[], &["created ada email=a@x username=a"]);
    assert_eq!((new.passages.len(), new.turns.len()), (0, 0));
    assert_eq!(new.taken, ["ada", "a@x", "a"]);
}

#[test]
fn rows_of_a_value_that_somebody_else_has_too_are_nobodys() {
    let both = &["created ada email=a@x username=a", "created ben email=a@x username=a"];
    let one = watched(both, &["updated ada email=b@x username=b"]);
    assert_eq!(one.passages, ["3 email a@x->b@x?", "3 username a->b?"]);
    let departed = watched(both, &["deleted ada"]);
    assert_eq!(
        departed.passages,
        ["3 user_id ada+1", "3 email a@x+1?", "3 username a+1?"]
    );
    // When the other one left it too, it is only theirs.
    let after = watched(
        both,
        &[
            "updated ada email=b@x",
            "updated ben email=c@x",
            "updated ada email=d@x",
        ],
    );
    assert_eq!(
        after.passages,
        ["3 email a@x->b@x?", "4 email a@x->c@x", "5 email b@x->d@x"]
    );
    // Who came by it in between counts.
    let between = watched(&["created ada email=a@x"], &["created ben email=a@x", "deleted ada"]);
    assert_eq!(between.passages, ["3 user_id ada+1", "3 email a@x+1?"]);
}

#[test]
fn who_departs_leaves_all_they_had() {
    let given = &["created ada email=a@x username=a", "renamed ada->ben"];
    let departed = ["3 user_id ben+1", "3 user_id ada+1", "3 email a@x+1", "3 username a+1"];
    for on_delete in [OnDelete::Delete, OnDelete::Archive] {
        let policy = Policy { on_delete, ..policy() };
        let gone = watched_under(&policy, given, &["deleted ada"]);
        assert_eq!(gone.passages, departed, "{on_delete:?}");
        assert_eq!(gone.turns, ["3 ben-> a@x a"], "{on_delete:?}");
        // A departed person holds nothing any more, and does not depart again.
        let after = watched_under(
            &policy,
            &[given, &["deleted ada"][..]].concat(),
            &["created zoe email=a@x", "deleted zoe"],
        );
        assert_eq!(after.passages, ["5 user_id zoe+4", "5 email a@x+4"], "{on_delete:?}");
    }
    // Nobody knew them, but the application may.
    let unknown = watched(&[], &["deleted ada"]);
    assert_eq!(
        (unknown.passages, unknown.turns),
        (vec!["1 user_id ada+1".to_owned()], vec!["1 ada->".to_owned()])
    );
}

#[test]
fn what_is_not_applied_leads_nowhere() {
    for (given, then) in [
        (&["created ada", "created ben"][..], "renamed ada->ben"),
        (&["created ada", "deleted ada"], "deleted ada"),
        (&["created ada", "deleted ada"], "renamed ada->ben"),
        (&["created ada"], "deleted Administrator"),
        (&["created ada"], "archived ada"),
    ] {
        let followed = watched(given, &[then]);
        let all = (followed.passages.len(), followed.turns.len(), followed.taken.len());
        assert_eq!(all, (0, 0, 0), "{given:?}, then {then}");
    }
}
