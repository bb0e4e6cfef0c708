//! One lane: cuts what arrives into batches, gets each committed, then acknowledges it.

use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::settle::{Directive, settle};
use super::tally::Tally;
use crate::apply::{Applier, Arrival, Givens, Settled};
use crate::clock;
use crate::envelope::{Envelope, Incoming, Refusal};
use crate::failure;
use crate::jetstream::{Acker, Delivery, ack_all};
use crate::shutdown::Shutdown;
use crate::store::StoreError;

/// A delivery in hand, with the room it takes up.
pub(super) struct InHand {
    pub(super) delivery: Delivery,
    pub(super) decoded: Result<Envelope, Refusal>,
    pub(super) _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// What a lane works with.
pub(super) struct Lane {
    pub(super) applier: Arc<Applier>,
    pub(super) tally: Arc<Tally>,
    /// Told when a dead letter may wait in the outbox.
    pub(super) outbox: Arc<Notify>,
    pub(super) shutdown: Shutdown,
    pub(super) batch_max: usize,
    pub(super) linger: Duration,
    pub(super) ack_wait: Duration,
}

/// What became of a batch.
enum End {
    Committed(Vec<Settled>),
    /// It was not committed; its halves are to be tried.
    Cut,
    /// It was not committed and nobody waits for it any longer.
    GivenUp,
}

impl Lane {
    /// Works until the queue is closed and empty, or the shutdown leaves no time.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<InHand>) {
        while let Some(first) = queue.recv().await {
            if self.shutdown.soft.is_cancelled() {
                hand_back(first.delivery).await;
                continue;
            }
            let batch = self.gather(first, &mut queue).await;
            let mut parts = vec![Arc::new(batch)];
            while let Some(part) = parts.pop() {
                self.commit(part, &mut parts).await;
            }
        }
    }

    /// Takes what is ready; waits for more only while more is known to be on its way.
    async fn gather(&self, first: InHand, queue: &mut mpsc::Receiver<InHand>) -> Vec<InHand> {
        let deadline = Instant::now() + self.linger;
        let mut batch = vec![first];
        while batch.len() < self.batch_max {
            match queue.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) if batch.last().is_none_or(|last| last.delivery.pending == 0) => break,
                Err(_) => match tokio::time::timeout_at(deadline, queue.recv()).await {
                    Ok(Some(next)) => batch.push(next),
                    Ok(None) | Err(_) => break,
                },
            }
        }
        batch
    }

    /// Gets a batch committed and acknowledges it; what has to be cut goes back to `parts`.
    async fn commit(&self, batch: Arc<Vec<InHand>>, parts: &mut Vec<Arc<Vec<InHand>>>) {
        let began = clock::monotonic();
        let mut tries = 0;
        let mut pauses = Pauses::default();
        let end = loop {
            match self.attempt(&batch).await {
                Some(Ok(settled)) => break End::Committed(settled),
                None => break End::GivenUp,
                Some(Err(error)) => {
                    tries += 1;
                    let class = failure::class(&error);
                    let directive = settle(class, tries, batch.len());
                    match directive {
                        Directive::Again => tracing::debug!(%error, tries, "batch contended, trying again"),
                        Directive::Halve => break End::Cut,
                        Directive::Wait if !pauses.waited => {
                            tracing::warn!(%error, events = batch.len(), "the database does not take events, waiting for it");
                        }
                        Directive::Wait => tracing::debug!(%error, tries, "the database still does not take events"),
                    }
                    if !self.pause(pauses.next(directive), &batch).await {
                        break End::GivenUp;
                    }
                }
            }
        };
        if tries > 0 && matches!(end, End::Committed(_)) && pauses.waited {
            tracing::info!(
                tries,
                waited_ms = began.elapsed().as_millis(),
                "the database takes events again"
            );
        }
        // Whoever still works on it after a hard stop keeps it; what it commits is a duplicate at the next delivery.
        let Ok(mut batch) = Arc::try_unwrap(batch) else { return };
        match end {
            End::Cut => {
                let second = batch.split_off(batch.len() / 2);
                parts.extend([Arc::new(second), Arc::new(batch)]);
            }
            End::Committed(settled) => {
                tracing::debug!(
                    events = batch.len(),
                    duration_ms = began.elapsed().as_millis(),
                    "batch committed"
                );
                self.report(&batch, &settled);
                let ackers: Vec<Acker> = batch.into_iter().map(|in_hand| in_hand.delivery.acker).collect();
                ack_all(ackers).await;
            }
            End::GivenUp => {
                for in_hand in batch {
                    hand_back(in_hand.delivery).await;
                }
            }
        }
    }

    fn report(&self, batch: &[InHand], settled: &[Settled]) {
        self.tally.count(settled);
        for (in_hand, outcome) in batch.iter().zip(settled) {
            if let Settled::Rejected(reason) | Settled::Dead(reason) = outcome {
                let event_id = in_hand
                    .decoded
                    .as_ref()
                    .map(|envelope| envelope.id.as_str())
                    .unwrap_or_default();
                let sequence = in_hand.delivery.sequence;
                tracing::warn!(event_id, sequence, outcome = reason.name(), "sent to the dead letters");
                self.outbox.notify_one();
            }
        }
    }

    /// Tries once, in a task of its own: a transaction that is cancelled half-way would stay open on its connection.
    /// None when the shutdown leaves no time for the answer.
    async fn attempt(&self, batch: &Arc<Vec<InHand>>) -> Option<Result<Vec<Settled>, StoreError>> {
        let (applier, shared) = (Arc::clone(&self.applier), Arc::clone(batch));
        let mut task = tokio::spawn(async move {
            let arrivals: Vec<Arrival<'_>> = shared.iter().map(arrival).collect();
            let givens = Givens {
                now: clock::now(),
                mint: &mut clock::new_row_id,
            };
            applier.apply(&arrivals, givens).await
        });
        let mut alive = tokio::time::interval_at(Instant::now() + self.ack_wait / 3, self.ack_wait / 3);
        loop {
            tokio::select! {
                result = &mut task => {
                    // A task that died took its transaction with it: nothing is committed.
                    return Some(result.unwrap_or_else(|died| Err(StoreError::Died(if died.is_panic() { "it panicked" } else { "it was cancelled" }))));
                }
                () = self.shutdown.hard.cancelled() => return None,
                _ = alive.tick() => keep(batch).await,
            }
        }
    }

    /// Waits before the next try; false when nobody waits any longer.
    async fn pause(&self, pause: Duration, batch: &Arc<Vec<InHand>>) -> bool {
        let end = Instant::now() + pause;
        loop {
            let slice = end.min(Instant::now() + self.ack_wait / 3);
            tokio::select! {
                () = self.shutdown.soft.cancelled() => return false,
                () = tokio::time::sleep_until(slice) => {}
            }
            keep(batch).await;
            if Instant::now() >= end {
                return true;
            }
        }
    }
}

