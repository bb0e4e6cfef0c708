//! Publishing with acknowledgement: a message counts as sent when the stream says it has it.
//!
//! An acknowledgement that does not come means "unknown": the same message id is published again and
//! the stream recognises what it already has.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Broker;
use super::error::{BrokerError, chain};
use super::link::{ANSWER_TIMEOUT, Link};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// A literal subject: tokens separated by dots, no wildcards.
    pub subject: String,
    /// Names are visible ASCII without `:`, values hold no line breaks; `Nats-Msg-Id` is set from [`Self::message_id`].
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub payload: Bytes,
    /// What the stream recognises repetitions by, within its duplicate window.
    pub message_id: String,
}

/// What the stream says about a message it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The stream that took it.
    pub stream: String,
    /// True if a message with this id was there before.
    pub duplicate: bool,
    /// Its number in the stream (of the first one, for a duplicate).
    pub sequence: u64,
}

/// Publishes to whatever stream takes the subject. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    link: Arc<Link>,
}

impl Broker {
    /// A publisher over this connection.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            link: Arc::clone(&self.link),
        }
    }
}

impl Publisher {
    /// Publishes once and waits up to 5 s for the acknowledgement.
    ///
    /// Where the error [is transient](BrokerError::is_transient), publish the same message again.
    pub async fn publish(&self, message: &Outgoing) -> Result<Ack, BrokerError> {
        let sent = self.send(message).await?;
        self.acknowledged(message, sent).await
    }

    /// Publishes until it is acknowledged, the error is final, or `patience` is over (then the last error).
    pub async fn publish_patiently(&self, message: &Outgoing, patience: Duration) -> Result<Ack, BrokerError> {
        self.repeat(message, self.publish(message).await, patience).await
    }

    /// Publishes many, at most `in_flight` of them unacknowledged at a time. Keep it modest (256): with
    /// thousands in flight and a server that syncs every write, acknowledgements time out.
    pub fn window(&self, in_flight: usize, patience: Duration) -> PublishWindow {
        PublishWindow {
            publisher: self.clone(),
            in_flight: in_flight.max(1),
            patience,
            waiting: FuturesUnordered::new(),
            tally: Tally::default(),
        }
    }

    async fn send(&self, message: &Outgoing) -> Result<PublishAckFuture, BrokerError> {
        check_subject(&message.subject)?;
        let headers = header_map(message)?;
        let publish = PublishMessage::build()
            .headers(headers)
            .payload(message.payload.clone());
        let live = self.link.usable(&doing(message))?;
        let sent = live.context.send_publish(message.subject.clone(), publish).await;
        match sent.map_err(|error| failed(message, error, live.client.max_payload())) {
            Err(BrokerError::Closed { doing }) => Err(self.link.ended(&live, doing).await),
            other => other,
        }
    }

    async fn acknowledged(&self, message: &Outgoing, sent: PublishAckFuture) -> Result<Ack, BrokerError> {
        let ack = sent
            .await
            .map_err(|error| failed(message, error, self.link.live().client.max_payload()))?;
        Ok(Ack {
            stream: ack.stream,
            duplicate: ack.duplicate,
            sequence: ack.sequence,
        })
    }

    async fn repeat(
        &self,
        message: &Outgoing,
        first: Result<Ack, BrokerError>,
        patience: Duration,
    ) -> Result<Ack, BrokerError> {
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        let mut last = first;
        loop {
            match last {
                Err(error) if error.is_transient() && waited < patience => {
                    tracing::debug!(
                        error = chain(&error),
                        subject = message.subject,
                        "publishing again under the same message id"
                    );
                }
                other => return other,
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            last = self.publish(message).await;
            if matches!(last, Err(BrokerError::Timeout { .. })) {
                waited += ANSWER_TIMEOUT;
            }
        }
    }
}

fn doing(message: &Outgoing) -> String {
    format!("publishing to {}", message.subject)
}

/// `limit` is the server's `max_payload`.
fn failed(message: &Outgoing, error: PublishError, limit: usize) -> BrokerError {
    let header_bytes = message
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum::<usize>();
    let bytes = message.payload.len() + header_bytes + message.message_id.len();
    BrokerError::from_publish(&doing(message), error, bytes, limit)
}

/// What a window has achieved so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Acknowledged messages, duplicates included.
    pub published: u64,
    /// Of those, the ones the stream already had.
    pub duplicates: u64,
}

