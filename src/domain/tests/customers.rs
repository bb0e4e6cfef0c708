//! Memberships and the organization of profiles.

use super::*;

const MEMBER_OF_THREE: &[&str] = &[
    "created ada",
    "joined ada org=acme",
    "joined ada org=book",
    "joined ada org=club",
];

#[test]
fn recency_is_the_position_of_the_last_join() {
    holds(
        &policy(),
        &[
            cell(
                MEMBER_OF_THREE,
                "left ada org=club",
                "applied",
                &["ada user client:draft@book +acme +book"],
            ),
            // joined again, so it is the latest
            cell(
                &[
                    "created ada",
                    "joined ada org=acme",
                    "joined ada org=book",
                    "joined ada org=acme",
                    "joined ada org=club",
                ],
                "left ada org=club",
                "applied",
                &["ada user client:draft@acme +acme +book"],
            ),
            // what is left was not the profile's
            cell(
                MEMBER_OF_THREE,
                "left ada org=book",
                "applied",
                &["ada user client:draft@club +acme +club"],
            ),
        ],
    );
    // The joins arrive in another order than they happened.
    let late = &[
        "created ada @1",
        "joined ada org=book @5",
        "joined ada org=acme @3",
        "joined ada org=club @7",
        "left ada org=club @8",
    ];
    assert_eq!(
        picture(&world(&policy(), late)),
        ["ada user client:draft@book +acme +book"]
    );
    // A member twice of one instant: the id decides, as everywhere.
    let tie = &[
        "created ada @1",
        "joined ada org=acme @2",
        "joined ada org=book @2",
        "joined ada org=club @3",
        "left ada org=club @4",
    ];
    assert_eq!(
        picture(&world(&policy(), tie)),
        ["ada user client:draft@book +acme +book"]
    );
}

#[test]
fn joining_again_is_applied() {
    holds(
        &policy(),
        &[
            cell(
                &["created ada", "joined ada org=acme name=Acme"],
                "joined ada org=acme",
                "applied",
                &["ada user client:draft@acme +acme(Acme)"],
            ),
            cell(
                &["created ada", "joined ada org=acme name=Acme"],
                "joined ada org=acme name=Acme_Ltd",
                "applied",
                &["ada user client:draft@acme +acme(Acme_Ltd)"],
            ),
            // after leaving, it is a new membership
            cell(
                &["created ada", "joined ada org=acme name=Acme", "left ada org=acme"],
                "joined ada org=acme",
                "applied",
                &["ada user client:draft@acme +acme"],
            ),
        ],
    );
    let joined = world(
        &policy(),
        &["created ada @1", "joined ada org=acme @2", "joined ada org=acme @9"],
    );
    let customer = &person(&joined, "ada").customers["acme"];
    assert_eq!((customer.created_at, customer.updated_at), (2_000_000, 9_000_000));
}

#[test]
fn the_customer_profile_is_configured() {
    let policy = Policy {
        customer_type: "partner".to_owned(),
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(
                &["created ada org=home"],
                "joined ada org=acme",
                "applied",
                &["ada user org=home client:draft@home partner:draft@acme +acme"],
            ),
            // a provisional user first gets the profiles of a creation
            cell(
                &[],
                "joined ada org=acme",
                "applied",
                &["ada provisional client:draft partner:draft@acme +acme"],
            ),
            cell(
                &["created ada", "joined ada org=acme"],
                "left ada org=acme",
                "applied",
                &["ada user client:draft partner:draft"],
            ),
        ],
    );
}

#[test]
fn left_leaves_an_organization_alone_that_was_not_the_profiles() {
    holds(
        &policy(),
        &[cell(
            &[
                "created ada",
                "joined ada org=acme",
                "joined ada org=book",
                "updated ada org=home",
            ],
            "left ada org=book",
            "applied",
            &["ada user org=home client:draft@home +acme"],
        )],
    );
}

#[test]
fn organization_id_in_other_events_sets_every_profile_and_is_the_default_for_later_ones() {
    holds(
        &policy(),
        &[
            cell(
                &["created ada profiles=client,partner"],
                "updated ada org=home",
                "applied",
                &["ada user org=home client:draft@home partner:draft@home"],
            ),
            cell(
                &["created ada org=home"],
                "updated ada profiles=partner",
                "applied",
                &["ada user org=home client:draft@home partner:draft@home"],
            ),
            cell(
                &[],
                "created ada org=home",
                "applied",
                &["ada user org=home client:draft@home"],
            ),
            cell(
                &["created ada org=home"],
                "activated ada type=partner",
                "applied",
                &["ada user org=home client:draft@home partner:active@home"],
            ),
            cell(
                &["created ada org=home"],
                "renamed ada->ben org=away",
                "applied",
                &["ada -> ben", "ben user org=away client:draft@away"],
            ),
            cell(
                &["created ada org=home profiles=client,partner"],
                "updated ada org=null",
                "applied",
                &["ada user client:draft partner:draft"],
            ),
            // it is no membership, and membership is not it
            cell(
                &["created ada org=home profiles=client,partner"],
                "joined ada org=acme",
                "applied",
                &["ada user org=home client:draft@acme partner:draft@home +acme"],
            ),
            cell(
                &["created ada", "joined ada org=acme"],
                "updated ada org=home",
                "applied",
                &["ada user org=home client:draft@home +acme"],
            ),
            cell(
                &["created ada", "joined ada org=acme"],
                "updated ada phone=1",
                "applied",
                &["ada user phone=1 client:draft@acme +acme"],
            ),
        ],
    );
}

#[test]
fn customers_follow_their_person() {
    let rows = |texts: &[&str]| {
        let mut new = world(&policy(), texts);
        Storage::of(&policy(), &[]).difference(&mut new).new_customers
    };
    let made = rows(&[
        "created ada email=a@x",
        "joined ada org=acme name=Acme",
        "renamed ada->ben email=b@x",
    ]);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].user_id, "ben");
    assert_eq!(made[0].organization_id, "acme");
    assert_eq!(made[0].email.as_deref(), Some("b@x"));
    assert_eq!(made[0].name.as_deref(), Some("Acme"));
    assert_eq!((made[0].created_at, made[0].updated_at), (2_000_000, 2_000_000));
    assert!(made[0].profile_id.is_some());
    assert_eq!(rows(&["created ada", "joined ada org=acme", "deleted ada"]), []);
}

#[test]
fn a_profile_names_the_customer_of_its_organization() {
    let story: &[&str] = &[
        "created ada profiles=client,partner",
        "joined ada org=acme",
        "joined ada org=book",
    ];
    for (more, organization) in [
        (None, Some("book")),
        (Some("left ada org=book"), Some("acme")),
        (Some("updated ada org=home"), None),
    ] {
        let texts: Vec<&str> = story.iter().copied().chain(more).collect();
        let mut new = world(&policy(), &texts);
        let made = Storage::of(&policy(), &[]).difference(&mut new);
        let linked = |profile_type: &str| {
            let row = made
                .new_profiles
                .iter()
                .find(|row| row.profile_type == profile_type)
                .expect("both are made");
            let customer = made
                .new_customers
                .iter()
                .find(|customer| Some(customer.customer_id) == row.customer_id);
            customer.map(|customer| customer.organization_id.as_str())
        };
        assert_eq!(linked("client"), organization, "{more:?}");
        assert_eq!(linked("partner"), None, "{more:?}");
    }
}
