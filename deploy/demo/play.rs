//! Plays the post to the broker and waits until the worker has dealt with all of it.

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::{self, consumer::PullConsumer, context::PublishAckFuture, stream::Stream};
use async_nats::{Client, HeaderMap};
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::Message;

/// How many publishes wait for their acknowledgement at a time: with `sync_interval: always` a bigger window only
/// makes the last ones wait longer than the client does.
const WINDOW: usize = 128;
const POLL: Duration = Duration::from_millis(25);
/// A worker that settles nothing for so long is not going to.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the broker said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) published: usize,
    /// Acknowledged as already stored.
    pub(crate) dropped: usize,
    /// From the first publish until nothing was left to settle.
    pub(crate) seconds: f64,
}

#[expect(clippy::disallowed_methods, reason = "the demo measures how long its own play took")]
fn now() -> Instant {
    Instant::now()
}

/// Publishes the messages in their order and returns when the consumer has none left.
pub(crate) async fn play(url: &str, stream: &str, messages: &[Message]) -> Result<Played> {
    let client = async_nats::connect(url).await.context("the broker cannot be reached")?;
    let (stream, consumer) = ready(&client, stream).await?;
    let begin = now();
    let bar = bar(messages.len() as u64, "publishing");
    let dropped = publish(&client, messages, &bar).await?;
    bar.finish_and_clear();
    drained(stream, consumer, (messages.len() - dropped) as u64).await?;
    Ok(Played {
        published: messages.len(),
        dropped,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// The worker creates stream and consumer when it starts; both must be there before the first message.
async fn ready(client: &Client, name: &str) -> Result<(Stream, PullConsumer)> {
    let context = jetstream::new(client.clone());
    let mut tick = tokio::time::interval(POLL);
    let begin = now();
    while begin.elapsed() < PATIENCE {
        tick.tick().await;
        let Ok(stream) = context.get_stream(name).await else {
            continue;
        };
        let names: Vec<String> = stream.consumer_names().try_collect().await.unwrap_or_default();
        if let Some(consumer) = names.first() {
            let consumer = stream
                .get_consumer(consumer)
                .await
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            return Ok((stream, consumer));
        }
    }
    bail!(
        "the worker created no stream {name} with a consumer within {} s",
        PATIENCE.as_secs()
    )
}

async fn publish(client: &Client, messages: &[Message], bar: &ProgressBar) -> Result<usize> {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(Duration::from_secs(20));
    let mut dropped = 0;
    let mut waiting: VecDeque<PublishAckFuture> = VecDeque::with_capacity(WINDOW);
    for message in messages {
        if waiting.len() == WINDOW {
            dropped += settle(&mut waiting, bar).await?;
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", message.id.as_str());
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        let payload = message.payload.clone().into();
        waiting.push_back(
            context
                .publish_with_headers(message.subject.clone(), headers, payload)
                .await?,
        );
    }
    while !waiting.is_empty() {
        dropped += settle(&mut waiting, bar).await?;
    }
    Ok(dropped)
}

/// Waits for the oldest acknowledgement; 1 if the broker had the message already.
async fn settle(waiting: &mut VecDeque<PublishAckFuture>, bar: &ProgressBar) -> Result<usize> {
    let Some(oldest) = waiting.pop_front() else {
        return Ok(0);
    };
    let ack = oldest.await.context("the broker did not acknowledge a message")?;
    bar.inc(1);
    Ok(usize::from(ack.duplicate))
}

/// Nothing to deliver and nothing unacknowledged.
async fn drained(mut stream: Stream, mut consumer: PullConsumer, messages: u64) -> Result<()> {
    let stored = stream.info().await?.state.messages;
    ensure!(
        stored == messages,
        "the stream holds {stored} messages instead of {messages}"
    );
    let bar = bar(stored, "settling");
    let mut tick = tokio::time::interval(POLL);
    let (mut left, mut since) = (u64::MAX, now());
    while left > 0 {
        tick.tick().await;
        let info = consumer.info().await?;
        let open = info.num_pending + info.num_ack_pending as u64;
        if open != left {
            (left, since) = (open, now());
        }
        bar.set_position(stored.saturating_sub(open));
        ensure!(
            since.elapsed() < PATIENCE,
            "{left} messages are left and the worker settles none of them"
        );
    }
    bar.finish_and_clear();
    Ok(())
}

fn bar(length: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {msg:<11} {bar:36} {human_pos:>6} of {human_len} · {per_sec}");
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(doing)
}
