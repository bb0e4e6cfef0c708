//! What the broker answers, or does not, and what class that is.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::clock::monotonic;
use rollcall::failure::Class::{self, Event, World};
use rollcall::failure::{Fault, broker_class, broker_fault};
use rollcall::jetstream::{
    Broker, BrokerError, ConnectSettings, ConsumerSettings, Manage, Outgoing, PullSettings, StreamSettings, connect,
};
use secrecy::SecretString;
use serde_json::json;

use super::is_silent;
use crate::harness::nats::Nats;
use crate::topology::{api, consumer, users};

/// Fails unless the error has this code and class, and secrets stay where they are.
#[track_caller]
fn is(error: &BrokerError, code: &str, class: Class) -> Fault {
    let fault = broker_fault(error);
    assert_eq!((fault.code.as_str(), fault.class), (code, class), "{error}");
    assert_eq!(broker_class(error), class);
    assert_eq!(error.is_transient(), fault.passes(), "{error}");
    is_silent(error);
    is_silent(&fault);
    fault
}

/// World, and somebody has to change something.
#[track_caller]
fn is_ours(error: &BrokerError, code: &str) {
    let fault = is(error, code, World);
    assert!(fault.is_ours() && fault.page && fault.known, "{error}");
}

/// World, and it passes by itself.
#[track_caller]
fn passes(error: &BrokerError, code: &str) {
    let fault = is(error, code, World);
    assert!(fault.passes() && !fault.page && fault.known, "{error}");
}

/// World, and it passes when somebody makes room.
#[track_caller]
fn is_full(error: &BrokerError, code: &str) {
    let fault = is(error, code, World);
    assert!(fault.passes() && fault.page && fault.known, "{error}");
}

fn message(subject: &str, bytes: usize) -> Outgoing {
    Outgoing {
        subject: subject.to_owned(),
        headers: Vec::new(),
        payload: vec![b'x'; bytes].into(),
        message_id: format!("{subject}-{bytes}"),
    }
}

async fn not_published(broker: &Broker, message: &Outgoing) -> Result<BrokerError> {
    broker.publisher().publish(message).await.err().context("not published")
}

fn ada(nats: &Nats) -> ConnectSettings {
    ConnectSettings {
        user: Some("ada".to_owned()),
        password: Some(SecretString::from("key-of-ada")),
        ..nats.settings()
    }
}

async fn not_connected(settings: &ConnectSettings) -> Result<BrokerError> {
    connect(settings).await.err().context("not connected")
}

