//! Pulls what can start and hands it to the lane of its user. While the brake holds it pulls nothing, and keeps alive what
//! was received.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::lane::{hand_back, heartbeat};
use super::message::{InHand, Message};
use super::tools::Tools;
use super::{Until, WorkerError, WorkerSettings};
use crate::failpoint::{Point, reach};
use crate::jetstream::{Broker, BrokerError, Deliveries, Delivery};

/// Payloads in hand at most, in KiB; one message may go beyond.
const ROOM_KIB: usize = 32 * 1024;
/// How long nothing must arrive before a draining worker asks whether that was all.
const QUIET: Duration = Duration::from_millis(100);

/// The room that all pullers of a worker share.
#[derive(Clone)]
pub(super) struct Room {
    /// How many permits there are while nothing is in hand, the one who asks not counted.
    idle: usize,
    count: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

impl Room {
    /// For so many pullers. Each holds a permit while it waits; those of the others must not be taken for events in hand.
    pub(super) fn new(settings: &WorkerSettings, pullers: usize) -> Self {
        let in_hand = 2 * settings.batch_max * settings.lanes;
        Self {
            idle: in_hand,
            count: Arc::new(Semaphore::new(in_hand + pullers.saturating_sub(1))),
            kib: Arc::new(Semaphore::new(ROOM_KIB)),
        }
    }
}

/// How pulling ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulled {
    /// Somebody asked for it.
    Stopped,
    /// Nothing is left, in any consumer.
    Drained,
    /// The consumer is not there any longer, and need not be.
    Gone,
}

pub(super) struct Puller {
    broker: Broker,
    tools: Arc<Tools>,
    queues: Vec<mpsc::Sender<InHand>>,
    lanes: Lanes,
    room: Room,
    until: Until,
    stop: CancellationToken,
    /// What was received before the brake held, and found no room yet.
    received: VecDeque<Delivery>,
}

/// What the puller does next.
enum Next<T> {
    Go(T),
    Braked,
    Quiet,
    Stop,
}

impl Puller {
    /// One that pulls until it is stopped or, when asked to, until nothing is left.
    pub(super) fn new(
        broker: Broker,
        tools: Arc<Tools>,
        queues: Vec<mpsc::Sender<InHand>>,
        room: Room,
        until: Until,
        stop: CancellationToken,
    ) -> Self {
        Self {
            lanes: Lanes::new(queues.len(), room.idle),
            broker,
            tools,
            queues,
            room,
            until,
            stop,
            received: VecDeque::new(),
        }
    }

    /// Does so.
    pub(super) async fn run(mut self, mut deliveries: Deliveries) -> Result<Pulled, WorkerError> {
        loop {
            let next = match self.permits(&self.room.count, 1).await {
                Next::Go(room) => self.pull(room, &mut deliveries).await?,
                Next::Braked => Next::Braked,
                Next::Quiet => Next::Quiet,
                Next::Stop => Next::Stop,
            };
            match next {
                Next::Quiet if self.is_drained().await? => return Ok(Pulled::Drained),
                Next::Go(()) | Next::Quiet => {}
                Next::Braked => {
                    self.received.extend(deliveries.pause());
                    self.wait_out().await;
                }
                Next::Stop => {
                    // What the client has already received would otherwise come again only after the ack wait.
                    self.received.extend(deliveries.pause());
                    for delivery in self.received {
                        hand_back(delivery.acker).await;
                    }
                    return Ok(Pulled::Stopped);
                }
            }
        }
    }

