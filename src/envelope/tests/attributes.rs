//! The attributes of an event, which the structured and the binary form share.

use super::*;

const DATA: &str = r#"{"user_id":"u-1"}"#;

/// A binary event with one attribute set to this.
fn said(name: &str, value: &str) -> Message {
    binary("user.created", DATA).with(&format!("ce-{name}"), value)
}

/// A structured event in which attributes are replaced or taken away: `("id", None)`.
fn written(name: &str, value: Option<&str>) -> Message {
    let members = [
        ("specversion", "\"1.0\""),
        ("type", "\"user.created\""),
        ("source", "\"https://id.example.com\""),
        ("id", "\"e-1\""),
        ("data", DATA),
    ];
    let kept = members.into_iter().filter(|(other, _)| *other != name);
    let members: Vec<String> = kept
        .chain(value.map(|value| (name, value)))
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    structured(format!("{{{}}}", members.join(",")))
}

#[test]
fn the_required_attributes_are_missed_by_name() {
    for name in ["specversion", "type", "source", "id"] {
        let rule: &[&str] = &[&format!("attribute {name} "), "missing"];
        all_refused(&[
            (
                "absent header",
                binary("user.created", DATA).without(&format!("ce-{name}")),
                rule,
            ),
            ("empty header", said(name, ""), rule),
            ("absent", written(name, None), rule),
            ("null", written(name, Some("null")), rule),
            ("empty", written(name, Some("\"\"")), rule),
        ]);
        let rule: &[&str] = &[&format!("attribute {name} must be a string")];
        all_refused(&[
            ("a number", written(name, Some("1.0")), rule),
            ("a boolean", written(name, Some("true")), rule),
            ("a list", written(name, Some("[\"s3cret\"]")), rule),
            ("an object", written(name, Some("{\"s3cret\":1}")), rule),
        ]);
    }
    all_refused(&[
        ("data absent", written("data", None), &["attribute data is missing"]),
        (
            "data null",
            written("data", Some("null")),
            &["data must be a JSON object"],
        ),
        (
            "data a text",
            written("data", Some("\"s3cret\"")),
            &["data must be a JSON object"],
        ),
        (
            "data a list",
            written("data", Some("[\"s3cret\"]")),
            &["data must be a JSON object"],
        ),
        (
            "an optional attribute",
            written("time", Some("1769850000")),
            &["attribute time must be a string"],
        ),
        (
            "the media type",
            written("datacontenttype", Some("[]")),
            &["attribute datacontenttype must be a string"],
        ),
        (
            "the extension",
            written("createdvia", Some("true")),
            &["attribute createdvia must be a string"],
        ),
    ]);
}

