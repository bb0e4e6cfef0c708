//! Scenes that every year has at some point: what real providers do, and what a worker must get right.

use serde_json::{Value, json};

use super::event::Source::{Hr, Shop};
use super::year::{Scene, Year};

pub(crate) const ALL: [Scene; 23] = [
    rename_chain,
    rename_chain,
    there_and_back,
    mixed_up,
    mixed_up,
    newcomer_at_old_key,
    newcomer_at_old_key,
    returns_after_deletion,
    late_news_of_the_deleted,
    attempt_on_administrator,
    guest_is_somebody_known,
    guest_is_somebody_known,
    guest_signs_up,
    stranger,
    key_is_taken,
    deleted_before_anything,
    already_renamed,
    out_of_turn,
    was_no_member,
    no_such_profile,
    odd_values,
    without_profile,
    backwards,
];

/// Married, divorced, married again.
fn rename_chain(year: &mut Year) {
    let mut key = year.volunteer();
    for step in 1..=3 {
        let new = format!("{key}-{step}");
        year.on_stage(&new);
        year.happen(
            Hr,
            "renamed",
            json!({"user_id": key, "new_user_id": new, "new_email": format!("{new}@example.com")}),
        );
        key = new;
    }
}

fn there_and_back(year: &mut Year) {
    let key = year.volunteer();
    let other = format!("{key}.old");
    year.happen(Hr, "renamed", json!({"user_id": key, "new_user_id": other}));
    year.happen(Hr, "renamed", json!({"user_id": other, "new_user_id": key}));
}

/// Two people got each other's key and swap them through a third.
fn mixed_up(year: &mut Year) {
    let (one, two) = (year.volunteer(), year.volunteer());
    let between = format!("{one}-swap");
    for (from, to) in [(&one, &between), (&two, &one), (&between, &two)] {
        year.happen(Hr, "renamed", json!({"user_id": from, "new_user_id": to}));
    }
}

fn newcomer_at_old_key(year: &mut Year) {
    let key = year.volunteer();
    let new = format!("{key}-bauer");
    year.on_stage(&new);
    year.happen(Hr, "renamed", json!({"user_id": key, "new_user_id": new}));
    year.happen(Shop, "updated", json!({"user_id": key, "phone": "+49 40 5550 777"}));
    year.happen(
        Hr,
        "created",
        json!({"user_id": key, "email": format!("{key}.two@example.com"), "full_name": "A Namesake"}),
    );
    year.happen(
        Shop,
        "joined",
        json!({"user_id": key, "organization_id": "sunday-press"}),
    );
    year.happen(Hr, "activated", json!({"user_id": new}));
}

/// Whoever is created at the key of somebody deleted is another person.
fn returns_after_deletion(year: &mut Year) {
    let key = year.volunteer();
    year.happen(Hr, "deleted", json!({"user_id": key}));
    year.happen(
        Hr,
        "created",
        json!({"user_id": key, "email": format!("{key}.again@example.com"), "username": key}),
    );
    year.happen(Hr, "activated", json!({"user_id": key}));
}

fn late_news_of_the_deleted(year: &mut Year) {
    let (key, other) = (year.volunteer(), year.volunteer());
    let moved = format!("{other}-gone");
    year.happen(Hr, "renamed", json!({"user_id": other, "new_user_id": moved}));
    for gone in [&key, &moved] {
        year.happen(Hr, "deleted", json!({"user_id": gone}));
    }
    year.happen(Shop, "updated", json!({"user_id": key, "phone": "+49 40 5550 404"}));
    year.happen(
        Shop,
        "joined",
        json!({"user_id": other, "organization_id": "paper-moon"}),
    );
    year.happen(
        Shop,
        "renamed",
        json!({"user_id": key, "new_user_id": format!("{key}-late")}),
    );
    year.happen(Shop, "deleted", json!({"user_id": other}));
}

fn attempt_on_administrator(year: &mut Year) {
    year.happen(Shop, "deleted", json!({"user_id": "Administrator"}));
    year.happen(
        Hr,
        "updated",
        json!({"user_id": "Administrator", "phone": "+49 40 5550 000"}),
    );
}

/// A guest checked out before logging in; the shop finds out that it was somebody it knows.
fn guest_is_somebody_known(year: &mut Year) {
    let known = year.volunteer();
    let guest = format!("guest-of-{known}");
    year.on_stage(&guest);
    let data = json!({"user_id": guest, "organization_id": "green-kettle", "customer_name": "Green Kettle Tea"});
    year.happen(Shop, "joined", data);
    year.happen(
        Shop,
        "updated",
        json!({"user_id": guest, "email": "guest@example.net", "phone": "+49 40 5550 300"}),
    );
    year.happen(
        Shop,
        "renamed",
        json!({"user_id": guest, "new_user_id": known, "external_id": "crm-00300"}),
    );
    year.happen(Shop, "activated", json!({"user_id": guest}));
}

