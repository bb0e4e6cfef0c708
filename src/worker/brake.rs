//! The brake: one for the whole worker. While the world is out of order nothing new is begun, nothing is judged and
//! nothing is counted; one probe after another finds out when it is in order again.
//!
//! After a healthy probe the brake is on trial: what is in hand is tried, and only when something was committed is it
//! free. So a fault that the probe does not see makes for growing pauses, and never for a stream of log lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::failure::{self, Fault};
use crate::store::{Store, StoreError};

/// The first pause before a probe; they double up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two probes; chance makes it up to twice as long. Recovery has to be noticed within ten seconds.
const LONGEST: Duration = Duration::from_secs(2);
/// How long what is in hand may take to show that the trial succeeds. Idle workers are free after it.
const TRIAL: Duration = Duration::from_secs(1);

/// Where the brake stands.
#[derive(Debug, Clone)]
enum State {
    Free,
    Held(Hold),
    /// The probe is healthy, nothing is committed yet.
    Trial(Hold),
}

/// Since when and why it holds.
#[derive(Debug, Clone)]
struct Hold {
    since: Instant,
    reason: Arc<str>,
}

/// See the module.
#[derive(Debug)]
pub struct Brake {
    store: Store,
    state: watch::Sender<State>,
    /// Counts the ends of holds. What began before the last one says nothing about the world after it.
    epoch: watch::Sender<u64>,
}

impl Brake {
    /// A free brake for one store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            state: watch::Sender::new(State::Free),
            epoch: watch::Sender::new(0),
        }
    }

    /// A mark for [`Self::hold`]: taken before a try.
    pub fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Holds because of the failure of a try that began at `epoch`; a failure from before the last release is nothing new.
    pub fn hold(&self, epoch: u64, fault: &Fault) {
        if epoch != self.epoch() {
            return;
        }
        self.state.send_if_modified(|state| {
            let hold = match state {
                State::Held(_) => return false,
                State::Trial(hold) => hold.clone(),
                State::Free => {
                    told(fault);
                    Hold {
                        since: clock::monotonic(),
                        reason: fault.to_string().into(),
                    }
                }
            };
            *state = State::Held(hold);
            true
        });
    }

    /// Something was committed: a trial has succeeded.
    pub fn worked(&self) {
        if matches!(&*self.state.borrow(), State::Trial(_)) {
            self.end_trial();
        }
    }

    /// Why nothing new is begun, without data values; nothing while the brake is free.
    pub fn reason(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            State::Free => None,
            State::Held(hold) | State::Trial(hold) => Some(Arc::clone(&hold.reason)),
        }
    }

    /// Waits until what is in hand may be tried.
    pub async fn let_go(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| !matches!(state, State::Held(_))).await;
    }

    /// Waits until new work may be begun.
    pub async fn freed(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Free)).await;
    }

    /// Waits until it holds.
    pub async fn held(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Held(_))).await;
    }

    /// Whether everything the worker writes can be written.
    ///
    /// # Errors
    /// Says what cannot be written, or that the probe died.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let store = self.store.clone();
        // In a task of its own: a transaction that is cancelled half-way would stay open on its connection.
        tokio::spawn(async move { store.probe().await })
            .await
            .unwrap_or(Err(StoreError::Died("the probe")))
    }

    /// Probes whenever the brake holds, for ever.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.held() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.until_free() => {}
            }
        }
    }

    async fn until_free(&self) {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST)).await;
            if let Err(error) = self.probe().await {
                tracing::debug!(error = %failure::fault(&error), "the brake still holds");
                continue;
            }
            self.begin_trial();
            let mut state = self.state.subscribe();
            let decided = state.wait_for(|state| !matches!(state, State::Trial(_)));
            if tokio::time::timeout(TRIAL, decided).await.is_err() {
                self.end_trial();
            }
            if matches!(&*self.state.borrow(), State::Free) {
                return;
            }
        }
    }

    fn begin_trial(&self) {
        self.epoch.send_modify(|epoch| *epoch += 1);
        self.state.send_if_modified(|state| {
            let State::Held(hold) = state else { return false };
            *state = State::Trial(hold.clone());
            true
        });
    }

    fn end_trial(&self) {
        self.state.send_if_modified(|state| {
            let State::Trial(hold) = state else { return false };
            let held_ms = clock::monotonic().duration_since(hold.since).as_millis();
            tracing::info!(held_ms, "the database takes events again");
            *state = State::Free;
            true
        });
    }
}

/// One line, as an alarm where it does not pass by itself.
fn told(fault: &Fault) {
    const WHAT: &str = "the database does not take events: the brake holds until it does";
    if fault.page {
        tracing::error!(code = fault.code, error = %fault, remedy = fault.remedy(), "{WHAT}");
    } else {
        tracing::warn!(code = fault.code, error = %fault, "{WHAT}");
    }
}
