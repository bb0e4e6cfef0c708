//! A stream that has one consumer for everything is partitioned where it is, by however many workers.

use anyhow::{Context, Result};
use rollcall::config::Config;
use rollcall::envelope::word_of;
use rollcall::jetstream::{Broker, BrokerError, Manage, Outgoing};
use rollcall::wiring;
use serde_json::json;

use crate::deployment::PATIENCE;
use crate::harness::nats::Nats;
use crate::topology::api;

fn config(partitions: u16) -> Result<Config> {
    let text = format!("[consumer]\npartitions = {partitions}");
    Ok(Config::parse("config.toml", &text, std::iter::empty())?)
}

async fn ensure_with(broker: &Broker, partitions: u16, manage: Manage) -> Result<(), BrokerError> {
    let config = config(partitions).expect("a good configuration");
    broker
        .ensure_partitioned(&wiring::events(&config), &wiring::consumers(&config), manage)
        .await
}

/// A stream with one consumer for everything, then partitions, then others.
async fn partitioned(nats: &Nats) -> Result<()> {
    let broker = nats.connect().await?;
    let plain = config(1)?;
    broker.ensure_stream(&wiring::events(&plain), Manage::Create).await?;
    for consumer in wiring::consumers(&plain) {
        broker.ensure_consumer(&consumer, Manage::Create).await?;
    }
    assert!(ensure_with(&broker, 2, Manage::Never).await.is_err());
    for partitions in [2, 2, 5, 3] {
        ensure_with(&broker, partitions, Manage::Create).await?;
        ensure_with(&broker, partitions, Manage::Never).await?;
        let config = &api(nats, "STREAM.INFO.USERS", &json!({})).await?["config"];
        let destination = format!("user.{{{{wildcard(1)}}}}.{{{{partition({partitions},2)}}}}.{{{{wildcard(2)}}}}");
        assert_eq!(
            config["subject_transform"],
            json!({"src": "user.*.*", "dest": destination})
        );
        // What was there before stays as it is.
        assert_eq!(
            (&config["deny_purge"], &config["discard"]),
            (&json!(true), &json!("new"))
        );
    }
    let names = broker.consumer_names("USERS").await?;
    assert_eq!(names.len(), 6, "none is ever removed: {names:?}");
    // Somebody's own transform, or other filters, are nothing that we may change.
    let mut info = api(nats, "STREAM.INFO.USERS", &json!({})).await?["config"].take();
    info["subject_transform"] = json!({"src": "user.*.*", "dest": "user.{{wildcard(2)}}.{{wildcard(1)}}"});
    api(nats, "STREAM.UPDATE.USERS", &info).await?;
    let refused = ensure_with(&broker, 3, Manage::Create).await;
    assert!(matches!(refused, Err(BrokerError::Mismatch { .. })), "{refused:?}");
    let config = &api(nats, "STREAM.INFO.USERS", &json!({})).await?["config"];
    assert_eq!(config["subject_transform"], info["subject_transform"]);
    Ok(())
}

#[tokio::test]
async fn a_stream_is_partitioned_in_place() -> Result<()> {
    partitioned(&Nats::start().await?).await
}

/// Workers that are started together partition the stream together: each reads its settings, changes one, and writes all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_begin_at_once_do_not_undo_what_the_others_did() -> Result<()> {
    let nats = Nats::start().await?;
    let plain = config(1)?;
    let brokers = futures_util::future::try_join_all((0..4).map(|_| nats.connect())).await?;
    for round in 0..20 {
        let broker = &brokers[0];
        broker.ensure_stream(&wiring::events(&plain), Manage::Create).await?;
        broker
            .ensure_consumer(&wiring::consumers(&plain)[0], Manage::Create)
            .await?;
        let beginning = brokers.iter().map(async |broker| {
            ensure_with(broker, 8, Manage::Create).await?;
            // What comes from now on has a partition already.
            let message = Outgoing {
                subject: format!("user.created.{}", word_of("ada")),
                headers: Vec::new(),
                payload: "{}".into(),
                message_id: String::new(),
            };
            broker.publisher().publish_patiently(&message, PATIENCE).await.map(drop)
        });
        for begun in futures_util::future::join_all(beginning).await {
            begun.with_context(|| format!("round {round}"))?;
        }
        ensure_with(broker, 8, Manage::Never).await?;
        api(&nats, "STREAM.DELETE.USERS", &json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_oldest_and_the_newest_server_do_the_same() -> Result<()> {
    for version in ["2.10.26", "2.15.1"] {
        partitioned(&Nats::of_version(version).await?).await.context(version)?;
    }
    Ok(())
}