/// The shop knows a guest under two keys before `hr` creates the account, under the older of the two.
fn guest_signs_up(year: &mut Year) {
    let (key, mut data) = year.newcomer_on_stage();
    let guest = format!("guest-{key}");
    year.on_stage(&guest);
    year.happen(Shop, "updated", json!({"user_id": guest, "phone": "+49 40 5550 200"}));
    year.happen(Shop, "renamed", json!({"user_id": guest, "new_user_id": key}));
    data.insert("user_id".into(), json!(guest));
    year.happen(Hr, "created", Value::Object(data));
}

/// Known to the shop only: whoever it is never gets an account.
fn stranger(year: &mut Year) {
    for key in ["stranger-1", "stranger-2", "stranger-3"] {
        year.on_stage(key);
    }
    year.happen(
        Shop,
        "joined",
        json!({"user_id": "stranger-1", "organization_id": "salt-marsh"}),
    );
    year.happen(Shop, "archived", json!({"user_id": "stranger-2"}));
    year.happen(
        Shop,
        "renamed",
        json!({"user_id": "stranger-0", "new_user_id": "stranger-3", "new_email": "s3@example.net"}),
    );
    year.happen(Shop, "updated", json!({"user_id": "stranger-0", "username": "three"}));
}

fn key_is_taken(year: &mut Year) {
    let (one, two) = (year.volunteer(), year.volunteer());
    year.happen(
        Hr,
        "renamed",
        json!({"user_id": one, "new_user_id": two, "full_name": "Not To Be"}),
    );
}

fn deleted_before_anything(year: &mut Year) {
    year.happen(Hr, "deleted", json!({"user_id": "typing.error"}));
    year.happen(Shop, "deleted", json!({"user_id": "typing.error"}));
}

/// The shop tells of a rename from a key that nobody knows to one that is there.
fn already_renamed(year: &mut Year) {
    let key = year.volunteer();
    let unknown = format!("{key}.before");
    year.happen(Shop, "renamed", json!({"user_id": unknown, "new_user_id": key}));
    year.happen(
        Shop,
        "joined",
        json!({"user_id": unknown, "organization_id": "blue-door"}),
    );
}

fn out_of_turn(year: &mut Year) {
    let (key, data) = year.newcomer_on_stage();
    year.happen(Hr, "created", Value::Object(data));
    for kind in ["archived", "reactivated", "activated", "activated"] {
        year.happen(Hr, kind, json!({"user_id": key}));
    }
}

fn was_no_member(year: &mut Year) {
    let key = year.volunteer();
    year.happen(Shop, "left", json!({"user_id": key, "organization_id": "no-such-club"}));
    year.happen(
        Shop,
        "left",
        json!({"user_id": "nobody.at-all", "organization_id": "no-such-club"}),
    );
}

fn no_such_profile(year: &mut Year) {
    let key = year.volunteer();
    year.happen(Shop, "activated", json!({"user_id": key, "profile_type": "supplier"}));
}

/// One bad field costs that field and nothing else; the next good value mends it.
fn odd_values(year: &mut Year) {
    let (key, mut data) = year.newcomer_on_stage();
    data.insert(
        "phone".into(),
        json!("please call the front desk and ask for extension twelve, then wait for the second tone"),
    );
    data.insert("email".into(), json!("none yet"));
    year.happen(Hr, "created", Value::Object(data));
    year.happen(
        Hr,
        "updated",
        json!({"user_id": key, "email": format!("{key}@example.com")}),
    );
}

/// Created without any profile; joining an organization makes the one that a customer needs.
fn without_profile(year: &mut Year) {
    let (key, mut data) = year.newcomer_on_stage();
    data.insert("profile_types".into(), json!([]));
    year.happen(Hr, "created", Value::Object(data));
    let (other, mut data) = year.newcomer_on_stage();
    data.insert("profile_types".into(), json!([]));
    year.happen(Hr, "created", Value::Object(data));
    year.happen(
        Shop,
        "joined",
        json!({"user_id": key, "organization_id": "copper-lane"}),
    );
    year.happen(Hr, "updated", json!({"user_id": other, "active": true}));
}

/// These three arrive in the opposite order.
fn backwards(year: &mut Year) {
    let (key, data) = year.newcomer_on_stage();
    let new = format!("{key}-first");
    year.on_stage(&new);
    let first = year.happenings.len();
    year.happen(Hr, "created", Value::Object(data));
    year.happen(
        Shop,
        "updated",
        json!({"user_id": key, "external_id": "crm-09999", "active": true}),
    );
    year.happen(Hr, "renamed", json!({"user_id": key, "new_user_id": new}));
    year.backwards = Some([first, first + 1, first + 2]);
}
