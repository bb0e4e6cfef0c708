//! The relay: publishes what the transactions wrote into the outbox, in order, at least once, under message ids that
//! make a second time harmless.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::announcements;
use crate::domain::hex;
use crate::failpoint::{Point, Sabotage, is_sabotaged, reach};
use crate::failure::{self, Alarms, Class, Fault};
use crate::jetstream::{BrokerError, Outgoing, Publisher};
use crate::store::{OutboxRow, Queue, Store, StoreError};

/// Messages on their way at the same time: a nats-server that syncs every write times out on wide windows.
const IN_FLIGHT: usize = 64;
/// How long a message is tried before the batch is begun anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a message takes on the wire beside payload and headers.
const FRAMING: usize = 4096;

/// Headers of one message at most, in bytes: the server takes 64 KiB.
const HEADERS_MAX: usize = 60 * 1024;

/// Longest header of a message in reduced form, in characters.
const REDUCED_MAX: usize = 256;
const OMITTED: &str = "omitted, see stream and sequence";

/// What the relay works with.
pub struct Relay {
    /// Where the messages wait.
    pub store: Store,
    /// Where they go.
    pub publisher: Publisher,
    /// Largest message the broker takes, in bytes.
    pub max_payload: usize,
    /// Messages read at a time.
    pub batch: u32,
    /// How often to look without being told.
    pub poll: Duration,
    /// What it publishes. One that cannot be published does not hold up the other.
    pub queues: Vec<Queue>,
}

/// Why a round of the relay ended early.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox cannot be read or cleared.
    #[error("the outbox cannot be read")]
    Store(#[from] StoreError),
    /// The broker does not take a message.
    #[error("a message of the outbox cannot be published")]
    Broker(#[from] BrokerError),
}

impl RelayError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => failure::fault(error),
            Self::Broker(error) => failure::broker_fault(error),
        }
    }
}

