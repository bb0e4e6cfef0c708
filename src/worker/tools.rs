//! What every part of the worker works with, and the three ways to use it: try a batch once, get a batch committed, get
//! something written. All of them wait for the brake, and none counts or buries anything.

use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;

use super::WorkerSettings;
use super::brake::Brake;
use super::message::{Form, Message};
use super::settle::{Directive, settle};
use super::switch::KillSwitch;
use super::tally::Tally;
use crate::apply::{Applier, Givens, Settled};
use crate::clock;
use crate::domain::Reason;
use crate::envelope::Intake;
use crate::failpoint::{Point, reach};
use crate::failure::{self, Class, Fault};
use crate::shutdown::Shutdown;
use crate::store::StoreError;

/// Shared by the lanes and the task that tries again.
pub(super) struct Tools {
    pub(super) applier: Arc<Applier>,
    pub(super) intake: Intake,
    pub(super) settings: WorkerSettings,
    pub(super) tally: Tally,
    pub(super) brake: Arc<Brake>,
    pub(super) switch: Arc<KillSwitch>,
    /// Told when a dead letter may wait in the outbox.
    pub(super) outbox: Arc<Notify>,
    pub(super) shutdown: Shutdown,
    /// This incarnation of the worker.
    pub(super) life: Uuid,
    /// Whoever is tried alone is alone in the whole worker, or the deaths of others would be its own.
    pub(super) gate: Arc<RwLock<()>>,
}

/// The right to try something.
#[expect(dead_code, reason = "they are held, not used")]
pub(super) enum Turn {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// What became of a batch.
pub(super) enum End {
    Committed(Vec<Settled>),
    /// It was not committed; its halves are to be tried.
    Cut,
    /// It is one event, which failed alone.
    Failed(Fault),
    /// It was not committed and nobody waits for it any longer.
    GivenUp,
}

impl Tools {
    /// Waits for the right to try something beside others.
    pub(super) async fn shared_turn(&self) -> Turn {
        Turn::Shared(Arc::clone(&self.gate).read_owned().await)
    }

    /// Waits until nobody else tries anything, and lets nobody until the turn is dropped.
    pub(super) async fn turn_alone(&self) -> Turn {
        Turn::Alone(Arc::clone(&self.gate).write_owned().await)
    }

    /// Waits for the brake; false when we are stopped while it holds.
    pub(super) async fn may_try(&self) -> bool {
        tokio::select! {
            biased;
            () = self.brake.let_go() => true,
            () = self.shutdown.soft.cancelled() => false,
        }
    }

    /// Waits until the brake is free; false when we are stopped before.
    pub(super) async fn may_begin(&self) -> bool {
        tokio::select! {
            biased;
            () = self.brake.freed() => true,
            () = self.shutdown.soft.cancelled() => false,
        }
    }

    /// Tries once, in a task of its own: a transaction that is cancelled half-way would stay open on its connection.
    /// None when the shutdown leaves no time for the answer, or there is no such form.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        messages: Vec<Arc<Message>>,
        form: Form,
    ) -> Option<Result<Vec<Settled>, StoreError>> {
        let tools = Arc::clone(self);
        let task = tokio::spawn(async move {
            let arrivals: Vec<_> = messages
                .iter()
                .map(|message| {
                    let arrival = message.arrival(&tools.intake, form);
                    reach(Point::Decoded);
                    arrival
                })
                .collect::<Option<_>>()?;
            #[cfg(debug_assertions)]
            die_of(&messages);
            let givens = Givens {
                now: clock::now(),
                mint: &mut clock::new_row_id,
            };
            Some(tools.applier.apply(&arrivals, givens).await)
        });
        tokio::select! {
            biased;
            // A task that died took its transaction with it: nothing is committed.
            result = task => result.unwrap_or_else(|died| {
                Some(Err(StoreError::Died(if died.is_panic() { "it panicked" } else { "it was cancelled" })))
            }),
            () = self.shutdown.hard.cancelled() => None,
        }
    }

