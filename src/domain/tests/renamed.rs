//! Keys, and what becomes of the old ones.

use super::*;

#[test]
fn no_key_moves_when_the_new_key_is_the_events_or_the_persons() {
    holds(
        &policy(),
        &[
            // absent, on an alias
            cell(
                &["created ada", "renamed ada->ben"],
                "renamed ada username=ada",
                "applied",
                &["ada -> ben", "ben user username=ada client:draft"],
            ),
            // equals the event's `user_id`, which is an alias by now
            cell(
                &["created ada", "renamed ada->ben"],
                "renamed ada->ada username=ada",
                "applied",
                &["ada -> ben", "ben user username=ada client:draft"],
            ),
            // equals the person's current key
            cell(
                &["created ada", "renamed ada->ben"],
                "renamed ada->ben username=ada",
                "applied",
                &["ada -> ben", "ben user username=ada client:draft"],
            ),
        ],
    );
}

#[test]
fn every_type_but_created_follows_an_alias() {
    let given = &["created ada", "joined ada org=acme", "renamed ada->ben"];
    holds(
        &policy(),
        &[
            cell(
                given,
                "updated ada phone=1",
                "applied",
                &["ada -> ben", "ben user phone=1 client:draft@acme +acme"],
            ),
            cell(
                given,
                "renamed ada->cid",
                "applied",
                &["ada -> cid", "ben -> cid", "cid user client:draft@acme +acme"],
            ),
            cell(given, "deleted ada", "applied", &["ada +", "ben +"]),
            cell(
                given,
                "joined ada org=book",
                "applied",
                &["ada -> ben", "ben user client:draft@book +acme +book"],
            ),
            cell(
                given,
                "left ada org=acme",
                "applied",
                &["ada -> ben", "ben user client:draft"],
            ),
            cell(
                given,
                "activated ada",
                "applied",
                &["ada -> ben", "ben user client:active@acme +acme"],
            ),
        ],
    );
}

#[test]
fn an_alias_is_to_the_person_and_not_to_a_key() {
    holds(
        &policy(),
        &[
            // a chain
            cell(
                &["created ada phone=1", "renamed ada->ben", "renamed ben->cid"],
                "updated ada phone=2",
                "applied",
                &["ada -> cid", "ben -> cid", "cid user phone=2 client:draft"],
            ),
            // somebody else takes the key in between; the first alias does not notice
            cell(
                &[
                    "created ada phone=1",
                    "renamed ada->ben",
                    "renamed ben->cid",
                    "created ben phone=9",
                ],
                "updated ada phone=2",
                "applied",
                &[
                    "ada -> cid",
                    "ben user phone=9 client:draft",
                    "cid user phone=2 client:draft",
                ],
            ),
        ],
    );
}

