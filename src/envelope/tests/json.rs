//! JSON as such: size, depth, keys, characters, numbers; and the hash of the content.

use super::*;
use serde_json::json;

/// Data with one more member, whatever it holds.
fn with(member: &str) -> Message {
    bare("user.created", format!(r#"{{"user_id":"u-1",{member}}}"#))
}

/// `levels` lists, one in the other.
fn lists(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn a_payload_of_one_mebibyte_is_read() {
    const MEBIBYTE: usize = 1 << 20;
    let frame = r#"{"user_id":"u-1","unknown":""}"#;
    let filled = frame.replace(r#""""#, &format!("\"{}\"", "x".repeat(MEBIBYTE - frame.len())));
    let message = bare("user.created", filled);
    assert_eq!(message.payload.len(), MEBIBYTE);
    assert_eq!(message.accepted().data.len(), MEBIBYTE);
    let members: Vec<String> = (0..60_000).map(|n| format!("\"k{n}\":{n}")).collect();
    assert_eq!(dropped(&with(&members.join(",")).accepted()), [""; 0]);
}

#[test]
fn nesting_is_read_to_a_depth_of_127() {
    // The object that holds them is the first level; in the structured form the event around it is one more.
    with(&format!(r#""deep":{}"#, lists(126))).accepted();
    event(
        "user.created",
        "",
        &format!(r#"{{"user_id":"u-1","deep":{}}}"#, lists(125)),
    )
    .accepted();
    all_refused(&[
        (
            "bare",
            with(&format!(r#""deep":{}"#, lists(127))),
            &["the payload", "recursion limit"],
        ),
        (
            "structured",
            event(
                "user.created",
                "",
                &format!(r#"{{"user_id":"u-1","deep":{}}}"#, lists(126)),
            ),
            &["the event", "recursion limit"],
        ),
        (
            "an attribute",
            event("user.created", &format!(r#""deep":{},"#, lists(127)), "{}"),
            &["recursion limit"],
        ),
        (
            "very deep",
            with(&format!(r#""deep":{}"#, lists(100_000))),
            &["recursion limit"],
        ),
        (
            "unclosed",
            bare("user.created", "[".repeat(1 << 20)),
            &["recursion limit"],
        ),
        (
            "objects",
            bare("user.created", r#"{"a":"#.repeat(100_000)),
            &["recursion limit"],
        ),
    ]);
}

#[test]
fn a_key_twice_in_one_object_is_refused_at_every_level() {
    let rule: &[&str] = &["the same key twice in one object"];
    let data = |data: &str| event("user.created", "", data);
    all_refused(&[
        (
            "a required field",
            bare("user.created", r#"{"user_id":"s3cret","user_id":"s3cret"}"#),
            rule,
        ),
        (
            "a field",
            with(r#""email":"s3cret@example.com","email":"a@example.com""#),
            rule,
        ),
        (
            "written differently",
            with(r#""email":"s3cret@example.com","\u0065mail":"a@example.com""#),
            rule,
        ),
        ("an unknown field", with(r#""s3cret":1,"s3cret":1"#), rule),
        ("in metadata", with(r#""metadata":{"s3cret":1,"s3cret":2}"#), rule),
        ("deeper", with(r#""unknown":[[{"a":{"s3cret":1,"s3cret":1}}]]"#), rule),
        (
            "data twice",
            structured(r#"{"specversion":"1.0","data":{},"data":{}}"#),
            rule,
        ),
        (
            "an attribute",
            event(
                "user.created",
                r#""subject":"s3cret","subject":"a","#,
                r#"{"user_id":"u"}"#,
            ),
            rule,
        ),
        ("structured data", data(r#"{"user_id":"s3cret","user_id":"u-1"}"#), rule),
        (
            "structured, deeper",
            data(r#"{"user_id":"u-1","x":[{"s3cret":1,"s3cret":1}]}"#),
            rule,
        ),
    ]);
    with(r#""a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}],"X":1,"x":1"#).accepted();
}

#[test]
fn lone_surrogates_are_refused_and_pairs_are_read() {
    let rule: &[&str] = &["the payload is not valid JSON"];
    all_refused(&[
        ("leading", bare("user.created", r#"{"user_id":"s3cret\ud800"}"#), rule),
        ("trailing", bare("user.created", r#"{"user_id":"s3cret\udc00"}"#), rule),
        (
            "the wrong way round",
            bare("user.created", r#"{"user_id":"s3cret\udc00\ud800"}"#),
            rule,
        ),
        ("in an optional field", with(r#""first_name":"s3cret\ud800x""#), rule),
        ("in an unknown field", with(r#""unknown":"s3cret\ud800""#), rule),
        ("in a key", with(r#""s3cret\ud800":1"#), rule),
    ]);
    let envelope = with(r#""first_name":"\ud83d\ude00""#).accepted();
    assert_eq!(patch(&envelope).first_name, set("\u{1f600}"));
}

#[test]
fn nul_is_kept_where_nobody_looks_dropped_where_it_may_be_and_refused_where_it_is_needed() {
    let envelope = with(r#""unknown":"a\u0000b","\u0000":[{"\u0000":"\u0000"}]"#).accepted();
    assert_eq!(dropped(&envelope), [""; 0]);
    assert!(envelope.data.contains(r"a\u0000b"), "the ledger keeps what was sent");

    let envelope = with(r#""first_name":"a\u0000b","metadata":{"deep":[{"x\u0000":1}]},"username":"ada""#).accepted();
    assert_eq!(dropped(&envelope), ["first_name", "metadata"]);
    assert_eq!(patch(&envelope).username, set("ada"));
    let envelope = with(r#""metadata":{"deep":["\u0000"]}"#).accepted();
    assert_eq!(dropped(&envelope), ["metadata"]);

    all_refused(&[
        (
            "required",
            bare("user.created", r#"{"user_id":"s3cret\u0000"}"#),
            &["data.user_id", "without U+0000"],
        ),
        (
            "strict",
            bare("user.renamed", r#"{"user_id":"u","new_user_id":"s3cret\u0000"}"#),
            &["data.new_user_id", "without U+0000"],
        ),
    ]);
}

#[test]
fn numbers_of_any_size_are_kept_in_unknown_fields_unless_no_number_is_that_large() {
    for number in [
        "18446744073709551617",
        "-18446744073709551617",
        "340282366920938463463374607431768211456",
        "1e308",
        "-1e308",
        "1e-400",
        "0.1",
        "-0",
        "9007199254740993",
    ] {
        let envelope = with(&format!("\"unknown\":{number}")).accepted();
        assert!(envelope.data.contains(number), "the data is kept as it was sent");
    }
    all_refused(&[
        (
            "too large",
            with(r#""unknown":1e400"#),
            &["the payload is not valid JSON", "number out of range"],
        ),
        (
            "too small",
            with(r#""unknown":-1e400"#),
            &["the payload is not valid JSON", "number out of range"],
        ),
        (
            "structured",
            event("user.created", "", r#"{"user_id":"u","x":1e400}"#),
            &["the event is not valid JSON"],
        ),
    ]);
    let envelope = with(r#""username":18446744073709551617"#).accepted();
    assert_eq!(dropped(&envelope), ["username"]);
}

#[test]
fn data_is_kept_byte_for_byte() {
    let data = "{ \"user_id\" : \"u-1\",\n\t\"b\":1.50, \"a\" : \"\\u00e9\" }";
    assert_eq!(bare("user.created", data).accepted().data, data);
    assert_eq!(binary("user.created", data).accepted().data, data);
    assert_eq!(event("user.created", "", data).accepted().data, data);
}

#[test]
fn content_is_equal_under_white_space_and_the_order_of_keys() {
    let content = |data: &str| bare("user.created", data).accepted().content;
    let one = content(r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[1,2],"b":null}}"#);
    for same in [
        "{ \"email\":\"ada@example.com\",\n \"x\": {\"b\":null, \"a\":[1 , 2]}, \"user_id\":\"u-1\" }",
        r#"{"x":{"b":null,"a":[1,2]},"user_id":"\u0075-1","\u0065mail":"ada@example.com"}"#,
    ] {
        assert_eq!(content(same), one, "{same}");
    }
    for other in [
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[2,1],"b":null}}"#,
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[1,2]}}"#,
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[1,2],"b":false}}"#,
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":["1",2],"b":null}}"#,
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[12],"b":null}}"#,
        r#"{"user_id":"u-1","email":"ada@example.com","x":{"a":[[1,2]],"b":null}}"#,
        r#"{"user_id":"u-2","email":"ada@example.com","x":{"a":[1,2],"b":null}}"#,
    ] {
        assert_ne!(content(other), one, "{other}");
    }
}

#[test]
fn content_covers_the_type_and_not_the_form_or_the_identity() {
    let data = r#"{"user_id":"u-1","new_user_id":"u-2"}"#;
    let one = bare("user.updated", data).accepted().content;
    assert_eq!(binary("user.updated", data).accepted().content, one);
    assert_eq!(
        event("user.updated", r#""time":"2026-01-30T00:00:00Z","#, data)
            .accepted()
            .content,
        one
    );
    assert_ne!(bare("user.renamed", data).accepted().content, one);
    assert_ne!(content_hash("a", &json!(["b", "c"])), content_hash("a", &json!(["bc"])));
    assert_ne!(
        content_hash("a", &json!({"b": {}, "c": 1})),
        content_hash("a", &json!({"b": {"c": 1}}))
    );
    assert_ne!(content_hash("a", &json!([[], []])), content_hash("a", &json!([[[]]])));
}

#[test]
fn numbers_that_differ_are_different_content() {
    let content = |number: &str| with(&format!("\"unknown\":{number}")).accepted().content;
    assert_ne!(content("9007199254740993"), content("9007199254740992"));
}
