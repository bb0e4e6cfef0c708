//! What is written without Rollcall, by somebody who knows the trade: a pull consumer, events in flight on as many
//! connections, one transaction an event, in one prepared statement, so that it is one round trip, too.
//!
//! It stores each event once, and makes a profile of it. It knows no order of events, no renames, no cascades and no dead
//! letters: it is the least that could be said to do the same for sign-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream::Stream};
use futures_util::StreamExt as _;
use rollcall::clock;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Asked for ahead, so that nobody waits for the broker.
const AHEAD: usize = 500;

/// What it needs.
const TABLES: &str = "
CREATE SCHEMA naive;
CREATE TABLE naive.events (
    source text NOT NULL, event_id text NOT NULL, user_id text NOT NULL, type text NOT NULL, time timestamptz NOT NULL,
    data json NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, event_id));
CREATE INDEX ON naive.events (user_id, time);
CREATE TABLE naive.profiles (
    profile_id uuid PRIMARY KEY, user_id text NOT NULL, profile_type text NOT NULL, status text NOT NULL,
    display_name text NOT NULL, email text, username text, first_name text, last_name text, full_name text, phone text,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, UNIQUE (user_id, profile_type));
CREATE INDEX ON naive.profiles (email);
";

/// A second delivery finds the event there and changes nothing.
const APPLY: &str = "
WITH event AS (
    INSERT INTO naive.events (source, event_id, user_id, type, time, data) VALUES ($1, $2, $3, $4, $5, $6::text::json)
    ON CONFLICT DO NOTHING RETURNING user_id, time
)
INSERT INTO naive.profiles
SELECT $7::uuid, user_id, 'client', 'draft', coalesce($12::text, $9::text, $8::text, user_id), $8, $9, $10::text, $11::text,
    $12, $13::text, time, time FROM event
ON CONFLICT (user_id, profile_type) DO UPDATE SET email = excluded.email, username = excluded.username,
    first_name = excluded.first_name, last_name = excluded.last_name, full_name = excluded.full_name,
    phone = excluded.phone, display_name = excluded.display_name, updated_at = excluded.updated_at";

#[derive(Deserialize)]
struct Event<'a> {
    source: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Details {
    user_id: String,
    email: Option<String>,
    username: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    full_name: Option<String>,
    phone: Option<String>,
}

/// How long the first so many messages of a stream take with so many events in flight, into a database that has none of
/// its tables yet. Connecting is not counted.
pub(crate) async fn run(
    stream: &Stream<()>,
    durable: &str,
    url: &str,
    in_flight: usize,
    messages: u64,
) -> Result<Duration> {
    let mut connections = Vec::new();
    for _ in 0..in_flight {
        connections.push(PgConnection::connect(url).await?);
    }
    connections[0].execute(TABLES).await?;
    for connection in &mut connections {
        connection.prepare(sqlx::SqlStr::from_static(APPLY)).await?;
    }
    let consumer = pull::Config {
        durable_name: Some(durable.to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 8_000,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(consumer).await?;
    let began = clock::monotonic();
    let waiting = Arc::new(Mutex::new(
        consumer.stream().max_messages_per_batch(AHEAD).messages().await?,
    ));
    let taken = Arc::new(AtomicU64::new(0));
    let mut at_work = JoinSet::new();
    for connection in connections {
        at_work.spawn(work(connection, Arc::clone(&waiting), Arc::clone(&taken), messages));
    }
    while let Some(done) = at_work.join_next().await {
        done??;
    }
    let took = began.elapsed();
    stream.delete_consumer(durable).await?;
    Ok(took)
}

async fn work(
    mut connection: PgConnection,
    waiting: Arc<Mutex<pull::Stream>>,
    taken: Arc<AtomicU64>,
    messages: u64,
) -> Result<()> {
    while taken.fetch_add(1, Ordering::Relaxed) < messages {
        let next = waiting.lock().await.next().await;
        let message = next.context("the stream ended")??;
        apply(&mut connection, &message).await?;
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    Ok(())
}

async fn apply(connection: &mut PgConnection, message: &jetstream::Message) -> Result<()> {
    let event: Event<'_> = serde_json::from_slice(&message.payload)?;
    let user: Details = serde_json::from_str(event.data.get())?;
    sqlx::query(APPLY)
        .bind(event.source)
        .bind(event.id)
        .bind(user.user_id)
        .bind(event.kind)
        .bind(OffsetDateTime::parse(&event.time, &Rfc3339)?)
        .bind(event.data.get())
        .bind(clock::new_row_id())
        .bind(user.email)
        .bind(user.username)
        .bind(user.first_name)
        .bind(user.last_name)
        .bind(user.full_name)
        .bind(user.phone)
        .execute(connection)
        .await?;
    Ok(())
}
