//! Events that flow while workers die, and what the broker knows of the deaths.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use rollcall::jetstream::{Broker, Outgoing};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::outcome::{Outcome, call_witness};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::wait::wait_for;
use crate::histories::{Dice, history};
use crate::world::Base;

/// So many events flow.
pub(super) const EVENTS: usize = 5_000;
/// So many kills have to find messages in the hands of the worker, or the run proves nothing.
pub(super) const KILLS: usize = 15;
/// Longer than any life should be, so that no message is delivered twice in one.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(2);
/// Groups of people that have news at the same time.
const GROUPS_AT_A_TIME: usize = 40;
/// Fewer undelivered messages than this make room for the next burst.
const LOW_WATER: u64 = 60;
const BURST: usize = 200;
const IN_FLIGHT: usize = 64;
/// The profile types that the histories know.
const CONFIGURATION: &str = r#"
[[profiles]]
type = "client"
activation_creates = ["player"]
[[profiles]]
type = "vendor"
[[profiles]]
type = "player"
create_on = "activation"
"#;

/// `ROLLCALL_TEST_SEED`, else always the same.
pub(super) fn seed() -> Result<u64> {
    match std::env::var("ROLLCALL_TEST_SEED") {
        Ok(text) => text.parse().context("ROLLCALL_TEST_SEED"),
        Err(_) => Ok(1),
    }
}

/// Little histories under keys and ids of their own, told at the same time, in an order in which about every other event
/// is late.
pub(super) fn events(seed: u64, count: usize) -> Vec<Value> {
    let mut dice = Dice::new(seed);
    let mut groups: Vec<VecDeque<Value>> = Vec::new();
    let mut begun = 0;
    let mut events = Vec::new();
    while events.len() < count {
        while groups.len() < GROUPS_AT_A_TIME {
            begun += 1;
            groups.push(group(seed.wrapping_mul(1_000_003).wrapping_add(begun), begun));
        }
        let speaker = dice.below(groups.len());
        match groups[speaker].pop_front() {
            Some(event) => events.push(event),
            None => drop(groups.swap_remove(speaker)),
        }
    }
    events
}

fn group(seed: u64, number: u64) -> VecDeque<Value> {
    let mut events = VecDeque::from(history(seed));
    for event in &mut events {
        let id = event["id"].as_str().unwrap_or_default();
        event["id"] = format!("{number}-{id}").into();
        for field in ["user_id", "new_user_id"] {
            if let Some(Value::String(key)) = event["data"].get_mut(field) {
                key.insert_str(0, &format!("{number}."));
            }
        }
    }
    events
}

fn in_order(mut events: Vec<Value>) -> Vec<Value> {
    let time = |event: &Value| OffsetDateTime::parse(event["time"].as_str().unwrap_or_default(), &Rfc3339).ok();
    events.sort_by_key(time);
    events
}

pub(super) fn message(event: &Value) -> Outgoing {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    Outgoing {
        subject: text("type").to_owned(),
        headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
        payload: Bytes::from(event.to_string()),
        message_id: format!("{} {}", text("source"), text("id")),
    }
}

/// Publishes all and returns when the broker has them.
pub(super) async fn publish(broker: &Broker, messages: Vec<Outgoing>) -> Result<()> {
    let mut window = broker.publisher().window(IN_FLIGHT, PATIENCE);
    for message in messages {
        window.push(message).await?;
    }
    window.finish().await?;
    Ok(())
}

/// A deployment with a witness, streams and a consumer, whose workers have small batches in hand.
pub(super) async fn deployment(base: Base) -> Result<Deployment> {
    call_witness(&base).await?;
    std::fs::write(base.folder.path().join("config.toml"), CONFIGURATION)?;
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL__CONSUMER__ACK_WAIT", &format!("{}s", ACK_WAIT.as_secs()))
        .set("ROLLCALL__WORKER__BATCH_MAX", "10");
    deployment.drain().await?;
    Ok(deployment)
}