#[test]
fn whoever_takes_a_key_drops_its_alias_or_tombstone() {
    holds(
        &policy(),
        &[
            // by creation, an alias: deleting the one who left it does not touch the newcomer
            cell(
                &["created ada", "renamed ada->ben", "created ada"],
                "deleted ben",
                "applied",
                &["ada user client:draft", "ben +"],
            ),
            // by rename, an alias of another
            cell(
                &["created ada phone=1", "renamed ada->ben", "created cid phone=3"],
                "renamed cid->ada",
                "applied",
                &[
                    "ada user phone=3 client:draft",
                    "ben user phone=1 client:draft",
                    "cid -> ada",
                ],
            ),
            // by rename, a tombstone
            cell(
                &["created ada", "deleted ada", "created ben phone=2"],
                "renamed ben->ada",
                "applied",
                &["ada user phone=2 client:draft", "ben -> ada"],
            ),
            // back to one's own old key
            cell(
                &["created ada phone=1", "renamed ada->ben"],
                "renamed ben->ada",
                "applied",
                &["ada user phone=1 client:draft", "ben -> ada"],
            ),
            // by a provisional user, a tombstone and an alias
            cell(
                &["deleted ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben provisional client:draft"],
            ),
            cell(
                &["created ben", "renamed ben->cid"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben provisional client:draft", "cid user client:draft"],
            ),
        ],
    );
}

#[test]
fn when_a_person_is_deleted_all_their_keys_become_tombstones() {
    let given = &[
        "created ada",
        "renamed ada->ben",
        "renamed ben->cid",
        "renamed zoe->cid",
    ];
    holds(
        &policy(),
        &[
            cell(given, "deleted cid", "applied", &["ada +", "ben +", "cid +", "zoe +"]),
            cell(given, "deleted ada", "applied", &["ada +", "ben +", "cid +", "zoe +"]),
        ],
    );
    let gone = &["created ada", "renamed ada->ben", "deleted ben"];
    holds(
        &policy(),
        &[
            cell(gone, "updated ada", "ignored: after_deletion", UNCHANGED),
            cell(gone, "deleted ada", "ignored: already_deleted", UNCHANGED),
            cell(gone, "created ada", "applied", &["ada user client:draft", "ben +"]),
        ],
    );
}

#[test]
fn two_people_swap_their_keys_through_a_third() {
    holds(
        &policy(),
        &[cell(
            &[
                "created ada phone=1",
                "created ben phone=2",
                "renamed ada->tmp",
                "renamed ben->ada",
            ],
            "renamed tmp->ben",
            "applied",
            &[
                "ada user phone=2 client:draft",
                "ben user phone=1 client:draft",
                "tmp -> ben",
            ],
        )],
    );
}

#[test]
fn a_taken_key_is_found_free_when_a_late_deletion_comes() {
    let story = &[
        "created ada @1",
        "created ben @2",
        "renamed ada->ben @5 phone=1",
        "deleted ben @4",
    ];
    let stored = Storage::of(&policy(), &story[..3]);
    let (_, verdicts) = fold(&policy(), &story[..3]);
    assert_eq!(outcome(&verdicts[2]), "rejected: key_taken");
    let again = refold(None, &entries(&policy(), story, 3), &stored.world(), Spacing::STANDARD);
    assert_eq!(picture(&again.world), ["ada -> ben", "ben user phone=1 client:draft"]);
    assert_eq!(again.verdicts.iter().map(outcome).collect::<Vec<_>>(), ["applied"; 4]);
}

#[test]
fn a_late_creation_makes_an_applied_rename_a_rejected_one() {
    let story = &["created ada @1", "renamed ada->ben @5", "created ben @3"];
    let stored = Storage::of(&policy(), &story[..2]);
    let again = refold(None, &entries(&policy(), story, 2), &stored.world(), Spacing::STANDARD);
    assert_eq!(
        picture(&again.world),
        ["ada user client:draft", "ben user client:draft"]
    );
    assert_eq!(outcome(&again.verdicts[2]), "rejected: key_taken");
}

#[test]
fn a_key_that_is_an_address_sets_the_address() {
    let policy = Policy {
        key_is_email: true,
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(&[], "created a@x", "applied", &["a@x user email=a@x client:draft"]),
            cell(
                &[],
                "created a@x email=b@x",
                "applied",
                &["a@x user email=b@x client:draft"],
            ),
            cell(
                &[],
                "updated a@x",
                "applied",
                &["a@x provisional email=a@x client:draft"],
            ),
            cell(
                &[],
                "joined a@x org=acme",
                "applied",
                &["a@x provisional email=a@x client:draft@acme +acme"],
            ),
            cell(&[], "created ada", "applied", &["ada user client:draft"]),
            cell(
                &["created a@x verified=true"],
                "renamed a@x->b@x",
                "applied",
                &["a@x -> b@x", "b@x user email=b@x client:draft"],
            ),
            cell(
                &["created a@x"],
                "renamed a@x->b@x email=c@x verified=true",
                "applied",
                &["a@x -> b@x", "b@x user email=c@x verified=true client:draft"],
            ),
            cell(
                &[],
                "renamed a@x->b@x",
                "applied",
                &["a@x -> b@x", "b@x provisional email=b@x client:draft"],
            ),
            // no new key, so no new address
            cell(
                &["created a@x email=c@x"],
                "renamed a@x username=ada",
                "applied",
                &["a@x user email=c@x username=ada client:draft"],
            ),
            // a new key that is no address
            cell(
                &["created a@x"],
                "renamed a@x->ben",
                "applied",
                &["a@x -> ben", "ben user email=a@x client:draft"],
            ),
            // only who moves gets a new address
            cell(
                &["created a@x", "updated b@x email=d@x"],
                "renamed a@x->b@x",
                "applied",
                &["a@x -> b@x", "b@x user email=b@x client:draft"],
            ),
            cell(
                &["updated a@x", "created b@x email=d@x"],
                "renamed a@x->b@x",
                "applied",
                &["a@x -> b@x", "b@x user email=d@x client:draft"],
            ),
        ],
    );
}

#[test]
fn elsewhere_a_key_may_look_like_an_address_without_being_one() {
    holds(
        &policy(),
        &[
            cell(&[], "created a@x", "applied", &["a@x user client:draft"]),
            cell(
                &["created a@x email=c@x"],
                "renamed a@x->b@x",
                "applied",
                &["a@x -> b@x", "b@x user email=c@x client:draft"],
            ),
        ],
    );
}
