//! What became of requests, by endpoint; and what is worth a line in the log, once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Most names of unknown events that are counted one by one.
const NAMES: usize = 64;
/// How often the log says that an endpoint refuses requests.
const QUIET: Duration = Duration::from_mins(1);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything in it is in the stream.
    Accepted,
    /// It is not from whom it claims to be.
    Rejected,
    /// The address has asked too often.
    Limited,
    /// The body is too long.
    TooLarge,
    /// The body did not come in time, or not to its end.
    TooSlow,
    /// The broker did not take it.
    Unavailable,
    /// Not what an endpoint is asked.
    NotForUs,
}

/// The counts of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests by outcome.
    pub requests: BTreeMap<Outcome, u64>,
    /// Events that are in the stream.
    pub events: u64,
    /// Events that are known and of no interest.
    pub ignored: u64,
    /// Bodies that went to the dead letters.
    pub letters: u64,
    /// Events that no rule is for, by what the provider calls them.
    pub unknown: BTreeMap<String, u64>,
}

/// Counts by the name of the endpoint; requests to others are under `""`.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<BTreeMap<String, Counts>>,
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, endpoint: &str, outcome: Outcome) {
        self.with(endpoint, |counts| *counts.requests.entry(outcome).or_default() += 1);
    }

    pub(super) fn with(&self, endpoint: &str, change: impl FnOnce(&mut Counts)) {
        let mut all = self.counts();
        if let Some(counts) = all.get_mut(endpoint) {
            change(counts);
        } else {
            change(all.entry(endpoint.to_owned()).or_default());
        }
    }

    /// Counts an event that no rule is for; true if it is the first of its name.
    pub(super) fn unknown(&self, endpoint: &str, name: &str) -> bool {
        let mut first = false;
        self.with(endpoint, |counts| {
            let listed = counts.unknown.contains_key(name);
            first = !listed && counts.unknown.len() < NAMES;
            let name = if listed || first { name } else { "others" };
            *counts.unknown.entry(name.to_owned()).or_default() += 1;
        });
        first
    }

    /// Whether it is time again to say in the log that the endpoint refuses requests.
    pub(super) fn is_time_to_tell(&self, endpoint: &str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told
            .get(endpoint)
            .is_none_or(|last| now.saturating_duration_since(*last) >= QUIET);
        if due {
            told.insert(endpoint.to_owned(), now);
        }
        due
    }

    pub(super) fn report(&self) -> BTreeMap<String, Counts> {
        self.counts().clone()
    }
}
