//! The endless stream of deliveries from one durable consumer.
//!
//! Everything that passes by itself (a missed heartbeat, a restart of the server) is waited for here;
//! only what somebody must decide (the consumer is gone, its settings changed) reaches the caller.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{
    Config as PullConfig, MessagesError, MessagesErrorKind, Stream as PullStream,
};
use async_nats::jetstream::consumer::{Consumer, FromConsumer, Info as ConsumerInfo};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Broker;
use super::delivery::Delivery;
use super::error::{BrokerError, chain};
use super::unreadable::search;

/// Room for subject and reply beside payload and headers; the server counts them too.
const SUBJECT_ROOM: usize = 8 * 1024;
/// After this many troubles in a row a new subscription is made, in case ours was forgotten.
const TROUBLES_BEFORE_REBUILD: u32 = 3;
/// A server that is just starting may not know its consumers yet; only a repeated answer counts.
const ASK_AGAIN: u32 = 3;
/// How many messages that break the connection can be in the caller's hands at a time.
const MOST_UNREADABLE: u32 = 1000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How much is asked for at a time. Up to one and a half times this can be in the client's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullSettings {
    /// Messages per request.
    pub batch: usize,
    /// Bytes per request; raised to the largest possible message, or one such message would block the consumer.
    pub max_bytes: usize,
    /// How long a request stays open. Bounds how long a lost request stays unnoticed (this + 5 s).
    pub expires: Duration,
    /// How often the server shows that it is alive. A frozen one is noticed after two of these.
    pub heartbeat: Duration,
}

impl PullSettings {
    /// What does for most.
    pub const STANDARD: Self = Self {
        batch: 512,
        max_bytes: 16 << 20,
        expires: Duration::from_secs(5),
        heartbeat: Duration::from_secs(1),
    };
}

impl Default for PullSettings {
    fn default() -> Self {
        Self::STANDARD
    }
}

type Search = BoxFuture<'static, Result<Vec<Delivery>, BrokerError>>;

