//! What the data of each type says.

use super::*;
use serde_json::json;

const EVERYTHING: &str = r#"{"user_id":"u-1","email":"ada@example.com","email_verified":false,"username":"ada","first_name":"Ada",
    "last_name":"Lovelace","full_name":"Ada Lovelace","phone":"+44 20 7946 0000","external_id":"x-1","active":false,
    "organization_id":"acme","profile_types":["client"],"metadata":{"display_name":"Ada"},"new_user_id":"u-2","shoe_size":38}"#;

const NOTHING: &str = r#"{"user_id":"u-1","email":null,"email_verified":null,"username":null,"first_name":null,
    "last_name":null,"full_name":null,"phone":null,"external_id":null,"active":null,"organization_id":null,
    "profile_types":null,"metadata":null,"new_user_id":"u-2"}"#;

#[test]
fn every_field_of_created_updated_and_renamed_is_read() {
    let expected = Patch {
        email: set("ada@example.com"),
        email_verified: Change::Set(false),
        username: set("ada"),
        first_name: set("Ada"),
        last_name: set("Lovelace"),
        full_name: set("Ada Lovelace"),
        phone: set("+44 20 7946 0000"),
        external_id: set("x-1"),
        active: Change::Set(false),
        organization_id: set("acme"),
        profile_types: Some(vec!["client".to_owned()]),
        metadata: Change::Set(json!({"display_name": "Ada"}).as_object().cloned().unwrap_or_default()),
    };
    for kind in ["user.created", "user.updated", "user.renamed"] {
        let envelope = bare(kind, EVERYTHING).accepted();
        assert_eq!(patch(&envelope), &expected, "{kind}");
        assert_eq!(dropped(&envelope), [""; 0]);
        assert_eq!(envelope.event.key, "u-1");
        assert_eq!(envelope.user_id, "u-1");
    }
}

#[test]
fn null_is_absent_in_created_and_clears_in_updated_and_renamed() {
    let cleared = Patch {
        email: Change::Clear,
        email_verified: Change::Clear,
        username: Change::Clear,
        first_name: Change::Clear,
        last_name: Change::Clear,
        full_name: Change::Clear,
        phone: Change::Clear,
        external_id: Change::Clear,
        active: Change::Clear,
        organization_id: Change::Clear,
        profile_types: None,
        metadata: Change::Clear,
    };
    for (kind, expected) in [
        ("user.created", &Patch::default()),
        ("user.updated", &cleared),
        ("user.renamed", &cleared),
    ] {
        let envelope = bare(kind, NOTHING).accepted();
        assert_eq!(patch(&envelope), expected, "{kind}");
        assert_eq!(dropped(&envelope), [""; 0]);
    }
}

#[test]
fn absent_fields_say_nothing() {
    for kind in ["user.created", "user.updated"] {
        assert_eq!(
            patch(&bare(kind, r#"{"user_id":"u-1"}"#).accepted()),
            &Patch::default(),
            "{kind}"
        );
    }
}

#[test]
fn the_other_types_read_their_own_fields_only() {
    let data = r#"{"user_id":"u-1","organization_id":"acme","customer_name":"Acme Ltd","profile_type":"partner",
        "new_user_id":17,"active":"yes","email":17,"metadata":[]}"#;
    let organization_id = || "acme".to_owned();
    let profile_type = || Some("partner".to_owned());
    for (kind, body) in [
        ("user.deleted", Body::Deleted),
        (
            "user.joined",
            Body::Joined {
                organization_id: organization_id(),
                customer_name: Some("Acme Ltd".to_owned()),
            },
        ),
        (
            "user.left",
            Body::Left {
                organization_id: organization_id(),
            },
        ),
        (
            "user.activated",
            Body::Activated {
                profile_type: profile_type(),
            },
        ),
        (
            "user.archived",
            Body::Archived {
                profile_type: profile_type(),
            },
        ),
        (
            "user.reactivated",
            Body::Reactivated {
                profile_type: profile_type(),
            },
        ),
    ] {
        let envelope = bare(kind, data).accepted();
        assert_eq!(envelope.event.body, body, "{kind}");
        assert_eq!(dropped(&envelope), [""; 0], "{kind}");
        assert_eq!(envelope.data, data);
    }
}

#[test]
fn a_transition_without_a_profile_type_means_the_default() {
    for data in [r#"{"user_id":"u-1"}"#, r#"{"user_id":"u-1","profile_type":null}"#] {
        assert_eq!(
            bare("user.activated", data).accepted().event.body,
            Body::Activated { profile_type: None }
        );
        assert_eq!(
            bare("user.archived", data).accepted().event.body,
            Body::Archived { profile_type: None }
        );
        assert_eq!(
            bare("user.reactivated", data).accepted().event.body,
            Body::Reactivated { profile_type: None }
        );
    }
}

#[test]
fn keys_compare_exactly() {
    for key in [
        "u-1",
        "U-1",
        " u-1",
        "u-1 ",
        "é",
        "e\u{301}",
        "ada@example.com",
        "Ada@Example.com",
        "🙂",
    ] {
        let envelope = bare("user.deleted", format!(r#"{{"user_id":"{key}"}}"#)).accepted();
        assert_eq!((envelope.event.key.as_str(), envelope.user_id.as_str()), (key, key));
    }
}

#[test]
fn a_source_with_a_prefix_has_keys_of_its_own() {
    let intake = Intake {
        key_prefixes: vec![
            ("https://hr.example.com".to_owned(), "hr:".to_owned()),
            ("https://id.example.com".to_owned(), "id:".to_owned()),
        ],
        ..intake()
    };
    let data = r#"{"user_id":"u-1","new_user_id":"u-2"}"#;
    let envelope = binary("user.renamed", data).decode_with(&intake).expect("good");
    assert_eq!(envelope.event.key, "id:u-1");
    assert_eq!(envelope.event.new_key(), Some("id:u-2"));
    assert_eq!(envelope.user_id, "u-1", "the ledger says what the event said");
    let other = bare("user.renamed", data).decode_with(&intake).expect("good");
    assert_eq!((other.event.key.as_str(), other.event.new_key()), ("u-1", Some("u-2")));
}

#[test]
fn a_key_that_is_an_address_is_lower_cased() {
    let intake = Intake {
        user_id_is_email: true,
        ..intake()
    };
    let data = r#"{"user_id":"Ada@Example.COM","new_user_id":"ZOË@Example.com","email":"Ada@Example.com"}"#;
    let envelope = bare("user.renamed", data).decode_with(&intake).expect("good");
    assert_eq!(envelope.event.key, "ada@example.com");
    assert_eq!(envelope.event.new_key(), Some("zoë@example.com"));
    assert_eq!(envelope.user_id, "Ada@Example.COM");
    assert_eq!(
        patch(&envelope).email,
        set("Ada@Example.com"),
        "an address is kept as it was written"
    );
    let exact = bare("user.renamed", data).accepted();
    assert_eq!(exact.event.key, "Ada@Example.COM");
}