    /// Takes the next delivery, waits for the room it needs, and hands it to its lane.
    async fn pull(&mut self, room: OwnedSemaphorePermit, deliveries: &mut Deliveries) -> Result<Next<()>, WorkerError> {
        let (brake, stop) = (&self.tools.brake, &self.stop);
        let delivery = if let Some(delivery) = self.received.pop_front() {
            delivery
        } else {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Next::Stop),
                () = brake.held() => return Ok(Next::Braked),
                delivery = deliveries.next() => delivery?,
                () = tokio::time::sleep(QUIET), if self.until == Until::Drained => {
                    return Ok(Next::Quiet);
                }
            }
        };
        reach(Point::Fetched);
        let kib = Message::kib(&delivery).min(ROOM_KIB) as u32;
        match self.permits(&self.room.kib, kib).await {
            Next::Go(kib) => {
                self.hand_out(delivery, (room, kib)).await;
                Ok(Next::Go(()))
            }
            Next::Braked => {
                self.received.push_front(delivery);
                Ok(Next::Braked)
            }
            Next::Quiet | Next::Stop => {
                self.received.push_front(delivery);
                Ok(Next::Stop)
            }
        }
    }

    async fn permits(&self, permits: &Arc<Semaphore>, count: u32) -> Next<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stop,
            () = self.tools.brake.held() => Next::Braked,
            room = Arc::clone(permits).acquire_many_owned(count) => room.map_or(Next::Stop, Next::Go),
        }
    }

    async fn hand_out(&mut self, delivery: Delivery, room: (OwnedSemaphorePermit, OwnedSemaphorePermit)) {
        let (delivered, pending) = (delivery.delivered, delivery.pending);
        let (message, acker) = Message::of(delivery);
        let lane = self.lanes.of(&message);
        let event = InHand {
            message: Arc::new(message),
            acker,
            delivered,
            pending,
            _room: room,
        };
        // A lane that died is noticed by whoever waits for it.
        let _ = self.queues[lane].send(event).await;
    }

    /// Waits until the brake is free or we are stopped, and keeps alive what has no lane yet.
    async fn wait_out(&self) {
        let mut alive = heartbeat(self.tools.settings.ack_wait);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.tools.brake.freed() => return,
                _ = alive.tick() => {
                    for delivery in &self.received {
                        if delivery.progress().await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Whether nothing is in hand here, nothing waits, and nothing is in the hands of others.
    async fn is_drained(&self) -> Result<bool, WorkerError> {
        if self.room.count.available_permits() < self.room.idle {
            return Ok(false);
        }
        let WorkerSettings {
            stream,
            durables,
            leftovers,
            ..
        } = &self.tools.settings;
        for durable in durables.iter().chain(leftovers) {
            match self.broker.backlog(stream, durable).await {
                Ok(backlog) if !backlog.is_empty() => return Ok(false),
                Ok(_) => {}
                Err(BrokerError::ConsumerMissing { .. }) if leftovers.contains(durable) => {}
                Err(error) if error.is_transient() => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        let Some(waiting) = self.tools.persist(|| self.tools.applier.store.waiting()).await else {
            return Ok(false);
        };
        if waiting.tries == 0 && waiting.held > 0 {
            tracing::warn!(
                events = waiting.held,
                "these events wait until what their type fails of is mended"
            );
        }
        if waiting.tries > 0 {
            return Ok(false);
        }
        let work = self.tools.persist(|| self.tools.applier.store.count_work()).await;
        Ok(work == Some(0))
    }
}

/// Which lane an event goes to. Events of one user meet in one, so that lanes seldom wait for each other's locks. Nothing
/// depends on it: who an event is about is guessed here, and decoded where it is applied, by the processor that then has it
/// at hand.
struct Lanes {
    count: usize,
    /// Who was renamed lately stays in the lane of the former key: both are in hand at the same time.
    renamed: HashMap<Vec<u8>, usize>,
    /// The keys of `renamed`, the latest at the end.
    latest: VecDeque<Vec<u8>>,
    /// How many are remembered: what came before is committed.
    most: usize,
}

impl Lanes {
    fn new(count: usize, in_hand: usize) -> Self {
        Self {
            count,
            renamed: HashMap::new(),
            latest: VecDeque::new(),
            most: in_hand,
        }
    }

    fn of(&mut self, message: &Message) -> usize {
        match message.user() {
            Some(user) => self.of_user(user, message.new_user()),
            None => (message.sequence % self.count as u64) as usize,
        }
    }

    fn of_user(&mut self, user: &[u8], renamed_to: Option<&[u8]>) -> usize {
        let lane = self.renamed.get(user).copied().unwrap_or_else(|| {
            let mut hash = DefaultHasher::new();
            user.hash(&mut hash);
            (hash.finish() % self.count as u64) as usize
        });
        if let Some(key) = renamed_to
            && self.renamed.insert(key.to_vec(), lane).is_none()
        {
            self.latest.push_back(key.to_vec());
            if self.latest.len() > self.most
                && let Some(oldest) = self.latest.pop_front()
            {
                self.renamed.remove(&oldest);
            }
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_renamed_stays_in_the_lane_as_long_as_that_is_remembered() {
        let mut lanes = Lanes::new(64, 2);
        let ada = lanes.of_user(b"ada", Some(b"ben"));
        assert_eq!(ada, Lanes::new(64, 2).of_user(b"ada", None));
        assert_eq!(lanes.of_user(b"ben", Some(b"cid")), ada);
        assert_eq!([lanes.of_user(b"ada", None), lanes.of_user(b"cid", None)], [ada; 2]);
        let alone = Lanes::new(64, 2).of_user(b"ben", None);
        assert_ne!(alone, ada, "void: the same lane by chance");
        lanes.of_user(b"eve", Some(b"fay"));
        assert_eq!(lanes.of_user(b"ben", None), alone, "two are remembered");
        assert_eq!(lanes.of_user(b"cid", None), ada);
        assert_eq!((lanes.renamed.len(), lanes.latest.len()), (2, 2));
    }
}
