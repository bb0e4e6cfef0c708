//! All types in all forms, duplicates of all kinds, large payloads.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::deployment::{Deployment, PATIENCE};
use crate::harness::wait::wait_for;
use crate::workers::history;
use crate::world::{Base, Tables, apply_cut, cloud_event, on_both};

on_both!(
    the_golden_events_reach_the_ledger,
    all_types_in_all_forms,
    a_published_history_ends_in_the_tables_of_the_fold,
    duplicates_inside_and_outside_the_window,
    the_largest_payload_is_an_event_like_any_other,
    a_rest_that_drains_twice_does_nothing,
);

/// What the decoder is tested on passes through a real broker unharmed.
async fn the_golden_events_reach_the_ledger(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    // Some happen on a day that the clock of this machine may not have reached.
    deployment.set("ROLLCALL__WORKER__MAX_FUTURE", "365d");
    // Publishing nothing makes the stream.
    deployment.publish(&[]).await?;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
    let mut published = 0;
    for file in std::fs::read_dir(folder)? {
        let fixture: Value = serde_json::from_slice(&std::fs::read(file?.path())?)?;
        let headers = fixture["headers"].as_object().context("headers")?;
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect();
        let (subject, payload) = (fixture["subject"].as_str(), fixture["payload"].as_str());
        let (subject, payload) = (subject.context("a subject")?, payload.context("a payload")?);
        assert!(
            !deployment.put(subject, &headers, payload.as_bytes()).await?,
            "a message of its own"
        );
        published += 1;
    }
    assert!(published >= 27, "one for each type and form");
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({}), "{counts}");
    assert_eq!(deployment.base.number("count(*)", "@ledger").await?, published);
    Ok(())
}

/// One of each type and a user who stays: type and data, in order.
fn script(name: &str) -> Vec<(&'static str, Value)> {
    let gone = format!("{name}-gone");
    vec![
        (
            "created",
            json!({"user_id": name, "email": format!("{name}@x.org"), "full_name": "Ada Ö."}),
        ),
        (
            "updated",
            json!({"user_id": name, "phone": "+43 1", "full_name": null, "username": "ada"}),
        ),
        (
            "joined",
            json!({"user_id": name, "organization_id": "o1", "customer_name": "One"}),
        ),
        ("joined", json!({"user_id": name, "organization_id": "o2"})),
        ("left", json!({"user_id": name, "organization_id": "o2"})),
        ("activated", json!({"user_id": name})),
        ("archived", json!({"user_id": name})),
        ("reactivated", json!({"user_id": name, "profile_type": "client"})),
        (
            "renamed",
            json!({"user_id": name, "new_user_id": format!("{name}2"), "new_email": format!("{name}2@x.org")}),
        ),
        ("created", json!({"user_id": gone})),
        ("deleted", json!({"user_id": gone})),
    ]
}

async fn all_types_in_all_forms(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let mut lines = Vec::new();
    for (n, (kind, data)) in script("structured").into_iter().enumerate() {
        lines.push(cloud_event(kind, &format!("s{n}"), n as i64, &data));
    }
    for (kind, data) in script("bare") {
        lines.push(json!({"subject": format!("user.{kind}.by.hand"), "data": data}));
    }
    let published = deployment.publish(&lines).await?;
    assert_eq!(
        (&published["published"], &published["duplicates"]),
        (&json!(22), &json!(0))
    );
    for (n, (kind, data)) in script("binary").into_iter().enumerate() {
        let time = (crate::world::epoch() + time::Duration::minutes(n as i64)).format(&Rfc3339)?;
        let headers = [
            ("ce-specversion", "1.0"),
            ("Ce-Type", &format!("user.{kind}")),
            ("CE-Source", "idp%20zwei"),
            ("ce-id", &format!("b{n}")),
            ("ce-time", &time),
            ("Content-Type", "application/json; charset=utf-8"),
        ];
        // The type of a binary event is its header; the subject only has to be one of the stream.
        deployment
            .put("user.somewhere", &headers, data.to_string().as_bytes())
            .await?;
    }
    let counts = deployment.drain().await?;
    assert_eq!(
        counts["outcomes"],
        json!({"applied": 33, "duplicate": 0, "ignored": {}, "rejected": {}})
    );
    assert_eq!(counts["dead"], json!({}));
    let columns = [
        "user_id",
        "status",
        "email",
        "username",
        "phone",
        "organization_id",
        "display_name",
        "version",
    ];
    let line = |name: &str| format!("{name}2 active {name}2@x.org ada +43 1 o1 ada 9");
    let rows = deployment.base.lines(&columns, "@profiles").await?;
    assert_eq!(rows, [line("bare"), line("binary"), line("structured")]);
    let customers = deployment
        .base
        .lines(&["user_id", "organization_id", "name", "email"], "@customers")
        .await?;
    let line = |name: &str| format!("{name}2 o1 One {name}2@x.org");
    assert_eq!(customers, [line("bare"), line("binary"), line("structured")]);
    let sources = deployment.base.lines(&["source"], "@ledger GROUP BY source").await?;
    assert_eq!(sources, ["idp", "idp zwei", "nats://USERS"]);
    let subjects = deployment
        .base
        .number("count(*)", "@ledger WHERE subject LIKE 'user.%.by.hand'")
        .await?;
    assert_eq!(subjects, 11);
    Ok(())
}

