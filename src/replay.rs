//! Replay: events that a stream still holds, once more through the one `apply`.
//!
//! Safe at any time, also beside a worker: what the ledger has is a duplicate. Reads for itself, so that the worker's
//! consumer is never touched and nothing is acknowledged. An outage is waited out; a stop comes between two batches.

mod dry_run;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::Notify;

use crate::apply::{Applier, Arrival, Givens, Settled};
use crate::clock;
use crate::failure::{self, Class};
use crate::jetstream::StoredMessages;
use crate::reading::{End, InHand, Reading};
use crate::shutdown::Shutdown;
use crate::store::{Parked, StoreError};
use crate::worker::tally::{Counts, Tally};

pub use dry_run::{Surveyed, survey};

/// So many different users are told apart: what is kept of each is eight bytes, but there may be very many.
const USERS_TOLD_APART: usize = 1_000_000;
/// How often a contended batch is tried whole before its halves are.
const WHOLE_TRIES: u32 = 4;
/// How often an event that is alone is tried in quick succession.
const QUICK_TRIES: u32 = 20;

/// What a replay works with.
pub struct Replay<'a> {
    /// Applies the batches.
    pub applier: Arc<Applier>,
    /// How messages are read.
    pub reading: Reading<'a>,
    /// Told when a dead letter may wait in the outbox.
    pub outbox: Arc<Notify>,
    /// Stops it between two batches, or at once.
    pub shutdown: Shutdown,
}

/// How far it came, and what became of the messages.
#[derive(Debug)]
pub struct Replayed {
    /// The outcomes of committed batches.
    pub counts: Counts,
    /// Messages in them.
    pub messages: u64,
    /// Messages besides that the database refuses: they wait in `retries`, where the worker judges them.
    pub parked: u64,
    /// Whose events changed something.
    pub users: Users,
    /// The sequence to go on from; everything before it is done.
    pub next: u64,
    /// Whether that is the end.
    pub end: End,
}

/// Different users, counted in bounded memory: the keys that events name.
#[derive(Debug, Default)]
pub struct Users {
    hashes: HashSet<u64>,
}

