//! From the publishing of an event to the end of its transaction, at a steady rate far below the limit: how long a lone
//! event waits. Beside a bare loop of fetch, one row, COMMIT, acknowledgement.
//!
//! Both are timed in the same way: the acknowledgement, which comes after the commit, is seen on its way to the broker.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::{HeaderMap, Subscriber};
use futures_util::StreamExt as _;
use rollcall::clock;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::broker::{Broker, STREAM};
use crate::cluster::run;
use crate::field::Field;
use crate::people;
use crate::report::{Goal, Row, median};

/// Between two events: a thousand a second.
const PACE: Duration = Duration::from_millis(1);
/// Events of the first row to one of this: thirty seconds for three hundred thousand.
const SHARE: u64 = 10;
/// Connections of the bare loop, so that it does not wait for its own disk.
const CONNECTIONS: usize = 8;
/// Milliseconds at the end of a run that are no sign of a queue that grows.
const QUEUE: f64 = 100.0;
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Latencies {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Latencies {
    /// From the times of one run.
    fn take(&mut self, mut times: Vec<f64>) {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        self.p50.push(at(0.5));
        self.p99.push(at(0.99));
    }
}

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    let events = (field.order.events / SHARE).max(1_000);
    let (mut product, mut bare) = (Latencies::default(), Latencies::default());
    for _ in 0..field.order.repetitions {
        product.take(by_worker(field, events).await?);
        bare.take(by_bare_loop(field, events).await?);
    }
    let row = |name, what: &str, runs, beside, goal| Row {
        name,
        what: format!("publish to commit at 1,000 events/s, {what}"),
        unit: "ms",
        runs,
        beside: Some(("publish, fetch, one row, COMMIT".to_owned(), beside)),
        goal: Some(Goal::AtMost(goal)),
        more: json!({"events": events}),
    };
    Ok(vec![
        row("latency_p50", "half of them within", product.p50, bare.p50, 3.0),
        row("latency_p99", "99 of 100 within", product.p99, bare.p99, 5.0),
    ])
}

async fn by_worker(field: &Field, events: u64) -> Result<Vec<f64>> {
    let base = field.database().await?;
    let broker = field.broker(std::iter::empty()).await?;
    let durable = field.name("run");
    let task = field.task(&broker, &durable, &base);
    task.migrate().await?;
    field.settle().await?;
    let mut worker = task.worker("worker-1").await?;
    let times = steadily(&broker, events).await?;
    field.expect(&base, "rollcall.ledger", events).await?;
    worker.signal("TERM")?;
    worker.ended(PATIENCE).await?;
    task.forget().await?;
    field.drop(base).await?;
    Ok(times)
}

async fn by_bare_loop(field: &Field, events: u64) -> Result<Vec<f64>> {
    let base = field.database().await?;
    let broker = field.broker(std::iter::empty()).await?;
    let mut connection = field.cluster.connect(&base.name).await?;
    run(&mut connection, "CREATE TABLE bare (sequence bigint PRIMARY KEY)").await?;
    connection.close().await?;
    field.settle().await?;
    let durable = field.name("bare");
    let consumer = pull::Config {
        durable_name: Some(durable.clone()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let consumer = broker.stream().await?.create_consumer(consumer).await?;
    let waiting = Arc::new(Mutex::new(consumer.messages().await?));
    let mut at_work = JoinSet::new();
    for _ in 0..CONNECTIONS {
        at_work.spawn(bare(PgConnection::connect(&base.url).await?, Arc::clone(&waiting)));
    }
    let times = tokio::select! {
        times = steadily(&broker, events) => times?,
        Some(ended) = at_work.join_next() => {
            ended??;
            anyhow::bail!("the bare loop ended early")
        }
    };
    at_work.shutdown().await;
    field.expect(&base, "bare", events).await?;
    broker.stream().await?.delete_consumer(&durable).await?;
    field.drop(base).await?;
    Ok(times)
}

async fn bare(mut connection: PgConnection, waiting: Arc<Mutex<pull::Stream>>) -> Result<()> {
    loop {
        let next = waiting.lock().await.next().await;
        let message = next.context("the stream ended")??;
        let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        let insert = sqlx::query("INSERT INTO bare VALUES ($1)").bind(sequence as i64);
        insert.execute(&mut connection).await?;
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
    }
}

/// Publishes at the pace; milliseconds from each publishing to the acknowledgement of whoever took it.
async fn steadily(broker: &Broker, events: u64) -> Result<Vec<f64>> {
    // A connection of its own, so that what is watched does not wait behind what is published.
    let watching = async_nats::connect(broker.url()).await?;
    let acknowledgements = watching.subscribe("$JS.ACK.>").await?;
    watching.flush().await?;
    let first = broker.next_sequence().await?;
    let seen = tokio::spawn(watch(acknowledgements, first, events));
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    let mut sent = Vec::with_capacity(events as usize);
    // Confirmed by somebody else: the client publishes nothing more while too many are not, and here nobody would ask.
    let (publishings, mut published) = tokio::sync::mpsc::unbounded_channel::<PublishAckFuture>();
    let confirmed = tokio::spawn(async move {
        while let Some(publishing) = published.recv().await {
            publishing.await?;
        }
        anyhow::Ok(())
    });
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for event in people::created(0..events) {
        // When it was due: who publishes late keeps the event waiting as well.
        sent.push(ticks.tick().await.into_std());
        let publishing = broker
            .context
            .publish_with_headers(event.subject, headers.clone(), event.payload);
        publishings.send(publishing.await?).context("a publishing failed")?;
    }
    drop(publishings);
    confirmed.await??;
    let seen = tokio::time::timeout(PATIENCE, seen)
        .await
        .context("not everything is acknowledged")???;
    let pairs = sent.into_iter().zip(seen);
    let times: Vec<f64> = pairs
        .map(|(sent, seen)| seen.saturating_duration_since(sent).as_secs_f64() * 1e3)
        .collect();
    let third = times.len() / 3;
    let (begun, ended) = (median(&times[..third]), median(&times[2 * third..]));
    ensure!(
        ended < 10.0 * begun + QUEUE,
        "half of the first events took {begun:.1} ms and half of the last {ended:.1} ms: a thousand a second are too many here"
    );
    Ok(times)
}

/// When each message was acknowledged, by its place after the first.
async fn watch(mut acknowledgements: Subscriber, first: u64, events: u64) -> Result<Vec<Instant>> {
    let mut seen: Vec<Option<Instant>> = vec![None; events as usize];
    let mut left = events;
    while left > 0 {
        let message = acknowledgements.next().await.context("no more acknowledgements")?;
        // Others say that something is in hand, or comes back.
        if !(message.payload.is_empty() || message.payload.starts_with(b"+ACK")) {
            continue;
        }
        let sequence = sequence(&message.subject).context("the subject of an acknowledgement")?;
        let place = usize::try_from(sequence.saturating_sub(first))?;
        ensure!(
            place < seen.len(),
            "message {sequence} is acknowledged, which nobody published"
        );
        if seen[place].replace(clock::monotonic()).is_none() {
            left -= 1;
        }
    }
    Ok(seen.into_iter().flatten().collect())
}

/// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…`; newer servers may put domain and account before the stream.
fn sequence(subject: &str) -> Option<u64> {
    let mut tokens = subject.split('.').skip_while(|token| *token != STREAM);
    tokens.nth(3)?.parse().ok()
}
