//! Data that makes an event undecodable: each error names the field and the rule, and never tells the value.

use super::*;

#[test]
fn what_is_no_json_object_is_no_event() {
    let says = |payload: &'static [u8], rule: &'static str| {
        [
            (bare("user.created", payload), rule),
            (binary("user.created", payload), rule),
        ]
    };
    let table = [
        says(b"", "the payload is empty"),
        says(b" ", "the payload is not valid JSON"),
        says(b"s3cret", "the payload is not valid JSON"),
        says(b"{\"user_id\":\"s3cret\"", "the payload is not valid JSON"),
        says(b"{\"user_id\":\"s3cret\"} {}", "the payload is not valid JSON"),
        says(b"{\"user_id\":\"s3cret\",}", "the payload is not valid JSON"),
        says(b"{'user_id':'s3cret'}", "the payload is not valid JSON"),
        says(b"\xef\xbb\xbf{\"user_id\":\"s3cret\"}", "the payload is not valid JSON"),
        says(
            b"{\"user_id\":\"s3cret\xff\"}",
            "the payload is not UTF-8 from byte 18 on",
        ),
        says(b"\xff\xfe{\x00}\x00", "the payload is not UTF-8 from byte 0 on"),
        says(b"{\"user_id\":\"s3cret\xed\xa0\x80\"}", "the payload is not UTF-8"),
        says(b"{\"user_id\":\"s3cret\n\"}", "the payload is not valid JSON"),
        says(b"{\"user_id\":\"s3cret\",\"n\":NaN}", "the payload is not valid JSON"),
        says(
            b"{\"user_id\":\"s3cret\",\"n\":Infinity}",
            "the payload is not valid JSON",
        ),
        says(b"{\"user_id\":\"s3cret\",\"n\":01}", "the payload is not valid JSON"),
        says(b"null", "data must be a JSON object"),
        says(b"true", "data must be a JSON object"),
        says(b"17", "data must be a JSON object"),
        says(b"\"s3cret\"", "data must be a JSON object"),
        says(b"[{\"user_id\":\"s3cret\"}]", "data must be a JSON object"),
    ];
    for (message, rule) in table.into_iter().flatten() {
        all_refused(&[(&String::from_utf8_lossy(&message.payload), message.clone(), &[rule])]);
    }
}

