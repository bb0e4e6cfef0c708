//! What a rebuild does to rows as they really are: the worker's columns are set right, the application's stay.

use super::*;
use crate::domain::repair::{adopt, repair};
use crate::domain::rows::{customer_rows, profile_rows};
use uuid::Uuid;

const STORY: [&str; 3] = [
    "created ada email=a@x username=u first_name=F last_name=L full_name=N phone=1 external_id=X org=O \
     metadata={\"plan\":7} !metadata profiles=client,partner",
    "joined ada org=acme name=Acme",
    "joined ada org=book",
];

/// Makes a row other than it should be.
type Spoil<'a, Row> = &'a dyn Fn(&mut Row);

/// One attribute of the application, one that follows the metadata.
fn synchronising() -> Policy {
    let mut policy = policy();
    policy.profiles[0].attributes.insert("tier".to_owned(), json!("free"));
    policy.profiles[0].synchronised = vec!["plan".to_owned()];
    policy
}

/// The world of a story, its rows named.
fn named(policy: &Policy, texts: &[&str]) -> World {
    let mut world = world(policy, texts);
    let mut minted = 0;
    name_rows(&mut world, &mut || {
        minted += 1;
        Uuid::from_u128(minted)
    });
    world
}

/// The rows as a database gives them: all attributes in one.
fn actual(world: &World) -> Actual {
    let profiles = profile_rows(world).map(|mut row| {
        row.attributes.extend(std::mem::take(&mut row.synchronised));
        ActualProfile { row, odd: 0 }
    });
    Actual {
        profiles: profiles.collect(),
        customers: customer_rows(world).collect(),
    }
}

/// What is done to the rows as they are, whatever was thought to be necessary before.
fn repaired(policy: &Policy, actual: &Actual, new: &World, foreign: &[Uuid]) -> Difference {
    let mut empty = Storage::of(policy, &[]);
    let mut difference = empty.difference(&mut new.clone());
    difference.keys.clear();
    difference.departed.clear();
    difference.gone_profiles.push(Uuid::from_u128(99));
    difference.gone_customers.push(Uuid::from_u128(99));
    repair(&mut difference, actual, new, policy, &foreign.iter().copied().collect());
    difference
}

