//! Deliveries and reading, with a real server.

mod access;
mod outage;
mod publishing;
mod reading;
pub(crate) mod unreadable;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use rollcall::jetstream::{
    Backlog, Broker, BrokerError, ConsumerSettings, Deliveries, Delivery, Manage, Outgoing, PullSettings,
    StreamSettings, Tally, ack_all,
};

use crate::harness::nats::Nats;
use crate::harness::wait::wait_for;
use crate::topology::{consumer, users};

const SOON: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
const EMPTY: Backlog = Backlog {
    pending: 0,
    ack_pending: 0,
    redelivered: 0,
};

fn message(id: impl Display, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        subject: "user.created".to_owned(),
        headers: Vec::new(),
        payload: payload.into(),
        message_id: format!("{id}"),
    }
}

/// A server with the stream and a consumer whose `ack_wait` is short enough to wait for.
async fn prepared() -> Result<(Nats, Broker)> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    prepare(&broker).await?;
    Ok((nats, broker))
}

async fn prepare(broker: &Broker) -> Result<()> {
    broker.ensure_stream(&users(), Manage::Create).await?;
    let settings = ConsumerSettings {
        ack_wait: Duration::from_secs(2),
        ..consumer()
    };
    Ok(broker.ensure_consumer(&settings, Manage::Create).await?)
}

async fn deliveries(broker: &Broker) -> Result<Deliveries> {
    Ok(broker.deliveries("USERS", "rollcall", PullSettings::default()).await?)
}

async fn next(deliveries: &mut Deliveries) -> Result<Delivery> {
    Ok(tokio::time::timeout(SOON, deliveries.next())
        .await
        .context("a delivery in time")??)
}

async fn publish(broker: &Broker, ids: impl Iterator<Item = u64>) -> Result<Tally> {
    let mut window = broker.publisher().window(256, PATIENCE);
    for id in ids {
        window.push(message(id, id.to_string())).await?;
    }
    Ok(window.finish().await?)
}

async fn drained(broker: &Broker) -> Result<()> {
    wait_for("an empty backlog", SOON, async || {
        broker
            .backlog("USERS", "rollcall")
            .await
            .ok()
            .filter(Backlog::is_empty)
            .map(|_| ())
    })
    .await
}

/// Takes and acknowledges whatever comes again, until nothing is left: acknowledgements can be lost on the way.
async fn settled(broker: &Broker, deliveries: &mut Deliveries) -> Result<()> {
    let short = Duration::from_millis(20);
    wait_for("an empty backlog", PATIENCE, async || {
        while let Ok(Ok(delivery)) = tokio::time::timeout(short, deliveries.next()).await {
            drop(delivery.ack().await);
        }
        broker
            .backlog("USERS", "rollcall")
            .await
            .ok()
            .filter(Backlog::is_empty)
            .map(|_| ())
    })
    .await
}

