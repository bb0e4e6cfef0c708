//! The rows of profiles: attributes, activity, origin.

use super::*;

/// The row that a history makes of a profile.
fn row(policy: &Policy, texts: &[&str], profile_type: &str) -> ProfileRow {
    let made = Storage::of(policy, &[]).difference(&mut world(policy, texts));
    made.new_profiles
        .into_iter()
        .find(|row| row.profile_type == profile_type)
        .expect("the profile is made")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

#[test]
fn is_active_unless_the_user_is_not_or_the_profile_is_archived() {
    for (texts, is_active) in [
        (&["created ada"][..], true),
        (&["updated ada"], true),
        (&["created ada active=true"], true),
        (&["created ada active=false"], false),
        (&["created ada active=false", "updated ada active=true"], true),
        // unknown is not false
        (&["created ada active=false", "updated ada active=null"], true),
        (&["created ada", "activated ada"], true),
        (&["created ada", "activated ada", "archived ada"], false),
        (
            &[
                "created ada",
                "activated ada",
                "archived ada",
                "updated ada active=true",
            ],
            false,
        ),
        (
            &["created ada", "activated ada", "archived ada", "reactivated ada"],
            true,
        ),
        (&["created ada active=false", "activated ada"], false),
    ] {
        assert_eq!(row(&policy(), texts, "client").is_active, is_active, "{texts:?}");
    }
    let both = &["created ada profiles=client,partner", "activated ada", "archived ada"];
    assert!(
        row(&policy(), both, "partner").is_active,
        "the other profile is not archived"
    );
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let gone = row(&archive, &["created ada", "deleted ada"], "client");
    assert!(!gone.is_active);
    assert_eq!(gone.deleted_at, Some(2_000_000));
}

#[test]
fn a_row_says_what_the_person_is() {
    let words = "email=a@x username=u first_name=F last_name=L full_name=N phone=1 external_id=X org=O !metadata";
    let found = row(
        &policy(),
        &["updated ada @3", &format!("created ada {words} @5")],
        "client",
    );
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        (found.user_id.as_str(), found.profile_type.as_str(), found.status),
        ("ada", "client", Status::Draft)
    );
    assert_eq!(
        (found.email, found.username, found.phone),
        (text("a@x"), text("u"), text("1"))
    );
    assert_eq!(
        (found.first_name, found.last_name, found.full_name),
        (text("F"), text("L"), text("N"))
    );
    assert_eq!(
        (found.external_id, found.organization_id, found.customer_id),
        (text("X"), text("O"), None)
    );
    assert_eq!(
        (found.degraded, found.created_via),
        (vec!["metadata".to_owned()], "event")
    );
    assert_eq!(
        (found.created_at, found.updated_at, found.version, found.deleted_at),
        (3_000_000, 5_000_000, 2, None)
    );
}

#[test]
fn a_profile_has_the_initial_status_of_its_type() {
    let mut policy = policy();
    policy.profiles[0].initial = Status::Active;
    policy.profiles[1].initial = Status::Archived;
    let made = &["created ada profiles=client,partner"];
    assert_eq!(row(&policy, made, "client").status, Status::Active);
    assert_eq!(row(&policy, made, "partner").status, Status::Archived);
}

#[test]
fn attributes_are_the_defaults_and_those_of_a_backfill_lie_over_them() {
    let mut policy = policy();
    for rule in &mut policy.profiles {
        rule.attributes = object(json!({"tier": "free", "source": "live"}));
        rule.backfill_attributes = object(json!({"source": "import", "seen": false}));
    }
    let live = object(json!({"tier": "free", "source": "live"}));
    let import = object(json!({"tier": "free", "source": "import", "seen": false}));
    for (texts, profile_type, attributes) in [
        (&["created ada"][..], "client", &live),
        (&["created ada backfill"], "client", &import),
        (&["updated ada"], "client", &live),
        (&["updated ada backfill"], "client", &live),
        // what was made before the creation stays; what the creation makes is a backfill's
        (
            &["updated ada", "created ada backfill profiles=client,partner"],
            "client",
            &live,
        ),
        (
            &["updated ada", "created ada backfill profiles=client,partner"],
            "partner",
            &import,
        ),
        (
            &["created ada backfill", "activated ada type=partner"],
            "partner",
            &import,
        ),
    ] {
        assert_eq!(&row(&policy, texts, profile_type).attributes, attributes, "{texts:?}");
    }
}

#[test]
fn synchronised_attributes_follow_the_metadata() {
    let mut policy = policy();
    policy.profiles[0].attributes = object(json!({"tier": "free", "locale": "en"}));
    policy.profiles[0].synchronised = vec!["locale".to_owned(), "plan".to_owned()];
    let known = r#"created ada metadata={"locale":"el","other":1}"#;
    let made = row(&policy, &[known], "client");
    assert_eq!(made.attributes, object(json!({"tier": "free", "locale": "el"})));
    assert_eq!(made.synchronised, object(json!({"locale": "el"})));
    assert_eq!(
        row(&policy, &["created ada"], "client").attributes,
        object(json!({"tier": "free", "locale": "en"}))
    );
    // Made and changed before it is stored: as if it had been stored in between.
    let changed = &["created ada", r#"updated ada metadata={"locale":"fr"}"#];
    assert_eq!(
        row(&policy, changed, "client").attributes,
        object(json!({"tier": "free", "locale": "fr"}))
    );

    // A null inside is nothing: both databases would otherwise keep something else.
    let nulls = &[r#"created ada metadata={"plan":{"a":null,"b":{"c":null}}}"#];
    assert_eq!(
        row(&policy, nulls, "client").synchronised,
        object(json!({"plan": {"b": {}}}))
    );

    for (metadata, set, unset) in [
        (
            r#"{"locale":"fr","plan":{"a":[1]}}"#,
            json!({"locale": "fr", "plan": {"a": [1]}}),
            &[][..],
        ),
        (r#"{"locale":"el","other":2}"#, json!({}), &[]),
        (r#"{"plan":7}"#, json!({"plan": 7}), &["locale"]),
        (r#"{"locale":null}"#, json!({}), &["locale"]),
        ("null", json!({}), &["locale"]),
    ] {
        let text = format!("updated ada metadata={metadata}");
        let (_, difference) = Storage::of(&policy, &[known]).then(&policy, &event(2, &text));
        let [change] = difference.profiles.as_slice() else {
            panic!("one profile changes: {difference:?}")
        };
        assert_eq!(
            (&change.set, change.unset.as_slice()),
            (
                &object(set),
                &unset.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..]
            ),
            "{text}"
        );
    }
}

#[test]
fn attributes_are_not_written_again() {
    let mut policy = policy();
    policy.profiles[0].attributes = object(json!({"tier": "free"}));
    let given: &[&str] = &["created ada"];
    for text in [
        "updated ada phone=1",
        "activated ada",
        "created ada backfill",
        r#"updated ada metadata={"tier":"gold"}"#,
    ] {
        let (_, difference) = Storage::of(&policy, given).then(&policy, &event(2, text));
        assert!(difference.new_profiles.is_empty(), "{text}");
        assert!(
            difference
                .profiles
                .iter()
                .all(|change| change.set.is_empty() && change.unset.is_empty()),
            "{text}"
        );
    }
}