async fn a_published_history_ends_in_the_tables_of_the_fold(mut base: Base) -> Result<()> {
    let stream = history(400, 77);
    let expected = {
        let alone = base.another()?;
        apply_cut(&alone.applier().await?, &stream, 1000).await?;
        Tables::read(&alone).await?
    };
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL__WORKER__BATCH_MAX", "17")
        .set("ROLLCALL__WORKER__LANES", "3");
    let lines: Vec<Value> = stream
        .messages
        .iter()
        .map(|message| serde_json::from_slice(&message.payload))
        .collect::<Result<_, _>>()?;
    deployment.publish(&lines).await?;
    let counts = deployment.drain().await?;
    let applied = counts["outcomes"]["applied"].as_i64().context("a count")?;
    assert!(applied > 100, "{counts}");
    Tables::read(&deployment.base)
        .await?
        .assert_same(&expected, "through the broker");
    Ok(())
}

async fn duplicates_inside_and_outside_the_window(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__DUPLICATE_WINDOW", "1s");
    let event = cloud_event("created", "1", 0, &json!({"user_id": "a", "email": "ada@x.org"}));
    let lines = [
        event.clone(),
        json!({"subject": "user.updated", "data": {"user_id": "a", "phone": "1"}}),
    ];
    assert_eq!(deployment.publish(&lines).await?["duplicates"], json!(0));
    let again = deployment.publish(&lines).await?;
    // A slow machine may need longer than the window for the second one.
    let inside = again["duplicates"].as_i64().context("a count")?;
    assert!((0..=2).contains(&inside), "{again}");
    let stored_again = wait_for("the end of the window", PATIENCE, async || {
        let again = deployment.publish(&lines[..1]).await.ok()?;
        (again["duplicates"] == json!(0)).then_some(())
    });
    stored_again.await?;
    // The same event under another message id, at once.
    let headers = [
        ("Nats-Msg-Id", "other"),
        ("Content-Type", "application/cloudevents+json"),
    ];
    assert!(
        !deployment
            .put("user.created", &headers, event.to_string().as_bytes())
            .await?
    );
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(2), "{counts}");
    assert!(counts["outcomes"]["duplicate"].as_i64() >= Some(2), "{counts}");
    assert_eq!(deployment.base.line(&["phone", "version"], "@profiles").await?, "1 2");
    assert_eq!(deployment.base.number("count(*)", "@ledger").await?, 2);
    assert!(deployment.dead_letters().await?.is_empty());
    Ok(())
}

async fn the_largest_payload_is_an_event_like_any_other(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment
        .publish(&[cloud_event("created", "1", 0, &json!({"user_id": "small"}))])
        .await?;
    let frame = json!({"user_id": "large", "more": ""}).to_string().len();
    let large = json!({"user_id": "large", "more": "x".repeat(1_048_576 - frame)}).to_string();
    assert_eq!(large.len(), 1_048_576);
    deployment.put("user.created", &[], large.as_bytes()).await?;
    let undecodable = large.replacen('{', "[", 1);
    deployment.put("user.created", &[], undecodable.as_bytes()).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(2), "{counts}");
    assert_eq!(counts["dead"], json!({"undecodable": 1}));
    let stored = deployment
        .base
        .number("length(CAST(data AS TEXT))", "@ledger WHERE user_id = 'large'")
        .await?;
    assert_eq!(stored, 1_048_576);
    // With what has to be said about it, the letter would be larger than the broker takes: it refers to the original.
    let letters = deployment.dead_letters().await?;
    let [letter] = letters.as_slice() else {
        panic!("{} letters", letters.len())
    };
    assert!(letter.payload.is_empty());
    let said = |name: &str| crate::deployment::header(letter, name);
    assert_eq!(said("Rollcall-Payload-Bytes"), Some("1048576"));
    assert_eq!(
        (said("Rollcall-Stream"), said("Rollcall-Sequence")),
        (Some("USERS"), Some("3"))
    );
    Ok(())
}

async fn a_rest_that_drains_twice_does_nothing(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    for _ in 0..2 {
        let began = tokio::time::Instant::now();
        let counts = deployment.drain().await?;
        assert_eq!(
            counts["outcomes"],
            json!({"applied": 0, "duplicate": 0, "ignored": {}, "rejected": {}})
        );
        assert!(began.elapsed() < Duration::from_secs(20), "nothing to wait for");
    }
    Ok(())
}
