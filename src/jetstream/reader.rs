//! Reading what a stream holds without a durable consumer: for looking at dead letters, for replay and audit.
//!
//! An ephemeral consumer that acknowledges nothing numbers what it delivers, so that a gap shows. After a gap or any
//! other trouble it is made anew behind the last message handed out; where that brings nothing, the next message is
//! read around the client, which may be unable to take it. Never skips a message that the stream still has.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Config as PullConfig, MessagesError, Stream as PullStream};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info as ConsumerInfo, IntoConsumerConfig as _};
use async_nats::jetstream::stream::Info as StreamInfo;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::consumer::{Asking, PullSettings, pull};
use super::delivery::Delivery;
use super::error::{BrokerError, chain};
use super::topology::stream_missing;
use super::unreadable::read_around;
use super::{Broker, NO_PARAMETERS};

/// Dead letters are looked at one by one, and each may be large.
const FEW: usize = 32;
/// How long a command that only looks waits for a broker that is away.
const LOOKING: Duration = Duration::from_secs(10);
/// A consumer that is not asked for so long is removed by the server.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// After so long without a message it is asked whether there is one.
const QUIET: Duration = Duration::from_secs(3);

/// A message as it lies in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Where it was published.
    pub subject: String,
    /// Names and values as stored, sorted by name; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub payload: Bytes,
    /// Its number in the stream.
    pub sequence: u64,
    /// When the broker stored it (UTC, nanoseconds).
    pub published: OffsetDateTime,
    /// Why it can never be decoded: headers that break the protocol. They are shown as far as they can be read.
    pub defect: Option<&'static str>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Number of the first message; one more than the last where there is none.
    pub first: u64,
    /// Number that the last message has or had; 0 where there never was one.
    pub last: u64,
    /// How many there are; fewer than the numbers between where some were deleted.
    pub messages: u64,
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadSettings {
    /// How far ahead: up to one and a half times this is in the client's memory.
    pub pull: PullSettings,
    /// How long a broker that is away is waited for, for each message anew; then its error is returned.
    pub patience: Duration,
}

/// The messages of a part of a stream, in order; see [`StoredMessages::next`].
pub struct StoredMessages {
    broker: Broker,
    stream: String,
    settings: ReadSettings,
    /// Everything before this was handed out or is not there.
    next: u64,
    last: u64,
    source: Source,
    losses: watch::Receiver<u64>,
}

enum Source {
    /// A consumer is to be made.
    Closed,
    Open(Box<Open>),
    /// The next message is read through the API.
    Around,
    Ended,
}

struct Open {
    messages: PullStream,
    delivered: u64,
}

enum Step {
    Message(StoredMessage),
    Again,
    End,
}

impl Broker {
    /// What the stream holds now.
    pub async fn held(&self, stream: &str) -> Result<Held, BrokerError> {
        let doing = format!("asking about stream {stream}");
        let answer = self
            .api::<StreamInfo>(&doing, format!("STREAM.INFO.{stream}"), &NO_PARAMETERS)
            .await?;
        let state = answer.map_err(|source| refused(stream, doing, source))?.state;
        Ok(Held {
            first: state.first_sequence.max(1),
            last: state.last_sequence,
            messages: state.messages,
        })
    }