#[test]
fn what_is_no_structured_event_is_refused() {
    all_refused(&[
        ("empty", structured(""), &["the event is empty"]),
        ("no JSON", structured("s3cret"), &["the event is not valid JSON"]),
        (
            "a list",
            structured(r#"["s3cret"]"#),
            &["the event must be a JSON object"],
        ),
        (
            "a text",
            structured(r#""s3cret""#),
            &["the event must be a JSON object"],
        ),
        ("null", structured("null"), &["the event must be a JSON object"]),
        (
            "not UTF-8",
            structured(b"{\"id\":\"s3cret\xff\"}".as_slice()),
            &["the event is not UTF-8 from byte 13 on"],
        ),
        (
            "byte order mark",
            structured("\u{feff}{}"),
            &["the event is not valid JSON"],
        ),
        (
            "truncated",
            structured(r#"{"specversion":"1.0","id":"s3cret"#),
            &["the event is not valid JSON"],
        ),
    ]);
}

/// Each value is wrong for the field of each of these types.
#[test]
fn required_and_strict_fields_are_refused_by_name() {
    let long = format!("\"{SECRET}{}\"", "x".repeat(250));
    let bad = [
        (long.as_str(), "must be a string of 1 to 255 characters"),
        ("\"\"", "must be a string of 1 to 255 characters"),
        (r#""s3cret\u0000""#, "without U+0000"),
        (
            "17",
            "must be a string of 1 to 255 characters without U+0000, found a number",
        ),
        ("1.5", "found a number"),
        ("true", "found a boolean"),
        (r#"["s3cret"]"#, "found a list"),
        (r#"{"s3cret":1}"#, "found an object"),
    ];
    let fields = [
        ("user.created", "user_id"),
        ("user.updated", "user_id"),
        ("user.renamed", "user_id"),
        ("user.deleted", "user_id"),
        ("user.joined", "user_id"),
        ("user.left", "user_id"),
        ("user.activated", "user_id"),
        ("user.archived", "user_id"),
        ("user.reactivated", "user_id"),
        ("user.joined", "organization_id"),
        ("user.left", "organization_id"),
        ("user.renamed", "new_user_id"),
        ("user.activated", "profile_type"),
        ("user.archived", "profile_type"),
        ("user.reactivated", "profile_type"),
    ];
    for (kind, field) in fields {
        for (value, rule) in bad {
            let data = with_field(kind, field, value);
            let name = format!("data.{field}");
            all_refused(&[(&format!("{kind} {data}"), bare(kind, data.as_str()), &[&name, rule])]);
        }
    }
}

/// Good data of a type in which one field has this value.
fn with_field(kind: &str, field: &str, value: &str) -> String {
    let mut members = vec![(field, value)];
    for (name, good) in [
        ("user_id", "\"u-1\""),
        ("organization_id", "\"acme\""),
        ("new_user_id", "\"u-2\""),
    ] {
        let needed = match name {
            "user_id" => true,
            "organization_id" => matches!(kind, "user.joined" | "user.left"),
            _ => kind == "user.renamed",
        };
        if needed && name != field {
            members.push((name, good));
        }
    }
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_required_field_that_is_absent_or_null_is_missing() {
    for kind in Kind::ALL {
        let name = kind.name();
        all_refused(&[
            (
                "absent",
                bare(name, r#"{"organization_id":"s3cret","new_user_id":"s3cret"}"#),
                &["data.user_id is missing"],
            ),
            (
                "null",
                bare(
                    name,
                    r#"{"user_id":null,"organization_id":"s3cret","new_user_id":"s3cret"}"#,
                ),
                &["data.user_id is missing"],
            ),
            ("empty object", bare(name, "{}"), &["data.user_id is missing"]),
        ]);
    }
    for kind in ["user.joined", "user.left"] {
        all_refused(&[
            (
                "absent",
                bare(kind, r#"{"user_id":"s3cret"}"#),
                &["data.organization_id is missing"],
            ),
            (
                "null",
                bare(kind, r#"{"user_id":"s3cret","organization_id":null}"#),
                &["data.organization_id is missing"],
            ),
        ]);
    }
}

#[test]
fn active_is_true_or_false_or_the_event_is_undecodable() {
    for kind in ["user.created", "user.updated", "user.renamed"] {
        for (value, found) in [
            ("\"s3cret\"", "data.active must be true or false"),
            ("0", "found a number"),
            ("[]", "found a list"),
            (r#"{"s3cret":true}"#, "found an object"),
        ] {
            let data = format!(r#"{{"user_id":"u-1","new_user_id":"u-2","active":{value}}}"#);
            all_refused(&[(
                &data,
                bare(kind, data.as_str()),
                &["data.active must be true or false", found],
            )]);
        }
    }
}

#[test]
fn a_rename_needs_one_good_new_name() {
    let rule: &[&str] = &["new_user_id", "new_email", "new_username", "must have a valid"];
    for more in [
        "",
        r#","new_user_id":null"#,
        r#","new_email":null,"new_username":null"#,
        r#","new_email":"s3cret without an at""#,
        r#","new_username":17"#,
        r#","email":"s3cret@example.com","username":"s3cret""#,
        r#","new_email":"s3cret","email":"s3cret@example.com""#,
    ] {
        let data = format!(r#"{{"user_id":"u-1"{more}}}"#);
        all_refused(&[(&data, bare("user.renamed", data.as_str()), rule)]);
    }
    for more in [
        r#","new_user_id":"u-2""#,
        r#","new_user_id":"u-1""#,
        r#","new_email":"ada@example.com""#,
        r#","new_username":"ada""#,
        r#","new_user_id":null,"new_email":"bad","new_username":"ada""#,
    ] {
        bare("user.renamed", format!(r#"{{"user_id":"u-1"{more}}}"#)).accepted();
    }
}

#[test]
fn what_is_wrong_with_an_event_of_an_unknown_type_is_nobodys_business() {
    for message in [
        bare("user.suspended", ""),
        bare("user.suspended", "s3cret"),
        binary("user.suspended", "[1]"),
        binary("user.suspended", "<xml/>").header("Content-Type", "application/xml"),
        structured(r#"{"type":"user.suspended"}"#),
        structured(r#"{"type":"user.suspended","data_base64":"e30="}"#),
    ] {
        let refusal = message.decode();
        assert_eq!(
            refusal,
            Err(Refusal::UnknownType("user.suspended".to_owned())),
            "{message:?}"
        );
    }
}

#[test]
fn unknown_types_are_no_error_of_the_message() {
    for (subject, kind) in [
        ("user.logged_in", "user.logged_in"),
        ("user.logged_in.tenant-1", "user.logged_in"),
        ("user.Created", "user.Created"),
        ("user.createdx", "user.createdx"),
        ("user", "user"),
        ("user.", "user."),
        ("account.created", "account.created"),
    ] {
        let refusal = bare(subject, r#"{"user_id":"u-1"}"#).decode();
        assert_eq!(refusal, Err(Refusal::UnknownType(kind.to_owned())), "{subject}");
    }
    let refusal = binary("user.suspended", r#"{"anything":1}"#)
        .decode()
        .expect_err("not one of ours");
    assert_eq!(refusal.reason(), Reason::UnknownType);
    assert_eq!(refusal.identity(), None);
}
