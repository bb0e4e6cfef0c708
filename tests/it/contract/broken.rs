//! What is wrong with an event is wrong to both, schema and decoder, field by field; each from the table of the contract.

use rollcall::domain::{Kind, Reason};
use rollcall::envelope::contract::{Care, Field, Rule, fields};
use serde_json::{Value, json};

use super::{decoded, decoded_with, of_data, of_events};

/// Good data of a type, with nothing that it could do without.
fn least(kind: Kind) -> Value {
    match kind {
        Kind::Joined | Kind::Left => json!({"user_id": "u1", "organization_id": "o1"}),
        Kind::Renamed => json!({"user_id": "u1", "new_user_id": "u2"}),
        Kind::PasswordReset => json!({"user_id": "u1", "link": "https://a.example", "code": "7"}),
        _ => json!({"user_id": "u1"}),
    }
}

fn with(mut data: Value, name: &str, value: Value) -> Value {
    data[name] = value;
    data
}

fn bad(rule: Rule) -> Vec<Value> {
    let others = [json!(7), json!(true), json!("x"), json!([1]), json!({"a": 1})];
    let kept = |wrong: fn(&Value) -> bool| others.iter().filter(|value| wrong(value)).cloned().collect::<Vec<_>>();
    match rule {
        Rule::Text { min, max } => {
            let mut values = kept(|value| !value.is_string());
            values.extend([json!("é".repeat(max + 1)), json!("a\0b")]);
            values.extend((min > 0).then(|| json!("")));
            values
        }
        Rule::Address { max } => {
            let mut values = kept(|_| true);
            let texts = [
                "",
                "a@",
                "@b",
                "a@b@c",
                "a b@c",
                "a@b\n",
                "a\0@b",
                "a@\u{7f}b",
                "a@b\u{85}",
                "a@b\u{3000}",
            ];
            values.extend(texts.map(Value::from));
            values.push(json!(format!("{}@b", "é".repeat(max - 1))));
            values
        }
        Rule::Link { max } => {
            let mut values = kept(|_| true);
            let texts = [
                "",
                "a.example",
                "https://",
                "javascript:x",
                "ftp://a.example",
                "https://a b",
                "https://a\n",
            ];
            values.extend(texts.map(Value::from));
            values.push(json!(format!("https://{}", "é".repeat(max - 7))));
            values
        }
        Rule::Flag => {
            let mut values = kept(|value| !value.is_boolean());
            values.extend([json!("true"), json!(0)]);
            values
        }
        Rule::Names { most } => {
            let mut values = kept(|_| true);
            values.extend([
                json!([""]),
                json!(["a\0"]),
                json!(["a", "x".repeat(256)]),
                json!(vec!["a"; most + 1]),
            ]);
            values
        }
        Rule::Object { .. } => {
            let mut values = kept(|value| !value.is_object());
            values.extend([
                json!({"a": "b\0"}),
                json!({"a": [{"b\0": 1}]}),
                json!({"a": {"b": ["\0"]}}),
            ]);
            values
        }
    }
}

fn good(rule: Rule) -> Vec<Value> {
    match rule {
        Rule::Text { min, max } => vec![json!("é".repeat(min)), json!("é".repeat(max)), json!("a\nb")],
        Rule::Address { max } => vec![json!("a@b"), json!(format!("{}@b", "é".repeat(max - 2)))],
        Rule::Link { max } => vec![
            json!("http://a"),
            json!("https://a.example/?b=c#d"),
            json!(format!("https://{}", "é".repeat(max - 8))),
        ],
        Rule::Flag => vec![json!(true), json!(false)],
        Rule::Names { most } => vec![json!([]), json!(["x".repeat(255)]), json!(vec!["a"; most])],
        Rule::Object { .. } => vec![json!({}), json!({"a": {"b": [1, "c", null, {"d": 0.1}]}})],
    }
}

/// What the field is called where it is marked as dropped: a person has an address, not a new one.
fn mark(field: &Field) -> &str {
    field.name.trim_start_matches("new_")
}

#[track_caller]
fn refused(kind: Kind, data: &Value) {
    assert!(!of_data(kind).is_valid(data), "{kind:?}: the schema takes {data}");
    let reason = decoded(kind, data).expect_err("the decoder takes it").reason();
    assert_eq!(reason, Reason::Undecodable, "{kind:?}: {data}");
}

#[track_caller]
fn taken(kind: Kind, data: &Value) {
    let error = of_data(kind).validate(data).err().map(|error| error.to_string());
    assert_eq!(error, None, "{kind:?}: the schema refuses {data}");
    let envelope = decoded(kind, data).unwrap_or_else(|refusal| panic!("{kind:?}: {data}: {refusal}"));
    assert!(
        envelope.event.degraded.is_empty(),
        "{kind:?}: {data}: {:?}",
        envelope.event.degraded
    );
}

