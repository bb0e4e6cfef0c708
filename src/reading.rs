//! What replay, its dry run and the audit have in common: a stream's messages in decoded batches, until a stop.
//!
//! Batches are bounded by count and by bytes, whatever the backlog.

use crate::envelope::{self, Envelope, Incoming, Intake, Refusal};
use crate::jetstream::{BrokerError, StoredMessage, StoredMessages};
use crate::shutdown::Shutdown;
use crate::store::StoreError;

/// Payloads in a batch at most, in bytes; one message may go beyond.
const BATCH_BYTES: usize = 16 << 20;

/// How messages are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Name of the stream, as it stands in the identity of bare events.
    pub stream: &'a str,
    /// How events are decoded.
    pub intake: &'a Intake,
    /// Messages per batch at most.
    pub batch_max: usize,
}

/// Why reading ended.
#[derive(Debug)]
pub enum End {
    /// Nothing was left.
    Complete,
    /// Somebody asked for it.
    Stopped,
    /// The broker cannot be read any longer.
    Unreadable(BrokerError),
    /// The database cannot be read; a dry run does not wait for it.
    Unanswered(StoreError),
}

/// A message and what the decoder made of it.
pub(crate) struct InHand {
    pub(crate) message: StoredMessage,
    pub(crate) decoded: Result<Envelope, Refusal>,
}

impl InHand {
    /// The message as the decoder reads it.
    pub(crate) fn incoming<'a>(&'a self, stream: &'a str) -> Incoming<'a> {
        incoming(&self.message, stream)
    }
}

fn incoming<'a>(message: &'a StoredMessage, stream: &'a str) -> Incoming<'a> {
    Incoming {
        subject: &message.subject,
        headers: &message.headers,
        payload: &message.payload,
        stream,
        sequence: message.sequence,
        published: message.published,
    }
}

impl Reading<'_> {
    /// The next messages, as many as make a batch and at least one, or why there is none.
    pub(crate) async fn next(&self, messages: &mut StoredMessages, shutdown: &Shutdown) -> Result<Vec<InHand>, End> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.batch_max && bytes < BATCH_BYTES {
            let message = tokio::select! {
                biased;
                () = shutdown.soft.cancelled() => return Err(End::Stopped),
                message = messages.next() => message.map_err(End::Unreadable)?,
            };
            let Some(message) = message else { break };
            bytes += message.payload.len();
            let decoded = match message.defect {
                Some(defect) => Err(Refusal::broken_headers(defect)),
                None => envelope::decode(&incoming(&message, self.stream), self.intake),
            };
            batch.push(InHand { message, decoded });
        }
        if batch.is_empty() {
            Err(End::Complete)
        } else {
            Ok(batch)
        }
    }
}
