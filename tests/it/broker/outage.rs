//! The broker goes away, freezes, or loses its consumer.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::jetstream::{BrokerError, PullSettings};
use serde_json::json;

use super::{PATIENCE, SOON, deliveries, drained, message, next, prepared, publish, settled};
use crate::topology::api;

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_publishes_outlive_a_killed_server() -> Result<()> {
    let (mut nats, broker) = prepared().await?;
    let mut deliveries = deliveries(&broker).await?;
    let mut seen = BTreeSet::new();
    for round in 0..2 {
        publish(&broker, round * 100 + 1..=round * 100 + 50).await?;
        seen.insert(next(&mut deliveries).await?.sequence);
        nats.kill().await?;
        let during = broker
            .publisher()
            .publish(&message("during", ""))
            .await
            .expect_err("nobody there");
        assert!(during.is_transient(), "{during}");
        let patient = tokio::spawn({
            let publisher = broker.publisher();
            async move {
                let message = message(format!("patient {round}"), "");
                publisher.publish_patiently(&message, PATIENCE).await
            }
        });
        nats.restart().await?;
        patient.await?.context("published after the restart")?;
        // Acknowledgements may be forgotten and messages come again; none may be missing.
        let expected = (round + 1) * 51;
        while (seen.len() as u64) < expected {
            let delivery = next(&mut deliveries).await?;
            seen.insert(delivery.sequence);
            delivery.ack().await?;
        }
    }
    settled(&broker, &mut deliveries).await
}

/// A storm found it: a worker that began while the broker was away ended, instead of waiting.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_can_be_opened_while_the_server_is_away() -> Result<()> {
    let (mut nats, broker) = prepared().await?;
    publish(&broker, 1..=1).await?;
    nats.kill().await?;
    let mut deliveries = deliveries(&broker).await?;
    nats.restart().await?;
    next(&mut deliveries).await?.ack().await?;
    settled(&broker, &mut deliveries).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_waited_for() -> Result<()> {
    let (mut nats, broker) = prepared().await?;
    let mut deliveries = deliveries(&broker).await?;
    publish(&broker, 1..=1).await?;
    next(&mut deliveries).await?.ack().await?;
    nats.freeze().await?;
    let error = broker.backlog("USERS", "rollcall").await.expect_err("no answer");
    assert!(
        matches!(error, BrokerError::Timeout { .. }) && error.is_transient(),
        "{error}"
    );
    // Long enough for missed heartbeats to be noticed; nothing may surface as an error.
    let nothing = tokio::time::timeout(Duration::from_secs(4), deliveries.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    nats.thaw()?;
    broker.publisher().publish_patiently(&message(2, "2"), PATIENCE).await?;
    let delivery = next(&mut deliveries).await?;
    assert_eq!(delivery.payload, "2");
    delivery.ack().await?;
    drained(&broker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_deleted_by_hand_is_an_error_and_not_made_again() -> Result<()> {
    let (nats, broker) = prepared().await?;
    let mut deliveries = deliveries(&broker).await?;
    publish(&broker, 1..=1).await?;
    next(&mut deliveries).await?.ack().await?;
    api(&nats, "CONSUMER.DELETE.USERS.rollcall", &json!({})).await?;
    let error = tokio::time::timeout(SOON, deliveries.next())
        .await?
        .expect_err("the consumer is gone");
    assert!(
        matches!(error, BrokerError::ConsumerMissing { .. }) && !error.is_transient(),
        "{error}"
    );
    assert!(
        error.to_string().contains("reads the whole stream once more"),
        "{error}"
    );
    assert_eq!(api(&nats, "CONSUMER.NAMES.USERS", &json!({})).await?["total"], 0);

    let error = broker
        .deliveries("USERS", "rollcall", PullSettings::default())
        .await
        .err()
        .context("an error")?;
    assert!(matches!(error, BrokerError::ConsumerMissing { .. }), "{error}");
    let error = broker
        .backlog("USERS", "rollcall")
        .await
        .expect_err("no backlog either");
    assert!(matches!(error, BrokerError::ConsumerMissing { .. }), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_deleted_by_hand_is_an_error() -> Result<()> {
    let (nats, broker) = prepared().await?;
    let mut deliveries = deliveries(&broker).await?;
    publish(&broker, 1..=1).await?;
    next(&mut deliveries).await?.ack().await?;
    api(&nats, "STREAM.DELETE.USERS", &json!({})).await?;
    let error = tokio::time::timeout(SOON, deliveries.next())
        .await?
        .expect_err("the stream is gone");
    assert!(
        matches!(error, BrokerError::StreamMissing { .. }) && !error.is_transient(),
        "{error}"
    );
    Ok(())
}