    /// The number of the first message that was stored at this time or later; a number behind all if none was.
    pub async fn first_stored_since(&self, stream: &str, time: OffsetDateTime) -> Result<u64, BrokerError> {
        let held = self.held(stream).await?;
        let (mut low, mut high) = (held.first, held.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match read_around(self, stream, middle).await? {
                Some(message) if message.published < time => low = message.sequence + 1,
                // Nothing lies between the middle and it, so that the middle will do as well.
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Reads a stream from its first message to the one that is last now. Leaves no trace on the broker.
    pub async fn stored_messages(&self, stream: &str) -> Result<StoredMessages, BrokerError> {
        let held = self.held(stream).await?;
        let settings = ReadSettings {
            pull: PullSettings {
                batch: FEW,
                ..PullSettings::default()
            },
            patience: LOOKING,
        };
        Ok(self.stored_range(stream, held.first..=held.last, settings))
    }

    /// Reads the messages with these numbers. Leaves no trace on the broker.
    pub fn stored_range(&self, stream: &str, range: RangeInclusive<u64>, settings: ReadSettings) -> StoredMessages {
        StoredMessages {
            broker: self.clone(),
            stream: stream.to_owned(),
            settings,
            next: (*range.start()).max(1),
            last: *range.end(),
            source: Source::Closed,
            losses: self.link.signals.losses.subscribe(),
        }
    }
}

impl StoredMessages {
    /// The next message; None at the end. After an error it can be called again and goes on where it was.
    pub async fn next(&mut self) -> Result<Option<StoredMessage>, BrokerError> {
        let began = Instant::now();
        let mut asking = Asking::default();
        let mut waiting = false;
        loop {
            match self.step().await {
                Ok(Step::Again) => {}
                Ok(step) => {
                    if waiting {
                        tracing::warn!(stream = self.stream, "the broker answers again");
                    }
                    return Ok(match step {
                        Step::Message(message) => Some(message),
                        Step::Again | Step::End => None,
                    });
                }
                Err(error) if error.is_transient() && began.elapsed() >= self.settings.patience => return Err(error),
                Err(error) => {
                    if error.is_transient() && !waiting {
                        waiting = true;
                        tracing::warn!(stream = self.stream, error = chain(&error), "waiting for the broker");
                    }
                    asking.again(error).await?;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step, BrokerError> {
        if self.next > self.last {
            self.source = Source::Ended;
        }
        match &mut self.source {
            Source::Ended => Ok(Step::End),
            Source::Closed => {
                self.source = self.open().await?;
                Ok(Step::Again)
            }
            Source::Around => {
                let found = read_around(&self.broker, &self.stream, self.next).await?;
                let Some(message) = found else {
                    self.source = Source::Ended;
                    return Ok(Step::End);
                };
                // Messages like this one often come in a row.
                if message.defect.is_none() {
                    self.source = Source::Closed;
                }
                Ok(self.hand_out(message))
            }
            Source::Open(open) => {
                let item = tokio::select! {
                    biased;
                    item = open.messages.next() => item,
                    Ok(()) = self.losses.changed() => None,
                    () = tokio::time::sleep(QUIET) => None,
                };
                if let Some((message, pending)) = open.accept(item) {
                    // Nothing is left, unless it was published after this.
                    if pending == 0 {
                        self.source = Source::Around;
                    }
                    return Ok(self.hand_out(message));
                }
                self.source = if open.delivered == 0 {
                    Source::Around
                } else {
                    Source::Closed
                };
                Ok(Step::Again)
            }
        }
    }

    fn hand_out(&mut self, message: StoredMessage) -> Step {
        self.next = message.sequence + 1;
        if message.sequence > self.last {
            Step::End
        } else {
            Step::Message(message)
        }
    }

    async fn open(&mut self) -> Result<Source, BrokerError> {
        let Self {
            broker, stream, next, ..
        } = self;
        let doing = format!("reading stream {stream}");
        let config = PullConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            inactive_threshold: FORGOTTEN_AFTER,
            num_replicas: 1,
            memory_storage: true,
            ..PullConfig::default()
        };
        let request = json!({ "stream_name": stream, "config": config.into_consumer_config(), "action": "create" });
        // What was lost before does not concern the new one.
        self.losses.mark_unchanged();
        let info = broker
            .api::<ConsumerInfo>(&doing, format!("CONSUMER.CREATE.{stream}"), &request)
            .await?
            .map_err(|source| refused(stream, doing.clone(), source))?;
        if info.num_pending == 0 {
            return Ok(Source::Around);
        }
        let messages = pull(broker, info, self.settings.pull, &doing).await?;
        Ok(Source::Open(Box::new(Open { messages, delivered: 0 })))
    }
}

impl Open {
    /// The message and how many wait behind it; None when something came in between.
    fn accept(&mut self, item: Option<Result<Message, MessagesError>>) -> Option<(StoredMessage, u64)> {
        let message = match item? {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "reading is disturbed");
                return None;
            }
        };
        let number = message.info().ok()?.consumer_sequence;
        if number != self.delivered + 1 {
            tracing::debug!(number, delivered = self.delivered, "something is missing");
            return None;
        }
        self.delivered = number;
        let Delivery {
            subject,
            headers,
            payload,
            sequence,
            published,
            pending,
            ..
        } = Delivery::from_message(message)?;
        let message = StoredMessage {
            subject,
            headers,
            payload,
            sequence,
            published,
            defect: None,
        };
        Some((message, pending))
    }
}

fn refused(stream: &str, doing: String, source: async_nats::jetstream::Error) -> BrokerError {
    match source.error_code() {
        ErrorCode::STREAM_NOT_FOUND => stream_missing(stream),
        _ => BrokerError::Api { doing, source },
    }
}
