//! The story of one key: which events of a history were about whom it stands for.

use super::*;

/// The places, counted from one, of the events that belong to the story of a key.
fn chapters(texts: &[&str], key: &str) -> Vec<usize> {
    story(&entries(&policy(), texts, texts.len()), key)
        .entries
        .into_iter()
        .map(|index| index + 1)
        .collect()
}

#[test]
fn a_story_follows_the_person_through_all_their_keys() {
    let renamed = &[
        "created ada",
        "updated ben",
        "renamed ada->cid",
        "updated ada",
        "deleted ben",
    ];
    assert_eq!(chapters(renamed, "cid"), [1, 3, 4]);
    assert_eq!(chapters(renamed, "ada"), [1, 3, 4]);
    let merged = &["created ada", "updated ben", "created zoe", "renamed ada->ben"];
    assert_eq!(chapters(merged, "ben"), [1, 2, 4]);
    assert_eq!(chapters(merged, "ada"), [1, 2, 4]);
}

#[test]
fn a_newcomer_at_a_key_has_a_story_of_their_own() {
    let story = &[
        "created ada",
        "renamed ada->ben",
        "created ada phone=1",
        "updated ada",
        "updated ben",
    ];
    assert_eq!(chapters(story, "ada"), [3, 4]);
    assert_eq!(chapters(story, "ben"), [1, 2, 5]);
}

#[test]
fn what_did_nothing_belongs_to_the_keys_it_names() {
    let taken = &[
        "created ada",
        "created ben",
        "renamed ada->ben",
        "left ada org=acme",
        "archived ben",
    ];
    assert_eq!(chapters(taken, "ada"), [1, 3, 4]);
    assert_eq!(chapters(taken, "ben"), [2, 3, 5]);
    let moved = &[
        "created ada",
        "renamed ada->cid",
        "created ben",
        "renamed cid->ben",
        "left cid org=acme",
    ];
    assert_eq!(chapters(moved, "ada"), [1, 2, 4, 5]);
    // A rename under a key that was an alias then, to a key that is taken.
    let refused = &[
        "created ada",
        "renamed ada->cid",
        "created ben",
        "renamed ada->ben",
        "created ada",
    ];
    assert_eq!(chapters(refused, "cid"), [1, 2, 4]);
    assert_eq!(chapters(&["left ada org=acme", "deleted Administrator"], "ada"), [1]);
    assert_eq!(
        chapters(&["left ada org=acme", "deleted Administrator"], "Administrator"),
        [2]
    );
}

#[test]
fn what_came_before_anybody_had_the_key_belongs_to_who_had_it_in_the_end() {
    let story = &[
        "left ada org=acme",
        "left cid org=acme",
        "left zoe org=acme",
        "created ada",
        "renamed ada->cid",
    ];
    assert_eq!(chapters(story, "ada"), [1, 2, 4, 5]);
    assert_eq!(chapters(story, "cid"), [1, 2, 4, 5]);
    assert_eq!(chapters(story, "zoe"), [3]);
}

#[test]
fn a_tombstone_tells_of_everybody_who_held_the_key() {
    let story = &[
        "created ada",
        "deleted ada",
        "updated ada",
        "created ada",
        "deleted ada",
        "updated ben",
    ];
    assert_eq!(chapters(story, "ada"), [1, 2, 3, 4, 5]);
}

#[test]
fn a_story_says_what_the_key_stands_for() {
    let texts = &["created ada", "renamed ada->ben", "deleted cid"];
    let told = |key: &str| story(&entries(&policy(), texts, texts.len()), key);
    let (ada, ben, cid, nobody) = (told("ada"), told("ben"), told("cid"), told("nobody"));
    assert!(matches!(ada.holder, Some(Holder::Alias(_))) && matches!(ben.holder, Some(Holder::Active(_))));
    assert_eq!(
        ada.person.map(|id| ada.world.persons[&id].key.clone()),
        Some("ben".to_owned())
    );
    assert_eq!(
        (cid.holder, cid.person, cid.entries.len()),
        (Some(Holder::Tombstone), None, 1)
    );
    assert_eq!((nobody.holder, nobody.person, nobody.entries.len()), (None, None, 0));
}
