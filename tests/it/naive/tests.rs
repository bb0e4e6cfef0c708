//! The naive fold against expectations written by hand from the contract: creations, updates and renames here, the
//! other rows and the fields in `others`.

mod others;

use serde_json::{Map, Value, json};

use super::{Settings, TypeSetting, User, World, fold};

const HOUR: i64 = 3_600_000_000;
/// 2026-01-01T00:00:00Z in microseconds.
const MIDNIGHT: i64 = 1_767_225_600_000_000;

fn plain() -> Settings {
    let named = |name: &str, on_activation: bool, creates: &[&str]| TypeSetting {
        name: name.to_owned(),
        initial: "draft".to_owned(),
        on_activation,
        activation_creates: creates.iter().map(|name| (*name).to_owned()).collect(),
    };
    Settings {
        protected: vec!["Administrator".to_owned()],
        types: vec![
            named("client", false, &["player"]),
            named("vendor", false, &[]),
            named("player", true, &[]),
        ],
        customer_type: None,
        archive_on_delete: false,
    }
}

/// Events an hour apart in the order given: type, `user_id`, other data.
fn told(events: &[(&str, &str, Value)]) -> Vec<Value> {
    let event = |(hour, (kind, user_id, rest)): (usize, &(&str, &str, Value))| {
        let mut data: Map<String, Value> = rest.as_object().cloned().unwrap_or_default();
        data.insert("user_id".to_owned(), json!(user_id));
        json!({
            "specversion": "1.0",
            "type": format!("user.{kind}"),
            "source": "s",
            "id": hour.to_string(),
            "time": format!("2026-01-01T{hour:02}:00:00Z"),
            "data": data,
        })
    };
    events.iter().enumerate().map(event).collect()
}

fn after(events: &[(&str, &str, Value)]) -> World {
    fold(&told(events), &plain())
}

/// `outcome` or `outcome reason` of the nth event.
fn verdict(world: &World, number: usize) -> String {
    let verdict = &world.verdicts[&("s".to_owned(), number.to_string())];
    let reason = verdict
        .reason
        .as_ref()
        .map(|reason| format!(" {reason}"))
        .unwrap_or_default();
    format!("{}{reason}", verdict.outcome)
}

fn last_verdict(events: &[(&str, &str, Value)]) -> String {
    verdict(&after(events), events.len() - 1)
}

fn user<'a>(world: &'a World, key: &str) -> &'a User {
    world
        .users
        .get(key)
        .unwrap_or_else(|| panic!("no user {key} in {world:#?}"))
}

fn types(user: &User) -> Vec<&str> {
    user.profiles.keys().map(String::as_str).collect()
}

fn keys(world: &World) -> Vec<&str> {
    world.users.keys().map(String::as_str).collect()
}

fn none() -> Value {
    json!({})
}

#[test]
fn created_makes_a_user_with_the_profiles_of_creation_or_exactly_those_named() {
    let world = after(&[
        (
            "created",
            "a",
            json!({ "email": "a@x.example", "organization_id": "o1" }),
        ),
        ("created", "b", json!({ "profile_types": ["player"] })),
        ("created", "c", json!({ "profile_types": [] })),
        ("created", "d", json!({ "profile_types": ["ghost", 3] })),
    ]);
    let a = user(&world, "a");
    assert_eq!(types(a), ["client", "vendor"]);
    assert_eq!(a.profiles["client"].organization_id.as_deref(), Some("o1"));
    assert_eq!(a.profiles["client"].display_name, "a@x.example");
    assert_eq!(
        (a.provisional, a.created_via.as_str(), a.version, a.created_at),
        (false, "event", 1, MIDNIGHT)
    );
    assert_eq!(types(user(&world, "b")), ["player"]);
    assert_eq!(types(user(&world, "c")), [] as [&str; 0]);
    assert_eq!(types(user(&world, "d")), ["client", "vendor"]);
    assert!(user(&world, "d").degraded.contains("profile_types"));
}

