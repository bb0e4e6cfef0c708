//! The loop: pull what can start, hand it to the lane of its user. The lanes do the rest; beside them one task tries again
//! what failed, and one probes while the brake holds.
//!
//! Room in memory is permits, by count and by bytes: what has no room is not pulled.

pub mod brake;
mod judge;
mod lane;
mod message;
mod parts;
mod puller;
mod retries;
pub mod settle;
mod sources;
mod suspects;
pub mod switch;
pub mod tally;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::apply::Applier;
use crate::clock;
use crate::envelope::Intake;
use crate::jetstream::{Broker, BrokerError};
use crate::shutdown::Shutdown;
use crate::store::Store;

use brake::Brake;
use lane::Lane;
use switch::KillSwitch;
use tally::{Counts, Tally};
use tools::Tools;

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
    /// Durable consumers to read it with, at least one. A worker that drains watches the first one for when it is quiet.
    pub durables: Vec<String>,
    /// Consumers of former partitions. They are read to their end as well, and may be removed at any time.
    pub leftovers: Vec<String>,
    /// The consumer's patience.
    pub ack_wait: Duration,
    /// Batches at work at the same time.
    pub lanes: usize,
    /// Events per batch at most.
    pub batch_max: usize,
    /// How long a batch waits for events that are on their way.
    pub linger: Duration,
    /// Judged failures of one event before it is buried, at least 1.
    pub max_attempts: u32,
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

/// What others may want to know of a worker at work.
#[derive(Debug, Clone)]
pub struct Gauges {
    /// Whether the world is in order.
    pub brake: Arc<Brake>,
    /// Which types of event are held back.
    pub switch: Arc<KillSwitch>,
}

impl Gauges {
    /// For a worker on this store that holds a type back when more than this share of it fails.
    pub fn new(store: Store, kill_switch: f64) -> Self {
        Self {
            brake: Arc::new(Brake::new(store)),
            switch: Arc::new(KillSwitch::new(kill_switch)),
        }
    }
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
    intake: Intake,
    settings: WorkerSettings,
    outbox: Arc<Notify>,
    gauges: &Gauges,
    shutdown: &Shutdown,
) -> Result<Counts, WorkerError> {
    let sources = sources::open(broker, &settings).await?;
    let in_hand = 2 * settings.batch_max * settings.lanes;
    let tools = Arc::new(Tools {
        applier,
        intake,
        settings,
        tally: Tally::default(),
        brake: Arc::clone(&gauges.brake),
        switch: Arc::clone(&gauges.switch),
        outbox,
        shutdown: shutdown.clone(),
        life: clock::new_row_id(),
        gate: Arc::default(),
    });
    let (mut lanes, mut aside) = (JoinSet::new(), JoinSet::new());
    let mut queues = Vec::new();
    for _ in 0..tools.settings.lanes {
        let (queue, arrivals) = mpsc::channel(in_hand);
        queues.push(queue);
        lanes.spawn(Lane::new(Arc::clone(&tools), arrivals).run());
    }
    // Ends with the worker, however that ends.
    let stop = shutdown.soft.child_token();
    aside.spawn(retries::run(Arc::clone(&tools), stop.clone()));
    aside.spawn(parts::run(Arc::clone(&tools), stop.clone()));
    let (brake, probing) = (Arc::clone(&gauges.brake), CancellationToken::new());
    let prober = tokio::spawn({
        let probing = probing.clone();
        async move { brake.run(probing).await }
    });
    let result = {
        let mut pulling = std::pin::pin!(sources::pull(broker, &tools, queues, sources));
        tokio::select! {
            biased;
            result = &mut pulling => result,
            // No lane ends while its queue is open, unless it died.
            Some(ended) = lanes.join_next() => Err(died(ended)),
            ended = ended_early(&mut aside, shutdown) => Err(died(ended)),
        }
    };
    // The queues are closed now: the lanes finish what is in hand.
    stop.cancel();
    let finished = finished([&mut lanes, &mut aside], shutdown).await;
    probing.cancel();
    let _ = prober.await;
    finished.and(result)?;
    Ok(tools.tally.counts())
}

/// Waits for the tasks, unless there is no time left for it.
async fn finished(groups: [&mut JoinSet<()>; 2], shutdown: &Shutdown) -> Result<(), WorkerError> {
    for tasks in groups {
        loop {
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => return Err(died(Err(error))),
                },
                () = shutdown.hard.cancelled() => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Waits for one of these that dies, or ends although nobody stopped it.
async fn ended_early(tasks: &mut JoinSet<()>, shutdown: &Shutdown) -> Result<(), JoinError> {
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err() || !shutdown.soft.is_cancelled() {
            return ended;
        }
    }
    std::future::pending().await
}

fn died(ended: Result<(), JoinError>) -> WorkerError {
    WorkerError::Died(ended.map_or_else(|error| error.to_string(), |()| "it ended early".to_owned()))
}
