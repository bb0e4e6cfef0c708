//! A new password: what the mail needs and nobody else is to know.

use super::*;

const LINK: &str = "https://id.example.com/reset?token=s3cret";

fn reset(members: &str) -> Message {
    bare("user.password_reset", format!(r#"{{"user_id":"u-1",{members}}}"#))
}

#[test]
fn the_secret_is_sealed_and_nowhere_else() {
    for (members, sealed, data) in [
        (
            format!(r#""link":"{LINK}""#),
            serde_json::json!({"link": LINK, "code": null}),
            serde_json::json!({"user_id": "u-1", "link": "https://redacted.invalid/"}),
        ),
        (
            r#""code":"s3cret","link":null"#.to_owned(),
            serde_json::json!({"link": null, "code": "s3cret"}),
            serde_json::json!({"user_id": "u-1", "code": "redacted"}),
        ),
        (
            format!(r#""link":"{LINK}","code":"s3cret","more":"s3cret""#),
            serde_json::json!({"link": LINK, "code": "s3cret"}),
            serde_json::json!({"user_id": "u-1", "link": "https://redacted.invalid/", "code": "redacted"}),
        ),
    ] {
        let envelope = reset(&members).accepted();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let Some(Sealed(secret)) = &envelope.sealed else {
            panic!("{members}: nothing is sealed")
        };
        assert_eq!(read(secret), sealed, "{members}");
        assert_eq!(read(&envelope.data), data, "{members}");
        let shown = format!("{envelope:?}");
        assert!(!shown.contains(SECRET) && shown.contains("[sealed]"), "{shown}");
    }
    assert_eq!(bare("user.deleted", r#"{"user_id":"u-1"}"#).accepted().sealed, None);
}

#[test]
fn not_even_the_content_tells_a_secret() {
    // There are only so many codes: whoever has the hash could try them all.
    let content = |members: &str| reset(members).accepted().content;
    assert_eq!(content(r#""code":"1""#), content(r#""code":"2""#));
    assert_eq!(content(r#""link":"http://a""#), content(r#""link":"https://b""#));
    assert_ne!(content(r#""code":"1""#), content(r#""link":"http://a""#));
    assert_ne!(
        content(r#""code":"1""#),
        bare("user.password_reset", r#"{"user_id":"u-2","code":"1"}"#)
            .accepted()
            .content
    );
}

#[test]
fn what_the_ledger_keeps_is_the_same_event_again() {
    let envelope = reset(&format!(r#""link":"{LINK}","code":"1""#)).accepted();
    let again = bare("user.password_reset", envelope.data.clone()).accepted();
    assert_eq!(again.event.body, envelope.event.body);
    assert_eq!((again.data, again.content), (envelope.data, envelope.content));
}

#[test]
fn there_is_a_link_or_a_code() {
    all_refused(&[
        ("neither", reset(r#""more":1"#), &["a link or a code"]),
        ("both null", reset(r#""link":null,"code":null"#), &["a link or a code"]),
        (
            "a bad link beside a code",
            reset(r#""link":"s3cret","code":"1""#),
            &["link", "http or https"],
        ),
        ("a code that is no text", reset(r#""code":17"#), &["code"]),
        ("an empty code", reset(r#""code":"""#), &["code"]),
        (
            "a long code",
            reset(&format!(r#""code":"{}""#, "7".repeat(65))),
            &["code"],
        ),
    ]);
    reset(&format!(r#""code":"{}""#, "7".repeat(64))).accepted();
}

#[test]
fn a_link_is_of_the_web_and_has_up_to_2000_characters() {
    let longest = format!("https://{}", "é".repeat(1992));
    for (link, is_good) in [
        ("https://a", true),
        ("http://a", true),
        ("https://id.example.com/reset?token=x&user=ü", true),
        (&longest, true),
        (&format!("{longest}é"), false),
        ("https://", false),
        ("http://", false),
        ("", false),
        ("ftp://a", false),
        ("javascript:alert(1)", false),
        ("HTTPS://a", false),
        (" https://a", false),
        ("https://a b", false),
        ("https://a\u{a0}b", false),
        ("https://a\u{7f}", false),
    ] {
        let refused = reset(&format!(r#""link":{}"#, serde_json::json!(link)))
            .decode()
            .is_err();
        assert_eq!(refused, !is_good, "{link:?}");
    }
}