/// What a worker that nobody disturbs makes of the events, in the order in which they happened.
pub(super) async fn undisturbed(base: Base, events: &[Value]) -> Result<Outcome> {
    let deployment = deployment(base).await?;
    let messages: Vec<Outgoing> = in_order(events.to_vec()).iter().map(message).collect();
    let broker = deployment.nats.connect().await?;
    publish(&broker, messages).await?;
    broker.close().await;
    deployment.drain().await?;
    let outcome = Outcome::read(&deployment.base).await?;
    anyhow::ensure!(
        outcome.tables.ledger.len() == events.len(),
        "every event is in the ledger"
    );
    Ok(outcome)
}

/// Events on their way, and the consumer that delivers them.
pub(super) struct Flow {
    consumer: PullConsumer,
    broker: Broker,
    published: Cell<bool>,
}

/// The consumer as the broker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Deliveries since it was made, repeated ones included.
    pub(super) deliveries: u64,
    /// Messages that were delivered at least once.
    pub(super) delivered: u64,
    /// Messages that never were.
    pub(super) waiting: u64,
    /// Delivered messages that are not acknowledged.
    pub(super) unacknowledged: u64,
}

impl Seen {
    /// Deliveries after `before` that are not acknowledged: those that are unacknowledged now and were delivered (again)
    /// since. Exact as long as none was delivered twice in between, that is for less than the ack wait.
    pub(super) fn in_hand_since(self, before: Self) -> u64 {
        let again = (self.deliveries - before.deliveries) - (self.delivered - before.delivered);
        (self.unacknowledged + again).saturating_sub(before.unacknowledged)
    }
}

impl Flow {
    pub(super) async fn through(deployment: &Deployment) -> Result<Self> {
        let context = deployment.client().await?;
        Ok(Self {
            consumer: context.get_consumer_from_stream("rollcall", "USERS").await?,
            broker: deployment.nats.connect().await?,
            published: Cell::new(false),
        })
    }

    /// Publishes in bursts of random size, each when little is left of those before.
    pub(super) async fn publish(&self, events: &[Value], mut dice: Dice) -> Result<()> {
        let mut rest = events;
        while !rest.is_empty() {
            wait_for("room for a burst", PATIENCE, async || {
                (self.look().await.ok()?.waiting < LOW_WATER).then_some(())
            })
            .await?;
            let (burst, later) = rest.split_at(rest.len().min(1 + dice.below(BURST)));
            publish(&self.broker, burst.iter().map(message).collect()).await?;
            rest = later;
        }
        self.published.set(true);
        Ok(())
    }

    pub(super) async fn look(&self) -> Result<Seen> {
        let mut consumer = self.consumer.clone();
        let info = consumer.info().await?;
        Ok(Seen {
            deliveries: info.delivered.consumer_sequence,
            delivered: info.delivered.stream_sequence,
            waiting: info.num_pending,
            unacknowledged: info.num_ack_pending as u64,
        })
    }

    /// Whether every event was published and delivered at least once.
    pub(super) fn has_ended(&self, seen: Seen) -> bool {
        self.published.get() && seen.waiting == 0
    }

    /// Waits until so many deliveries were made after `before`, or there are no more events.
    pub(super) async fn flows_on(&self, before: Seen, deliveries: u64) -> Result<()> {
        wait_for("deliveries", PATIENCE, async || {
            let seen = self.look().await.ok()?;
            (seen.deliveries >= before.deliveries + deliveries || self.has_ended(seen)).then_some(())
        })
        .await
    }

    /// Waits until there are no more events.
    pub(super) async fn ends(&self) -> Result<()> {
        wait_for("the last delivery", PATIENCE, async || {
            let seen = self.look().await.ok()?;
            self.has_ended(seen).then_some(())
        })
        .await
    }

    /// How the consumer stands when nobody is alive: acknowledgements that a dead worker had sent may still be on their
    /// way, so it is looked at until nothing has changed three times.
    pub(super) async fn at_rest(&self) -> Result<Seen> {
        let mut last = Vec::new();
        wait_for("a consumer at rest", PATIENCE, async || {
            let seen = self.look().await.ok()?;
            if last.last().is_some_and(|other| *other != seen) {
                last.clear();
            }
            last.push(seen);
            (last.len() > 3).then_some(seen)
        })
        .await
    }
}
