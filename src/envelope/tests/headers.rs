//! Which form a message has, and how its headers are read.

use super::*;

const DATA: &str = r#"{"user_id":"u-1"}"#;

/// A structured event under this content type.
fn typed(content_type: &str) -> Message {
    event("user.created", "", DATA).with("Content-Type", content_type)
}

#[test]
fn the_content_type_compares_ignoring_case_and_parameters() {
    for content_type in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON",
        "APPLICATION/CLOUDEVENTS+JSON",
        "application/cloudevents+json; charset=utf-8",
        "application/cloudevents+json;charset=UTF-8;x=y",
        " application/cloudevents+json ; charset=utf-8",
    ] {
        assert_eq!(typed(content_type).accepted().id, "e-1", "{content_type}");
    }
    let data = event("user.created", "", DATA)
        .without("Content-Type")
        .header("CONTENT-type", "application/cloudevents+json");
    assert_eq!(data.accepted().id, "e-1");
}

#[test]
fn batched_events_and_other_structured_forms_are_refused() {
    for batch in [
        "application/cloudevents-batch+json",
        "application/CloudEvents-Batch+JSON; charset=utf-8",
        "application/cloudevents-batch",
    ] {
        all_refused(&[(batch, typed(batch), &["batched CloudEvents are not accepted"])]);
    }
    for other in [
        "application/cloudevents+xml",
        "application/cloudevents+avro",
        "application/cloudevents",
    ] {
        all_refused(&[(other, typed(other), &["only application/cloudevents+json is accepted"])]);
    }
}

#[test]
fn headers_that_decide_must_not_come_twice() {
    for name in [
        "specversion",
        "type",
        "source",
        "id",
        "time",
        "sequence",
        "datacontenttype",
        "createdvia",
    ] {
        let header = format!("ce-{name}");
        let once = binary("user.created", DATA).with(&header, "s3cret");
        let twice = once.clone().header(&header, "s3cret");
        let shouted = once.header(&header.to_uppercase(), "s3cret");
        // The version is looked at first, so it has to be right for the others to be looked at.
        let rule: &[&str] = &[&format!("header ce-{name} is there more than once")];
        all_refused(&[("twice", twice, rule), ("in another case", shouted, rule)]);
    }
    all_refused(&[
        (
            "content type",
            typed("application/cloudevents+json").header("content-type", "application/cloudevents+json"),
            &["header content-type is there more than once"],
        ),
        (
            "message id",
            bare("user.created", DATA)
                .header("Nats-Msg-Id", "s3cret")
                .header("nats-msg-id", "s3cret"),
            &["header nats-msg-id is there more than once"],
        ),
    ]);
    binary("user.created", DATA)
        .header("ce-other", "1")
        .header("ce-other", "2")
        .accepted();
}

#[test]
fn ce_headers_are_read_in_any_case() {
    let plain = binary("user.created", DATA)
        .header("ce-time", "2026-01-30T00:00:00Z")
        .accepted();
    let mixed = bare("anything", DATA)
        .header("CE-SpecVersion", "1.0")
        .header("Ce-Type", "user.created")
        .header("cE-SOURCE", "https://id.example.com")
        .header("CE-ID", "e-1")
        .header("Ce-Time", "2026-01-30T00:00:00Z");
    assert_eq!(mixed.accepted(), plain);
}

#[test]
fn ce_headers_are_percent_decoded_once() {
    for (sent, id) in [
        ("a%20b", "a b"),
        ("%C3%A9", "é"),
        ("%c3%a9", "é"),
        ("%E2%82%AC", "€"),
        ("é", "é"),
        ("%2525", "%25"),
        ("%25E2%2582%25AC", "%E2%82%AC"),
        ("100%", "100%"),
        ("%", "%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("%+1", "%+1"),
        ("%%41", "%A"),
        ("a+b", "a+b"),
        ("%22", "\""),
    ] {
        assert_eq!(
            binary("user.created", DATA).with("ce-id", sent).accepted().id,
            id,
            "{sent}"
        );
    }
    let structured = event("user.created", r#""time":"2026-01-30T00:00:00Z","#, DATA);
    let literal = String::from_utf8_lossy(&structured.payload).replace("e-1", "%25");
    assert_eq!(
        super::structured(literal).accepted().id,
        "%25",
        "only headers are percent-encoded"
    );
    let user = binary("user.created", r#"{"user_id":"%41"}"#).accepted();
    assert_eq!(user.user_id, "%41", "the payload is not");
    all_refused(&[
        (
            "not UTF-8",
            binary("user.created", DATA).with("ce-id", "s3cret%FF"),
            &["header ce-id", "percent-encoded UTF-8"],
        ),
        (
            "a surrogate",
            binary("user.created", DATA).with("ce-source", "s3cret%ED%A0%80"),
            &["header ce-source"],
        ),
        (
            "half a character",
            binary("user.created", DATA).with("ce-type", "s3cret%C3"),
            &["header ce-type"],
        ),
    ]);
}

#[test]
fn one_ce_header_makes_a_binary_event() {
    let message = bare("user.created", DATA).header("ce-foo", "1");
    assert_eq!(message.refused(), "attribute specversion is missing or empty");
    let envelope = bare("user.created", DATA)
        .header("traceparent", "1")
        .header("x-ce-type", "user.deleted")
        .accepted();
    assert_eq!(envelope.event.body.kind(), Kind::Created);
}

#[test]
fn the_structured_form_wins_over_headers_and_both_over_the_subject() {
    let message = event("user.created", "", DATA)
        .header("ce-type", "user.deleted")
        .header("ce-id", "other");
    let envelope = message.accepted();
    assert_eq!(
        (envelope.event.body.kind(), envelope.id.as_str()),
        (Kind::Created, "e-1")
    );
    let mut message = binary("user.created", DATA).header("Nats-Msg-Id", "other");
    message.subject = "user.deleted".to_owned();
    let envelope = message.accepted();
    assert_eq!(
        (envelope.event.body.kind(), envelope.id.as_str()),
        (Kind::Created, "e-1")
    );
}

#[test]
fn the_payload_of_a_binary_event_is_json() {
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.user+json",
    ] {
        binary("user.created", DATA).header("Content-Type", good).accepted();
    }
    for bad in [
        "text/plain",
        "application/s3cret",
        "application/xml; charset=utf-8",
        "application/octet-stream",
    ] {
        let message = binary("user.created", DATA).header("Content-Type", bad);
        all_refused(&[(bad, message, &["content-type", "JSON"])]);
    }
    let bare = bare("user.created", DATA).header("Content-Type", "text/plain");
    assert_eq!(
        bare.accepted().user_id,
        "u-1",
        "of a bare event the payload is all there is"
    );
}