impl Users {
    fn note(&mut self, key: &str) {
        if !self.is_lower_bound() {
            let mut hash = DefaultHasher::new();
            key.hash(&mut hash);
            self.hashes.insert(hash.finish());
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Whether there may be more: they are told apart up to a million.
    pub fn is_lower_bound(&self) -> bool {
        self.hashes.len() >= USERS_TOLD_APART
    }
}

/// Applies the messages in order until none is left or it is stopped. `first` is the sequence that reading begins at;
/// `progress` is told the sequence of the last message done.
pub async fn replay(with: &Replay<'_>, mut messages: StoredMessages, first: u64, progress: impl Fn(u64)) -> Replayed {
    let tally = Tally::default();
    let mut replayed = Replayed {
        counts: Counts::default(),
        messages: 0,
        parked: 0,
        users: Users::default(),
        next: first,
        end: End::Complete,
    };
    replayed.end = loop {
        let batch = match with.reading.next(&mut messages, &with.shutdown).await {
            Ok(batch) => Arc::new(batch),
            Err(end) => break end,
        };
        let mut parts: Vec<Range<usize>> = std::iter::once(0..batch.len()).collect();
        while let Some(part) = parts.pop() {
            match with.commit(&batch, part.clone()).await {
                Tried::Committed(settled) => {
                    tally.count(settled.iter().copied());
                    replayed.note(&batch[part], &settled);
                    with.outbox.notify_one();
                    progress(replayed.next - 1);
                }
                Tried::Parked => {
                    replayed.parked += part.len() as u64;
                    replayed.next = batch[part.end - 1].message.sequence + 1;
                    progress(replayed.next - 1);
                }
                // What was put last is worked on next.
                Tried::Cut => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Tried::Stopped => {
                    replayed.counts = tally.counts();
                    replayed.end = End::Stopped;
                    return replayed;
                }
            }
        }
    };
    replayed.counts = tally.counts();
    replayed
}

impl Replayed {
    fn note(&mut self, part: &[InHand], settled: &[Settled]) {
        self.messages += part.len() as u64;
        for (in_hand, settled) in part.iter().zip(settled) {
            if let (Ok(envelope), Settled::Applied(_)) = (&in_hand.decoded, settled) {
                self.users.note(&envelope.event.key);
            }
            self.next = in_hand.message.sequence + 1;
        }
    }
}

enum Tried {
    Committed(Vec<Settled>),
    /// The database refuses this event, and it waits to be judged.
    Parked,
    Cut,
    Stopped,
}

impl Replay<'_> {
    /// Tries until the database has this part of a batch, or it is better tried in halves.
    async fn commit(&self, batch: &Arc<Vec<InHand>>, part: Range<usize>) -> Tried {
        let mut tries = 0;
        let mut pauses = Pauses::default();
        loop {
            let error = match self.attempt(batch, part.clone()).await {
                None => return Tried::Stopped,
                Some(Ok(settled)) => {
                    if pauses.waited {
                        tracing::warn!("the database takes events again");
                    }
                    return Tried::Committed(settled);
                }
                Some(Err(error)) => error,
            };
            tries += 1;
            let fault = failure::fault(&error);
            // What fails again and again without anybody in its way is that event's own fault.
            let alone = part.len() == 1 && tries >= QUICK_TRIES;
            let contended = match if alone { fault.alone } else { fault.class } {
                Class::Contended => tries < QUICK_TRIES,
                Class::Event if part.len() > 1 => return Tried::Cut,
                // Judging takes probes and pauses; the worker does that, beside what goes on.
                Class::Event if self.park(&batch[part.start]).await.is_ok() => return Tried::Parked,
                Class::World | Class::Event => false,
            };
            if contended && tries >= WHOLE_TRIES && part.len() > 1 {
                return Tried::Cut;
            }
            if !contended && !pauses.waited {
                tracing::warn!(
                    error = failure::chain(&error),
                    "the database does not take events, waiting for it"
                );
            }
            let pause = if contended { pauses.short() } else { pauses.long() };
            tokio::select! {
                () = self.shutdown.soft.cancelled() => return Tried::Stopped,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn park(&self, in_hand: &InHand) -> Result<(), StoreError> {
        let message = &in_hand.message;
        let kind = in_hand
            .decoded
            .as_ref()
            .map(|envelope| envelope.event.body.kind().name());
        let parked = Parked {
            message_id: self.applier.undertaker.message_id(message.sequence, message.published),
            stream: self.reading.stream.to_owned(),
            sequence: message.sequence,
            published: message.published,
            subject: message.subject.clone(),
            headers: message.headers.clone(),
            payload: message.payload.to_vec(),
            kind: kind.unwrap_or("unknown").to_owned(),
            attempts: Vec::new(),
            next_at: clock::now(),
        };
        self.applier.store.park(&[parked]).await
    }

    /// Tries once, in a task of its own: a transaction that is cancelled half-way would stay open on its connection.
    /// None when the shutdown leaves no time for the answer.
    async fn attempt(&self, batch: &Arc<Vec<InHand>>, part: Range<usize>) -> Option<Result<Vec<Settled>, StoreError>> {
        let (applier, batch, stream) = (
            Arc::clone(&self.applier),
            Arc::clone(batch),
            self.reading.stream.to_owned(),
        );
        let mut task = tokio::spawn(async move {
            let arrivals: Vec<Arrival<'_>> = batch[part]
                .iter()
                .map(|in_hand| Arrival {
                    message: in_hand.incoming(&stream),
                    decoded: Cow::Borrowed(&in_hand.decoded),
                })
                .collect();
            let givens = Givens {
                now: clock::now(),
                mint: &mut clock::new_row_id,
            };
            applier.apply(&arrivals, givens).await
        });
        tokio::select! {
            // A task that died took its transaction with it: nothing is committed.
            ended = &mut task => Some(ended.unwrap_or(Err(StoreError::Died("it panicked")))),
            () = self.shutdown.hard.cancelled() => None,
        }
    }
}

/// The pauses between tries: short beside others, growing to five seconds for a world that is out of order.
#[derive(Default)]
struct Pauses {
    short: Option<ExponentialBackoff>,
    long: Option<ExponentialBackoff>,
    waited: bool,
}

impl Pauses {
    fn short(&mut self) -> Duration {
        next(&mut self.short, Duration::from_millis(2), Duration::from_millis(100))
    }

    fn long(&mut self) -> Duration {
        self.waited = true;
        next(&mut self.long, Duration::from_millis(100), Duration::from_secs(5))
    }
}

fn next(pauses: &mut Option<ExponentialBackoff>, least: Duration, most: Duration) -> Duration {
    let builder = ExponentialBuilder::default()
        .with_min_delay(least)
        .with_max_delay(most)
        .with_jitter()
        .without_max_times();
    pauses.get_or_insert_with(|| builder.build()).next().unwrap_or(most)
}