    /// Gets a batch committed, or finds out that it has to be cut or judged.
    pub(super) async fn commit(self: Arc<Self>, messages: Vec<Arc<Message>>) -> End {
        let mut tries = 0;
        let mut pauses = Pauses::default();
        loop {
            if !self.may_try().await {
                return End::GivenUp;
            }
            let epoch = self.brake.epoch();
            let error = match self.attempt(messages.clone(), Form::Whole).await {
                None => return End::GivenUp,
                Some(Ok(settled)) => {
                    self.brake.worked();
                    return End::Committed(settled);
                }
                Some(Err(error)) => error,
            };
            tries += 1;
            let fault = failure::fault(&error);
            match settle(fault.class, tries, messages.len()) {
                Directive::Again => {
                    tracing::debug!(error = %fault, tries, "batch contended, trying again");
                    if !pauses.wait(&self.shutdown).await {
                        return End::GivenUp;
                    }
                }
                Directive::Halve => return End::Cut,
                Directive::Wait => self.brake.hold(epoch, &fault),
                Directive::Judge => return End::Failed(fault),
            }
        }
    }

    /// Gets something small written, however long the world takes; None when nobody waits for it any longer.
    pub(super) async fn persist<T, F>(&self, write: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pauses = Pauses::default();
        loop {
            if !self.may_try().await {
                return None;
            }
            let epoch = self.brake.epoch();
            let written = tokio::select! {
                biased;
                written = write() => written,
                () = self.shutdown.hard.cancelled() => return None,
            };
            match written {
                Ok(done) => {
                    self.brake.worked();
                    return Some(done);
                }
                Err(error) => {
                    let fault = failure::fault(&error);
                    match fault.class {
                        Class::Contended => {
                            if !pauses.wait(&self.shutdown).await {
                                return None;
                            }
                        }
                        // Nothing here is an event: what is refused is our own bookkeeping.
                        Class::World | Class::Event => self.brake.hold(epoch, &fault),
                    }
                }
            }
        }
    }

    /// Counts what became of messages, and tells of the dead.
    pub(super) fn report<'a>(&self, messages: impl IntoIterator<Item = &'a Arc<Message>>, settled: &[Settled]) {
        self.tally.count(settled.iter().copied());
        for (message, settled) in messages.into_iter().zip(settled) {
            if let Settled::Rejected(reason) | Settled::Dead(reason) = settled {
                self.buried(message, *reason);
            }
        }
    }

    fn buried(&self, message: &Message, reason: Reason) {
        let event_id = message.identity().map_or("", |(_, id)| id);
        tracing::warn!(
            event_id,
            sequence = message.sequence,
            outcome = reason.name(),
            "sent to the dead letters"
        );
        self.outbox.notify_one();
    }

    /// The name of a message in every table about failures, and of its dead letter.
    pub(super) fn message_id(&self, message: &Message) -> String {
        self.applier.undertaker.message_id(message.sequence, message.published)
    }
}

/// Ends the process when the event with this id is tried: what tests say of events that kill the worker. Not in a release.
#[cfg(debug_assertions)]
fn die_of(messages: &[Arc<Message>]) {
    let Some(id) = std::env::var_os("ROLLCALL_DIE_OF") else {
        return;
    };
    if messages
        .iter()
        .filter_map(|message| message.identity())
        .any(|(_, event_id)| *event_id == *id)
    {
        std::process::abort();
    }
}

/// The short pauses between tries of something contended.
#[derive(Default)]
pub(super) struct Pauses(Option<backoff::ExponentialBackoff>);

impl Pauses {
    /// Waits before the next try; false when we are stopped.
    pub(super) async fn wait(&mut self, shutdown: &Shutdown) -> bool {
        const LONGEST: Duration = Duration::from_millis(100);
        let builder = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(2))
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        let pause = self.0.get_or_insert_with(|| builder.build()).next().unwrap_or(LONGEST);
        tokio::select! {
            () = shutdown.soft.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
