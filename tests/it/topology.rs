//! Streams and consumers: made as specified, never changed, refused with a reason.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::jetstream::{
    Broker, BrokerError, ConsumerSettings, Manage, Removal, StreamSettings, Version, WhenFull, judge_version,
};
use serde_json::{Value, json};

use crate::harness::nats::Nats;

pub(crate) fn users() -> StreamSettings {
    StreamSettings {
        name: "USERS".to_owned(),
        subjects: vec!["user.>".to_owned()],
        max_age: Duration::ZERO,
        max_bytes: 0,
        max_msg_size: 921_600,
        duplicate_window: Duration::from_mins(2),
        description: "what happened to users".to_owned(),
        when_full: WhenFull::RefuseNew,
        removal: Removal::Denied,
        transform: None,
        former_subjects: Vec::new(),
    }
}

fn dead_letters() -> StreamSettings {
    StreamSettings {
        name: "DEAD_LETTERS".to_owned(),
        subjects: vec!["dead.>".to_owned()],
        max_age: Duration::from_hours(30 * 24),
        max_bytes: 64 << 20,
        removal: Removal::Allowed,
        ..users()
    }
}

pub(crate) fn consumer() -> ConsumerSettings {
    ConsumerSettings {
        stream: "USERS".to_owned(),
        durable: "rollcall".to_owned(),
        filter_subjects: vec!["user.>".to_owned()],
        ack_wait: Duration::from_mins(1),
        max_ack_pending: 4096,
    }
}

/// The server's own view, past the code under test.
pub(crate) async fn api(nats: &Nats, call: &str, request: &Value) -> Result<Value> {
    let client = async_nats::connect(nats.url()).await?;
    let answer = client
        .request(format!("$JS.API.{call}"), request.to_string().into())
        .await?;
    Ok(serde_json::from_slice(&answer.payload)?)
}

async fn created_as_specified(nats: &Nats, broker: &Broker) -> Result<()> {
    for settings in [users(), dead_letters()] {
        broker.ensure_stream(&settings, Manage::Create).await?;
        broker
            .ensure_stream(&settings, Manage::Create)
            .await
            .context("the second time")?;
        broker
            .ensure_stream(&settings, Manage::Never)
            .await
            .context("an existing one, manage = false")?;
    }
    for settings in [
        consumer(),
        ConsumerSettings {
            durable: "all".to_owned(),
            filter_subjects: Vec::new(),
            ..consumer()
        },
        ConsumerSettings {
            durable: "two".to_owned(),
            filter_subjects: vec!["user.created".to_owned(), "user.deleted".to_owned()],
            ..consumer()
        },
    ] {
        broker.ensure_consumer(&settings, Manage::Create).await?;
        broker
            .ensure_consumer(&settings, Manage::Create)
            .await
            .context("the second time")?;
        broker
            .ensure_consumer(&settings, Manage::Never)
            .await
            .context("an existing one, manage = false")?;
    }
    let stream = &api(nats, "STREAM.INFO.USERS", &json!({})).await?["config"];
    let expected = json!({
        "retention": "limits", "storage": "file", "discard": "new", "subjects": ["user.>"], "max_age": 0,
        "max_bytes": -1, "max_msg_size": 921_600, "duplicate_window": 120_000_000_000_u64,
        "deny_delete": true, "deny_purge": true,
    });
    assert_contains(stream, &expected);
    let stream = &api(nats, "STREAM.INFO.DEAD_LETTERS", &json!({})).await?["config"];
    let expected = json!({
        "retention": "limits", "storage": "file", "discard": "new", "subjects": ["dead.>"],
        "max_age": 2_592_000_000_000_000_u64, "max_bytes": 64 << 20, "deny_delete": false, "deny_purge": false,
    });
    assert_contains(stream, &expected);
    let config = &api(nats, "CONSUMER.INFO.USERS.rollcall", &json!({})).await?["config"];
    let expected = json!({
        "durable_name": "rollcall", "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant",
        "ack_wait": 60_000_000_000_u64, "max_deliver": -1, "max_ack_pending": 4096, "filter_subject": "user.>",
    });
    assert_contains(config, &expected);
    assert_eq!(config.get("backoff"), None);
    Ok(())
}

fn assert_contains(found: &Value, expected: &Value) {
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&found[key], value, "{key} of {found}");
    }
}

#[tokio::test]
async fn what_is_missing_is_created_as_specified() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    created_as_specified(&nats, &broker).await
}

#[tokio::test]
async fn the_oldest_accepted_server_does_the_same_with_a_warning() -> Result<()> {
    let nats = Nats::of_version("2.10.26").await?;
    let broker = nats.connect().await?;
    let warning = broker.version_warning().context("a warning")?;
    assert!(warning.contains("2.10.26") && warning.contains("2.12.8"), "{warning}");
    created_as_specified(&nats, &broker).await
}