/// The whole way on one server: also the smoke test of other versions.
async fn there_and_back(broker: &Broker) -> Result<()> {
    prepare(broker).await?;
    let mut deliveries = deliveries(broker).await?;
    let sent = Outgoing {
        headers: [
            ("ce-id", "1"),
            ("Content-Type", "application/json"),
            ("ce-x", "zwei"),
            ("ce-x", "über"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ..message("source 1", &b"\x00\xff{}"[..])
    };
    let ack = broker.publisher().publish(&sent).await?;
    assert_eq!((ack.stream.as_str(), ack.sequence, ack.duplicate), ("USERS", 1, false));
    assert!(
        broker.publisher().publish(&sent).await?.duplicate,
        "the same message id again"
    );

    let delivery = next(&mut deliveries).await?;
    let headers: Vec<_> = delivery
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("Content-Type", "application/json"),
        ("Nats-Msg-Id", "source 1"),
        ("ce-id", "1"),
        ("ce-x", "zwei"),
        ("ce-x", "über"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(
        (delivery.subject.as_str(), &delivery.payload[..]),
        ("user.created", &b"\x00\xff{}"[..])
    );
    assert_eq!((delivery.stream.as_str(), delivery.sequence), ("USERS", 1));
    assert_eq!((delivery.delivered, delivery.pending, delivery.defect), (1, 0, None));
    assert!(
        delivery.published.unix_timestamp() > 1_700_000_000,
        "{}",
        delivery.published
    );
    let published = delivery.published;
    delivery.nak(None).await?;

    let again = next(&mut deliveries).await?;
    assert_eq!((again.sequence, again.delivered, again.published), (1, 2, published));
    again.ack().await?;
    drained(broker).await
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() -> Result<()> {
    let nats = Nats::start().await?;
    there_and_back(&nats.connect().await?).await
}

#[tokio::test]
async fn the_oldest_accepted_server_delivers() -> Result<()> {
    let nats = Nats::of_version("2.10.26").await?;
    there_and_back(&nats.connect().await?).await
}

#[tokio::test]
async fn the_newest_known_server_delivers() -> Result<()> {
    let nats = Nats::of_version("2.15.1").await?;
    there_and_back(&nats.connect().await?).await
}

#[tokio::test]
async fn term_ends_a_message_and_a_delayed_nak_postpones_it() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    publish(&broker, 1..=2).await?;
    let mut deliveries = deliveries(&broker).await?;
    next(&mut deliveries).await?.term().await?;
    next(&mut deliveries)
        .await?
        .nak(Some(Duration::from_millis(300)))
        .await?;
    assert_eq!(broker.backlog("USERS", "rollcall").await?.pending, 0);
    let again = next(&mut deliveries).await?;
    assert_eq!(
        (again.sequence, again.delivered),
        (2, 2),
        "only the handed back one comes again"
    );
    again.ack().await?;
    drained(&broker).await
}

#[tokio::test]
async fn progress_keeps_a_message_in_hand() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    publish(&broker, 1..=2).await?;
    let mut deliveries = deliveries(&broker).await?;
    let (kept, left) = (next(&mut deliveries).await?, next(&mut deliveries).await?);
    assert_eq!((kept.sequence, left.sequence), (1, 2));
    // The one without progress comes back after ack_wait (2 s), twice; the other one does not.
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    let mut returned = Vec::new();
    while returned.len() < 2 {
        tokio::select! {
            delivery = next(&mut deliveries) => returned.push(delivery?.sequence),
            _ = ticks.tick() => kept.progress().await?,
        }
    }
    assert_eq!(returned, [2, 2]);
    Ok(())
}

#[tokio::test]
async fn dropping_next_loses_nothing() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    publish(&broker, 1..=500).await?;
    let mut deliveries = deliveries(&broker).await?;
    let mut seen = BTreeMap::new();
    while seen.len() < 500 {
        // A time limit that often hits while opening, searching or waiting.
        if let Ok(delivery) = tokio::time::timeout(Duration::from_micros(50), deliveries.next()).await {
            let delivery = delivery?;
            *seen.entry(delivery.sequence).or_insert(0) += 1;
            delivery.ack().await?;
        }
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    drained(&broker).await
}

#[tokio::test]
async fn a_message_larger_than_a_pull_does_not_block_the_consumer() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    for (id, size) in [(1, 900_000), (2, 10), (3, 900_000), (4, 900_000), (5, 10)] {
        broker.publisher().publish(&message(id, vec![b'x'; size])).await?;
    }
    let settings = PullSettings {
        max_bytes: 100_000,
        ..PullSettings::default()
    };
    let mut deliveries = broker.deliveries("USERS", "rollcall", settings).await?;
    for sequence in 1..=5 {
        let delivery = next(&mut deliveries).await?;
        assert_eq!(delivery.sequence, sequence);
        delivery.ack().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_is_read_to_the_end_it_had() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let settings = StreamSettings {
        removal: rollcall::jetstream::Removal::Allowed,
        ..users()
    };
    broker.ensure_stream(&settings, Manage::Create).await?;
    assert_eq!(
        broker.stored_messages("USERS").await?.next().await?,
        None,
        "an empty stream"
    );

    publish(&broker, 1..=200).await?;
    let client = async_nats::connect(nats.url()).await?;
    let stream = async_nats::jetstream::new(client).get_stream("USERS").await?;
    for deleted in [1, 2, 77, 199, 200] {
        stream.delete_message(deleted).await?;
    }
    let mut messages = broker.stored_messages("USERS").await?;
    publish(&broker, 201..=250).await?;
    let mut read = Vec::new();
    while let Some(message) = messages.next().await? {
        assert_eq!(message.payload, message.sequence.to_string());
        assert_eq!(
            message.headers,
            [("Nats-Msg-Id".to_owned(), message.sequence.to_string())]
        );
        read.push(message.sequence);
    }
    let expected: Vec<u64> = (3..=198).filter(|sequence| *sequence != 77).collect();
    assert_eq!(read, expected);
    assert_eq!(messages.next().await?, None, "and stays at the end");
    let error = broker.stored_messages("NONE").await.err().context("an error")?;
    assert!(matches!(error, BrokerError::StreamMissing { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn closing_hands_over_the_last_acknowledgements() -> Result<()> {
    let (nats, observer) = prepared().await?;
    publish(&observer, 1..=300).await?;
    let broker = nats.connect().await?;
    let mut deliveries = deliveries(&broker).await?;
    let mut ackers = Vec::new();
    for _ in 1..=300 {
        ackers.push(next(&mut deliveries).await?.acker);
    }
    ack_all(ackers).await;
    broker.close().await;
    let error = broker.publisher().publish(&message(301, "")).await.expect_err("closed");
    assert!(
        matches!(error, BrokerError::Closed { .. }) && !error.is_transient(),
        "{error}"
    );
    drop((broker, deliveries));
    drained(&observer).await?;
    assert_eq!(observer.backlog("USERS", "rollcall").await?, EMPTY);
    Ok(())
}