/// Where deliveries come from. What takes time is a state of its own, so that `next` can be dropped and
/// called again at any point.
enum Source {
    /// Looking for messages that would break the connection, before it is exposed to them.
    Searching(Search),
    /// Waiting until those are settled, then subscribing.
    Opening(BoxFuture<'static, Result<PullStream, BrokerError>>),
    Open(Box<PullStream>),
}

/// Which consumer, and how it is read.
#[derive(Clone)]
struct Target {
    broker: Broker,
    stream: String,
    durable: String,
    settings: PullSettings,
    /// One permit is out for every unreadable message in the caller's hands.
    unreadable: Arc<Semaphore>,
}

/// Deliveries of one consumer, see [`Deliveries::next`]. Dropping it drops what was prefetched:
/// those messages come again after `ack_wait`.
pub struct Deliveries {
    target: Target,
    source: Source,
    found: VecDeque<Delivery>,
    /// Runs beside an open source after a lost connection: the loss may have been a message's doing.
    searching: Option<Search>,
    losses: watch::Receiver<u64>,
    troubles: u32,
}

/// What happened next to an open source.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
enum Happening {
    Item(Option<Result<Message, MessagesError>>),
    Lost,
    Searched(Result<Vec<Delivery>, BrokerError>),
}

impl Broker {
    /// Opens the deliveries of an existing consumer. A broker that is away is waited for in [`Deliveries::next`].
    ///
    /// Errors: [`BrokerError::ConsumerMissing`], [`BrokerError::StreamMissing`], or another refusal.
    pub async fn deliveries(
        &self,
        stream: &str,
        durable: &str,
        settings: PullSettings,
    ) -> Result<Deliveries, BrokerError> {
        let mut asking = Asking::default();
        while let Err(error) = self.consumer_info(stream, durable).await {
            if error.is_transient() {
                break;
            }
            asking.again(error).await?;
        }
        let target = Target {
            broker: self.clone(),
            stream: stream.to_owned(),
            durable: durable.to_owned(),
            settings,
            unreadable: Arc::new(Semaphore::new(MOST_UNREADABLE as usize)),
        };
        Ok(Deliveries {
            source: Source::Searching(Box::pin(target.clone().search())),
            target,
            found: VecDeque::new(),
            searching: None,
            losses: self.link.signals.losses.subscribe(),
            troubles: 0,
        })
    }
}

impl Deliveries {
    /// The next delivery; waits for ever where there is none or the broker is away.
    ///
    /// Can be dropped and called again (in a `select!`) without losing a message. Errors are final
    /// ([`BrokerError::is_transient`] is false): the consumer or stream is gone, the client has ended.
    pub async fn next(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            if let Some(delivery) = self.found.pop_front() {
                return Ok(delivery);
            }
            let happening = match &mut self.source {
                Source::Searching(search) => {
                    let found = search.await;
                    // Also after an error: a finished future must not be polled again if the caller goes on.
                    self.source = Source::Opening(Box::pin(self.target.clone().open()));
                    Happening::Searched(found)
                }
                Source::Opening(opening) => {
                    match opening.await {
                        Ok(open) => self.source = Source::Open(Box::new(open)),
                        Err(error) => {
                            self.reopen();
                            return Err(error);
                        }
                    }
                    continue;
                }
                Source::Open(open) => tokio::select! {
                    item = open.next() => Happening::Item(item),
                    Ok(()) = self.losses.changed() => Happening::Lost,
                    found = running(&mut self.searching) => Happening::Searched(found),
                },
            };
            match happening {
                Happening::Item(Some(Ok(message))) => {
                    if self.troubles > 0 {
                        self.target.broker.link.signals.disturbed.send_replace(None);
                    }
                    self.troubles = 0;
                    if let Some(delivery) = Delivery::from_message(message) {
                        return Ok(delivery);
                    }
                    tracing::warn!("ignored a message in our inbox that comes from no stream");
                }
                Happening::Item(Some(Err(error))) => self.trouble(error.kind(), &error),
                Happening::Item(None) => self.reopen(),
                Happening::Lost => self.searching = Some(Box::pin(self.target.clone().search())),
                Happening::Searched(found) => {
                    self.searching = None;
                    self.found.extend(found?);
                }
            }
        }
    }

    /// Stops asking the broker, and returns what it has sent already; [`Self::next`] asks again. Only dropping the
    /// subscription stops the client library, which renews its requests by itself; the messages of a request that is on its
    /// way then come again after `ack_wait`.
    pub fn pause(&mut self) -> Vec<Delivery> {
        // Looking may make the client ask once more, so that there is more to see: what it may hold is an end to it.
        let most = 2 * self.target.settings.batch.max(1);
        let mut received: Vec<Delivery> = Vec::new();
        while received.len() < most {
            match self.next().now_or_never() {
                Some(Ok(delivery)) => received.push(delivery),
                // An error that matters is found again by asking.
                Some(Err(_)) | None => break,
            }
        }
        self.reopen();
        received
    }