#[test]
fn a_bad_field_is_bad_to_both() {
    for kind in Kind::ALL {
        for field in fields(kind) {
            for value in bad(field.rule) {
                let data = with(least(kind), field.name, value);
                if field.care != Care::Soft {
                    refused(kind, &data);
                    continue;
                }
                assert!(!of_data(kind).is_valid(&data), "{kind:?}: the schema takes {data}");
                let envelope = decoded(kind, &data).expect("a soft field does not cost the event");
                // The flag of an address that is not known is dropped with it, and a bad flag is a bad flag all the same.
                assert!(envelope.event.degraded.contains(mark(field)), "{kind:?}: {data}");
            }
        }
    }
}

#[test]
fn a_good_field_is_good_to_both() {
    for kind in Kind::ALL {
        taken(kind, &least(kind));
        for field in fields(kind) {
            for value in good(field.rule) {
                taken(kind, &with(least(kind), field.name, value));
            }
        }
    }
}

#[test]
fn what_is_required_is_required_by_both() {
    for kind in Kind::ALL {
        refused(kind, &json!([]));
        refused(kind, &json!("text"));
        for field in fields(kind) {
            let mut absent = least(kind);
            absent.as_object_mut().expect("data is an object").remove(field.name);
            let null = with(least(kind), field.name, Value::Null);
            if field.care == Care::Required || (kind, field.name) == (Kind::Renamed, "new_user_id") {
                refused(kind, &absent);
                refused(kind, &null);
            } else {
                taken(kind, &absent);
                taken(kind, &null);
            }
        }
    }
}

#[test]
fn a_rename_says_one_of_three_things() {
    for (name, value) in [("new_user_id", "u2"), ("new_email", "a@b"), ("new_username", "ada")] {
        taken(Kind::Renamed, &json!({"user_id": "u1", name: value}));
    }
    refused(Kind::Renamed, &json!({"user_id": "u1", "email": "a@b"}));
    refused(Kind::Renamed, &json!({"user_id": "u1", "new_email": null}));
    refused(Kind::Renamed, &json!({"user_id": "u1", "new_email": "no address"}));
}

#[test]
fn fields_of_other_types_are_not_looked_at() {
    let all: Vec<&Field> = Kind::ALL.into_iter().flat_map(fields).collect();
    for kind in Kind::ALL {
        let own: Vec<&str> = fields(kind).iter().map(|field| field.name).collect();
        for field in all.iter().filter(|field| !own.contains(&field.name)) {
            for value in bad(field.rule) {
                taken(kind, &with(least(kind), field.name, value));
            }
        }
    }
}

#[test]
fn a_bad_attribute_is_bad_to_both() {
    let kind = Kind::Deleted;
    let headers = [("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
    let event =
        json!({"specversion": "1.0", "type": "user.deleted", "source": "s", "id": "1", "data": {"user_id": "u1"}});
    let takes = |event: &Value| {
        (
            of_events(kind).is_valid(event),
            decoded_with("user.deleted", &headers, event).is_ok(),
        )
    };
    assert_eq!(takes(&event), (true, true));
    for name in ["specversion", "type", "source", "id", "data"] {
        let mut absent = event.clone();
        absent.as_object_mut().expect("an object").remove(name);
        assert_eq!(takes(&absent), (false, false), "{name} is absent");
    }
    for (name, value) in [
        ("specversion", json!("0.3")),
        ("type", json!("user.unknown")),
        ("source", json!("")),
        ("source", json!("x".repeat(1025))),
        ("source", json!("a\0")),
        ("id", json!(7)),
        ("id", json!("x".repeat(1025))),
        ("time", json!(7)),
        ("sequence", json!(1.5)),
        ("sequence", json!("x".repeat(256))),
        ("createdvia", json!(true)),
        ("datacontenttype", json!("text/plain")),
        ("data", json!({"user_id": ""})),
        ("data", json!(null)),
        ("data_base64", json!("e30=")),
    ] {
        let event = with(event.clone(), name, value);
        assert_eq!(takes(&event), (false, false), "{name}: {event}");
    }
    for (name, value) in [
        ("source", json!("x".repeat(1024))),
        ("time", json!("2026-01-31T09:00:00.5+01:00")),
        ("time", json!(null)),
        ("sequence", json!(17)),
        ("sequence", json!("")),
        ("createdvia", json!("backfill")),
        ("datacontenttype", json!("application/vnd.user+json; charset=utf-8")),
        ("subject", json!(["whatever"])),
    ] {
        let event = with(event.clone(), name, value);
        assert_eq!(takes(&event), (true, true), "{name}: {event}");
    }
}
