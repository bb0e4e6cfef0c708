//! Two people who turn out to be one.

use super::*;

#[test]
fn the_real_one_survives_or_the_renamed_one_and_stands_at_the_new_key() {
    for (given, began) in [
        (["created ada", "updated ben"], 1),
        (["updated ada", "created ben"], 2),
        (["updated ada", "updated ben"], 1),
    ] {
        let [first, second] = given;
        let merged = world(&policy(), &[first, second, "renamed ada->ben"]);
        let survivor = person(&merged, "ada");
        assert_eq!(survivor.key, "ben", "{given:?}");
        assert_eq!(survivor.began, event(began, given[began - 1]).reference, "{given:?}");
        assert_eq!(merged.persons.len(), 1);
    }
}

#[test]
fn the_old_key_and_all_aliases_of_both_point_at_the_survivor() {
    holds(
        &policy(),
        &[
            cell(
                &["created ann", "renamed ann->ada", "renamed bob->ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ann -> ben", "ben user client:draft", "bob -> ben"],
            ),
            cell(
                &["renamed ann->ada", "created bob", "renamed bob->ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ann -> ben", "ben user client:draft", "bob -> ben"],
            ),
            // the event speaks of an alias; the person's current key is the old one
            cell(
                &["created ann", "renamed ann->ada", "updated ben"],
                "renamed ann->ben",
                "applied",
                &["ada -> ben", "ann -> ben", "ben user client:draft"],
            ),
        ],
    );
}

#[test]
fn values_of_the_other_fill_gaps_only_then_the_events_own_are_patched() {
    let full = "first_name=F last_name=L full_name=N external_id=X active=false org=O metadata={\"a\":1,\"b\":2}";
    let filled = format!("updated ben {full}");
    holds(
        &policy(),
        &[
            cell(
                &["created ada phone=1", &filled],
                "renamed ada->ben",
                "applied",
                &[
                    "ada -> ben",
                    "ben user first_name=F last_name=L full_name=N phone=1 external_id=X org=O active=false metadata={\"a\":1,\"b\":2} client:draft@O",
                ],
            ),
            cell(
                &["created ada first_name=A active=true org=P metadata={\"c\":3}", &filled],
                "renamed ada->ben last_name=M full_name=null",
                "applied",
                &[
                    "ada -> ben",
                    "ben user first_name=A last_name=M external_id=X org=P active=true metadata={\"c\":3} client:draft@P",
                ],
            ),
        ],
    );
}

#[test]
fn email_and_its_flag_come_together_or_not_at_all() {
    let merged = |ada: &str, ben: &str, words: &str| {
        let story = [
            format!("created ada {ada}"),
            format!("updated ben {ben}"),
            format!("renamed ada->ben {words}"),
        ];
        let world = world(&policy(), &story.each_ref().map(String::as_str));
        let fields = &person(&world, "ben").fields;
        (fields.email.clone().unwrap_or_default(), fields.email_verified)
    };
    assert_eq!(
        merged("", "email=b@x verified=true", ""),
        ("b@x".to_owned(), Some(true))
    );
    assert_eq!(
        merged("email=a@x", "email=b@x verified=true", ""),
        ("a@x".to_owned(), None)
    );
    assert_eq!(
        merged("email=a@x", "email=a@x verified=true", ""),
        ("a@x".to_owned(), None)
    );
    assert_eq!(
        merged("email=a@x verified=false", "email=b@x verified=true", ""),
        ("a@x".to_owned(), Some(false))
    );
    assert_eq!(merged("verified=true", "email=b@x", ""), ("b@x".to_owned(), None));
    assert_eq!(
        merged("", "email=b@x verified=true", "email=c@x"),
        ("c@x".to_owned(), None)
    );
    assert_eq!(
        merged("", "email=b@x verified=true", "email=b@x"),
        ("b@x".to_owned(), Some(true))
    );
}

#[test]
fn profiles_are_united_and_the_survivors_status_stays() {
    holds(
        &policy(),
        &[
            cell(
                &[
                    "created ada",
                    "activated ben",
                    "activated ben type=partner",
                    "archived ben type=partner",
                ],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user client:draft partner:archived"],
            ),
            cell(
                &["activated ada", "created ben", "updated ben profiles=guest"],
                "renamed ada->ben profiles=partner",
                "applied",
                &["ada -> ben", "ben user client:draft guest:draft partner:draft"],
            ),
        ],
    );
}

