//! The streams as any client of the broker would read them.

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest silence of a broker that nobody disturbs any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far the workers are, as the broker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Messages that were never delivered, and delivered ones without an acknowledgement.
    pub(super) open: u64,
    /// Deliveries so far; a killed broker may forget some.
    pub(super) deliveries: u64,
}

pub(super) async fn progress(context: &jetstream::Context) -> Result<Progress> {
    let stream = context.get_stream_no_info("USERS").await?;
    let info = stream.consumer_info("rollcall").await?;
    Ok(Progress {
        open: info.num_pending + info.num_ack_pending as u64,
        deliveries: info.delivered.consumer_sequence,
    })
}

/// Hands over sequence and headers of every message of a stream; the payloads stay where they are.
async fn each(context: &jetstream::Context, name: &str, mut take: impl FnMut(u64, &HeaderMap)) -> Result<()> {
    let mut stream = context.get_stream(name).await?;
    let last = stream.info().await?.state.last_sequence;
    if last == 0 {
        return Ok(());
    }
    let consumer = stream
        .create_consumer(consumer::pull::OrderedConfig {
            headers_only: true,
            ..Default::default()
        })
        .await?;
    let mut messages = consumer.messages().await?;
    loop {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await;
        let message = message.with_context(|| format!("stream {name} falls silent before {last}"))?;
        let message = message.with_context(|| format!("stream {name} ends before {last}"))??;
        let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        take(sequence, message.headers.as_ref().unwrap_or(&HeaderMap::new()));
        if sequence >= last {
            return Ok(());
        }
    }
}

/// Which event each stored message is, by its sequence.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) messages: usize,
    numbers: Vec<Option<u32>>,
}

impl Stored {
    pub(super) async fn read(context: &jetstream::Context) -> Result<Self> {
        let mut stored = Self::default();
        each(context, "USERS", |sequence, headers| {
            let id = text(headers, "Nats-Msg-Id");
            let number = id.split('/').next().and_then(|number| number.parse().ok());
            stored.put(sequence, number);
        })
        .await?;
        ensure!(stored.messages > 0, "the stream of events is empty");
        Ok(stored)
    }

    pub(super) fn put(&mut self, sequence: u64, number: Option<u32>) {
        let index = sequence as usize;
        self.numbers.resize(self.numbers.len().max(index + 1), None);
        self.numbers[index] = number;
        self.messages += 1;
    }

    /// Sequences with the number of their event.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, u32)> {
        let all = self.numbers.iter().enumerate();
        all.filter_map(|(sequence, number)| Some((sequence as u64, (*number)?)))
    }
}

/// A dead letter as it lies in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) reason: String,
    /// Where the original lies.
    pub(super) sequence: u64,
}

/// All dead letters by their message id, and how often each is there.
pub(super) async fn letters(context: &jetstream::Context) -> Result<BTreeMap<String, (Letter, usize)>> {
    let mut letters = BTreeMap::new();
    each(context, "DEAD_LETTERS", |_, headers| {
        let letter = Letter {
            reason: text(headers, "Rollcall-Reason").to_owned(),
            sequence: text(headers, "Rollcall-Sequence").parse().unwrap_or_default(),
        };
        let id = text(headers, "Nats-Msg-Id").to_owned();
        letters.entry(id).or_insert((letter, 0)).1 += 1;
    })
    .await?;
    Ok(letters)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.as_str())
}
