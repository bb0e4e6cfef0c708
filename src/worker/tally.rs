//! Counts of what became of the messages, for people and scripts. Promises never rest on them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::apply::Settled;
use crate::domain::Reason;

/// Shared by the lanes of one worker.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<Settled, u64>>,
}

/// The counts by outcome and reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// By outcome.
    pub outcomes: Outcomes,
    /// Dead letters that never entered the ledger, by reason.
    pub dead: BTreeMap<&'static str, u64>,
}

/// The counts of everything that was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcomes {
    /// Changed something.
    pub applied: u64,
    /// Were in the ledger already.
    pub duplicate: u64,
    /// Changed nothing, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
    /// Changed nothing and went to the dead letters, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts what became of messages.
    pub fn count(&self, settled: impl IntoIterator<Item = Settled>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for outcome in settled {
            *counts.entry(outcome).or_default() += 1;
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (settled, n) in self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let by_reason = |map: &mut BTreeMap<&'static str, u64>, reason: &Reason| {
                *map.entry(reason.name()).or_default() += n;
            };
            match settled {
                Settled::Applied(_) => counts.outcomes.applied += n,
                Settled::Duplicate => counts.outcomes.duplicate += n,
                Settled::Ignored(reason) => by_reason(&mut counts.outcomes.ignored, reason),
                Settled::Rejected(reason) => by_reason(&mut counts.outcomes.rejected, reason),
                Settled::Dead(reason) => by_reason(&mut counts.dead, reason),
            }
        }
        counts
    }
}
