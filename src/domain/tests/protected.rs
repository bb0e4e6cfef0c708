//! Users that are neither deleted nor renamed.

use super::*;

#[test]
fn deleted_and_renamed_from_or_to_a_protected_key_are_rejected_known_or_not() {
    let known = &["created Administrator", "created ada"];
    for event in [
        "deleted Administrator",
        "renamed Administrator->ben",
        "renamed Administrator email=a@x",
        "renamed Administrator->Administrator email=a@x",
        "renamed ada->Administrator",
        "renamed nobody->Administrator",
    ] {
        holds(
            &policy(),
            &[
                cell(&[], event, "rejected: protected_user", UNCHANGED),
                cell(known, event, "rejected: protected_user", UNCHANGED),
                cell(
                    &["deleted nobody", "deleted ada"],
                    event,
                    "rejected: protected_user",
                    UNCHANGED,
                ),
            ],
        );
    }
}

#[test]
fn case_is_ignored() {
    for event in [
        "deleted ADMINISTRATOR",
        "renamed administrator->ben",
        "renamed ada->aDMINISTRATOR",
    ] {
        holds(
            &policy(),
            &[cell(&["created ada"], event, "rejected: protected_user", UNCHANGED)],
        );
    }
    let policy = Policy {
        protected: vec!["ÄNNE".to_owned(), "root".to_owned()],
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(&[], "deleted änne", "rejected: protected_user", UNCHANGED),
            cell(&[], "deleted Root", "rejected: protected_user", UNCHANGED),
            cell(&[], "deleted Administrator", "applied", &["Administrator +"]),
        ],
    );
}

#[test]
fn the_persons_current_key_counts_too() {
    // Not protected when they were renamed; the policy of the later event is another one.
    let open = Policy {
        protected: Vec::new(),
        ..policy()
    };
    let mut world = world(&open, &["created ada", "renamed ada->Administrator"]);
    for text in ["deleted ada", "renamed ada->ben", "renamed ada username=ada"] {
        let before = world.clone();
        let (verdict, _) = world.apply(&event(3, text), &policy());
        assert_eq!(outcome(&verdict), "rejected: protected_user", "{text}");
        assert_eq!(world, before);
    }
}

#[test]
fn all_else_happens_to_them_as_to_anybody() {
    let given = &["created Administrator", "joined Administrator org=acme"];
    holds(
        &policy(),
        &[
            cell(
                &[],
                "created Administrator",
                "applied",
                &["Administrator user client:draft"],
            ),
            cell(
                &[],
                "updated Administrator",
                "applied",
                &["Administrator provisional client:draft"],
            ),
            cell(
                given,
                "updated Administrator phone=1",
                "applied",
                &["Administrator user phone=1 client:draft@acme +acme"],
            ),
            cell(
                given,
                "left Administrator org=acme",
                "applied",
                &["Administrator user client:draft"],
            ),
            cell(
                given,
                "activated Administrator",
                "applied",
                &["Administrator user client:active@acme +acme"],
            ),
        ],
    );
}

#[test]
fn rejected_events_change_nothing_and_later_ones_find_the_world_as_it_was() {
    let with = &[
        "created ada",
        "created ben",
        "renamed ada->ben phone=1",
        "deleted Administrator",
        "updated ada phone=2",
    ];
    let without = &["created ada", "created ben", "updated ada phone=2"];
    assert_eq!(picture(&world(&policy(), with)), picture(&world(&policy(), without)));
}

#[test]
fn an_event_whose_required_step_failed_once_stays_rejected() {
    let given = &["created ada", "updated ada phone=1"];
    for text in ["created ada phone=2", "renamed ada->ben", "deleted ada", "created zoe"] {
        let failed = Event {
            cascade_failed: true,
            ..event(3, text)
        };
        let mut world = world(&policy(), given);
        let before = world.clone();
        let (verdict, person) = world.apply(&failed, &policy());
        assert_eq!(outcome(&verdict), "rejected: cascade_failed", "{text}");
        assert_eq!((world, person), (before, None), "{text}");
    }
}
