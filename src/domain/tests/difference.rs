//! Only what changed is written.

use super::*;

/// The columns of each profile (`key/type`) that one more event writes.
fn written(given: &[&str], then: &str) -> BTreeMap<String, Vec<&'static str>> {
    written_under(&policy(), given, then)
}

fn written_under(policy: &Policy, given: &[&str], then: &str) -> BTreeMap<String, Vec<&'static str>> {
    let (_, difference) = Storage::of(policy, given).then(policy, &event(given.len() + 1, then));
    let columns = |changed: u32| {
        PROFILE_COLUMNS
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| changed & (1 << bit) != 0)
            .map(|(_, name)| name)
    };
    difference
        .profiles
        .iter()
        .map(|change| {
            (
                format!("{}/{}", change.old_user_id, change.row.profile_type),
                columns(change.changed).collect(),
            )
        })
        .collect()
}

#[test]
fn a_public_column_is_written_only_when_its_folded_value_changed() {
    let ada: &[&str] = &["created ada full_name=Ada email=a@x verified=true org=home"];
    let active: &[&str] = &["created ada full_name=Ada", "activated ada"];
    let member: &[&str] = &[
        "created ada full_name=Ada",
        "joined ada org=acme",
        "joined ada org=book",
    ];
    let cases: [(&[&str], &str, &[&str]); 22] = [
        (ada, "updated ada", &[]),
        (ada, "updated ada full_name=Ada email=a@x org=home", &[]),
        (ada, "updated ada full_name=Countess", &["display_name", "full_name"]),
        (ada, "updated ada email=b@x", &["email"]),
        (ada, "updated ada verified=false", &[]),
        (ada, "updated ada username=ada", &["username"]),
        (
            ada,
            "updated ada first_name=F last_name=L",
            &["first_name", "last_name"],
        ),
        (ada, "updated ada phone=1 external_id=X", &["phone", "external_id"]),
        (ada, "updated ada metadata={\"a\":1}", &[]),
        (ada, "updated ada org=away", &["organization_id"]),
        (ada, "updated ada active=true", &[]),
        (ada, "updated ada active=false", &["is_active"]),
        (ada, "updated ada !phone", &["degraded"]),
        (ada, "renamed ada->ben", &["user_id"]),
        (ada, "renamed ada->ben email=b@x", &["user_id", "email"]),
        (ada, "activated ada", &["status"]),
        (active, "archived ada", &["status", "is_active"]),
        (ada, "joined ada org=acme", &["organization_id", "customer_id"]),
        (member, "left ada org=acme", &[]),
        (member, "left ada org=book", &["organization_id", "customer_id"]),
        (&["created ada"], "updated ada email=a@x", &["display_name", "email"]),
        (&["updated ada"], "created ada", &["created_via"]),
    ];
    for (given, then, columns) in cases {
        let always: &[&str] = &["updated_at", "version"];
        let expected: Vec<&str> = PROFILE_COLUMNS
            .into_iter()
            .filter(|name| columns.contains(name) || always.contains(name))
            .collect();
        assert_eq!(
            written(given, then),
            BTreeMap::from([("ada/client".to_owned(), expected)]),
            "{given:?}, then {then}"
        );
    }
}

#[test]
fn what_changes_nothing_writes_nothing() {
    for (given, then) in [
        (&["created ada", "deleted ada"][..], "updated ada phone=1"),
        (&["created ada", "deleted ada"], "deleted ada"),
        (&["created ada"], "left ada org=acme"),
        (&["created ada"], "archived ada"),
        (&["created ada", "created ben"], "renamed ada->ben"),
        (&["created ada"], "deleted Administrator"),
        (&["created ada"], "activated ada type=wizard"),
    ] {
        let (_, difference) = Storage::of(&policy(), given).then(&policy(), &event(given.len() + 1, then));
        assert_eq!(difference, Difference::default(), "{given:?}, then {then}");
    }
}

#[test]
fn neighbours_are_left_alone() {
    let given = &[
        "created ada",
        "created ben",
        "joined ben org=acme",
        "created cid",
        "renamed cid->dan",
    ];
    assert_eq!(
        written(given, "updated ada phone=1").keys().collect::<Vec<_>>(),
        ["ada/client"]
    );
    let (_, difference) = Storage::of(&policy(), given).then(&policy(), &event(9, "updated ada phone=1"));
    let keys: Vec<_> = difference.keys.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["ada"]);
    assert_eq!((difference.customers.len(), difference.gone_customers.len()), (0, 0));
}

#[test]
fn an_address_or_a_login_name_changes_all_profiles_and_a_transition_one() {
    let given = &["created ada full_name=Ada profiles=client,partner"];
    let both = BTreeMap::from(
        ["ada/client", "ada/partner"].map(|row| (row.to_owned(), vec!["username", "updated_at", "version"])),
    );
    assert_eq!(written(given, "updated ada username=u"), both);
    let changed = written(given, "activated ada type=partner");
    assert_eq!(changed["ada/client"], ["updated_at", "version"]);
    assert_eq!(changed["ada/partner"], ["status", "updated_at", "version"]);
}

