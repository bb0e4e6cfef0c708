//! What failures leave in the database: events that wait for their next try, types that are held back, and messages that
//! were in hand at a death of the worker. One small transaction each; nothing here judges.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Letter, Session, Store, StoreError};

/// Touches every table and column that the worker writes, and changes one row of our own.
pub(super) const PROBE: &str = include_str!("probe.sql");

/// Longest a small transaction may take before its connection is given up.
pub(in crate::store) const LIMIT: Duration = Duration::from_secs(10);

/// One judged failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When, in RFC 3339.
    pub at: String,
    /// What was wrong, without data values.
    pub error: String,
    /// The code of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A message as it was delivered, to be put away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of the table `retries`, explained in docs/SCHEMA.md"
)]
pub struct Parked {
    pub message_id: String,
    pub stream: String,
    pub sequence: u64,
    /// To the nanosecond: a bare event has its identity from it.
    pub published: OffsetDateTime,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
    /// Name of the type of event.
    pub kind: String,
    /// Every judged failure so far; none for an event that was put away untried.
    pub attempts: Vec<Attempt>,
    pub next_at: OffsetDateTime,
}

/// Whose an event is, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The incarnation of the worker.
    pub life: Uuid,
    /// When others may have it.
    pub until: OffsetDateTime,
}

/// An event that is this worker's to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The event.
    pub parked: Parked,
    /// How often a worker died with it alone in hand.
    pub deaths: u32,
}

/// How many events wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// For their next try.
    pub tries: u64,
    /// For somebody to mend what their type fails of.
    pub held: u64,
}

/// What there is to do now about waiting events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duties {
    /// Names of the types that are held back.
    pub holds: Vec<String>,
    /// One of them is to be probed.
    pub probe: bool,
    /// An event is to be tried.
    pub retry: bool,
}

/// A message that was in hand at a death, or is in hand again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// Which message.
    pub message_id: String,
    /// The incarnation of the worker that has it in hand.
    pub life: Uuid,
    /// How many were in hand together; 1 is alone.
    pub company: u32,
    /// How often a worker died with it alone in hand.
    pub deaths: u32,
}

/// One small transaction within `LIMIT`; whatever goes wrong in it, its connection is not used again.
macro_rules! briefly {
    ($store:expr, $inner:ident => $work:expr) => {{
        let mut session = $store.session().await?;
        let unit = async {
            use $crate::store::Tx;
            let mut tx = session.begin().await?;
            let done = on_both!(&mut tx, Tx, $inner => $work.await)?;
            tx.commit().await?;
            Ok(done)
        };
        let ended = tokio::time::timeout($crate::store::failures::LIMIT, unit).await;
        $crate::store::failures::concluded(ended, session)
    }};
}
pub(in crate::store) use briefly;

pub(in crate::store) fn concluded<T>(
    ended: Result<Result<T, StoreError>, tokio::time::error::Elapsed>,
    session: Session,
) -> Result<T, StoreError> {
    match ended {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            session.discard();
            Err(error)
        }
        Err(_) => {
            session.discard();
            Err(StoreError::Slow(LIMIT))
        }
    }
}

impl Store {
    /// Whether everything the worker writes can be written: touches every table, and writes a row of its own.
    ///
    /// # Errors
    /// Says what cannot be written.
    pub async fn probe(&self) -> Result<(), StoreError> {
        briefly!(self, tx => tx.probe())
    }

    /// Puts events away for later tries; what is there already stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn park(&self, events: &[Parked]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        briefly!(self, tx => tx.park(events))
    }

    /// Takes the event that is due longest: until the lease ends, another worker leaves it alone. Events that were judged
    /// and whose type is held back are not due.
    ///
    /// One that another worker has in hand and whose lease ended is doubted first: that worker may be slow, or cut off, and
    /// has one more lease to renew its own. Only when it does not, it died, and the event is given away.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn claim(&self, now: OffsetDateTime, lease: Lease) -> Result<Option<Claimed>, StoreError> {
        briefly!(self, tx => tx.claim(now, lease, None))
    }

    /// The same with the event of a held type that was tried longest ago.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn claim_held(
        &self,
        kind: &str,
        now: OffsetDateTime,
        lease: Lease,
    ) -> Result<Option<Claimed>, StoreError> {
        briefly!(self, tx => tx.claim(now, lease, Some(kind)))
    }

    /// Whether events of a held type wait, in somebody's hands or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn holds_back(&self, kind: &str) -> Result<bool, StoreError> {
        briefly!(self, tx => tx.holds_back(kind))
    }

    /// Keeps a claimed event for longer, unless it was given to another worker.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn renew(&self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        briefly!(self, tx => tx.renew(message_id, lease))
    }

    /// Writes down one more judged failure of a claimed event, unless another worker did. It was tried and nobody died, so
    /// the deaths before were not its doing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn failed_again(&self, event: &Parked) -> Result<(), StoreError> {
        briefly!(self, tx => tx.failed_again(event))
    }

    /// Gives an event that this worker claimed back without a judgement: it is due when the lease ends.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn give_back(&self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        briefly!(self, tx => tx.give_back(message_id, lease))
    }

    /// Takes an event that was given back after all; false when another worker was faster.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_up(&self, message_id: &str, lease: Lease) -> Result<bool, StoreError> {
        briefly!(self, tx => tx.take_up(message_id, lease))
    }

    /// Ends the waiting of an event, with its dead letter if it has one, and what was suspected of it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn conclude(&self, message_id: &str, letter: Option<&Letter>) -> Result<(), StoreError> {
        briefly!(self, tx => tx.conclude(message_id, letter))
    }

    /// How many events wait.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        briefly!(self, tx => tx.waiting())
    }

    /// Which sequences of the stream, from `first` to `last`, wait for their next try: they are acknowledged and pending.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked_sequences(&self, stream: &str, first: u64, last: u64) -> Result<Vec<u64>, StoreError> {
        briefly!(self, tx => tx.parked_sequences(stream, first as i64, last as i64))
    }

    /// Whether the ledger has this event.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has(&self, source: &str, event_id: &str) -> Result<bool, StoreError> {
        let identity = [(source, event_id)];
        let known = briefly!(self, tx => tx.known(&identity))?;
        Ok(!known.is_empty())
    }

    /// What there is to do now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn duties(&self, now: OffsetDateTime) -> Result<Duties, StoreError> {
        briefly!(self, tx => tx.duties(now))
    }

    /// Holds a type back from now on.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn hold(&self, kind: &str, probe_at: OffsetDateTime) -> Result<(), StoreError> {
        briefly!(self, tx => tx.hold(kind, probe_at))
    }

    /// A held type whose probe is due, which is then this worker's to do; the next one is due at `next`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn claim_hold(&self, now: OffsetDateTime, next: OffsetDateTime) -> Result<Option<String>, StoreError> {
        briefly!(self, tx => tx.claim_hold(now, next))
    }

    /// Holds a type back no longer: its events are due at once.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn free(&self, kind: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        briefly!(self, tx => tx.free(kind, now))
    }

    /// What is known of these messages from deaths before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn suspicions(&self, message_ids: &[String]) -> Result<Vec<Suspicion>, StoreError> {
        briefly!(self, tx => tx.suspicions(message_ids))
    }

    /// Notes what is in hand, before it is tried.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn suspect(&self, notes: &[Suspicion]) -> Result<(), StoreError> {
        briefly!(self, tx => tx.suspect(notes))
    }

    /// These are in hand no longer, and nobody died.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn acquit(&self, message_ids: &[String]) -> Result<(), StoreError> {
        briefly!(self, tx => tx.acquit(message_ids))
    }
}