#[tokio::test]
async fn who_is_not_let_in() -> Result<()> {
    let nats = Nats::configured(
        "accounts { PLAIN { users: [ { user: ada, password: key-of-ada } ] }, \
         RICH { jetstream: { max_file: 20000 }, users: [ { user: bob, password: key-of-ada, permissions: { \
         publish: { deny: [\"user.deleted\", \"$JS.API.STREAM.DELETE.>\"] } } } ] } }",
    )
    .await?;
    is_ours(&not_connected(&nats.settings()).await?, "credentials");
    let wrong = ConnectSettings {
        password: Some(SecretString::from("Lovelace")),
        ..ada(&nats)
    };
    is_ours(&not_connected(&wrong).await?, "credentials");
    is_ours(&not_connected(&ada(&nats)).await?, "no_jetstream");

    let bob = ConnectSettings {
        user: Some("bob".to_owned()),
        ..ada(&nats)
    };
    let broker = connect(&bob).await?;
    let unlimited = StreamSettings {
        max_bytes: 0,
        ..users()
    };
    broker.ensure_stream(&unlimited, Manage::Create).await?;
    // The server says so on another line, and the request is just not answered: it cannot be told from a slow broker.
    passes(&not_published(&broker, &message("user.deleted", 1)).await?, "timeout");
    assert!(broker.trouble().is_some_and(|text| text.contains("user.deleted")));
    // More than the account may have.
    let mut bytes = 15_000;
    let error = loop {
        bytes += 1;
        if let Err(error) = broker.publisher().publish(&message("user.created", bytes)).await {
            break error;
        }
        assert!(bytes < 15_010, "the limit does not count");
    };
    is_full(&error, "10002");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_different() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let pull = PullSettings::default;
    let error = broker
        .ensure_stream(&users(), Manage::Never)
        .await
        .err()
        .context("missing")?;
    is_ours(&error, "stream_missing");
    broker.ensure_stream(&users(), Manage::Create).await?;
    let error = broker
        .deliveries("USERS", "rollcall", pull())
        .await
        .err()
        .context("missing")?;
    is_ours(&error, "consumer_missing");
    broker.ensure_consumer(&consumer(), Manage::Create).await?;
    let other = ConsumerSettings {
        ack_wait: Duration::from_secs(99),
        ..consumer()
    };
    is_ours(
        &broker
            .ensure_consumer(&other, Manage::Create)
            .await
            .err()
            .context("different")?,
        "mismatch",
    );
    let overlapping = StreamSettings {
        name: "OTHERS".to_owned(),
        ..users()
    };
    is_ours(
        &broker
            .ensure_stream(&overlapping, Manage::Create)
            .await
            .err()
            .context("overlaps")?,
        "10065",
    );

    let mut deliveries = broker.deliveries("USERS", "rollcall", pull()).await?;
    api(&nats, "CONSUMER.DELETE.USERS.rollcall", &json!({})).await?;
    is_ours(&deliveries.next().await.err().context("deleted")?, "consumer_missing");
    broker.ensure_consumer(&consumer(), Manage::Create).await?;
    let mut deliveries = broker.deliveries("USERS", "rollcall", pull()).await?;
    api(&nats, "STREAM.DELETE.USERS", &json!({})).await?;
    is_ours(&deliveries.next().await.err().context("deleted")?, "stream_missing");
    broker.close().await;
    is_ours(&not_published(&broker, &message("user.created", 1)).await?, "closed");
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let full = StreamSettings {
        max_bytes: 1_000_000,
        ..users()
    };
    broker.ensure_stream(&full, Manage::Create).await?;
    let too_large = not_published(&broker, &message("user.created", broker.max_payload())).await?;
    is(&too_large, "too_large", Event);
    // Within what the server takes, and not within what the stream does.
    is(
        &not_published(&broker, &message("user.created", 950_000)).await?,
        "10054",
        Event,
    );
    let many_headers = Outgoing {
        headers: vec![("X-Long".to_owned(), "x".repeat(70_000))],
        ..message("user.created", 1)
    };
    is(&not_published(&broker, &many_headers).await?, "10097", Event);
    is(
        &not_published(&broker, &message("user..created", 1)).await?,
        "bad_message",
        Event,
    );
    broker.publisher().publish(&message("user.created", 850_000)).await?;
    is_full(
        &not_published(&broker, &message("user.created", 800_000)).await?,
        "10077",
    );
    let huge = StreamSettings {
        name: "HUGE".to_owned(),
        subjects: vec!["huge.>".to_owned()],
        max_bytes: 2_000_000_000,
        ..users()
    };
    is_full(
        &broker
            .ensure_stream(&huge, Manage::Create)
            .await
            .err()
            .context("too large")?,
        "10047",
    );
    Ok(())
}

#[tokio::test]
async fn who_does_not_answer() -> Result<()> {
    let mut nats = Nats::start().await?;
    let broker = nats.connect().await?;
    broker.ensure_stream(&users(), Manage::Create).await?;
    passes(
        &not_published(&broker, &message("nobody.listens", 1)).await?,
        "no_responders",
    );

    nats.freeze().await?;
    let began = monotonic();
    let error = not_published(&broker, &message("user.created", 1)).await?;
    passes(&error, "timeout");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    nats.thaw()?;
    nats.kill().await?;
    let error = not_published(&broker, &message("user.created", 2)).await?;
    let fault = broker_fault(&error);
    passes(&error, &fault.code);
    assert!(["timeout", "disconnected"].contains(&fault.code.as_str()), "{error}");
    passes(&not_connected(&nats.settings()).await?, "unreachable");
    Ok(())
}
