//! What is known of a person: the address and its flag, when they last changed, how often.

use super::*;

#[test]
fn email_and_its_flag_are_one_unit() {
    let known = &["created ada email=a@x verified=true"];
    let verified = "ada user email=a@x verified=true client:draft";
    holds(
        &policy(),
        &[
            // a new address without its own flag resets the flag
            cell(
                known,
                "updated ada email=b@x",
                "applied",
                &["ada user email=b@x client:draft"],
            ),
            cell(
                known,
                "renamed ada email=b@x",
                "applied",
                &["ada user email=b@x client:draft"],
            ),
            cell(
                known,
                "created ada email=b@x",
                "applied",
                &["ada user email=b@x client:draft"],
            ),
            cell(
                known,
                "updated ada email=A@x",
                "applied",
                &["ada user email=A@x client:draft"],
            ),
            cell(
                known,
                "updated ada email=b@x verified=false",
                "applied",
                &["ada user email=b@x verified=false client:draft"],
            ),
            // the same address again keeps it
            cell(known, "updated ada email=a@x", "applied", &[verified]),
            cell(known, "updated ada phone=null", "applied", &[verified]),
            // the flag alone
            cell(
                known,
                "updated ada verified=false",
                "applied",
                &["ada user email=a@x verified=false client:draft"],
            ),
            cell(
                known,
                "updated ada verified=null",
                "applied",
                &["ada user email=a@x client:draft"],
            ),
            cell(
                &["created ada"],
                "updated ada verified=true",
                "applied",
                &["ada user client:draft"],
            ),
            // no address, no flag
            cell(known, "updated ada email=null", "applied", &["ada user client:draft"]),
            cell(
                known,
                "updated ada email=null verified=true",
                "applied",
                &["ada user client:draft"],
            ),
            cell(
                &["created ada email=a@x verified=true", "updated ada email=null"],
                "updated ada email=a@x",
                "applied",
                &["ada user email=a@x client:draft"],
            ),
        ],
    );
}

#[test]
fn version_counts_applied_events_and_times_are_the_events() {
    for (texts, version, updated) in [
        (&["created ada @1"][..], 1, 1),
        (&["created ada @1", "updated ada @5"], 2, 5),
        (&["created ada @1", "created ada @5"], 2, 5),
        (&["created ada @1", "renamed ada->ben @5"], 2, 5),
        (
            &["created ada @1", "joined ada org=acme @5", "left ada org=acme @7"],
            3,
            7,
        ),
        (&["created ada @1", "activated ada @5"], 2, 5),
        // ignored and rejected events do not count
        (&["created ada @1", "archived ada @5"], 1, 1),
        (&["created ada @1", "left ada org=acme @5"], 1, 1),
        (&["created ada @1", "created ben @2", "renamed ada->ben @5"], 1, 1),
        // one that did something else than it wanted does
        (&["archived ada @4"], 1, 4),
        (&["created ben @1", "renamed ada->ben @5"], 2, 5),
        (&["renamed ada->ben @5"], 1, 5),
    ] {
        let world = world(&policy(), texts);
        let person = person(&world, "ada");
        assert_eq!(
            (person.version, person.updated_at),
            (version, updated * 1_000_000),
            "{texts:?}"
        );
    }
}

#[test]
fn a_profile_dates_from_the_event_that_made_it() {
    let story = [
        "updated ada @2",
        "created ada profiles=partner @5",
        "activated ada type=guest @7",
        "updated ada phone=1 @9",
    ];
    let world = world(&policy(), &story);
    let made: Vec<_> = person(&world, "ada")
        .profiles
        .iter()
        .map(|(name, profile)| (name.as_str(), profile.created_at / 1_000_000))
        .collect();
    assert_eq!(made, [("client", 2), ("guest", 7), ("partner", 5)]);
}

#[test]
fn a_new_person_at_an_old_key_starts_from_nothing() {
    let story = [
        "created ada phone=1 @1",
        "joined ada org=acme @2",
        "deleted ada @3",
        "created ada @4",
    ];
    let world = world(&policy(), &story);
    let person = person(&world, "ada");
    assert_eq!((person.version, person.updated_at), (1, 4_000_000));
    assert_eq!(person.began, event(4, story[3]).reference);
    assert_eq!(picture(&world), ["ada user client:draft"]);
}

#[test]
fn with_on_delete_archive_the_person_is_kept_beside_the_keys() {
    let policy = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(
                &["created ada phone=1", "joined ada org=acme", "renamed ada->ben"],
                "deleted ada",
                "applied",
                &["ada +", "ben +", "departed: ben user phone=1 client:draft@acme +acme"],
            ),
            cell(
                &["created ada phone=1", "deleted ada"],
                "updated ada phone=2",
                "ignored: after_deletion",
                UNCHANGED,
            ),
            cell(
                &["created ada phone=1", "deleted ada"],
                "deleted ada",
                "ignored: already_deleted",
                UNCHANGED,
            ),
            cell(
                &["created ada phone=1", "deleted ada"],
                "created ada",
                "applied",
                &["ada user client:draft", "departed: ada user phone=1 client:draft"],
            ),
            cell(
                &["created ada phone=1", "deleted ada", "created ada phone=2"],
                "deleted ada",
                "applied",
                &[
                    "ada +",
                    "departed: ada user phone=1 client:draft",
                    "departed: ada user phone=2 client:draft",
                ],
            ),
        ],
    );
    let world = world(&policy, &["created ada @1", "updated ada @2", "deleted ada @9"]);
    let departed = world.persons.values().next().expect("the departed are kept");
    assert_eq!(
        (departed.version, departed.updated_at, departed.deleted_at),
        (3, 9_000_000, Some(9_000_000))
    );
}
