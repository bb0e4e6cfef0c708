//! The endless stream of deliveries from one durable consumer.
//!
//! Everything that passes by itself (a missed heartbeat, a restart of the server) is waited for here;
//! only what somebody must decide (the consumer is gone, its settings changed) reaches the caller.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{
    Config as PullConfig, MessagesErrorKind, Stream as PullStream,
};
use async_nats::jetstream::consumer::{Consumer, FromConsumer};
use futures_util::StreamExt;

use super::Broker;
use super::delivery::Delivery;
use super::error::{BrokerError, chain};

/// Room for subject and reply beside payload and headers; the server counts them too.
const SUBJECT_ROOM: usize = 8 * 1024;
/// After this many troubles in a row a new subscription is made, in case ours was forgotten.
const TROUBLES_BEFORE_REBUILD: u32 = 3;
/// A server that is just starting may not know its consumers yet; only a repeated answer counts.
const ASK_AGAIN: u32 = 3;
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

impl Default for PullSettings {
    fn default() -> Self {
        Self {
            batch: 512,
            max_bytes: 16 << 20,
            expires: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
        }
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<PullStream, BrokerError>> + Send>>;

/// Being rebuilt is a state of its own, so that `next` can be dropped and called again at any point.
enum Source {
    Open(Box<PullStream>),
    Opening(Opening),
}

/// Deliveries of one consumer, see [`Deliveries::next`]. Dropping it drops what was prefetched:
/// those messages come again after `ack_wait`.
pub struct Deliveries {
    broker: Broker,
    stream: String,
    durable: String,
    settings: PullSettings,
    source: Source,
    troubles: u32,
}

impl Broker {
    /// Opens the deliveries of an existing consumer.
    ///
    /// Errors: [`BrokerError::ConsumerMissing`], [`BrokerError::StreamMissing`], or the broker is away.
    pub async fn deliveries(
        &self,
        stream: &str,
        durable: &str,
        settings: PullSettings,
    ) -> Result<Deliveries, BrokerError> {
        let open = open(
            self.clone(),
            stream.to_owned(),
            durable.to_owned(),
            settings,
        )
        .await?;
        Ok(Deliveries {
            broker: self.clone(),
            stream: stream.to_owned(),
            durable: durable.to_owned(),
            settings,
            source: Source::Open(Box::new(open)),
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
            match &mut self.source {
                Source::Opening(opening) => {
                    let result = opening.as_mut().await;
                    match result {
                        Ok(open) => {
                            tracing::info!(
                                stream = self.stream,
                                consumer = self.durable,
                                "pulling again"
                            );
                            self.source = Source::Open(Box::new(open));
                        }
                        Err(error) => {
                            // The finished future must not be polled again if the caller goes on.
                            self.reopen();
                            return Err(error);
                        }
                    }
                }
                Source::Open(open) => match open.next().await {
                    Some(Ok(message)) => {
                        self.troubles = 0;
                        if let Some(delivery) = Delivery::from_message(message) {
                            return Ok(delivery);
                        }
                        tracing::warn!("ignored a message in our inbox that comes from no stream");
                    }
                    Some(Err(error)) => self.trouble(error.kind(), &error),
                    None => self.reopen(),
                },
            }
        }
    }

    /// Decides what an error item means: carry on with the same subscription, or look again from the start.
    fn trouble(&mut self, kind: MessagesErrorKind, error: &dyn std::error::Error) {
        self.troubles += 1;
        let in_a_row = self.troubles;
        if in_a_row == 1 {
            tracing::warn!(stream = self.stream, consumer = self.durable, %error, "pulling is disturbed");
        } else {
            tracing::debug!(%error, in_a_row, "pulling is still disturbed");
        }
        match kind {
            MessagesErrorKind::MissingHeartbeat
            | MessagesErrorKind::Pull
            | MessagesErrorKind::Other => {
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
        let (broker, stream, durable) = (
            self.broker.clone(),
            self.stream.clone(),
            self.durable.clone(),
        );
        self.troubles = 0;
        self.source = Source::Opening(Box::pin(reopen(broker, stream, durable, self.settings)));
    }
}

/// Opens until it succeeds or the broker has said repeatedly that there is nothing to open.
async fn reopen(
    broker: Broker,
    stream: String,
    durable: String,
    settings: PullSettings,
) -> Result<PullStream, BrokerError> {
    let mut pause = FIRST_PAUSE;
    let mut refusals = 0;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match open(broker.clone(), stream.clone(), durable.clone(), settings).await {
            Ok(open) => return Ok(open),
            Err(error) if error.is_transient() => {
                refusals = 0;
                tracing::debug!(
                    error = chain(&error),
                    "the consumer cannot be asked about yet"
                );
            }
            Err(error) => {
                refusals += 1;
                if refusals >= ASK_AGAIN {
                    return Err(error);
                }
            }
        }
    }
}

async fn open(
    broker: Broker,
    stream: String,
    durable: String,
    settings: PullSettings,
) -> Result<PullStream, BrokerError> {
    let doing = format!("opening consumer {durable} of stream {stream}");
    // Reads, never creates: a consumer made anew would start from the first message.
    let info = broker.consumer_info(&stream, &durable).await?;
    let unexpected = |source| BrokerError::Unexpected {
        doing: doing.clone(),
        source,
    };
    let config = PullConfig::try_from_consumer_config(info.config.clone()).map_err(unexpected)?;
    let largest = broker.max_payload() + SUBJECT_ROOM;
    Consumer::new(config, info, broker.context.clone())
        .stream()
        .max_messages_per_batch(settings.batch.max(1))
        .max_bytes_per_batch(settings.max_bytes.max(largest))
        .expires(settings.expires)
        .heartbeat(settings.heartbeat)
        .messages()
        .await
        .map_err(|error| unexpected(Box::new(error)))
}
