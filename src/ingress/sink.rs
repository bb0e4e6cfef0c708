//! The way into the stream, within the time that a sender waits: acknowledged, or not at all.
//!
//! A publish that is given up may still be stored; its sender repeats it under the same message id. While the broker is
//! silent only a few requests try: each that is given up leaves something behind in the client.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::clock;
use crate::jetstream::{Answer, Broker, BrokerError, Outgoing};

/// How long the broker is waited for; the answer has to be out within 800 ms, on a busy machine too.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many failures in a row are no accident.
const FAILURES: u32 = 8;
/// While the broker is silent, one request in this time tries.
const PROBE: Duration = Duration::from_millis(200);
/// So long after the last failure nothing is known any more: whoever was sent away has to be able to come back.
const MEMORY: Duration = Duration::from_secs(5);

/// Broker or stream cannot take anything at the moment.
#[derive(Debug)]
pub(super) struct Away;

#[derive(Debug, Default)]
struct Silence {
    failures: u32,
    last: Option<Instant>,
    probed: Option<Instant>,
}

impl Silence {
    fn is_one(&self, now: Instant) -> bool {
        let recent = |last: Instant| now.saturating_duration_since(last) < MEMORY;
        self.failures >= FAILURES && self.last.is_some_and(recent)
    }
}

/// The connection, once there is one: senders are answered before.
pub type Connected = Arc<OnceLock<Broker>>;

/// Publishes over one connection.
pub(super) struct Sink {
    broker: Connected,
    silence: Mutex<Silence>,
}

impl Sink {
    pub(super) fn new(broker: Connected) -> Self {
        Self {
            broker,
            silence: Mutex::default(),
        }
    }

    /// Whether anything can be taken.
    pub(super) fn is_open(&self) -> bool {
        self.live().is_some() && !self.silence().is_one(clock::monotonic())
    }

    fn live(&self) -> Option<&Broker> {
        self.broker.get().filter(|broker| broker.is_connected())
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth trying.
    fn is_worth_it(&self, now: Instant) -> bool {
        let mut silence = self.silence();
        if !silence.is_one(now) {
            return true;
        }
        let due = silence
            .probed
            .is_none_or(|last| now.saturating_duration_since(last) >= PROBE);
        if due {
            silence.probed = Some(now);
        }
        due
    }

    /// When the publishing that begins now has to be over, however many steps it takes.
    pub(super) fn deadline() -> Instant {
        clock::monotonic() + PATIENCE
    }

    /// Publishes all of them. `Ok` only when the stream has every one but those of the numbers that are returned, which it
    /// can never take.
    pub(super) async fn publish(&self, messages: &[Outgoing], deadline: Instant) -> Result<Vec<usize>, Away> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let publisher = self.live().map(Broker::publisher).ok_or(Away)?;
        if !self.is_worth_it(clock::monotonic()) {
            return Err(Away);
        }
        let all = join_all(messages.iter().map(|message| publisher.publish(message)));
        let Ok(results) = tokio::time::timeout_at(deadline.into(), all).await else {
            let doing = "publishing a webhook".to_owned();
            self.missed(&BrokerError::Timeout { doing });
            return Err(Away);
        };
        let mut never = Vec::new();
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(_) => {}
                Err(error) if error.answer() == Answer::Message => {
                    tracing::warn!(%error, "an event cannot be taken by the stream");
                    never.push(number);
                }
                Err(error) => {
                    self.missed(&error);
                    return Err(Away);
                }
            }
        }
        self.heard();
        Ok(never)
    }

    fn heard(&self) {
        let before = std::mem::take(&mut *self.silence());
        if before.failures >= FAILURES {
            tracing::info!("the stream takes webhooks again");
        }
    }

    fn missed(&self, error: &BrokerError) {
        let mut silence = self.silence();
        silence.failures = silence.failures.saturating_add(1);
        silence.last = Some(clock::monotonic());
        let begins = silence.failures == FAILURES;
        drop(silence);
        if begins {
            tracing::warn!(%error, "the stream takes no webhooks: senders are told to come again");
        } else {
            tracing::debug!(%error, "a webhook could not be published");
        }
    }
}