impl Relay {
    /// Relays until it is stopped. Failures are waited out: what is not published stays in the outbox.
    pub async fn run(self, told: Arc<Notify>, stop: CancellationToken) {
        if is_sabotaged(Sabotage::EndRelay) {
            return;
        }
        let mut pauses = None;
        let alarms = Alarms::default();
        loop {
            let pause = match self.drain().await {
                Ok(_) => {
                    if pauses.take().is_some() {
                        tracing::info!("the outbox is being published again");
                    }
                    self.poll
                }
                Err(error) => {
                    if pauses.is_none() {
                        tracing::warn!(error = failure::chain(&error), "the outbox waits");
                    }
                    alarms.sound(&error.fault());
                    let builder = ExponentialBuilder::default()
                        .with_min_delay(Duration::from_millis(200))
                        .with_max_delay(Duration::from_secs(5))
                        .with_jitter()
                        .without_max_times();
                    pauses
                        .get_or_insert_with(|| builder.build())
                        .next()
                        .unwrap_or(self.poll)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = told.notified(), if pauses.is_none() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Publishes until the outbox is empty; returns how many.
    ///
    /// # Errors
    /// When the database or the broker does not answer; nothing is lost then.
    pub async fn drain(&self) -> Result<u64, RelayError> {
        let mut published = 0;
        let mut failed = None;
        for queue in &self.queues {
            match self.drain_queue(*queue).await {
                Ok(more) => published += more,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(published), Err)
    }

    async fn drain_queue(&self, queue: Queue) -> Result<u64, RelayError> {
        let mut published = 0;
        loop {
            let rows = self.store.outbox(queue, self.batch).await?;
            if rows.is_empty() {
                return Ok(published);
            }
            reach(Point::OutboxRead);
            published += rows.len() as u64;
            match self.publish(queue, &rows).await {
                Ok(()) => {
                    reach(Point::LettersPublished);
                    let ids: Vec<i64> = rows.iter().map(|row| row.outbox_id).collect();
                    self.store.published(queue, &ids).await?;
                    reach(Point::LettersForgotten);
                }
                Err(error) if is_its_own(&error) => self.publish_singly(queue, rows).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn publish(&self, queue: Queue, rows: &[OutboxRow]) -> Result<(), BrokerError> {
        let mut window = self.publisher.window(IN_FLIGHT, PATIENCE);
        let mut on_their_way = BTreeSet::new();
        for row in rows {
            if queue == Queue::Announcements {
                // A message that has to be sent again must not come after the next one about the same user.
                if users(row).any(|user| on_their_way.contains(user)) {
                    window.finish().await?;
                    window = self.publisher.window(IN_FLIGHT, PATIENCE);
                    on_their_way.clear();
                }
                on_their_way.extend(users(row));
            }
            window.push(message(queue, row, self.max_payload)).await?;
        }
        reach(Point::LettersSent);
        window.finish().await.map(|_| ())
    }

    /// One message that the broker will never take as it is must not hold up the others: it goes in reduced form.
    async fn publish_singly(&self, queue: Queue, rows: Vec<OutboxRow>) -> Result<(), RelayError> {
        for row in rows {
            let message = message(queue, &row, self.max_payload);
            if let Err(error) = self.publisher.publish_patiently(&message, PATIENCE).await {
                if !is_its_own(&error) {
                    return Err(error.into());
                }
                tracing::warn!(
                    message_id = row.message_id,
                    error = failure::chain(&error),
                    "sent in reduced form"
                );
                self.publisher.publish_patiently(&reduced(&row), PATIENCE).await?;
            }
            self.store.published(queue, &[row.outbox_id]).await?;
        }
        Ok(())
    }
}

/// The keys of the user that an announcement is about.
fn users(row: &OutboxRow) -> impl Iterator<Item = &str> {
    let names = |name: &str| name == announcements::SUBJECT || name == announcements::FORMER_SUBJECT;
    let keys = row.headers.iter().filter(move |(name, _)| names(name));
    keys.map(|(_, key)| key.as_str())
}

/// What is published of a row. Where an announcement stands among the others is known only now.
fn message(queue: Queue, row: &OutboxRow, max_payload: usize) -> Outgoing {
    let mut row = row.clone();
    if queue == Queue::Announcements {
        row.headers.push(("ce-sequence".to_owned(), row.outbox_id.to_string()));
    }
    outgoing(row, max_payload)
}

/// Whether the broker will never take this message as it is. Whatever else is wrong, a missing right or an answer that
/// nobody knows, is waited for: cutting the message would not help, and what was cut is gone.
fn is_its_own(error: &BrokerError) -> bool {
    failure::broker_class(error) == Class::Event
}

/// What can be published of any message: our own headers, cut, on a subject of two tokens.
fn reduced(row: &OutboxRow) -> Outgoing {
    let prefix = row.subject.split('.').next().unwrap_or("dead");
    let cut = |text: &str| {
        let plain = text.chars().take(REDUCED_MAX);
        plain
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .collect::<String>()
    };
    let ours = row
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("Rollcall-") && !name.starts_with("Rollcall-Original-"));
    let mut headers: Vec<(String, String)> = ours.map(|(name, value)| (name.clone(), cut(value))).collect();
    headers.push(("Rollcall-Headers".to_owned(), OMITTED.to_owned()));
    refer(&mut headers, &row.payload);
    Outgoing {
        subject: format!("{prefix}.user"),
        headers,
        payload: Bytes::new(),
        message_id: row.message_id.clone(),
    }
}

/// Says where a payload that does not come along can be found, and proves which it is.
fn refer(headers: &mut Vec<(String, String)>, payload: &[u8]) {
    headers.push(("Rollcall-Payload".to_owned(), OMITTED.to_owned()));
    headers.push(("Rollcall-Payload-Bytes".to_owned(), payload.len().to_string()));
    headers.push(("Rollcall-Payload-Sha256".to_owned(), hex(&Sha256::digest(payload))));
}

/// A message that fits the broker alone may not fit with what a dead letter says about it. A payload is then referred to
/// by stream and sequence, and proved by length and hash; headers are then only ours.
fn outgoing(row: OutboxRow, max_payload: usize) -> Outgoing {
    let mut headers = row.headers;
    if size(&headers) > HEADERS_MAX {
        headers.retain(|(name, _)| name.starts_with("Rollcall-") && !name.starts_with("Rollcall-Original-"));
        headers.push(("Rollcall-Headers".to_owned(), OMITTED.to_owned()));
    }
    let payload = if size(&headers) + row.payload.len() + FRAMING > max_payload {
        refer(&mut headers, &row.payload);
        Bytes::new()
    } else {
        Bytes::from(row.payload)
    };
    Outgoing {
        subject: row.subject,
        headers,
        payload,
        message_id: row.message_id,
    }
}

/// What headers take on the wire.
fn size(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: usize) -> OutboxRow {
        OutboxRow {
            outbox_id: 1,
            message_id: "m".to_owned(),
            subject: "dead.user.created".to_owned(),
            headers: vec![("Rollcall-Reason".to_owned(), "undecodable".to_owned())],
            payload: vec![b'x'; bytes],
        }
    }

    #[test]
    fn a_payload_that_does_not_fit_is_referred_to() {
        let small = outgoing(row(1_000), 1_048_576);
        assert_eq!(small.payload.len(), 1_000);
        let large = outgoing(row(1_048_576), 1_048_576);
        assert!(large.payload.is_empty());
        assert!(
            large
                .headers
                .contains(&("Rollcall-Payload-Bytes".to_owned(), "1048576".to_owned()))
        );
    }

    #[test]
    fn headers_that_do_not_fit_are_left_out_but_for_ours() {
        let mut large = row(10);
        large.headers.push(("X-Big".to_owned(), "x".repeat(64 * 1024)));
        let message = outgoing(large, 1_048_576);
        let names: Vec<&str> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Rollcall-Reason", "Rollcall-Headers"]);
        assert_eq!(message.payload.len(), 10);
    }

    #[test]
    fn the_reduced_form_fits_whatever_came() {
        let mut odd = row(2_000_000);
        odd.subject = "dead.user.created.\u{1}".to_owned();
        odd.headers
            .push(("Rollcall-Message-Id".to_owned(), "é\n".repeat(64 * 1024)));
        let message = reduced(&odd);
        assert_eq!((message.subject.as_str(), message.payload.len()), ("dead.user", 0));
        assert!(size(&message.headers) < 4096);
    }
}