#[test]
fn customers_are_written_only_where_they_changed() {
    let given = &[
        "created ada email=a@x",
        "joined ada org=acme name=Acme @5",
        "joined ada org=book @6",
    ];
    let columns = |then: &str| {
        let (_, difference) = Storage::of(&policy(), given).then(&policy(), &event(9, then));
        let named = |change: &CustomerChange| {
            let names = CUSTOMER_COLUMNS.into_iter().enumerate();
            let names: Vec<_> = names
                .filter(|(bit, _)| change.changed & (1 << bit) != 0)
                .map(|(_, name)| name)
                .collect();
            format!("{}: {}", change.row.organization_id, names.join(" "))
        };
        let mut changes: Vec<_> = difference.customers.iter().map(named).collect();
        changes.sort();
        changes
    };
    assert_eq!(columns("updated ada phone=1"), [""; 0]);
    assert_eq!(columns("updated ada email=b@x"), ["acme: email", "book: email"]);
    assert_eq!(columns("joined ada org=acme"), ["acme: updated_at"]);
    assert_eq!(columns("joined ada org=acme name=Acme_Ltd"), ["acme: name updated_at"]);
    assert_eq!(columns("renamed ada->ben"), ["acme: user_id", "book: user_id"]);
    assert_eq!(columns("left ada org=book"), [""; 0]);
}

#[test]
fn the_rows_of_a_deleted_person_go_or_are_archived() {
    let given = &["created ada profiles=client,partner", "joined ada org=acme"];
    let stored = rows(&Storage::of(&policy(), given).world());
    let (_, difference) = Storage::of(&policy(), given).then(&policy(), &event(3, "deleted ada"));
    let gone: BTreeSet<_> = difference.gone_profiles.iter().copied().collect();
    assert_eq!(gone, BTreeSet::from([stored["ada/client"], stored["ada/partner"]]));
    // Whoever is told of it learns what they were.
    let lost = difference.lost_profiles.iter().map(|row| row.profile_id);
    assert_eq!(lost.collect::<Vec<_>>(), difference.gone_profiles);
    assert_eq!(difference.gone_customers, [stored["ada+acme"]]);
    assert!(difference.departed.is_empty() && difference.profiles.is_empty() && difference.customers.is_empty());

    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let changed = written_under(&archive, given, "deleted ada");
    let columns = ["user_id", "is_active", "updated_at", "version", "deleted_at"];
    assert_eq!(changed["ada/client"], columns);
    assert_eq!(changed["ada/partner"], columns);
    let (_, difference) = Storage::of(&archive, given).then(&archive, &event(3, "deleted ada"));
    assert!(difference.gone_profiles.is_empty() && difference.gone_customers.is_empty());
    assert_eq!(difference.departed.len(), 1);
    assert!(
        difference
            .customers
            .iter()
            .all(|change| change.row.deleted_at == Some(3_000_000))
    );
}

#[test]
fn archived_rows_are_never_used_again() {
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let given = &["created ada", "joined ada org=acme", "deleted ada"];
    let stored = rows(&Storage::of(&archive, given).world());
    let (new, difference) = Storage::of(&archive, given).then(&archive, &event(4, "joined ada org=acme @9"));
    assert_eq!(difference, Difference::default());
    assert_eq!(rows(&new), stored);
    let (new, difference) = Storage::of(&archive, given).then(&archive, &event(4, "created ada"));
    assert_eq!(difference.new_profiles.len(), 1);
    assert!(difference.profiles.is_empty() && difference.gone_profiles.is_empty() && difference.returned.is_empty());
    assert!(
        !stored
            .values()
            .any(|row| Some(*row) == person(&new, "ada").profiles["client"].row)
    );
}

#[test]
fn a_row_that_the_application_had_is_changed_and_not_made() {
    let policy = Policy {
        lookup: Some(LookupRule {
            place: CustomerPlace::Own,
            require_verified: true,
        }),
        ..policy()
    };
    let row = uuid::Uuid::from_u128(77);
    let mut joined = event(2, "joined ada org=acme");
    joined.inputs.rows.insert(
        "acme".to_owned(),
        Some(Found {
            id: row.to_string(),
            organization_id: "acme".to_owned(),
            made: false,
        }),
    );
    let (_, difference) = Storage::of(&policy, &["created ada"]).then(&policy, &joined);
    assert_eq!(difference.new_customers, []);
    let adopted: Vec<_> = difference
        .customers
        .iter()
        .map(|change| (change.row.customer_id, change.row.made_by_worker))
        .collect();
    assert_eq!(adopted, [(row, false)]);
    // Nothing was there: a row is made.
    let (_, difference) = Storage::of(&policy, &["created ada"]).then(&policy, &event(2, "joined ada org=acme"));
    assert_eq!((difference.customers.len(), difference.new_customers.len()), (0, 1));
}

#[test]
fn names_that_people_edited_are_kept_where_they_are_the_applications() {
    let mut policy = policy();
    policy.profiles[0].display_owner = DisplayOwner::Application;
    let given = &["created ada full_name=Ada profiles=client,partner"];
    let (_, mut difference) = Storage::of(&policy, given).then(&policy, &event(2, "updated ada phone=1"));
    difference.leave_edited_names(&policy);
    let kept: BTreeMap<&str, bool> = difference
        .profiles
        .iter()
        .map(|change| (change.row.profile_type.as_str(), change.keeps_edited_name))
        .collect();
    assert_eq!(kept, BTreeMap::from([("client", true), ("partner", false)]));
}

#[test]
fn who_departs_is_stored_without_what_is_stored_elsewhere() {
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let given = &["created ada", "renamed ada->ben"];
    assert!(!person(&world(&archive, given), "ben").aliases.is_empty());
    let (_, difference) = Storage::of(&archive, given).then(&archive, &event(3, "deleted ben"));
    let [departed] = difference.departed.as_slice() else {
        panic!("{:?}", difference.departed)
    };
    assert!(departed.aliases.is_empty(), "{departed:?}");
}