#[test]
fn created_for_a_real_user_patches_and_adds_named_profiles_only() {
    let world = after(&[
        ("created", "a", json!({ "profile_types": ["vendor"], "phone": "1" })),
        ("created", "a", json!({ "phone": null, "username": "ada" })),
        ("created", "a", json!({ "profile_types": ["player"] })),
    ]);
    let a = user(&world, "a");
    assert_eq!(types(a), ["player", "vendor"]);
    assert_eq!(
        (&a.fields["phone"], &a.fields["username"]),
        (&json!("1"), &json!("ada"))
    );
    assert_eq!((a.version, a.updated_at), (3, MIDNIGHT + 2 * HOUR));
}

#[test]
fn created_makes_a_provisional_user_real_by_key_or_by_alias() {
    let mut events = told(&[
        ("updated", "a", json!({ "profile_types": [] })),
        ("renamed", "a", json!({ "new_user_id": "b" })),
        ("created", "a", json!({ "full_name": "Ada" })),
    ]);
    events[2]["createdvia"] = json!("backfill");
    let world = fold(&events, &plain());
    assert_eq!(keys(&world), ["b"]);
    let b = user(&world, "b");
    assert_eq!(
        (b.provisional, b.created_via.as_str(), b.created_at),
        (false, "backfill", MIDNIGHT)
    );
    assert_eq!(types(b), ["client", "vendor"]);
    assert_eq!(world.aliases["a"], "b");
}

#[test]
fn created_on_an_alias_of_a_real_person_or_on_a_tombstone_begins_a_new_person() {
    let world = after(&[
        ("created", "a", json!({ "phone": "1" })),
        ("renamed", "a", json!({ "new_user_id": "b" })),
        ("created", "a", none()),
        ("deleted", "b", none()),
        ("created", "b", none()),
    ]);
    assert_eq!(keys(&world), ["a", "b"]);
    assert!(world.aliases.is_empty() && world.tombstones.is_empty(), "{world:#?}");
    assert_eq!(user(&world, "a").version, 1);
    assert!(!user(&world, "b").fields.contains_key("phone"));
}

#[test]
fn updated_patches_by_alias_is_ignored_after_deletion_and_makes_a_provisional_user() {
    let world = after(&[
        ("created", "a", none()),
        ("renamed", "a", json!({ "new_user_id": "b" })),
        ("updated", "a", json!({ "phone": "1" })),
        ("updated", "c", json!({ "phone": "2" })),
        ("deleted", "d", none()),
        ("updated", "d", json!({ "phone": "3" })),
    ]);
    assert_eq!(user(&world, "b").fields["phone"], json!("1"));
    let c = user(&world, "c");
    assert_eq!(
        (c.provisional, c.created_via.as_str(), types(c)),
        (true, "implicit", vec!["client", "vendor"])
    );
    assert_eq!(
        (verdict(&world, 4), verdict(&world, 5)),
        ("applied".into(), "ignored after_deletion".into())
    );
}

#[test]
fn a_rename_that_moves_no_key_patches() {
    let world = after(&[
        ("created", "a", none()),
        (
            "renamed",
            "a",
            json!({ "new_user_id": "b", "new_username": "bee", "username": "loses" }),
        ),
        ("renamed", "a", json!({ "new_user_id": "a", "phone": "1" })),
        ("renamed", "a", json!({ "new_user_id": "b", "first_name": "Bea" })),
        ("renamed", "b", json!({ "new_email": "b@x.example" })),
        ("renamed", "c", json!({ "new_user_id": "c" })),
    ]);
    assert_eq!(keys(&world), ["b", "c"]);
    let b = user(&world, "b");
    assert_eq!(b.fields.len(), 4, "{b:#?}");
    assert_eq!((b.version, b.profiles["client"].display_name.as_str()), (5, "Bea"));
    assert!(user(&world, "c").provisional);
}

#[test]
fn a_rename_to_a_free_key_leaves_an_alias_and_takes_aliases_and_tombstones() {
    let world = after(&[
        ("created", "a", none()),
        ("deleted", "t", none()),
        ("renamed", "a", json!({ "new_user_id": "t" })),
        ("renamed", "t", json!({ "new_user_id": "a" })),
        ("created", "b", none()),
        ("renamed", "b", json!({ "new_user_id": "t" })),
    ]);
    assert_eq!(keys(&world), ["a", "t"]);
    assert_eq!(
        world.aliases.iter().collect::<Vec<_>>(),
        [(&"b".to_owned(), &"t".to_owned())]
    );
    assert!(world.tombstones.is_empty());
    assert_eq!((user(&world, "a").version, user(&world, "t").version), (3, 2));
}

