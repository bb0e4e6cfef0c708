//! Deletions, memberships, transitions, protected users, fields, order.

use serde_json::{Value, json};

use super::super::event::Sequence;
use super::super::{Settings, fold};
use super::{HOUR, MIDNIGHT, after, keys, last_verdict, none, plain, told, types, user, verdict};

#[test]
fn deleted_turns_key_and_aliases_into_tombstones() {
    let events = [
        ("created", "a", none()),
        ("joined", "a", json!({ "organization_id": "o1" })),
        ("renamed", "a", json!({ "new_user_id": "b" })),
        ("deleted", "a", none()),
        ("deleted", "b", none()),
        ("deleted", "c", none()),
    ];
    let world = after(&events);
    assert_eq!(world.tombstones.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(world.users.is_empty() && world.departed.is_empty());
    assert_eq!(
        (verdict(&world, 4), verdict(&world, 5)),
        ("ignored already_deleted".into(), "applied".into())
    );
    let kept = fold(
        &told(&events),
        &Settings {
            archive_on_delete: true,
            ..plain()
        },
    );
    assert_eq!(
        (kept.departed[0].key.as_str(), kept.departed[0].deleted_at),
        ("b", MIDNIGHT + 3 * HOUR)
    );
    assert!(!kept.departed[0].user.profiles["client"].is_active);
    assert_eq!(kept.departed[0].user.customers.len(), 1);
}

#[test]
fn joined_and_left_move_the_organization_of_the_customer_profile_only() {
    let joined = |organization: &str| ("joined", "a", json!({ "organization_id": organization }));
    let left = |organization: &str| ("left", "a", json!({ "organization_id": organization }));
    let mut events = vec![joined("o1"), joined("o2"), joined("o1"), joined("o3")];
    let world = after(&events);
    let a = user(&world, "a");
    assert!(a.provisional);
    assert_eq!(a.profiles["client"].organization_id.as_deref(), Some("o3"));
    assert_eq!(a.profiles["vendor"].organization_id, None);
    let o1 = &a.customers["o1"];
    assert_eq!((o1.created_at, o1.updated_at), (MIDNIGHT, MIDNIGHT + 2 * HOUR));
    events.push(left("o3"));
    assert_eq!(
        user(&after(&events), "a").profiles["client"].organization_id.as_deref(),
        Some("o1")
    );
    events.push(left("o2"));
    assert_eq!(
        user(&after(&events), "a").profiles["client"].organization_id.as_deref(),
        Some("o1")
    );
    events.push(left("o1"));
    assert_eq!(user(&after(&events), "a").profiles["client"].organization_id, None);
    events.push(left("o1"));
    assert_eq!(last_verdict(&events), "ignored not_a_member");
    assert_eq!(last_verdict(&[left("o1")]), "ignored not_a_member");
    assert!(after(&[left("o1")]).users.is_empty());
    assert_eq!(
        last_verdict(&[("deleted", "a", none()), left("o1")]),
        "ignored after_deletion"
    );
    assert_eq!(
        last_verdict(&[("deleted", "a", none()), joined("o1")]),
        "ignored after_deletion"
    );
}

#[test]
fn transitions_follow_the_workflow_and_make_what_is_missing() {
    let moved = |kind: &'static str, name: &str| (kind, "a", json!({ "profile_type": name }));
    let start = ("created", "a", json!({ "profile_types": [] }));
    let mut events = vec![start, moved("archived", "client")];
    assert_eq!(last_verdict(&events), "applied illegal_transition");
    assert_eq!(types(user(&after(&events), "a")), ["client"]);
    events.push(moved("archived", "client"));
    assert_eq!(last_verdict(&events), "ignored illegal_transition");
    assert_eq!(user(&after(&events), "a").version, 2);
    events.push(("activated", "a", none()));
    assert_eq!(last_verdict(&events), "applied");
    assert_eq!(types(user(&after(&events), "a")), ["client", "player"]);
    events.push(moved("archived", "client"));
    assert!(!user(&after(&events), "a").profiles["client"].is_active);
    events.push(moved("reactivated", "client"));
    assert_eq!(user(&after(&events), "a").profiles["client"].status, "active");
    assert_eq!(
        last_verdict(&[moved("activated", "ghost")]),
        "rejected unknown_profile_type"
    );
    assert_eq!(
        last_verdict(&[("deleted", "a", none()), moved("activated", "client")]),
        "ignored after_deletion"
    );
    let from_nothing = [moved("reactivated", "player")];
    assert_eq!(last_verdict(&from_nothing), "applied illegal_transition");
    assert_eq!(types(user(&after(&from_nothing), "a")), ["client", "player", "vendor"]);
}

#[test]
fn protected_users_are_neither_deleted_nor_renamed_from_or_to() {
    let rename = |from: &'static str, to: &str| ("renamed", from, json!({ "new_user_id": to }));
    for event in [
        ("deleted", "administrator", none()),
        rename("ADMINISTRATOR", "a"),
        rename("a", "administrator"),
        ("renamed", "Administrator", json!({ "new_email": "a@x.example" })),
    ] {
        assert_eq!(
            last_verdict(std::slice::from_ref(&event)),
            "rejected protected_user",
            "{event:?}"
        );
        assert_eq!(
            last_verdict(&[("created", "Administrator", none()), event]),
            "rejected protected_user"
        );
    }
    assert_eq!(last_verdict(&[("updated", "Administrator", none())]), "applied");
}

#[test]
fn bad_fields_are_dropped_and_marked_until_a_good_value_comes() {
    let bad = json!({ "email": "none", "email_verified": true, "phone": "1".repeat(65), "first_name": 7 });
    let world = after(&[
        ("created", "a", json!({ "email": "a@x.example" })),
        ("updated", "a", bad),
        ("updated", "a", json!({ "phone": "1", "first_name": null })),
    ]);
    let a = user(&world, "a");
    assert_eq!((a.fields.len(), &a.fields["email"]), (2, &json!("a@x.example")));
    assert_eq!(a.degraded.iter().collect::<Vec<_>>(), ["email"]);
}

#[test]
fn an_address_and_its_flag_are_one_unit() {
    let flag = |events: &[(&str, &str, Value)]| user(&after(events), "a").fields.get("email_verified").cloned();
    let known = (
        "created",
        "a",
        json!({ "email": "a@x.example", "email_verified": true }),
    );
    let then = |data: Value| flag(&[known.clone(), ("updated", "a", data)]);
    assert_eq!(then(json!({ "email": "a@x.example" })), Some(json!(true)));
    assert_eq!(then(json!({ "email": "b@x.example" })), None);
    assert_eq!(
        then(json!({ "email": "b@x.example", "email_verified": false })),
        Some(json!(false))
    );
    assert_eq!(then(json!({ "email": null, "email_verified": true })), None);
    assert_eq!(flag(&[("created", "a", json!({ "email_verified": true }))]), None);
    let bad_new = (
        "renamed",
        "a",
        json!({ "new_user_id": "a", "new_email": "none", "email_verified": false }),
    );
    assert_eq!(flag(&[known.clone(), bad_new]), Some(json!(true)));
}

#[test]
fn display_names_come_from_the_first_present_source() {
    let name = |data: Value| {
        user(&after(&[("created", "a", data)]), "a").profiles["client"]
            .display_name
            .clone()
    };
    let all = json!({ "full_name": "Full", "first_name": "F", "username": "u", "metadata": { "display_name": "M" } });
    assert_eq!(name(all), "Full");
    assert_eq!(
        name(json!({ "full_name": "", "first_name": "F", "last_name": "L", "username": "u" })),
        "F L"
    );
    assert_eq!(
        name(json!({ "metadata": { "display_name": "M" }, "username": "u" })),
        "M"
    );
    assert_eq!(name(json!({ "metadata": { "display_name": 7 }, "username": "u" })), "u");
    assert_eq!(name(none()), "a");
}

#[test]
fn positions_sort_by_instant_sequence_rank_source_and_id() {
    let sorted = ["", "0", "007", "10", "99999999999999999999", "a9", "b"];
    assert!(
        sorted
            .windows(2)
            .all(|pair| Sequence::read(pair[0]) < Sequence::read(pair[1]))
    );
    assert_eq!(Sequence::read("7"), Sequence::read("007"));
    let mut events = told(&[
        ("updated", "a", json!({ "phone": "1" })),
        ("deleted", "a", none()),
        ("created", "a", none()),
    ]);
    for event in &mut events {
        event["time"] = json!("2026-01-01T01:00:00.000000001+01:00");
    }
    let world = fold(&events, &plain());
    assert_eq!(
        (0..3).map(|number| verdict(&world, number)).collect::<Vec<_>>(),
        ["applied"; 3]
    );
    assert_eq!(world.tombstones.len(), 1);
    events[1]["time"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(keys(&fold(&events, &plain())), ["a"]);
}
