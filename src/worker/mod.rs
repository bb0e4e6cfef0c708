//! The loop: pull what can start, decode it, hand it to the lane of its user. The lanes do the rest.
//!
//! Room in memory is permits, by count and by bytes: what has no room is not pulled.

mod lane;
pub mod settle;
pub mod tally;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::apply::Applier;
use crate::envelope::{self, Envelope, Intake, Refusal};
use crate::jetstream::{Broker, BrokerError, Deliveries, Delivery, PullSettings};
use crate::shutdown::Shutdown;

use lane::{InHand, Lane, incoming};
use tally::{Counts, Tally};

/// Payloads in hand at most, in KiB; one message may go beyond.
const ROOM_KIB: usize = 32 * 1024;
/// How long nothing must arrive before a draining worker asks whether that was all.
const QUIET: Duration = Duration::from_millis(100);

/// When the worker stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When nothing is left to be done.
    Drained,
}

/// How the worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Stream to read.
    pub stream: String,
    /// Durable consumer to read it with.
    pub durable: String,
    /// The consumer's patience.
    pub ack_wait: Duration,
    /// Batches at work at the same time.
    pub lanes: usize,
    /// Events per batch at most.
    pub batch_max: usize,
    /// How long a batch waits for events that are on their way.
    pub linger: Duration,
    /// When to stop by itself.
    pub until: Until,
}

/// Why the worker ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The broker cannot be read any longer.
    #[error("the consumer cannot be read")]
    Broker(#[from] BrokerError),
    /// A task died of a bug.
    #[error("a task of the worker died: {0}")]
    Died(String),
}

/// Works until it is stopped or, when asked to, until nothing is left; returns what became of the messages.
///
/// `outbox` is notified when a dead letter may wait to be published.
///
/// # Errors
/// When the consumer is gone or a task died. What is not acknowledged then comes again.
pub async fn run(
    broker: &Broker,
    applier: Arc<Applier>,
    intake: &Intake,
    settings: &WorkerSettings,
    outbox: Arc<Notify>,
    shutdown: &Shutdown,
) -> Result<Counts, WorkerError> {
    let pull = PullSettings {
        batch: settings.batch_max.clamp(1, 1024),
        ..PullSettings::default()
    };
    let deliveries = broker.deliveries(&settings.stream, &settings.durable, pull).await?;
    let tally = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    let mut queues = Vec::new();
    let in_hand = 2 * settings.batch_max * settings.lanes;
    for _ in 0..settings.lanes {
        let (queue, arrivals) = mpsc::channel(in_hand);
        queues.push(queue);
        let lane = Lane {
            applier: Arc::clone(&applier),
            tally: Arc::clone(&tally),
            outbox: Arc::clone(&outbox),
            shutdown: shutdown.clone(),
            batch_max: settings.batch_max,
            linger: settings.linger,
            ack_wait: settings.ack_wait,
        };
        tasks.spawn(lane.run(arrivals));
    }
    let puller = Puller {
        broker: broker.clone(),
        count: Arc::new(Semaphore::new(in_hand)),
        kib: Arc::new(Semaphore::new(ROOM_KIB)),
        in_hand,
        queues,
    };
    let result = puller.run(deliveries, intake, settings, shutdown, &mut tasks).await;
    // The queues are closed now: the lanes finish what is in hand.
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => break,
                Some(Ok(())) => {}
                Some(Err(died)) => return Err(WorkerError::Died(died.to_string())),
            },
            () = shutdown.hard.cancelled() => break,
        }
    }
    result.map(|()| tally.counts())
}

struct Puller {
    broker: Broker,
    count: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    in_hand: usize,
    queues: Vec<mpsc::Sender<InHand>>,
}

impl Puller {
    async fn run(
        self,
        mut deliveries: Deliveries,
        intake: &Intake,
        settings: &WorkerSettings,
        shutdown: &Shutdown,
        lanes: &mut JoinSet<()>,
    ) -> Result<(), WorkerError> {
        loop {
            let room = tokio::select! {
                biased;
                () = shutdown.soft.cancelled() => {
                    hand_back_buffered(&mut deliveries).await;
                    return Ok(());
                }
                // No lane ends while its queue is open, unless it died.
                Some(ended) = lanes.join_next() => return Err(died(ended)),
                room = Arc::clone(&self.count).acquire_owned() => room,
            };
            let Ok(room) = room else { return Ok(()) };
            let delivery = tokio::select! {
                biased;
                () = shutdown.soft.cancelled() => {
                    hand_back_buffered(&mut deliveries).await;
                    return Ok(());
                }
                Some(ended) = lanes.join_next() => return Err(died(ended)),
                delivery = deliveries.next() => delivery?,
                () = tokio::time::sleep(QUIET), if settings.until == Until::Drained => {
                    drop(room);
                    if self.is_drained(settings).await? {
                        return Ok(());
                    }
                    continue;
                }
            };
            let kib = (delivery.payload.len() / 1024 + 1).min(ROOM_KIB) as u32;
            let kib = tokio::select! {
                biased;
                () = shutdown.soft.cancelled() => {
                    lane::hand_back(delivery).await;
                    hand_back_buffered(&mut deliveries).await;
                    return Ok(());
                }
                kib = Arc::clone(&self.kib).acquire_many_owned(kib) => kib,
            };
            let Ok(kib) = kib else { return Ok(()) };
            let decoded = match delivery.defect {
                Some(defect) => Err(Refusal::broken_headers(defect)),
                None => envelope::decode(&incoming(&delivery), intake),
            };
            let queue = &self.queues[lane_of(&delivery, &decoded, self.queues.len())];
            if queue
                .send(InHand {
                    delivery,
                    decoded,
                    _room: (room, kib),
                })
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    }

    /// Whether nothing is in hand here, nothing waits, and nothing is in the hands of others.
    async fn is_drained(&self, settings: &WorkerSettings) -> Result<bool, WorkerError> {
        if self.count.available_permits() < self.in_hand {
            return Ok(false);
        }
        match self.broker.backlog(&settings.stream, &settings.durable).await {
            Ok(backlog) => Ok(backlog.is_empty()),
            Err(error) if error.is_transient() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the client has already received would otherwise come again only after the ack wait.
async fn hand_back_buffered(deliveries: &mut Deliveries) {
    while let Some(Ok(delivery)) = deliveries.next().now_or_never() {
        lane::hand_back(delivery).await;
    }
}

/// Events of one user meet in one lane, so that lanes seldom wait for each other's locks. Nothing depends on it.
fn lane_of(delivery: &Delivery, decoded: &Result<Envelope, Refusal>, lanes: usize) -> usize {
    match decoded {
        Ok(envelope) => {
            let mut hash = DefaultHasher::new();
            envelope.event.key.hash(&mut hash);
            (hash.finish() % lanes as u64) as usize
        }
        Err(_) => (delivery.sequence % lanes as u64) as usize,
    }
}

fn died(ended: Result<(), tokio::task::JoinError>) -> WorkerError {
    WorkerError::Died(ended.map_or_else(|error| error.to_string(), |()| "a lane ended early".to_owned()))
}