#[test]
fn a_rename_nobody_is_known_for_makes_an_alias_or_a_provisional_user_at_the_new_key() {
    let world = after(&[
        ("created", "b", none()),
        ("renamed", "a", json!({ "new_user_id": "b", "phone": "not patched" })),
        ("renamed", "c", json!({ "new_user_id": "d", "phone": "1" })),
        ("renamed", "e", json!({ "new_user_id": "a" })),
    ]);
    assert_eq!(verdict(&world, 1), "applied already_renamed");
    assert!(user(&world, "b").fields.is_empty());
    assert_eq!(user(&world, "d").fields["phone"], json!("1"));
    assert_eq!(keys(&world), ["a", "b", "d"]);
    assert_eq!((world.aliases["c"].as_str(), world.aliases["e"].as_str()), ("d", "a"));
}

#[test]
fn two_real_people_do_not_become_one() {
    let events = [
        ("created", "a", json!({ "phone": "1" })),
        ("created", "b", none()),
        ("renamed", "a", json!({ "new_user_id": "b", "phone": "2" })),
    ];
    let world = after(&events);
    assert_eq!(verdict(&world, 2), "rejected key_taken");
    assert_eq!(user(&world, "a").fields["phone"], json!("1"));
    let late_deletion = [
        events[0].clone(),
        events[1].clone(),
        ("deleted", "b", none()),
        events[2].clone(),
    ];
    assert_eq!(last_verdict(&late_deletion), "applied");
}

#[test]
fn the_real_person_survives_a_merge_and_the_other_fills_gaps_only() {
    for (real, other) in [("a", "b"), ("b", "a")] {
        let world = after(&[
            (
                "created",
                real,
                json!({ "email": "r@x.example", "profile_types": ["client"], "phone": "r" }),
            ),
            (
                "updated",
                other,
                json!({ "email": "o@x.example", "email_verified": true, "username": "o", "phone": "o" }),
            ),
            ("activated", other, json!({ "profile_type": "client" })),
            (
                "joined",
                other,
                json!({ "organization_id": "o1", "customer_name": "old" }),
            ),
            ("joined", real, json!({ "organization_id": "o1" })),
            ("joined", other, json!({ "organization_id": "o2" })),
            ("renamed", "a", json!({ "new_user_id": "b", "first_name": "Ada" })),
        ]);
        assert_eq!(keys(&world), ["b"], "{real} is real");
        let b = user(&world, "b");
        assert!(!b.provisional);
        assert_eq!(
            (&b.fields["email"], &b.fields["phone"]),
            (&json!("r@x.example"), &json!("r"))
        );
        assert_eq!(
            (&b.fields["username"], &b.fields["first_name"]),
            (&json!("o"), &json!("Ada"))
        );
        assert!(!b.fields.contains_key("email_verified"));
        assert_eq!(types(b), ["client", "player", "vendor"]);
        assert_eq!((b.profiles["client"].status.as_str(), b.version), ("draft", 7));
        assert_eq!(b.profiles["client"].organization_id.as_deref(), Some("o1"));
        assert_eq!(b.customers["o1"].name.as_deref(), Some("old"));
        assert_eq!(
            (b.customers["o1"].created_at, b.customers.len()),
            (MIDNIGHT + 4 * HOUR, 2)
        );
        assert_eq!(world.aliases["a"], "b");
    }
}

#[test]
fn of_two_provisional_people_the_renamed_survives_and_aliases_follow() {
    let world = after(&[
        ("renamed", "x", json!({ "new_user_id": "a" })),
        ("renamed", "y", json!({ "new_user_id": "b" })),
        ("updated", "a", json!({ "phone": "a" })),
        ("updated", "b", json!({ "phone": "b", "username": 17 })),
        ("renamed", "x", json!({ "new_user_id": "b" })),
    ]);
    assert_eq!(keys(&world), ["b"]);
    let b = user(&world, "b");
    assert_eq!(
        (b.provisional, &b.fields["phone"], b.created_at),
        (true, &json!("a"), MIDNIGHT)
    );
    assert!(b.degraded.contains("username"));
    assert_eq!(world.aliases.values().collect::<Vec<_>>(), ["b", "b", "b"]);
}