#[test]
fn organizations_of_profiles_fill_gaps_only() {
    holds(
        &policy(),
        &[
            // the same type: only where the survivor's has none
            cell(
                &["created ada", "updated ben org=B"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user org=B client:draft@B"],
            ),
            cell(
                &["created ada", "joined ada org=acme", "updated ben org=B"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user org=B client:draft@acme +acme"],
            ),
            // a type only the other has is taken over as it is
            cell(
                &["created ada org=A", "updated ben org=B profiles=partner"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user org=A client:draft@A partner:draft@B"],
            ),
        ],
    );
}

#[test]
fn customers_are_united_and_the_later_join_counts() {
    let merged = |story: &[&str]| {
        let world = world(&policy(), story);
        let customers = &person(&world, "ben").customers;
        customers
            .iter()
            .map(|(organization, customer)| {
                let name = customer.name.clone().unwrap_or_default();
                format!(
                    "{organization} {name} {} {}",
                    customer.created_at / 1_000_000,
                    customer.updated_at / 1_000_000
                )
            })
            .collect::<Vec<_>>()
    };
    let different = [
        "created ada",
        "joined ada org=acme",
        "joined ben org=book name=Book",
        "renamed ada->ben",
    ];
    assert_eq!(merged(&different), ["acme  2 2", "book Book 3 3"]);
    let theirs_later = [
        "created ada",
        "joined ada org=acme name=A",
        "joined ben org=acme name=B",
        "renamed ada->ben",
    ];
    assert_eq!(merged(&theirs_later), ["acme B 3 3"]);
    let ours_later = [
        "joined ben org=acme name=B",
        "created ada",
        "joined ada org=acme name=A",
        "renamed ada->ben",
    ];
    assert_eq!(merged(&ours_later), ["acme A 3 3"]);
    let name_of_the_earlier = [
        "joined ben org=acme name=B",
        "created ada",
        "joined ada org=acme",
        "renamed ada->ben",
    ];
    assert_eq!(merged(&name_of_the_earlier), ["acme B 3 3"]);
    // what remains after a departure was joined last by either
    holds(
        &policy(),
        &[cell(
            &[
                "created ada",
                "joined ada org=acme",
                "joined ben org=book",
                "joined ada org=club",
                "renamed ada->ben",
            ],
            "left ben org=club",
            "applied",
            &["ada -> ben", "ben user client:draft@book +acme +book"],
        )],
    );
}

#[test]
fn versions_add_up_and_the_survivors_origin_stays() {
    let story = [
        "created ada backfill",
        "updated ada phone=1",
        "updated ben phone=2",
        "updated ben phone=3",
        "updated ben phone=4",
        "renamed ada->ben",
    ];
    let world = world(&policy(), &story);
    let survivor = person(&world, "ben");
    assert_eq!(survivor.version, 2 + 3 + 1);
    assert_eq!(survivor.via.name(), "backfill");
    assert_eq!(survivor.updated_at, 6_000_000);
    assert_eq!(survivor.profiles["client"].created_at, 1_000_000);
}

#[test]
fn a_mark_comes_from_the_side_whose_value_is_kept() {
    let marks = |ada: &str, ben: &str| {
        let story = [
            format!("created ada {ada}"),
            format!("updated ben {ben}"),
            "renamed ada->ben".to_owned(),
        ];
        let world = world(&policy(), &story.each_ref().map(String::as_str));
        person(&world, "ben").degraded.iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        marks("!phone", "!username"),
        ["phone", "username"],
        "no value on either side: both"
    );
    assert_eq!(marks("!phone", "phone=2"), [""; 0], "the other has a good value");
    assert_eq!(marks("phone=1", "!phone"), [""; 0], "the survivor has a good value");
    assert_eq!(
        marks("phone=1 !phone", "phone=2"),
        ["phone"],
        "the survivor's value was not the last word"
    );
    assert_eq!(
        marks("", "phone=2 !phone"),
        ["phone"],
        "the other's value was not the last word"
    );
    assert_eq!(marks("!email", "email=b@x"), [""; 0]);
    assert_eq!(marks("email=a@x", "email=b@x !email_verified"), [""; 0]);
}

#[test]
fn display_names_are_computed_anew_where_a_source_changed() {
    let shown = |story: &[&str], profile: &str| {
        let world = world(&policy(), story);
        person(&world, "ben").profiles[profile].display_name.clone()
    };
    let gap_filled = ["created ada", "updated ben full_name=Ben", "renamed ada->ben"];
    assert_eq!(shown(&gap_filled, "client"), "Ben");
    let taken_over = [
        "created ada full_name=Ada",
        "updated ben full_name=Ben profiles=partner",
        "renamed ada->ben",
    ];
    assert_eq!(shown(&taken_over, "client"), "Ada");
    assert_eq!(shown(&taken_over, "partner"), "Ada");
    let by_key = ["created ada", "updated ben", "renamed ada->ben"];
    assert_eq!(shown(&by_key, "client"), "ben");
}