/// The pauses between tries: short for contention, growing to five seconds for a world that is out of order.
#[derive(Default)]
struct Pauses {
    contended: Option<backoff::ExponentialBackoff>,
    world: Option<backoff::ExponentialBackoff>,
    waited: bool,
}

impl Pauses {
    fn next(&mut self, directive: Directive) -> Duration {
        let (pauses, least, most) = match directive {
            Directive::Again | Directive::Halve => (
                &mut self.contended,
                Duration::from_millis(2),
                Duration::from_millis(100),
            ),
            Directive::Wait => {
                self.waited = true;
                (&mut self.world, Duration::from_millis(100), Duration::from_secs(5))
            }
        };
        let builder = ExponentialBuilder::default()
            .with_min_delay(least)
            .with_max_delay(most)
            .with_jitter()
            .without_max_times();
        pauses.get_or_insert_with(|| builder.build()).next().unwrap_or(most)
    }
}

fn arrival(in_hand: &InHand) -> Arrival<'_> {
    Arrival {
        message: incoming(&in_hand.delivery),
        decoded: in_hand.decoded.clone(),
    }
}

/// A delivery as the decoder reads it.
pub(super) fn incoming(delivery: &Delivery) -> Incoming<'_> {
    Incoming {
        subject: &delivery.subject,
        headers: &delivery.headers,
        payload: &delivery.payload,
        stream: &delivery.stream,
        sequence: delivery.sequence,
        published: delivery.published,
    }
}

/// Tells the broker that these are still in hand; a lost word costs a redelivery, nothing else.
async fn keep(batch: &Arc<Vec<InHand>>) {
    for in_hand in batch.iter() {
        if in_hand.delivery.progress().await.is_err() {
            return;
        }
    }
}

/// Gives a delivery that was not begun to whoever asks next.
pub(super) async fn hand_back(delivery: Delivery) {
    if let Err(error) = delivery.nak(None).await {
        tracing::debug!(%error, "not handed back, it comes again after the ack wait");
    }
}
