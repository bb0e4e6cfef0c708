//! The language of the files: paths, and what is said of a file that is wrong.

use serde_json::{Value, json};

use super::*;
use crate::ingress::signature::Verified;
use crate::ingress::translation::{Letter, Local, translate};

#[test]
fn paths_find_what_they_name() {
    let body = json!({
        "id": 7,
        "none": null,
        "a/b": {"~": "odd"},
        "packed": "{\"x\":1}",
        "encoded": "eyJ4IjoyfQ==",
        "where": "users/u1/more",
        "at": "https://h.example:8443/p?q",
        "list": [{"k": "v", "n": 1}, {"k": 7, "n": 2}, {"k": true, "n": 3}],
        "user": {"name": "ada", "primary": "v"},
    });
    for (path, expected) in [
        ("/id", Some(json!(7))),
        ("/none", Some(json!(null))),
        ("/missing", None),
        ("/id/deeper", None),
        ("/a~1b/~0", Some(json!("odd"))),
        ("/packed(json)/x", Some(json!(1))),
        ("/encoded(json)/x", Some(json!(2))),
        ("/id(json)", Some(json!(7))),
        ("/where(json)", None),
        ("/where(part 2)", Some(json!("u1"))),
        ("/where(part 4)", None),
        ("/at(host)", Some(json!("h.example:8443"))),
        ("/list/1/n", Some(json!(2))),
        ("/list/9", None),
        ("/list[k=v]/n", Some(json!(1))),
        ("/list[k=7]/n", Some(json!(2))),
        ("/list[k=true]/n", Some(json!(3))),
        ("/list[k=/id]/n", Some(json!(2))),
        ("/list[k=/user/primary]/n", Some(json!(1))),
        ("/list[k=/none]/n", None),
        ("/list/*/n", Some(json!(1))),
        ("name", Some(json!("ada"))),
        (".", Some(body["user"].clone())),
        ("", Some(body.clone())),
    ] {
        let scope = Scope {
            body: &body,
            user: &body["user"],
        };
        let found = Path::parse(path)
            .expect(path)
            .find(scope)
            .map(std::borrow::Cow::into_owned);
        assert_eq!(found, expected, "{path}");
    }
    for wrong in ["/a[k", "/a[k]", "/a(", "/a(odd)", "/a(part 0)", "/a(part x)"] {
        assert!(Path::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_removed_is_gone_wherever_it_hides() {
    for (path, body, expected) in [
        ("/a/b", json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2}})),
        (
            "/a/*/b",
            json!({"a": [{"b": 1}, {"b": 2, "c": 3}]}),
            json!({"a": [{}, {"c": 3}]}),
        ),
        ("/a(json)/b", json!({"a": "{\"b\":1,\"c\":2}"}), json!({"a": {"c": 2}})),
        ("/a/b", json!({"x": 1}), json!({"x": 1})),
        ("/a/b", json!([1]), json!([1])),
        ("/a/1", json!({"a": [1, 2, 3]}), json!({"a": [1, null, 3]})),
        (
            "/a/1/b",
            json!({"a": [{"b": 1}, {"b": 2}]}),
            json!({"a": [{"b": 1}, {}]}),
        ),
        (
            "/a[k=v]/b",
            json!({"a": [{"k": "v", "b": 1}, {"k": "w", "b": 2}, {"k": "v", "b": 3}]}),
            json!({"a": [{"k": "v"}, {"k": "w", "b": 2}, {"k": "v"}]}),
        ),
        (
            "/a[k=7]",
            json!({"a": [{"k": 7}, {"k": 8}]}),
            json!({"a": [null, {"k": 8}]}),
        ),
        (
            "/a[k=/x]/b",
            json!({"x": "v", "a": [{"k": "v", "b": 1}, {"k": "w", "b": 2}]}),
            json!({"x": "v", "a": [{"k": "v"}, {"k": "w"}]}),
        ),
        ("/a/*", json!({"a": [1, 2], "c": 3}), json!({"a": [], "c": 3})),
        ("/a/*", json!({"a": {"b": 1}, "c": 3}), json!({"a": {}, "c": 3})),
        ("/a(json)", json!({"a": "{\"b\":1}", "c": 3}), json!({"c": 3})),
        ("/a(json)/b", json!({"a": "{\"b\":1"}), json!({"a": null})),
        ("/a(json)/*", json!({"a": "[1,2]"}), json!({"a": []})),
    ] {
        let mut body = body;
        Path::removable(path).expect(path).remove(&mut body);
        assert_eq!(body, expected, "{path}");
    }
}

/// What the field `active` becomes in an event of a body, by a rule.
fn active(rule: &str, body: &Value) -> Option<Value> {
    let event = format!("[[event]]\nas = \"user.updated\"\nfields = {{ active = {rule} }}");
    let provider = Provider::parse("own", &format!("{GOOD}{event}")).expect(rule);
    let verified = Verified {
        content: body.to_string().into_bytes().into(),
        delivery: None,
    };
    let local = Local {
        offset: time::UtcOffset::UTC,
        source: None,
    };
    let translation = translate(&provider, &verified, &[], local);
    translation.events[0].data.get("active").cloned()
}