#[test]
fn data_in_base64_is_refused() {
    let rule: &[&str] = &["data_base64 is not accepted"];
    all_refused(&[
        (
            "beside data",
            event("user.created", r#""data_base64":"s3cret","#, DATA),
            rule,
        ),
        (
            "instead of data",
            structured(r#"{"specversion":"1.0","type":"user.created","source":"s","id":"1","data_base64":"s3cret"}"#),
            rule,
        ),
    ]);
}

#[test]
fn only_version_one_is_read() {
    for version in ["0.3", "1", "1.1", "2.0", "1.0 ", "s3cret"] {
        all_refused(&[
            (
                version,
                said("specversion", version),
                &["attribute specversion must be 1.0"],
            ),
            (
                version,
                written("specversion", Some(&format!("\"{version}\""))),
                &["attribute specversion must be 1.0"],
            ),
        ]);
    }
}

#[test]
fn data_are_json_whatever_their_media_type_is_called() {
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/user+json",
    ] {
        said("datacontenttype", good).accepted();
        written("datacontenttype", Some(&format!("\"{good}\""))).accepted();
    }
    written("datacontenttype", Some("null")).accepted();
    for bad in ["text/plain", "application/xml", "application/s3cret", "s3cret+json+xml"] {
        let rule: &[&str] = &["attribute datacontenttype must be application/json"];
        all_refused(&[
            (bad, said("datacontenttype", bad), rule),
            (bad, written("datacontenttype", Some(&format!("\"{bad}\""))), rule),
        ]);
    }
}

#[test]
fn source_and_id_have_up_to_1024_bytes() {
    for name in ["source", "id"] {
        let longest = format!("{SECRET}{}é", "x".repeat(1024 - SECRET.len() - 2));
        assert_eq!(longest.len(), 1024);
        said(name, &longest).accepted();
        written(name, Some(&format!("\"{longest}\""))).accepted();
        let rule: &[&str] = &[&format!("attribute {name} is longer than 1024 bytes")];
        let nul: &[&str] = &[&format!("attribute {name} contains U+0000")];
        all_refused(&[
            ("binary", said(name, &format!("{longest}x")), rule),
            ("structured", written(name, Some(&format!("\"{longest}x\""))), rule),
            ("U+0000, binary", said(name, "s3cret%00"), nul),
            ("U+0000, structured", written(name, Some(r#""s3cret\u0000""#)), nul),
        ]);
    }
}

#[test]
fn a_sequence_is_a_text_or_a_whole_number_of_up_to_255_bytes() {
    let longest = "7".repeat(255);
    for (value, kept) in [
        ("\"12\"", "12"),
        ("12", "12"),
        ("18446744073709551615", "18446744073709551615"),
        ("-3", "-3"),
        ("\"\"", ""),
        ("null", ""),
        ("\"0x1f\"", "0x1f"),
        (format!("\"{longest}\"").as_str(), longest.as_str()),
    ] {
        assert_eq!(written("sequence", Some(value)).accepted().sequence, kept, "{value}");
    }
    assert_eq!(said("sequence", "0012").accepted().sequence, "0012");
    assert_eq!(said("sequence", "").accepted().sequence, "");
    let text: &[&str] = &["attribute sequence must be a string"];
    let long: &[&str] = &["attribute sequence is longer than 255 bytes"];
    all_refused(&[
        ("a fraction", written("sequence", Some("1.5")), text),
        (
            "beyond 64 bits",
            written("sequence", Some("18446744073709551617")),
            text,
        ),
        ("a boolean", written("sequence", Some("true")), text),
        ("a list", written("sequence", Some("[\"s3cret\"]")), text),
        (
            "too long",
            written("sequence", Some(&format!("\"{SECRET}{longest}\""))),
            long,
        ),
        (
            "too long, binary",
            said("sequence", &format!("{SECRET}{longest}")),
            long,
        ),
        (
            "U+0000",
            said("sequence", "s3cret%00"),
            &["attribute sequence contains U+0000"],
        ),
    ]);
}

#[test]
fn empty_and_absent_sequences_are_the_same_position() {
    let absent = binary("user.created", DATA).accepted();
    assert_eq!(said("sequence", "").accepted().event.position, absent.event.position);
    assert!(said("sequence", "0").accepted().event.position > absent.event.position);
    assert_eq!(
        written("sequence", Some("7")).accepted().event.position,
        written("sequence", Some("\"7\"")).accepted().event.position
    );
}

#[test]
fn a_backfill_says_so() {
    assert!(said("createdvia", "backfill").accepted().event.backfill);
    assert!(written("createdvia", Some("\"backfill\"")).accepted().event.backfill);
    assert!(!said("createdvia", "api").accepted().event.backfill);
    assert!(!written("createdvia", Some("null")).accepted().event.backfill);
    assert!(!binary("user.created", DATA).accepted().event.backfill);
    assert!(
        !bare("user.created", r#"{"user_id":"u-1","createdvia":"backfill"}"#)
            .accepted()
            .event
            .backfill
    );
}

#[test]
fn times_lose_their_offset_and_keep_their_nanoseconds() {
    let nine = 1_769_850_000;
    for (text, seconds, nanos) in [
        ("2026-01-31T09:00:00Z", nine, 0),
        ("2026-01-31t09:00:00z", nine, 0),
        ("2026-01-31T10:30:00+01:30", nine, 0),
        ("2026-01-30T21:00:00-12:00", nine, 0),
        ("2026-01-31T09:00:00-00:00", nine, 0),
        ("2026-01-31T08:59:59.1Z", nine - 1, 100_000_000),
        ("2026-01-31T08:59:59.123456789Z", nine - 1, 123_456_789),
        ("2026-01-31T08:59:59.1234567899999Z", nine - 1, 123_456_789),
        ("2026-01-31T08:59:59.999999999999Z", nine - 1, 999_999_999),
        ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        // The first instant of the year 0, which an offset brings others before.
        ("0000-01-01T00:01:00+00:01", instant::YEAR_ZERO, 0),
        ("2024-02-29T12:00:00Z", 1_709_208_000, 0),
    ] {
        let envelope = said("time", text).accepted();
        assert_eq!(envelope.event.time, Timestamp { seconds, nanos }, "{text}");
        assert_eq!(envelope.event.position.time(), envelope.event.time, "{text}");
        assert!(envelope.states_time);
        assert_eq!(
            written("time", Some(&format!("\"{text}\""))).accepted().event.time,
            envelope.event.time
        );
    }
}

#[test]
fn an_absent_time_is_the_brokers() {
    for message in [
        binary("user.created", DATA),
        written("time", None),
        written("time", Some("null")),
        bare("user.created", DATA),
    ] {
        let envelope = message.accepted();
        assert_eq!(envelope.event.time, instant::of(PUBLISHED));
        assert!(!envelope.states_time);
    }
}

#[test]
fn leap_seconds_and_what_is_no_instant_are_refused() {
    let no_instant: &[&str] = &["attribute time", "must be an RFC 3339 timestamp"];
    let leap: &[&str] = &["attribute time", "leap second"];
    for (text, rule) in [
        ("2016-12-31T23:59:60Z", leap),
        ("2016-12-31t23:59:60z", leap),
        ("2017-01-01T00:59:60+01:00", leap),
        ("2016-12-31T23:59:60.5Z", leap),
        ("2026-01-31T12:00:60Z", leap),
        ("", no_instant),
        ("s3cret", no_instant),
        ("1769850000", no_instant),
        ("2026-01-31", no_instant),
        ("2026-01-31T09:00Z", no_instant),
        ("2026-01-31T09:00:00", no_instant),
        ("2026-01-31T09:00:00+0100", no_instant),
        ("2026-01-31T09:00:00.Z", no_instant),
        ("2026-02-29T09:00:00Z", no_instant),
        ("2026-13-01T09:00:00Z", no_instant),
        ("2026-01-31T24:00:00Z", no_instant),
        ("2026-01-31T09:60:00Z", no_instant),
        ("2026-01-31T09:00:61Z", no_instant),
        ("2026-01-31T09:00:00Z s3cret", no_instant),
        (" 2026-01-31T09:00:00Z", no_instant),
        ("12026-01-31T09:00:00Z", no_instant),
        ("２026-01-31T09:00:00Z", no_instant),
        ("2026-01-31T09:00:0é", no_instant),
    ] {
        all_refused(&[
            (text, said("time", text), rule),
            (text, written("time", Some(&format!("\"{text}\""))), rule),
        ]);
    }
}

#[test]
fn date_and_time_are_parted_by_a_t() {
    for text in [
        "2026-01-31_09:00:00Z",
        "2026-01-31x09:00:00Z",
        "2026-01-31-09:00:00Z",
        "2026-01-3109:00:00Z",
    ] {
        all_refused(&[(
            text,
            said("time", text),
            &["attribute time", "must be an RFC 3339 timestamp"],
        )]);
    }
}

#[test]
fn more_than_max_future_ahead_of_the_broker_is_in_the_future() {
    for near in [
        "2026-01-31T09:05:00Z",
        "2026-01-31T10:05:00.000+01:00",
        "2026-01-31T09:04:59.999999999Z",
    ] {
        said("time", near).accepted();
    }
    for (far, seconds) in [
        ("2026-01-31T09:05:00.000000001Z", 300),
        ("2026-01-31T09:05:01Z", 301),
        ("9999-12-31T23:59:59-23:59", 251_632_537_139),
    ] {
        let refusal = said("time", far).decode().expect_err("too far ahead");
        let identity = ("https://id.example.com".to_owned(), "e-1".to_owned());
        assert_eq!(
            refusal,
            Refusal::TimeInFuture {
                seconds,
                identity: identity.clone()
            },
            "{far}"
        );
        assert_eq!(refusal.reason(), Reason::TimeInFuture);
        assert_eq!(refusal.identity(), Some(&identity));
        assert!(refusal.to_string().contains("max_future"), "{refusal}");
    }
    let never = Intake::default();
    said("time", "2026-01-31T09:00:00Z")
        .decode_with(&never)
        .expect("not after the broker's time");
    said("time", "2026-01-31T09:00:00.000000001Z")
        .decode_with(&never)
        .expect_err("after the broker's time");
}

#[test]
fn a_bad_event_is_undecodable_even_if_it_is_in_the_future() {
    let message = binary("user.created", "{}").header("ce-time", "2036-01-31T09:00:00Z");
    assert_eq!(message.refused(), "data.user_id is missing");
}

#[test]
fn unknown_attributes_are_of_no_interest() {
    let plain = binary("user.created", DATA).accepted();
    assert_eq!(
        said("subject", "u-9").header("ce-traceparent", "00-1").accepted(),
        plain
    );
    assert_eq!(
        event("user.created", r#""subject":17,"dataschema":null,"x":{"y":[1]},"#, DATA).accepted(),
        plain
    );
}
