//! What could not be applied is found in the stream of dead letters, byte for byte, with everything said about it.

use anyhow::Result;
use serde_json::json;

use crate::deployment::{Deployment, header};
use crate::world::{Base, cloud_event, on_both};

on_both!(
    every_reason_reaches_the_stream_and_the_list,
    a_letter_keeps_payload_and_headers,
    a_resolved_letter_says_so,
);

async fn every_reason_reaches_the_stream_and_the_list(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    // Events of two lanes may be applied in the other order and found late; this test is about the letters.
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    let mut future = cloud_event("created", "future", 0, &json!({"user_id": "f"}));
    future["time"] = json!("2999-01-01T00:00:00Z");
    let conflict = cloud_event("created", "1", 0, &json!({"user_id": "a", "phone": "other"}));
    let events = [
        cloud_event("created", "1", 0, &json!({"user_id": "a", "phone": "1"})),
        cloud_event("created", "2", 1, &json!({"user_id": "b"})),
        cloud_event("deleted", "3", 2, &json!({"user_id": "ADMINISTRATOR"})),
        cloud_event("renamed", "4", 3, &json!({"user_id": "a", "new_user_id": "b"})),
        cloud_event("activated", "5", 4, &json!({"user_id": "a", "profile_type": "none"})),
        cloud_event("created", "6", 5, &json!({"user_id": 7})),
        future,
        cloud_event("exploded", "7", 6, &json!({"user_id": "a"})),
    ];
    deployment.publish(&events).await?;
    let structured = ("Content-Type", "application/cloudevents+json");
    deployment
        .put("user.created", &[structured], conflict.to_string().as_bytes())
        .await?;
    let counts = deployment.drain().await?;
    let rejected = json!({"protected_user": 1, "key_taken": 1, "unknown_profile_type": 1});
    let expected = json!({"applied": 2, "duplicate": 0, "ignored": {"unknown_type": 1}, "rejected": rejected});
    assert_eq!(counts["outcomes"], expected);
    assert_eq!(
        counts["dead"],
        json!({"undecodable": 1, "id_conflict": 1, "time_in_future": 1})
    );

    let mut listed = deployment.dead_list().await?;
    listed.sort_by_key(|letter| letter["stream_sequence"].as_i64());
    let found: Vec<_> = listed
        .iter()
        .map(|letter| (letter["reason"].as_str(), &letter["event_id"]))
        .collect();
    let expected = [
        (Some("protected_user"), &json!("3")),
        (Some("key_taken"), &json!("4")),
        (Some("unknown_profile_type"), &json!("5")),
        (Some("undecodable"), &json!(null)),
        (Some("time_in_future"), &json!("future")),
        (Some("id_conflict"), &json!("1")),
    ];
    assert_eq!(found, expected);
    for letter in &listed {
        assert!(
            letter["remedy"].as_str().is_some_and(|remedy| remedy.len() > 20),
            "{letter}"
        );
        assert!(
            letter["error"].as_str().is_some_and(|error| !error.is_empty()),
            "{letter}"
        );
        assert!(
            letter["time"].as_str().is_some_and(|time| time.ends_with('Z')),
            "{letter}"
        );
        assert_eq!(
            (&letter["attempts"], &letter["resolved"]),
            (&json!(1), &json!(false)),
            "{letter}"
        );
        assert_eq!(letter["stream"], json!("USERS"));
    }
    assert!(
        listed[3]["error"]
            .as_str()
            .is_some_and(|error| error.contains("user_id")),
        "{}",
        listed[3]
    );
    assert_eq!(listed[1]["user_id"], json!("a"));
    let shown = deployment.run(&["dead", "list"]).await?.success()?.stdout;
    for word in ["key_taken", "remedy", "user.renamed", "USERS 4", "idp 4"] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
    Ok(())
}

async fn a_letter_keeps_payload_and_headers(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment
        .publish(&[cloud_event("created", "1", 0, &json!({"user_id": "a"}))])
        .await?;
    let payload = b"\x00\xff {\"user_id\": \"half";
    let headers = [
        ("Nats-Msg-Id", "original"),
        ("Nats-Expected-Stream", "USERS"),
        ("X-Trace", "one"),
        ("X-Trace", "two"),
        ("Rollcall-Reason", "forged"),
    ];
    deployment.put("user.created.eu", &headers, payload).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({"undecodable": 1}));
    let letters = deployment.dead_letters().await?;
    let [letter] = letters.as_slice() else {
        panic!("{} letters", letters.len())
    };
    assert_eq!(letter.subject, "dead.user.created.eu");
    assert_eq!(&letter.payload[..], payload);
    let traces = letter.headers.iter().filter(|(name, _)| name == "X-Trace").count();
    assert_eq!(traces, 2);
    let reasons: Vec<_> = letter
        .headers
        .iter()
        .filter(|(name, _)| name == "Rollcall-Reason")
        .collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    for (name, expected) in [
        ("Rollcall-Reason", "undecodable"),
        ("Rollcall-Stream", "USERS"),
        ("Rollcall-Subject", "user.created.eu"),
        ("Rollcall-Sequence", "2"),
        ("Rollcall-Attempts", "1"),
        ("Rollcall-Message-Id", "original"),
        ("Rollcall-Original-Nats-Msg-Id", "original"),
        ("Rollcall-Original-Nats-Expected-Stream", "USERS"),
        ("Rollcall-Version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(header(letter, name), Some(expected), "{name}");
    }
    for name in [
        "Remedy",
        "Error",
        "Time",
        "First-Attempt",
        "Last-Attempt",
        "Fingerprint",
    ] {
        assert!(
            header(letter, &format!("Rollcall-{name}")).is_some_and(|value| !value.is_empty()),
            "{name}"
        );
    }
    // The letter has a message id of its own and no other word to the broker.
    let commands: Vec<&str> = letter
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("Nats-"))
        .collect();
    assert_eq!(commands, ["Nats-Msg-Id"]);
    assert!(header(letter, "Nats-Msg-Id").is_some_and(|id| id.starts_with("dlq:USERS:2:")));
    assert_eq!(
        deployment.base.number("count(*)", "@outbox").await?,
        0,
        "what is published leaves the outbox"
    );
    Ok(())
}

async fn a_resolved_letter_says_so(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let events = [
        cloud_event("created", "1", 0, &json!({"user_id": "a"})),
        cloud_event("created", "2", 1, &json!({"user_id": "b"})),
        cloud_event("renamed", "4", 5, &json!({"user_id": "a", "new_user_id": "b"})),
    ];
    deployment.publish(&events).await?;
    deployment.drain().await?;
    assert_eq!(deployment.dead_list().await?[0]["resolved"], json!(false));
    deployment
        .publish(&[cloud_event("deleted", "3", 3, &json!({"user_id": "b"}))])
        .await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(1));
    let listed = deployment.dead_list().await?;
    assert_eq!((listed.len(), &listed[0]["resolved"]), (1, &json!(true)));
    assert_eq!(deployment.base.line(&["user_id"], "@profiles").await?, "b");
    Ok(())
}
