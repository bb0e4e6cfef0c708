//! Every sample of every provider becomes exactly its golden translation.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rollcall::ingress::provider::{Provider, names};
use rollcall::ingress::signature::Verified;
use rollcall::ingress::translation::{Canonical, Letter, Local, Translation, translate};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::{PROVIDERS, compact, fixtures, read, samples};

const DELIVERY: &str = "msg_37ExampleExampleExampleExamp";

fn translated(provider: &str, body: &str) -> Result<Translation> {
    let provider = Provider::embedded(provider)?;
    let verified = Verified {
        content: Cow::Borrowed(body.as_bytes()),
        delivery: Some(DELIVERY.to_owned()),
    };
    let local = Local {
        offset: UtcOffset::UTC,
        source: None,
    };
    Ok(translate(&provider, &verified, &[], local))
}

/// What of an event is compared; `header:x` is the value of that header.
fn comparable(event: &Canonical) -> Value {
    json!({
        "type": event.kind.name(),
        "source": event.source,
        "id": event.id,
        "time": event.time,
        "sequence": event.sequence,
        "data": event.data,
    })
}

/// The golden file in the same form. Frappe's times have no offset; an event's must have one.
fn golden(mut event: Value) -> Value {
    let id = event["id"].as_str().unwrap_or_default();
    if id.starts_with("header:") {
        event["id"] = DELIVERY.into();
    }
    if let Some(naive) = event["time"].as_str().filter(|time| time.contains(' ')) {
        let time = OffsetDateTime::parse(&format!("{}Z", naive.replace(' ', "T")), &Rfc3339).expect("a time");
        event["time"] = time.format(&Rfc3339).expect("a time").into();
    }
    json!({
        "type": event["type"],
        "source": event["source"],
        "id": event["id"],
        "time": event["time"],
        "sequence": event["sequence"],
        "data": event["data"],
    })
}