/// A bounded number of publishes in flight; see [`Publisher::window`]. Nothing counts before its acknowledgement.
pub struct PublishWindow {
    publisher: Publisher,
    in_flight: usize,
    patience: Duration,
    waiting: FuturesUnordered<BoxFuture<'static, Result<Ack, BrokerError>>>,
    tally: Tally,
}

impl PublishWindow {
    /// Sends the message, in the order of the calls, as soon as there is room.
    ///
    /// Errors: one of the messages so far could not be stored; the rest is then unknown and should be published again.
    pub async fn push(&mut self, message: Outgoing) -> Result<(), BrokerError> {
        while self.waiting.len() >= self.in_flight {
            self.settle_one().await?;
        }
        let publisher = self.publisher.clone();
        let patience = self.patience;
        let sent = publisher.send(&message).await;
        self.waiting.push(Box::pin(async move {
            let first = match sent {
                Ok(sent) => publisher.acknowledged(&message, sent).await,
                Err(error) => Err(error),
            };
            publisher.repeat(&message, first, patience).await
        }));
        Ok(())
    }

    /// What has been acknowledged so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Waits for every acknowledgement. Errors as in [`Self::push`].
    pub async fn finish(mut self) -> Result<Tally, BrokerError> {
        while !self.waiting.is_empty() {
            self.settle_one().await?;
        }
        Ok(self.tally)
    }

    async fn settle_one(&mut self) -> Result<(), BrokerError> {
        if let Some(settled) = self.waiting.next().await {
            let ack = settled?;
            self.tally.published += 1;
            self.tally.duplicates += u64::from(ack.duplicate);
        }
        Ok(())
    }
}

/// A subject that no stream can ever take would otherwise look like a stream that is away.
fn check_subject(subject: &str) -> Result<(), BrokerError> {
    let literal = subject.split('.').all(|token| {
        !token.is_empty()
            && token != "*"
            && token != ">"
            && !token.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if literal {
        Ok(())
    } else {
        Err(BrokerError::BadMessage {
            reason: format!("{subject:?} is no literal subject (tokens separated by dots, no spaces, no wildcards)"),
        })
    }
}

/// Values are not quoted in errors: they may be personal data. The client library panics on what is refused here.
fn header_map(message: &Outgoing) -> Result<HeaderMap, BrokerError> {
    let mut map = HeaderMap::new();
    for (name, value) in &message.headers {
        let parsed = HeaderName::from_str(name)
            .ok()
            .filter(|_| !name.is_empty())
            .ok_or_else(|| BrokerError::BadMessage {
                reason: format!("header name {name:?} must be visible ASCII without a colon"),
            })?;
        let value = HeaderValue::from_str(value).map_err(|_| BrokerError::BadMessage {
            reason: format!("the value of header {name} holds a line break"),
        })?;
        map.append(parsed, value);
    }
    let id = HeaderValue::from_str(&message.message_id).map_err(|_| BrokerError::BadMessage {
        reason: "the message id holds a line break".to_owned(),
    })?;
    map.insert(NATS_MESSAGE_ID, id);
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)], id: &str) -> Outgoing {
        Outgoing {
            subject: "user.created".to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            payload: Bytes::new(),
            message_id: id.to_owned(),
        }
    }

    #[test]
    fn only_literal_subjects_are_published() {
        for good in ["user.created", "dead.user.créé", "a", "user.*x"] {
            assert!(check_subject(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "user.",
            ".user",
            "user..created",
            "user.>",
            "user.*",
            "user created",
            "a\r\nPUB",
        ] {
            assert!(check_subject(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_that_would_break_the_protocol_are_refused() {
        assert!(header_map(&message(&[("ce-id", "1"), ("ce-id", "2"), ("note", "grün")], "s 1")).is_ok());
        for (name, value) in [
            ("a\r\nb", "x"),
            ("a:b", "x"),
            ("", "x"),
            ("ä", "x"),
            ("a b", "x"),
            ("a", "x\ry"),
            ("a", "x\ny"),
        ] {
            let error = header_map(&message(&[(name, value)], "id"))
                .expect_err(name)
                .to_string();
            assert!(!error.contains("x\ry"), "{error}");
        }
        assert!(header_map(&message(&[], "two\nlines")).is_err());
    }
}
