//! Points at which a test ends the process as a crash would: without destructors, without a word to broker or database.
//!
//! `ROLLCALL_FAILPOINT=Committed:3` ends it when it gets there for the third time; `ROLLCALL_SABOTAGE` has it break a
//! promise on purpose. Only builds with debug assertions know of this; from all others it is gone. It imports nothing of
//! the crate, so that any part can be interrupted, and unasked must never change what a part does.

use std::sync::{Mutex, OnceLock, PoisonError};

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident,)+) => {
        /// A point on the way of a message from its fetch to its acknowledgement, or of a dead letter to its stream.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)+
        }

        impl Point {
            /// All of them, in the order in which a message meets them.
            pub const ALL: &[Self] = &[$(Self::$point),+];
        }
    };
}

points! {
    /// A delivery was received.
    Fetched,
    /// It was decoded, or refused, and is about to join its lane.
    Decoded,
    /// A batch was cut.
    Gathered,
    /// It is noted that it will be tried, where it was delivered before.
    Noted,
    /// Its transaction has begun.
    Begun,
    /// A statement of a transaction is about to be sent; the third time is after the first two statements.
    Statement,
    /// The keys of the batch are locked.
    Locked,
    /// It is known which of its events the ledger has.
    Recognised,
    /// The histories of its late events were read.
    Loaded,
    /// The fold has decided.
    Decided,
    /// Everything is written.
    Saved,
    /// It is committed.
    Committed,
    /// The note is taken back.
    Acquitted,
    /// One of its messages is about to be acknowledged; the second time is after the first acknowledgement.
    Acknowledging,
    /// All of them were acknowledged.
    Acknowledged,
    /// Messages of the outbox were read.
    OutboxRead,
    /// They were sent and not yet acknowledged.
    LettersSent,
    /// The broker has acknowledged them.
    LettersPublished,
    /// The outbox has forgotten them.
    LettersForgotten,
}

/// What the worker can be made to do wrong, to see whether that which proves its promises would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// It acknowledges what it has not committed yet.
    AckBeforeCommit,
    /// It takes every delivery for an attempt, and buries what comes again.
    BuryRedelivered,
    /// Its relay ends at once, as after a bug.
    EndRelay,
}

/// Whether `ROLLCALL_SABOTAGE` asks for this; always false without debug assertions.
pub(crate) fn is_sabotaged(sabotage: Sabotage) -> bool {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let name = match sabotage {
        Sabotage::AckBeforeCommit => "ack-before-commit",
        Sabotage::BuryRedelivered => "bury-redelivered",
        Sabotage::EndRelay => "end-relay",
    };
    cfg!(debug_assertions)
        && CHOSEN
            .get_or_init(|| std::env::var("ROLLCALL_SABOTAGE").ok())
            .as_deref()
            == Some(name)
}

/// Ends the process if this is the point, and the time, that a test has chosen.
pub(crate) fn reach(point: Point) {
    if cfg!(debug_assertions) {
        interrupt(point);
    }
}

/// With SIGABRT: no more of this process runs than after SIGKILL, which it could send to itself only through another
/// process, while its other threads went on; and a test can tell this death from every other.
fn interrupt(point: Point) {
    static CHOSEN: OnceLock<Option<(String, Mutex<u32>)>> = OnceLock::new();
    let Some((name, times_left)) = CHOSEN.get_or_init(chosen) else {
        return;
    };
    if *name != format!("{point:?}") {
        return;
    }
    let mut times_left = times_left.lock().unwrap_or_else(PoisonError::into_inner);
    *times_left = times_left.saturating_sub(1);
    if *times_left == 0 {
        tracing::error!(?point, "failpoint");
        std::process::abort();
    }
}

fn chosen() -> Option<(String, Mutex<u32>)> {
    let variable = std::env::var("ROLLCALL_FAILPOINT").ok()?;
    let (name, times) = variable.split_once(':')?;
    Some((name.to_owned(), Mutex::new(times.parse().ok()?)))
}