#[test]
fn flags_are_read_before_they_are_turned_round() {
    for (rule, value, expected) in [
        ("{ at = \"/x\" }", json!(0), Some(json!(false))),
        ("{ at = \"/x\" }", json!("True"), Some(json!(true))),
        ("{ at = \"/x\" }", json!("perhaps"), None),
        ("{ at = \"/x\", negated = true }", json!(false), Some(json!(true))),
        ("{ at = \"/x\", negated = true }", json!(0), Some(json!(true))),
        ("{ at = \"/x\", negated = true }", json!(1), Some(json!(false))),
        ("{ at = \"/x\", negated = true }", json!("false"), Some(json!(true))),
        ("{ at = \"/x\", negated = true }", json!("TRUE"), Some(json!(false))),
        ("{ at = \"/x\", negated = true }", json!("perhaps"), None),
        ("{ at = \"/x\", negated = true }", json!(null), None),
        (
            "{ at = \"/x\", equals = \"on\", negated = true }",
            json!("on"),
            Some(json!(false)),
        ),
        (
            "{ at = \"/x\", exists = true, missing = \"null\" }",
            json!("2026"),
            Some(json!(true)),
        ),
        (
            "{ at = \"/x\", exists = true, missing = \"null\" }",
            json!(null),
            Some(json!(false)),
        ),
        (
            "{ at = \"/x\", exists = false, missing = \"null\" }",
            json!("2026"),
            Some(json!(false)),
        ),
        (
            "{ at = \"/x\", exists = false, missing = \"null\" }",
            json!(null),
            Some(json!(true)),
        ),
        ("{ at = \"/x\", exists = false }", json!(null), Some(json!(true))),
        (
            "{ at = \"/y\", exists = false, missing = \"null\" }",
            json!(1),
            Some(json!(true)),
        ),
        ("{ at = \"/y\", exists = false }", json!(1), None),
    ] {
        let found = active(rule, &json!({"id": "1", "u": "u1", "x": value}));
        let found = found.filter(|found| !found.is_null());
        assert_eq!(found, expected, "{rule} of {value}");
    }
}

#[test]
fn what_cannot_be_read_is_not_buried_where_something_must_not_be_forwarded() {
    let event = "[[event]]\nas = \"user.created\"\n";
    let letter = |more: &str| {
        let provider = Provider::parse("own", &format!("{more}{GOOD}{event}")).expect(more);
        let verified = Verified {
            content: b"{\"secret\": 1".as_slice().into(),
            delivery: None,
        };
        let local = Local {
            offset: time::UtcOffset::UTC,
            source: None,
        };
        translate(&provider, &verified, &[], local).letter
    };
    assert!(matches!(letter(""), Some(Letter::Body(_))));
    assert!(matches!(
        letter("never_forward = [\"/secret\"]\n"),
        Some(Letter::Unread(_))
    ));
}

#[test]
fn the_source_of_an_endpoint_wins() {
    let event = "[[event]]\nas = \"user.created\"\n";
    let provider = Provider::parse("own", &format!("{GOOD}{event}")).expect("it is right");
    let verified = Verified {
        content: br#"{"id": "1", "u": "u1"}"#.as_slice().into(),
        delivery: None,
    };
    for (source, expected) in [(None, "s"), (Some("idp://ours"), "idp://ours")] {
        let local = Local {
            offset: time::UtcOffset::UTC,
            source,
        };
        let translation = translate(&provider, &verified, &[], local);
        assert_eq!(translation.events[0].source, expected);
    }
}

const GOOD: &str =
    "about = \"x\"\n[[signature]]\nscheme = \"static\"\n[defaults]\nsource = \"s\"\nid = \"{/id}\"\nuser_id = \"/u\"\n";

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let event = "[[event]]\nas = \"user.created\"\n";
    assert!(Provider::parse("own", &format!("{GOOD}{event}")).is_ok());
    for (text, expected) in [
        ("about = 1".to_owned(), "expected a string"),
        ("abuot = \"x\"".to_owned(), "unknown field `abuot`"),
        (GOOD.to_owned(), "there is no [[event]]"),
        (
            format!("{GOOD}[[event]]\nas = \"user.made\""),
            "as = \"user.made\" is no type of event",
        ),
        (format!("{GOOD}{event}usr_id = \"x\""), "unknown field `usr_id`"),
        (
            format!("{GOOD}{event}fields = {{ mail = \"x\" }}"),
            "\"mail\" is no field",
        ),
        (format!("{GOOD}{event}previous = {{ phone = \"x\" }}"), "previous.phone"),
        (format!("{GOOD}{event}id = \"{{/id\""), "a { without }"),
        (
            format!("{GOOD}{event}fields = {{ email = {{ at = \"x\", missing = \"0\" }} }}"),
            "missing = \"0\"",
        ),
        (format!("answer = 404\n{GOOD}{event}"), "answer is 404"),
        (
            format!("extends = \"nobody\"\n{GOOD}"),
            "there is no provider \"nobody\"",
        ),
        (format!("extends = \"svix\"\n{GOOD}"), "extends another"),
        (
            format!("never_forward = [\"a\"]\n{GOOD}{event}"),
            "does not begin with /",
        ),
        (
            format!("never_forward = [\"/\"]\n{GOOD}{event}"),
            "does not begin with / and name something",
        ),
        (
            format!("never_forward = [\"/a(part 2)\"]\n{GOOD}{event}"),
            "a part of a text cannot be taken out",
        ),
        (
            format!("never_forward = [\"/a(host)\"]\n{GOOD}{event}"),
            "a part of a text cannot be taken out",
        ),
    ] {
        let error = Provider::parse("own.toml", &text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}\n  {error}");
    }
    let error = Provider::embedded("clark").expect_err("no such provider").to_string();
    assert!(error.contains("clerk, frappe"), "{error}");
}

#[test]
fn the_example_of_the_document_is_a_provider() {
    let document = include_str!("../../../docs/PROVIDERS.md");
    let (_, rest) = document
        .split_once("## A service of your own")
        .expect("the section is there");
    let (_, rest) = rest.split_once("```toml\n").expect("it has an example");
    let (example, _) = rest.split_once("```").expect("the example ends");
    let provider = Provider::parse("own", example).expect("the example is right");
    assert_eq!(provider.rules.len(), 3);
}
