//! Reading a stream from the beginning without a durable consumer: for looking at dead letters.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::Info as StreamInfo;
use bytes::Bytes;
use futures_util::StreamExt;
use time::OffsetDateTime;

use super::delivery::Delivery;
use super::error::BrokerError;
use super::topology::stream_missing;
use super::{Broker, NO_PARAMETERS};

/// At most one and a half times as many messages are in memory.
const READ_AHEAD: i64 = 32;
const READ_TIMEOUT: Duration = Duration::from_secs(10);

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
}

/// The messages that a stream held when reading began, in order; see [`Broker::stored_messages`].
pub struct StoredMessages {
    stream: String,
    last: u64,
    /// None when the end is reached.
    source: Option<Box<Ordered>>,
}

impl Broker {
    /// Reads a stream from its first message to the one that is last now. Leaves no trace on the broker.
    pub async fn stored_messages(&self, stream: &str) -> Result<StoredMessages, BrokerError> {
        let doing = format!("reading stream {stream}");
        let answer = self
            .api::<StreamInfo>(&doing, format!("STREAM.INFO.{stream}"), &NO_PARAMETERS)
            .await?;
        let info = answer.map_err(|source| match source.error_code() {
            ErrorCode::STREAM_NOT_FOUND => stream_missing(stream),
            _ => BrokerError::Api {
                doing: doing.clone(),
                source,
            },
        })?;
        let mut messages = StoredMessages {
            stream: stream.to_owned(),
            last: info.state.last_sequence,
            source: None,
        };
        if info.state.messages > 0 {
            let unexpected = |source| BrokerError::Unexpected {
                doing: doing.clone(),
                source,
            };
            let config = OrderedConfig {
                deliver_policy: DeliverPolicy::All,
                max_batch: READ_AHEAD,
                ..OrderedConfig::default()
            };
            let consumer = self
                .link
                .live()
                .context
                .create_consumer_on_stream(config, stream)
                .await
                .map_err(|error| unexpected(Box::new(error)))?;
            let source = consumer.messages().await.map_err(|error| unexpected(Box::new(error)))?;
            messages.source = Some(Box::new(source));
        }
        Ok(messages)
    }
}

impl StoredMessages {
    /// The next message; None at the end.
    pub async fn next(&mut self) -> Result<Option<StoredMessage>, BrokerError> {
        let Some(source) = &mut self.source else {
            return Ok(None);
        };
        let doing = || format!("reading stream {}", self.stream);
        let item = tokio::time::timeout(READ_TIMEOUT, source.next())
            .await
            .map_err(|_| BrokerError::Timeout { doing: doing() })?;
        let Some(item) = item else {
            return Err(BrokerError::Closed { doing: doing() });
        };
        let message = item.map_err(|error| BrokerError::Unexpected {
            doing: doing(),
            source: Box::new(error),
        })?;
        let Some(delivery) = Delivery::from_message(message) else {
            return Err(BrokerError::Disconnected { doing: doing() });
        };
        let Delivery {
            subject,
            headers,
            payload,
            sequence,
            published,
            pending,
            ..
        } = delivery;
        // Nothing behind it, or the end as it was: messages may have been deleted, so that neither alone suffices.
        if pending == 0 || sequence >= self.last {
            self.source = None;
        }
        // The rest was published after reading began.
        Ok((sequence <= self.last).then_some(StoredMessage {
            subject,
            headers,
            payload,
            sequence,
            published,
        }))
    }
}