fn named_bits<'a>(names: &'a [&'static str], changed: u32) -> Vec<&'a str> {
    let names = names.iter().enumerate();
    names
        .filter(|(bit, _)| changed & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect()
}

#[test]
fn rows_that_are_right_are_left_alone() {
    let policy = synchronising();
    let world = named(&policy, &STORY);
    assert_eq!(repaired(&policy, &actual(&world), &world, &[]), Difference::default());
}

#[test]
fn each_column_of_a_profile_is_set_right_and_no_other() {
    let policy = synchronising();
    let world = named(&policy, &STORY);
    let text = || Some("odd".to_owned());
    let spoil: [(&str, Spoil<'_, ProfileRow>); 18] = [
        ("user_id", &|row| row.user_id = "odd".to_owned()),
        ("status", &|row| row.status = Status::Archived),
        ("is_active", &|row| row.is_active = !row.is_active),
        ("display_name", &|row| row.display_name = "odd".to_owned()),
        ("email", &|row| row.email = text()),
        ("username", &|row| row.username = text()),
        ("first_name", &|row| row.first_name = text()),
        ("last_name", &|row| row.last_name = text()),
        ("full_name", &|row| row.full_name = text()),
        ("phone", &|row| row.phone = text()),
        ("external_id", &|row| row.external_id = None),
        ("organization_id", &|row| row.organization_id = text()),
        ("customer_id", &|row| row.customer_id = Some(Uuid::nil())),
        ("degraded", &|row| row.degraded = Vec::new()),
        ("created_via", &|row| row.created_via = "backfill"),
        ("created_at", &|row| row.created_at += 1),
        ("updated_at", &|row| row.updated_at += 1),
        ("version", &|row| row.version += 1),
    ];
    for (column, spoil) in spoil {
        let mut actual = actual(&world);
        let right = actual.profiles[1].row.clone();
        spoil(&mut actual.profiles[1].row);
        let Difference { profiles, .. } = repaired(&policy, &actual, &world, &[]);
        let [change] = profiles.as_slice() else {
            panic!("{column}: one row is changed, not {profiles:?}")
        };
        assert_eq!(named_bits(&PROFILE_COLUMNS, change.changed), [column]);
        assert_eq!(change.row, right);
        assert_eq!(change.old_user_id, actual.profiles[1].row.user_id);
        assert!(change.set.is_empty() && change.unset.is_empty() && !change.old_departed);
    }
    let mut departed = actual(&world);
    departed.profiles[1].row.deleted_at = Some(1);
    let back = repaired(&policy, &departed, &world, &[]).profiles.remove(0);
    assert_eq!(named_bits(&PROFILE_COLUMNS, back.changed), ["user_id", "deleted_at"]);
    assert!(back.old_departed);
}

#[test]
fn each_column_of_a_customer_is_set_right_and_no_other() {
    let world = named(&policy(), &STORY);
    let spoil: [(&[&str], Spoil<'_, CustomerRow>); 7] = [
        (&["user_id"], &|row| row.user_id = "odd".to_owned()),
        (&["profile_id"], &|row| row.profile_id = None),
        (&["name"], &|row| row.name = None),
        (&["email"], &|row| row.email = None),
        (&["created_at"], &|row| row.created_at += 1),
        (&["updated_at"], &|row| row.updated_at += 1),
        (&["user_id", "deleted_at"], &|row| row.deleted_at = Some(1)),
    ];
    for (columns, spoil) in spoil {
        let mut actual = actual(&world);
        let right = actual.customers[0].clone();
        spoil(&mut actual.customers[0]);
        let Difference { customers, .. } = repaired(&policy(), &actual, &world, &[]);
        let [change] = customers.as_slice() else {
            panic!("{columns:?}: one row is changed, not {customers:?}")
        };
        assert_eq!(named_bits(&CUSTOMER_COLUMNS, change.changed), columns);
        assert_eq!(change.row, right);
        assert_eq!(change.old_user_id, actual.customers[0].user_id);
        assert_eq!(change.old_departed, columns.contains(&"deleted_at"));
    }
}

#[test]
fn attributes_of_the_application_stay_and_those_that_follow_the_metadata_are_set_right() {
    let policy = synchronising();
    let with = named(&policy, &STORY);
    let without = named(&policy, &["created ada profiles=client,partner"]);
    for (world, stored, set, unset) in [
        (&with, json!({"tier": "gold", "plan": 7, "own": 1}), json!({}), &[][..]),
        (&with, json!({"plan": 8}), json!({"plan": 7}), &[]),
        (&with, json!({}), json!({"plan": 7}), &[]),
        (&without, json!({"tier": "gold"}), json!({}), &[]),
        (&without, json!({"plan": 8, "own": 1}), json!({}), &["plan"]),
    ] {
        let mut actual = actual(world);
        actual.profiles[0].row.attributes = serde_json::from_value(stored.clone()).expect("an object");
        // The other type has no attribute that follows anything: whatever is there belongs to the application.
        actual.profiles[1].row.attributes.insert("plan".to_owned(), json!(1));
        let changes = repaired(&policy, &actual, world, &[]).profiles;
        let done: Vec<_> = changes
            .iter()
            .map(|change| (json!(change.set), &change.unset[..]))
            .collect();
        let needed = set != json!({}) || !unset.is_empty();
        let expected = needed.then(|| (set, unset.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()));
        assert_eq!(
            done,
            expected
                .iter()
                .map(|(set, unset)| (set.clone(), &unset[..]))
                .collect::<Vec<_>>(),
            "{stored}"
        );
        assert!(changes.iter().all(|change| change.changed == 0), "{stored}");
    }
}

#[test]
fn a_display_name_that_is_the_applications_stays() {
    for (owner, columns) in [
        (DisplayOwner::Worker, &["display_name", "phone"][..]),
        (DisplayOwner::Application, &["phone"]),
    ] {
        let mut policy = policy();
        policy.profiles[0].display_owner = owner;
        let world = named(&policy, &STORY);
        let mut actual = actual(&world);
        actual.profiles[0].row.display_name = "Countess".to_owned();
        actual.profiles[0].row.phone = None;
        let change = repaired(&policy, &actual, &world, &[]).profiles.remove(0);
        assert_eq!(named_bits(&PROFILE_COLUMNS, change.changed), columns, "{owner:?}");
    }
}

#[test]
fn columns_that_hold_what_no_fold_would_write_are_written_again() {
    let world = named(&policy(), &STORY);
    let mut actual = actual(&world);
    actual.profiles[0].odd = 0b110;
    actual.profiles[0].row.status = Status::Archived;
    actual.profiles[1].odd = 0b1;
    let changes = repaired(&policy(), &actual, &world, &[]).profiles;
    let columns: Vec<_> = changes
        .iter()
        .map(|change| named_bits(&PROFILE_COLUMNS, change.changed))
        .collect();
    assert_eq!(columns, [&["status", "is_active"][..], &["user_id"]]);
}

#[test]
fn what_is_missing_is_made_and_what_should_not_be_there_goes() {
    let world = named(&policy(), &STORY);
    let right = actual(&world);
    let nothing = repaired(&policy(), &Actual::default(), &world, &[]);
    assert_eq!(nothing.new_profiles, profile_rows(&world).collect::<Vec<_>>());
    assert_eq!(nothing.new_customers, right.customers);
    let ids = |rows: &[ActualProfile]| rows.iter().map(|profile| profile.row.profile_id).collect::<Vec<_>>();
    let all = repaired(&policy(), &right, &World::default(), &[]);
    assert_eq!(all.gone_profiles, ids(&right.profiles));
    let lost = all.lost_profiles.iter().map(|row| row.profile_id);
    assert_eq!(lost.collect::<Vec<_>>(), all.gone_profiles);
    assert_eq!(
        all.gone_customers,
        right.customers.iter().map(|row| row.customer_id).collect::<Vec<_>>()
    );
    // A row says what it is for: one that was made into another's is not that row any more.
    let mut other = actual(&world);
    other.profiles[0].row.profile_type = "guest".to_owned();
    other.customers[0].organization_id = "other".to_owned();
    let again = repaired(&policy(), &other, &world, &[]);
    let made: Vec<_> = again.new_profiles.iter().map(|row| row.profile_type.as_str()).collect();
    assert_eq!((made, again.gone_profiles), (vec!["client"], ids(&right.profiles[..1])));
    let made: Vec<_> = again
        .new_customers
        .iter()
        .map(|row| row.organization_id.as_str())
        .collect();
    assert_eq!(
        (made, again.gone_customers),
        (vec!["acme"], vec![right.customers[0].customer_id])
    );
}

#[test]
fn rows_of_people_elsewhere_step_aside() {
    let world = named(&policy(), &STORY);
    let mut actual = actual(&named(&policy(), &["created zoe", "joined zoe org=acme"]));
    let (profile, customer) = (Uuid::from_u128(101), Uuid::from_u128(102));
    (actual.profiles[0].row.profile_id, actual.customers[0].customer_id) = (profile, customer);
    for departed in [None, Some(1)] {
        actual.profiles[0].row.deleted_at = departed;
        let aside = repaired(&policy(), &actual, &world, &[profile, customer]);
        assert!(aside.gone_profiles.is_empty() && aside.gone_customers.is_empty());
        let [change] = aside.profiles.as_slice() else {
            panic!("one row steps aside: {:?}", aside.profiles)
        };
        assert_eq!(
            (change.row.profile_id, change.row.user_id.clone()),
            (profile, format!("zoe {profile}"))
        );
        assert_eq!(
            (change.old_user_id.as_str(), change.old_departed),
            ("zoe", departed.is_some())
        );
        assert_eq!(named_bits(&PROFILE_COLUMNS, change.changed), ["user_id"]);
        let [change] = aside.customers.as_slice() else {
            panic!("one row steps aside: {:?}", aside.customers)
        };
        assert_eq!(
            (change.row.customer_id, change.row.user_id.clone()),
            (customer, format!("zoe {customer}"))
        );
        assert_eq!(named_bits(&CUSTOMER_COLUMNS, change.changed), ["user_id"]);
    }
}

/// The row of ada's client profile and of her membership of acme, after the rows as they are were taken over.
fn adopted(texts: &[&str], change: impl FnOnce(&mut Actual)) -> (Uuid, Uuid) {
    let mut world = named(&policy(), texts);
    let mut actual = actual(&world);
    change(&mut actual);
    adopt(&mut world, &actual);
    let ada = world
        .persons
        .values()
        .find(|person| person.key == "ada")
        .expect("ada is there");
    let rows = (ada.profiles["client"].row, ada.customers["acme"].row);
    (rows.0.expect("a row"), rows.1.expect("a row"))
}

#[test]
fn rows_that_were_removed_and_made_again_are_taken_for_what_they_stand_for() {
    const MEMBER: [&str; 3] = ["created ada", "joined ada org=acme", "created zoe"];
    let own = adopted(&MEMBER, |_| ());
    let new = (Uuid::from_u128(101), Uuid::from_u128(102));
    let again = |actual: &mut Actual| {
        (actual.profiles[0].row.profile_id, actual.customers[0].customer_id) = new;
    };
    assert_eq!(adopted(&MEMBER, again), new);
    // Beside a row that is still there, a second one is not looked at.
    let beside = |actual: &mut Actual| {
        let mut second = Actual {
            profiles: actual.profiles.clone(),
            customers: actual.customers.clone(),
        };
        again(&mut second);
        actual.profiles.extend(second.profiles);
        actual.customers.extend(second.customers);
    };
    assert_eq!(adopted(&MEMBER, beside), own);
    // Neither one of a departed person, nor one that stands for something else, nor one that is another's.
    let departed = |actual: &mut Actual| {
        again(actual);
        (actual.profiles[0].row.deleted_at, actual.customers[0].deleted_at) = (Some(1), Some(1));
    };
    assert_eq!(adopted(&MEMBER, departed), own);
    let of_others = |actual: &mut Actual| {
        again(actual);
        actual.profiles[0].row.user_id = "ben".to_owned();
        actual.customers[0].user_id = "ben".to_owned();
    };
    assert_eq!(adopted(&MEMBER, of_others), own);
    let for_something_else = |actual: &mut Actual| {
        again(actual);
        actual.profiles[0].row.profile_type = "guest".to_owned();
        actual.customers[0].organization_id = "book".to_owned();
    };
    assert_eq!(adopted(&MEMBER, for_something_else), own);
    let both = &[
        "created ada",
        "joined ada org=acme",
        "created zoe",
        "joined zoe org=acme",
    ];
    let taken = |actual: &mut Actual| {
        // The rows of zoe stand under ada now, and hers are gone.
        actual.profiles.remove(0);
        actual.customers.remove(0);
        actual.profiles[0].row.user_id = "ada".to_owned();
        actual.customers[0].user_id = "ada".to_owned();
    };
    assert_eq!(adopted(both, taken), adopted(both, |_| ()));
}

#[test]
fn a_departed_person_takes_nothing_over() {
    let archive = Policy {
        on_delete: OnDelete::Archive,
        ..policy()
    };
    let mut world = named(&archive, &["created ada", "joined ada org=acme", "deleted ada"]);
    let mut actual = actual(&world);
    (actual.profiles[0].row.profile_id, actual.customers[0].customer_id) = (Uuid::from_u128(101), Uuid::from_u128(102));
    (actual.profiles[0].row.deleted_at, actual.customers[0].deleted_at) = (None, None);
    let before = world.clone();
    adopt(&mut world, &actual);
    assert_eq!(world, before);
}