#[tokio::test]
async fn the_newest_known_server_does_the_same_without_a_warning() -> Result<()> {
    let nats = Nats::of_version("2.15.1").await?;
    let broker = nats.connect().await?;
    assert_eq!((broker.version(), broker.version_warning()), ("2.15.1", None));
    created_as_specified(&nats, &broker).await
}

#[test]
fn servers_below_2_10_are_refused() {
    for (version, accepted) in [
        ("2.9.10", false),
        ("2.9.25", false),
        ("2.10.0", true),
        ("2.12.8", true),
        ("10.0.0", true),
    ] {
        assert_eq!(judge_version(version).is_ok(), accepted, "{version}");
    }
    assert!(Version::parse("2.9.9") < Version::parse("2.10.1"));
}

/// One deviation each: the field and a word of what it costs must be named, and nothing may change.
#[tokio::test]
async fn a_stream_that_differs_is_refused_and_left_alone() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let deviations = [
        (json!({ "retention": "workqueue" }), "retention", "replay"),
        (json!({ "storage": "memory" }), "storage", "restart"),
        (json!({ "discard": "old" }), "discard", "drops its oldest"),
        (json!({ "subjects": ["user.created"] }), "subjects", "lost"),
        (json!({ "max_age": 300_000_000_000_u64 }), "max_age", "dropped earlier"),
        (json!({ "max_bytes": 1_000_000 }), "max_bytes", "fills up"),
        (json!({ "max_msgs": 10 }), "max_msgs", "fills up"),
        (json!({ "max_msgs_per_subject": 1 }), "max_msgs_per_subject", "dropped"),
        (json!({ "max_msg_size": 1000 }), "max_msg_size", "refused"),
        (
            json!({ "duplicate_window": 1_000_000_000 }),
            "duplicate_window",
            "again",
        ),
        (json!({ "deny_delete": false }), "deny_delete", "audit"),
        (json!({ "no_ack": true }), "no_ack", "unnoticed"),
        (
            json!({ "subject_transform": { "src": "user.>", "dest": "person.>" } }),
            "subject_transform",
            "types",
        ),
    ];
    for (deviation, field, cost) in deviations {
        let mut config = json!({
            "name": "USERS", "subjects": ["user.>"], "retention": "limits", "storage": "file", "discard": "new",
            "max_age": 0, "max_bytes": -1, "max_msgs": -1, "max_msgs_per_subject": -1, "max_msg_size": 921_600,
            "num_replicas": 1, "duplicate_window": 120_000_000_000_u64, "deny_delete": true, "deny_purge": true,
        });
        for (key, value) in deviation.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let made = api(&nats, "STREAM.CREATE.USERS", &config).await?;
        anyhow::ensure!(made.get("error").is_none(), "{deviation}: {made}");
        let before = api(&nats, "STREAM.INFO.USERS", &json!({})).await?["config"].clone();
        for manage in [Manage::Create, Manage::Never] {
            let error = broker.ensure_stream(&users(), manage).await.expect_err("a difference");
            let text = error.to_string();
            assert!(
                matches!(&error, BrokerError::Mismatch { differences, .. } if differences.len() == 1),
                "{text}"
            );
            assert!(
                text.contains("stream USERS") && text.contains(field) && text.contains(cost),
                "{text}"
            );
            assert!(!error.is_transient());
        }
        assert_eq!(
            api(&nats, "STREAM.INFO.USERS", &json!({})).await?["config"],
            before,
            "unchanged"
        );
        api(&nats, "STREAM.DELETE.USERS", &json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_differs_is_refused_and_left_alone() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    broker.ensure_stream(&users(), Manage::Create).await?;
    let deviations = [
        (
            json!({ "ack_policy": "none", "max_ack_pending": 0, "ack_wait": 0 }),
            "ack_policy",
            "before they are committed",
        ),
        (json!({ "deliver_policy": "new" }), "deliver_policy", "never seen"),
        (json!({ "ack_wait": 1_000_000_000 }), "ack_wait", "still in hand"),
        (json!({ "max_deliver": 5 }), "max_deliver", "silently skipped"),
        (
            json!({ "max_deliver": 5, "backoff": [1_000_000_000, 60_000_000_000_u64], "ack_wait": 0 }),
            "backoff",
            "replaces ack_wait",
        ),
        (json!({ "filter_subject": "user.created" }), "filter_subjects", "missed"),
        (json!({ "max_ack_pending": 10 }), "max_ack_pending", "throttled"),
        (json!({ "headers_only": true }), "headers_only", "undecodable"),
        (json!({ "max_batch": 10 }), "max_batch", "refused"),
        (
            json!({ "inactive_threshold": 60_000_000_000_u64 }),
            "inactive_threshold",
            "vanishes",
        ),
        (json!({ "mem_storage": true }), "mem_storage", "forgets"),
        (json!({ "replay_policy": "original" }), "replay_policy", "pace"),
        (json!({ "deliver_subject": "push.here" }), "deliver_subject", "pulls"),
    ];
    for (deviation, field, cost) in deviations {
        let mut config = json!({
            "durable_name": "rollcall", "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant",
            "ack_wait": 60_000_000_000_u64, "max_deliver": -1, "max_ack_pending": 4096, "filter_subject": "user.>",
        });
        for (key, value) in deviation.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let request = json!({ "stream_name": "USERS", "config": config });
        let made = api(&nats, "CONSUMER.DURABLE.CREATE.USERS.rollcall", &request).await?;
        anyhow::ensure!(made.get("error").is_none(), "{deviation}: {made}");
        let before = api(&nats, "CONSUMER.INFO.USERS.rollcall", &json!({})).await?["config"].clone();
        for manage in [Manage::Create, Manage::Never] {
            let text = broker
                .ensure_consumer(&consumer(), manage)
                .await
                .expect_err("a difference");
            let text = format!("{text} {text:?}");
            assert!(text.contains("consumer rollcall of stream USERS"), "{text}");
            assert!(
                text.contains(&format!("{field}: wanted")) && text.contains(cost),
                "{text}"
            );
        }
        assert_eq!(
            api(&nats, "CONSUMER.INFO.USERS.rollcall", &json!({})).await?["config"],
            before,
            "unchanged"
        );
        api(&nats, "CONSUMER.DELETE.USERS.rollcall", &json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_difference_is_reported_in_one_pass() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    broker.ensure_stream(&users(), Manage::Create).await?;
    let other = StreamSettings {
        max_bytes: 5_000_000,
        max_age: Duration::from_hours(1),
        when_full: WhenFull::DropOldest,
        ..users()
    };
    let differences = broker.stream_differences(&other).await?;
    let fields: Vec<_> = differences.iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["discard", "max_age", "max_bytes"]);
    assert_eq!(
        (differences[1].wanted.as_str(), differences[1].found.as_str()),
        ("3600s", "unlimited")
    );
    Ok(())
}

#[tokio::test]
async fn with_manage_never_nothing_is_created() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let error = broker
        .ensure_stream(&users(), Manage::Never)
        .await
        .expect_err("no stream");
    let text = error.to_string();
    assert!(matches!(error, BrokerError::StreamMissing { .. }), "{text}");
    assert!(
        text.contains("USERS") && text.contains("manage = true") && text.contains("nats stream add USERS"),
        "{text}"
    );
    let error = broker
        .ensure_consumer(&consumer(), Manage::Never)
        .await
        .expect_err("no stream");
    assert!(matches!(error, BrokerError::StreamMissing { .. }), "{error}");
    assert_eq!(api(&nats, "STREAM.NAMES", &json!({})).await?["total"], 0);

    broker.ensure_stream(&users(), Manage::Create).await?;
    let error = broker
        .ensure_consumer(&consumer(), Manage::Never)
        .await
        .expect_err("no consumer");
    let text = error.to_string();
    assert!(matches!(error, BrokerError::ConsumerMissing { .. }), "{text}");
    assert!(
        text.contains("rollcall") && text.contains("manage = true") && text.contains("nats consumer add USERS"),
        "{text}"
    );
    assert_eq!(api(&nats, "CONSUMER.NAMES.USERS", &json!({})).await?["total"], 0);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_already_takes_the_subjects_is_named_as_the_problem() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    broker
        .ensure_stream(
            &StreamSettings {
                name: "OTHER".to_owned(),
                ..users()
            },
            Manage::Create,
        )
        .await?;
    let error = broker
        .ensure_stream(&users(), Manage::Create)
        .await
        .expect_err("overlap");
    assert!(
        error
            .to_string()
            .contains("another stream already takes these subjects"),
        "{error}"
    );
    assert!(!error.is_transient());
    Ok(())
}

#[tokio::test]
async fn two_starting_at_once_make_one_topology() -> Result<()> {
    let nats = Nats::start().await?;
    let (one, other) = (nats.connect().await?, nats.connect().await?);
    for _ in 0..10 {
        let start = async |broker: &Broker| -> Result<()> {
            broker
                .ensure_stream(
                    &StreamSettings {
                        removal: Removal::Allowed,
                        ..users()
                    },
                    Manage::Create,
                )
                .await?;
            Ok(broker.ensure_consumer(&consumer(), Manage::Create).await?)
        };
        let (first, second) = tokio::join!(start(&one), start(&other));
        first?;
        second?;
        api(&nats, "STREAM.DELETE.USERS", &json!({})).await?;
    }
    Ok(())
}
