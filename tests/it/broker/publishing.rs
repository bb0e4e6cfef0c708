//! What counts as published, and what is said about the rest.

use anyhow::{Context, Result};
use rollcall::jetstream::{BrokerError, Manage, Outgoing, StreamSettings, Tally, ack_all};

use super::{deliveries, drained, message, next, prepared, publish};
use crate::harness::nats::Nats;
use crate::topology::users;

#[tokio::test]
async fn a_window_keeps_the_order_and_counts_duplicates() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    // Every tenth id once more, while the first may still be in flight.
    let ids = (1..=1000).flat_map(|id| std::iter::repeat_n(id, if id % 10 == 0 { 2 } else { 1 }));
    assert_eq!(
        publish(&broker, ids).await?,
        Tally {
            published: 1100,
            duplicates: 100
        }
    );
    let mut deliveries = deliveries(&broker).await?;
    let mut ackers = Vec::new();
    for id in 1..=1000_u64 {
        let delivery = next(&mut deliveries).await?;
        assert_eq!(delivery.payload, id.to_string());
        ackers.push(delivery.acker);
    }
    assert_eq!(broker.backlog("USERS", "rollcall").await?.ack_pending, 1000);
    ack_all(ackers).await;
    drained(&broker).await
}

#[tokio::test]
async fn what_cannot_be_published_says_why() -> Result<()> {
    let (_nats, broker) = prepared().await?;
    let publisher = broker.publisher();
    let refused = async |message: Outgoing| publisher.publish(&message).await.expect_err("refused");

    let error = refused(message(1, vec![b'x'; broker.max_payload()])).await;
    assert!(
        matches!(&error, BrokerError::TooLarge { limit, .. } if *limit == broker.max_payload()),
        "{error}"
    );
    assert!(!error.is_transient());

    let error = refused(message(2, vec![b'x'; 950_000])).await;
    assert!(error.to_string().contains("max_msg_size"), "{error}");
    assert!(!error.is_transient());

    let error = refused(Outgoing {
        subject: "user..created".to_owned(),
        ..message(3, "")
    })
    .await;
    assert!(matches!(error, BrokerError::BadMessage { .. }), "{error}");

    let error = refused(Outgoing {
        subject: "nobody.listens".to_owned(),
        ..message(4, "")
    })
    .await;
    assert!(matches!(error, BrokerError::NoResponders { .. }), "{error}");
    assert!(
        error.to_string().contains("nobody.listens") && error.is_transient(),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_full_stream_refuses_and_keeps_what_it_has() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    broker
        .ensure_stream(
            &StreamSettings {
                max_bytes: 10_000,
                ..users()
            },
            Manage::Create,
        )
        .await?;
    let mut stored = 0;
    let error = loop {
        match broker.publisher().publish(&message(stored, vec![b'x'; 1000])).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(
        error.is_transient() && error.to_string().contains("stream is full"),
        "{error}"
    );
    let mut messages = broker.stored_messages("USERS").await?;
    for sequence in 1..=stored {
        assert_eq!(messages.next().await?.context("a message")?.sequence, sequence);
    }
    Ok(())
}