#[test]
fn every_sample_becomes_its_golden_translation() -> Result<()> {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for provider in PROVIDERS {
        for name in samples(provider)? {
            let folder = fixtures().join(provider);
            let body = compact(&std::fs::read_to_string(folder.join(&name))?);
            let expected: Vec<Value> = serde_json::from_value(read(&folder.join("expected").join(&name))?)?;
            let expected: Vec<Value> = expected.into_iter().map(golden).collect();
            let translation = translated(provider, &body)?;
            ensure!(translation.malformed.is_empty(), "{provider} {name}: {translation:?}");
            ensure!(translation.unknown.is_empty(), "{provider} {name}: {translation:?}");
            let found: Vec<Value> = translation.events.iter().map(comparable).collect();
            if found != expected {
                wrong.push(format!(
                    "{provider} {name}\n  found    {found:?}\n  expected {expected:?}"
                ));
            }
            seen += 1;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(seen >= 68, "only {seen} samples");
    Ok(())
}

#[test]
fn every_embedded_provider_is_one_and_has_fixtures() -> Result<()> {
    for name in names() {
        let provider = Provider::embedded(name).with_context(|| name)?;
        ensure!(!provider.about.is_empty() && !provider.schemes.is_empty(), "{name}");
    }
    let with_fixtures: BTreeSet<&str> = PROVIDERS.into_iter().chain(["frappe-renames"]).collect();
    ensure!(names().collect::<BTreeSet<_>>() == with_fixtures);
    Ok(())
}

#[test]
fn a_rename_in_frappe_can_keep_the_person() -> Result<()> {
    let body = std::fs::read_to_string(fixtures().join("frappe/after_rename.custom-app.json"))?;
    let event = translated("frappe-renames", &body)?.events.remove(0);
    let data =
        json!({"user_id": "ada@example.com", "new_user_id": "ada.new@example.com", "new_email": "ada.new@example.com"});
    ensure!(
        json!(event.data) == data && event.kind.name() == "user.renamed",
        "{event:?}"
    );
    let created = std::fs::read_to_string(fixtures().join("frappe/after_insert.json"))?;
    ensure!(translated("frappe-renames", &created)?.events == translated("frappe", &created)?.events);
    Ok(())
}

#[test]
fn an_address_that_changes_at_an_issuer_is_a_rename_of_the_address() -> Result<()> {
    let claims = r#"{"iss":"https://i","jti":"4","iat":1767225600,"sub_id":{"format":"email","email":"a@example.com"},
        "events":{"https://schemas.openid.net/secevent/risc/event-type/identifier-changed":{"new-value":"b@example.com"}}}"#;
    let event = translated("risc-ssf", claims)?.events.remove(0);
    let data = json!({"user_id": "a@example.com", "new_user_id": "b@example.com", "new_email": "b@example.com"});
    ensure!(json!(event.data) == data, "{event:?}");
    Ok(())
}

/// Bodies that are what nobody expects, and what becomes of them: events, ignored, unknown, malformed.
#[test]
fn odd_bodies_are_counted_or_told_apart() -> Result<()> {
    for (provider, body, expected) in [
        ("clerk", r#"{"type":"session.created","data":{"id":"s"}}"#, (0, 0, 1, 0)),
        (
            "clerk",
            r#"{"type":"user.created","data":{"object":"user"}}"#,
            (0, 0, 0, 1),
        ),
        (
            "clerk",
            r#"{"type":"user.created","timestamp":"soon","data":{"id":"u"}}"#,
            (0, 0, 0, 1),
        ),
        ("clerk", "not JSON", (0, 0, 0, 1)),
        ("clerk", "[]", (0, 0, 1, 0)),
        ("clerk", "\u{0}", (0, 0, 0, 1)),
        (
            "okta",
            r#"{"source":"https://o.example","data":{"events":[]}}"#,
            (0, 0, 0, 0),
        ),
        (
            "okta",
            r#"{"source":"https://o.example","data":{"events":[{"eventType":"x","uuid":"1"}]}}"#,
            (0, 0, 1, 0),
        ),
        (
            "okta",
            r#"{"source":"https://o.example","data":{"events":[
            {"eventType":"user.lifecycle.create","outcome":{"result":"FAILURE"},"uuid":"1"},
            {"eventType":"user.lifecycle.create","outcome":{"result":"SUCCESS"},"uuid":"2","target":[{"type":"User","id":"u"}]},
            {"eventType":"user.lifecycle.create","outcome":{"result":"SUCCESS"},"uuid":"3","target":[]},
            {"eventType":"app.x"}]}}"#,
            (1, 1, 1, 1),
        ),
        (
            "auth0",
            r#"{"specversion":"1.0","type":"user.created","a0purpose":"test","id":"e"}"#,
            (0, 1, 0, 0),
        ),
        (
            "supabase",
            r#"{"type":"INSERT","schema":"public","table":"users","record":{"id":"1"}}"#,
            (0, 0, 1, 0),
        ),
        (
            "risc-ssf",
            r#"{"iss":"i","jti":"j","events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{}}}"#,
            (0, 0, 1, 0),
        ),
    ] {
        let found = translated(provider, body)?;
        let counts = (
            found.events.len(),
            found.ignored,
            found.unknown.len(),
            found.malformed.len(),
        );
        ensure!(counts == expected, "{provider} {body}: {found:?}");
        ensure!(found.letter.is_some() == (expected.3 > 0), "{provider} {body}");
    }
    Ok(())
}

#[test]
fn what_must_not_be_forwarded_is_in_no_letter_either() -> Result<()> {
    let record = r#"{"email":"a@example.com","encrypted_password":"hush"}"#;
    for (provider, body) in [
        ("supabase", format!(r#"{{"type":"INSERT","schema":"auth","table":"users","record":{record}}}"#)),
        (
            "keycloak",
            r#"{"type":"admin.USER-CREATE","uid":"1","realmName":"r","representation":"{\"credentials\":[{\"value\":\"hush\"}]}"}"#.to_owned(),
        ),
        (
            "zitadel",
            r#"{"event_type":"user.human.added","instanceID":"1","event_payload":{"encodedHash":"hush","secret":"hush"}}"#.to_owned(),
        ),
    ] {
        let letter = translated(provider, &body)?.letter.context("a letter: there is no id")?;
        let Letter::Body(letter) = letter else {
            anyhow::bail!("{provider}: it can be read")
        };
        ensure!(!String::from_utf8(letter)?.contains("hush"), "{provider}");
    }
    Ok(())
}
