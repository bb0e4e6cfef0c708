use serde_json::json;

use super::*;
use crate::domain::{CreateOn, DisplayOwner, OnDelete, PROFILE_COLUMNS, ProfileChange, ProfileRule, Status};

fn row(user: &str, status: Status) -> ProfileRow {
    ProfileRow {
        profile_id: Uuid::from_u128(7),
        user_id: user.to_owned(),
        profile_type: "client".to_owned(),
        status,
        is_active: status != Status::Archived,
        display_name: user.to_owned(),
        email: None,
        username: None,
        first_name: None,
        last_name: None,
        full_name: None,
        phone: None,
        external_id: None,
        organization_id: None,
        customer_id: None,
        linked_customer: None,
        degraded: Vec::new(),
        created_via: "event",
        created_at: 0,
        updated_at: 1,
        version: 2,
        deleted_at: None,
        attributes: Map::new(),
        synchronised: Map::new(),
    }
}

fn change(columns: &[&str], old_user: &str, old_status: Status, row: ProfileRow) -> ProfileChange {
    let bit = |name: &&str| {
        PROFILE_COLUMNS
            .iter()
            .position(|column| column == name)
            .expect("a column")
    };
    ProfileChange {
        changed: columns.iter().fold(0, |bits, name| bits | 1 << bit(name)),
        old_user_id: old_user.to_owned(),
        old_departed: false,
        old_status,
        old_display_name: row.display_name.clone(),
        keeps_edited_name: false,
        row,
        unset: Vec::new(),
        set: Map::new(),
    }
}

fn policy() -> Policy {
    Policy {
        protected: Vec::new(),
        profiles: vec![ProfileRule {
            name: "client".to_owned(),
            initial: Status::Draft,
            create_on: CreateOn::Creation,
            activation_creates: Vec::new(),
            requires: Vec::new(),
            attributes: Map::new(),
            backfill_attributes: Map::new(),
            synchronised: Vec::new(),
            display_name: vec!["user_id".to_owned()],
            display_owner: DisplayOwner::Worker,
        }],
        customer_type: "client".to_owned(),
        on_delete: OnDelete::Delete,
        key_is_email: false,
        sources: Vec::new(),
        lookup: None,
    }
}

fn said(difference: &Difference) -> Vec<(String, Value)> {
    let announcer = Announcer {
        source: "rollcall".to_owned(),
    };
    let mark = Mark::of_events([("idp", "1")].into_iter());
    announcer
        .announce(difference, &policy(), mark, OffsetDateTime::UNIX_EPOCH)
        .into_iter()
        .map(|said| (said.subject, serde_json::from_slice(&said.payload).expect("JSON")))
        .collect()
}

fn kinds_of(changes: Vec<ProfileChange>) -> Vec<String> {
    let difference = Difference {
        profiles: changes,
        ..Difference::default()
    };
    said(&difference).into_iter().map(|(subject, _)| subject).collect()
}

#[test]
fn each_change_is_told_by_what_it_is() {
    let draft = |columns: &[&str]| change(columns, "ada", Status::Draft, row("ada", Status::Draft));
    assert_eq!(kinds_of(vec![draft(&["email", "version"])]), ["profile.updated"]);
    assert!(
        kinds_of(vec![draft(&["updated_at", "version"])]).is_empty(),
        "bookkeeping"
    );
    let renamed = change(&["user_id"], "ada", Status::Draft, row("countess", Status::Draft));
    assert_eq!(kinds_of(vec![renamed]), ["profile.renamed"]);
    let both = change(
        &["user_id", "status"],
        "ada",
        Status::Draft,
        row("countess", Status::Active),
    );
    assert_eq!(kinds_of(vec![both]), ["profile.renamed", "profile.activated"]);
    let archived = change(
        &["status", "is_active"],
        "ada",
        Status::Active,
        row("ada", Status::Archived),
    );
    assert_eq!(kinds_of(vec![archived]), ["profile.archived"]);
    let undone = change(&["status"], "ada", Status::Active, row("ada", Status::Draft));
    assert_eq!(kinds_of(vec![undone]), ["profile.updated"]);
    let mut synchronised = draft(&[]);
    synchronised.unset.push("locale".to_owned());
    assert_eq!(kinds_of(vec![synchronised]), ["profile.updated"]);
}

#[test]
fn departing_and_coming_back_are_deletion_and_creation() {
    let mut gone = row("ada", Status::Draft);
    gone.deleted_at = Some(5);
    let departs = change(&["deleted_at", "user_id"], "ada", Status::Draft, gone.clone());
    assert_eq!(kinds_of(vec![departs]), ["profile.deleted"]);
    let mut back = change(
        &["deleted_at", "user_id"],
        "ada",
        Status::Draft,
        row("ada", Status::Draft),
    );
    back.old_departed = true;
    assert_eq!(kinds_of(vec![back]), ["profile.created"]);
    let mut still = change(&["email"], "ada", Status::Draft, gone);
    still.old_departed = true;
    assert!(kinds_of(vec![still]).is_empty());
}

#[test]
fn rows_that_step_aside_are_nobodys_business() {
    let aside = format!("ada {}", Uuid::from_u128(7));
    let aside = change(&["user_id"], "ada", Status::Draft, row(&aside, Status::Draft));
    assert!(kinds_of(vec![aside]).is_empty());
}

#[test]
fn what_is_made_and_activated_at_once_is_told_twice_and_keys_go_before_they_come() {
    let difference = Difference {
        lost_profiles: vec![row("ada", Status::Archived)],
        new_profiles: vec![row("ada", Status::Active), row("ben", Status::Draft)],
        ..Difference::default()
    };
    let said = said(&difference);
    let kinds: Vec<&str> = said.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "profile.deleted",
            "profile.created",
            "profile.activated",
            "profile.created"
        ]
    );
    assert_eq!(said[2].1["old_status"], json!("draft"));
    assert_eq!(said[0].1["status"], json!("archived"), "as it was");
}

#[test]
fn ids_are_those_of_change_and_batch() {
    let difference = Difference {
        new_profiles: vec![row("ada", Status::Draft)],
        ..Difference::default()
    };
    let announcer = Announcer {
        source: "rollcall".to_owned(),
    };
    let id = |ids: &[&str], seconds: i64| {
        let mark = Mark::of_events(ids.iter().map(|id| ("idp", *id)));
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        announcer.announce(&difference, &policy(), mark, now)[0]
            .message_id
            .clone()
    };
    assert_eq!(id(&["1"], 1), id(&["1"], 2), "tried again");
    assert_ne!(id(&["1"], 1), id(&["2"], 1), "another batch");
    assert_ne!(id(&["1", "2"], 1), id(&["12"], 1));
}

#[test]
fn values_of_headers_are_percent_encoded() {
    for (text, expected) in [
        ("ada@example.com", "ada@example.com"),
        ("Zoë 100%", "Zo%C3%AB%20100%25"),
        ("a\"b\n", "a%22b%0A"),
    ] {
        assert_eq!(percent_encoded(text), expected);
    }
}
