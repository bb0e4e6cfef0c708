//! One arrival of a message, settled once: ack, nak and term take it by value.
//!
//! Every command has a time limit, because the client blocks for ever when its queue is full in an
//! outage. A lost command costs a redelivery, nothing else.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

use super::error::{BrokerError, chain};

const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A message as it was delivered, with the means to settle it.
#[derive(Debug)]
pub struct Delivery {
    /// Where it was published.
    pub subject: String,
    /// Names and values as received, sorted by name; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub payload: Bytes,
    /// The stream it is stored in.
    pub stream: String,
    /// Its number in the stream.
    pub sequence: u64,
    /// When the broker stored it (UTC, nanoseconds).
    pub published: OffsetDateTime,
    /// Which delivery this is, from 1. Can go backwards after a crash of the server: a hint, not a count of attempts.
    pub delivered: i64,
    /// How many messages wait behind it.
    pub pending: u64,
    /// Why it can never be decoded: headers that break the protocol. They are shown as far as they can be read.
    pub defect: Option<&'static str>,
    /// Settles it; can be kept when the rest is dropped.
    pub acker: Acker,
}

/// Settles one delivery. Dropping it without settling means redelivery after `ack_wait`.
pub struct Acker {
    inner: async_nats::jetstream::message::Acker,
    sequence: u64,
    /// Keeps the consumer from pulling until a message that would break the connection is out of the way.
    _hold: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Acker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acker")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Acker {
    pub(super) fn holding(
        inner: async_nats::jetstream::message::Acker,
        sequence: u64,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            sequence,
            _hold: Some(permit),
        }
    }

    /// Done. `Ok` means written to the connection, not known to the server.
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.send("acknowledging a message", AckKind::Ack).await
    }

    /// Says "done" of what is not, for a test that has to notice.
    pub(crate) async fn ack_too_early(&self) -> Result<(), BrokerError> {
        self.send("acknowledging a message too early", AckKind::Ack).await
    }

    /// Hand it back: at once, or not before the delay. A delayed one occupies `max_ack_pending` meanwhile.
    pub async fn nak(self, delay: Option<Duration>) -> Result<(), BrokerError> {
        self.send("handing a message back", AckKind::Nak(delay)).await
    }

    /// Never again. Only after its dead letter is stored.
    pub async fn term(self) -> Result<(), BrokerError> {
        self.send("ending a message", AckKind::Term).await
    }

    /// Still in hand: `ack_wait` begins anew.
    pub async fn progress(&self) -> Result<(), BrokerError> {
        self.send("reporting progress on a message", AckKind::Progress).await
    }

    async fn send(&self, doing: &str, kind: AckKind) -> Result<(), BrokerError> {
        match tokio::time::timeout(SETTLE_TIMEOUT, self.inner.ack_with(kind)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(BrokerError::Disconnected {
                doing: doing.to_owned(),
            }),
            Err(_) => Err(BrokerError::Timeout {
                doing: doing.to_owned(),
            }),
        }
    }
}

impl Delivery {
    /// See [`Acker::ack`].
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.acker.ack().await
    }

    /// See [`Acker::nak`].
    pub async fn nak(self, delay: Option<Duration>) -> Result<(), BrokerError> {
        self.acker.nak(delay).await
    }

    /// See [`Acker::term`].
    pub async fn term(self) -> Result<(), BrokerError> {
        self.acker.term().await
    }

    /// See [`Acker::progress`].
    pub async fn progress(&self) -> Result<(), BrokerError> {
        self.acker.progress().await
    }

    /// None for something that is no stream message (anybody may write to an inbox).
    pub(super) fn from_message(message: Message) -> Option<Self> {
        let info = message.info().ok()?;
        let (stream, sequence, published) = (info.stream.to_owned(), info.stream_sequence, info.published);
        let (delivered, pending) = (info.delivered, info.pending);
        let (message, inner) = message.split();
        Some(Self {
            subject: message.subject.to_string(),
            headers: message.headers.as_ref().map(header_list).unwrap_or_default(),
            payload: message.payload,
            stream,
            sequence,
            published,
            delivered,
            pending,
            defect: None,
            acker: Acker {
                inner,
                sequence,
                _hold: None,
            },
        })
    }
}

/// Acknowledges a whole batch. What cannot be sent is only logged: those messages come again as duplicates.
/// Gives up on the rest after the first failure, because every further one would cost its whole time limit.
pub async fn ack_all(ackers: impl IntoIterator<Item = Acker>) {
    let mut ackers = ackers.into_iter();
    while let Some(acker) = ackers.next() {
        if let Err(error) = acker.ack().await {
            tracing::warn!(
                error = chain(&error),
                events = ackers.count() + 1,
                "acknowledgements were not sent, these events will be delivered again"
            );
            return;
        }
    }
}

/// The client keeps headers in no order; sorting makes every reader see the same one.
pub(super) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = headers
        .iter()
        .flat_map(|(name, values)| {
            values
                .iter()
                .map(move |value| (name.to_string(), value.as_str().to_owned()))
        })
        .collect();
    list.sort_by(|(one, _), (other, _)| one.cmp(other));
    list
}