    /// Decides what an error item means: carry on with the same subscription, or look again from the start.
    fn trouble(&mut self, kind: MessagesErrorKind, error: &MessagesError) {
        self.troubles += 1;
        self.target
            .broker
            .link
            .signals
            .disturbed
            .send_replace(Some(Instant::now()));
        let in_a_row = self.troubles;
        let Target { stream, durable, .. } = &self.target;
        if in_a_row == 1 {
            tracing::warn!(stream, consumer = durable, %error, "pulling is disturbed");
        } else {
            tracing::debug!(%error, in_a_row, "pulling is still disturbed");
        }
        match kind {
            MessagesErrorKind::MissingHeartbeat | MessagesErrorKind::Pull | MessagesErrorKind::Other => {
                if in_a_row >= TROUBLES_BEFORE_REBUILD {
                    self.reopen();
                }
            }
            // Nobody answers pulls: JetStream is away, or the consumer is gone. Only asking tells which.
            MessagesErrorKind::NoResponders
            | MessagesErrorKind::ConsumerDeleted
            | MessagesErrorKind::PushBasedConsumer
            | MessagesErrorKind::RequestLimitExceeded => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.troubles = 0;
        self.searching = None;
        self.source = Source::Searching(Box::pin(self.target.clone().search()));
    }
}

/// Never ends where nothing runs, so that it can stand in a `select!`.
async fn running(search: &mut Option<Search>) -> Result<Vec<Delivery>, BrokerError> {
    match search {
        Some(search) => search.await,
        None => std::future::pending().await,
    }
}

impl Target {
    /// Searches for unreadable messages until the broker has answered. Where it may not read messages one by
    /// one, nothing is found: such messages then have to be removed by hand.
    async fn search(self) -> Result<Vec<Delivery>, BrokerError> {
        let Self {
            broker,
            stream,
            durable,
            unreadable,
            ..
        } = &self;
        let mut asking = Asking::default();
        loop {
            match search(broker, stream, durable, unreadable).await {
                Err(error @ BrokerError::Denied { .. }) => {
                    let error = chain(&error);
                    tracing::warn!(error, "messages that break the connection cannot be looked for");
                    return Ok(Vec::new());
                }
                Err(error) => asking.again(error).await?,
                Ok(found) => return Ok(found),
            }
        }
    }

    async fn open(self) -> Result<PullStream, BrokerError> {
        let _settled = self.unreadable.acquire_many(MOST_UNREADABLE).await;
        let mut asking = Asking::default();
        loop {
            match self.subscribe().await {
                Err(error) => asking.again(error).await?,
                Ok(open) => {
                    tracing::info!(stream = self.stream, consumer = self.durable, "pulling");
                    return Ok(open);
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<PullStream, BrokerError> {
        let Self {
            broker,
            stream,
            durable,
            settings,
            ..
        } = self;
        let doing = format!("opening consumer {durable} of stream {stream}");
        // Reads, never creates: a consumer made anew would start from the first message.
        let info = broker.consumer_info(stream, durable).await?;
        pull(broker, info, *settings, &doing).await
    }
}

/// Opens the stream of messages of a pull consumer.
pub(super) async fn pull(
    broker: &Broker,
    info: ConsumerInfo,
    settings: PullSettings,
    doing: &str,
) -> Result<PullStream, BrokerError> {
    let unexpected = |source| BrokerError::Unexpected {
        doing: doing.to_owned(),
        source,
    };
    let config = PullConfig::try_from_consumer_config(info.config.clone()).map_err(unexpected)?;
    let largest = broker.max_payload() + SUBJECT_ROOM;
    Consumer::new(config, info, broker.link.live().context)
        .stream()
        .max_messages_per_batch(settings.batch.max(1))
        .max_bytes_per_batch(settings.max_bytes.max(largest))
        .expires(settings.expires)
        .heartbeat(settings.heartbeat)
        .messages()
        .await
        .map_err(|error| unexpected(Box::new(error)))
}

/// Paces repeated questions: for ever while the broker is away, a few times where it refuses.
pub(super) struct Asking {
    pause: Duration,
    refusals: u32,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            pause: FIRST_PAUSE,
            refusals: 0,
        }
    }
}

impl Asking {
    /// Pauses before the next attempt, or gives the error back when it is final.
    pub(super) async fn again(&mut self, error: BrokerError) -> Result<(), BrokerError> {
        if error.is_transient() {
            self.refusals = 0;
            tracing::debug!(error = chain(&error), "the broker does not answer yet");
        } else {
            self.refusals += 1;
            if self.refusals >= ASK_AGAIN {
                return Err(error);
            }
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
