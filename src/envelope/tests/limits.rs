//! How long a field may be: the longest good value, and the first that is too long.

use super::*;

/// An update in which one field has this value.
fn update(field: &str, value: &str) -> Message {
    bare("user.updated", format!(r#"{{"user_id":"u-1","{field}":{value}}}"#))
}

/// What the patch of an update says of a text field.
fn said<'a>(envelope: &'a Envelope, field: &str) -> &'a Change<String> {
    let patch = patch(envelope);
    match field {
        "email" => &patch.email,
        "username" => &patch.username,
        "first_name" => &patch.first_name,
        "last_name" => &patch.last_name,
        "full_name" => &patch.full_name,
        "phone" => &patch.phone,
        "external_id" => &patch.external_id,
        "organization_id" => &patch.organization_id,
        other => panic!("{other} is no text field"),
    }
}

const TEXTS: [(&str, usize); 7] = [
    ("username", 255),
    ("first_name", 255),
    ("last_name", 255),
    ("full_name", 255),
    ("external_id", 255),
    ("organization_id", 255),
    ("phone", 64),
];

#[test]
fn texts_are_measured_in_scalars() {
    for (field, max) in TEXTS {
        for letter in ["x", "é", "\u{1f600}"] {
            let longest = letter.repeat(max);
            let good = update(field, &format!("\"{longest}\"")).accepted();
            assert_eq!(said(&good, field), &set(&longest), "{field}");
            assert_eq!(dropped(&good), [""; 0], "{field}");
            let bad = update(field, &format!("\"{longest}{letter}\"")).accepted();
            assert_eq!(said(&bad, field), &Change::Keep, "{field}");
            assert_eq!(dropped(&bad), [field]);
        }
    }
}

#[test]
fn empty_texts_are_values() {
    for (field, _) in TEXTS {
        let envelope = update(field, "\"\"").accepted();
        assert_eq!(said(&envelope, field), &set(""), "{field}");
        assert_eq!(dropped(&envelope), [""; 0], "{field}");
    }
}

#[test]
fn values_of_another_type_are_dropped() {
    for (field, _) in TEXTS.into_iter().chain([("email", 320)]) {
        for value in ["17", "1.5", "true", "[]", "{}", r#""a\u0000b""#] {
            let envelope = update(field, value).accepted();
            assert_eq!(said(&envelope, field), &Change::Keep, "{field}: {value}");
            assert_eq!(dropped(&envelope), [field], "{field}: {value}");
        }
    }
    for (field, bad) in [
        ("email_verified", ["\"true\"", "1", "[]"]),
        ("metadata", ["\"x\"", "1", "[]"]),
        ("profile_types", ["\"client\"", "1", "{}"]),
    ] {
        for value in bad {
            let envelope = update(field, value).accepted();
            assert_eq!(dropped(&envelope), [field], "{field}: {value}");
            assert_eq!(patch(&envelope), &Patch::default(), "{field}: {value}");
        }
    }
}

#[test]
fn an_address_has_up_to_320_characters_and_looks_like_one() {
    let local = "é".repeat(308);
    let longest = format!("{local}@example.com");
    assert_eq!(longest.chars().count(), 320);
    for good in [
        longest.as_str(),
        "a@b",
        "Ada.Lovelace+tag@EXAMPLE.com",
        "ada@[127.0.0.1]",
        "zoë@exämple.com",
    ] {
        let envelope = update("email", &format!("\"{good}\"")).accepted();
        assert_eq!(said(&envelope, "email"), &set(good));
        assert_eq!(dropped(&envelope), [""; 0]);
    }
    let long = format!("é{longest}");
    for bad in [
        long.as_str(),
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@c",
        "ada @example.com",
        "ada@exam\\tple.com",
        "@",
    ] {
        let envelope = update("email", &format!("\"{bad}\"")).accepted();
        assert_eq!(said(&envelope, "email"), &Change::Keep, "{bad}");
        assert_eq!(dropped(&envelope), ["email"], "{bad}");
    }
}

#[test]
fn metadata_have_up_to_65536_bytes_of_json() {
    let metadata = |letters: usize| format!(r#"{{"about" : "{}"}}"#, "x".repeat(letters));
    let frame = r#"{"about":""}"#.len();
    let largest = update("metadata", &metadata(65_536 - frame)).accepted();
    assert!(
        matches!(patch(&largest).metadata, Change::Set(_)),
        "white space does not count"
    );
    assert_eq!(dropped(&largest), [""; 0]);
    let larger = update("metadata", &metadata(65_537 - frame)).accepted();
    assert_eq!(patch(&larger).metadata, Change::Keep);
    assert_eq!(dropped(&larger), ["metadata"]);
    let empty = update("metadata", "{}").accepted();
    assert_eq!(patch(&empty).metadata, Change::Set(serde_json::Map::new()));
}

#[test]
fn at_most_64_profile_types_are_named() {
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"t{n}\"")).collect();
        format!("[{}]", names.join(","))
    };
    let most = update("profile_types", &list(64)).accepted();
    assert_eq!(patch(&most).profile_types.as_ref().map(Vec::len), Some(64));
    assert_eq!(dropped(&most), [""; 0]);
    let more = update("profile_types", &list(65)).accepted();
    assert_eq!(patch(&more).profile_types, None);
    assert_eq!(dropped(&more), ["profile_types"]);
}

#[test]
fn required_texts_have_up_to_255_scalars() {
    let longest = "\u{1f600}".repeat(255);
    for (kind, field) in [
        ("user.deleted", "user_id"),
        ("user.joined", "organization_id"),
        ("user.left", "organization_id"),
        ("user.renamed", "new_user_id"),
        ("user.activated", "profile_type"),
        ("user.archived", "profile_type"),
        ("user.reactivated", "profile_type"),
    ] {
        let data = |value: &str| match field {
            "user_id" => format!(r#"{{"user_id":"{value}"}}"#),
            _ => format!(r#"{{"user_id":"u-1","{field}":"{value}"}}"#),
        };
        bare(kind, data(&longest)).accepted();
        let refused = bare(kind, data(&format!("{longest}x"))).refused();
        assert!(
            refused.contains(&format!("data.{field} must be a string of 1 to 255 characters")),
            "{refused}"
        );
    }
}

#[test]
fn the_name_of_a_customer_has_up_to_255_scalars() {
    let joined = |value: &str| {
        bare(
            "user.joined",
            format!(r#"{{"user_id":"u-1","organization_id":"acme","customer_name":{value}}}"#),
        )
        .accepted()
    };
    let name = |envelope: &Envelope| match &envelope.event.body {
        Body::Joined { customer_name, .. } => customer_name.clone(),
        other => panic!("not a join: {other:?}"),
    };
    let longest = "é".repeat(255);
    assert_eq!(name(&joined(&format!("\"{longest}\""))), Some(longest.clone()));
    assert_eq!(name(&joined("null")), None);
    assert_eq!(dropped(&joined("null")), [""; 0]);
    for bad in [format!("\"{longest}x\""), "17".to_owned(), r#""a\u0000b""#.to_owned()] {
        assert_eq!(name(&joined(&bad)), None);
        assert_eq!(dropped(&joined(&bad)), ["customer_name"]);
    }
}
