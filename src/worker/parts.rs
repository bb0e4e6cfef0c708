//! Goes on, a part at a time, with rows of the application that are too many for one transaction. Nobody waits for it but
//! the users whose rows they are, and a restart goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tools::{Pauses, Tools};
use crate::clock;
use crate::failure::{self, Class};
use crate::store::cascade::{Halted, Progress};

/// How often somebody looks whether there is something to do.
const POLL: Duration = Duration::from_millis(500);
/// How long a part waits that the database refuses.
const REFUSED: Duration = Duration::from_mins(1);

/// What became of a part.
enum Part {
    /// It was done, or there is none.
    Done(Progress),
    /// It took too long: a smaller one may not.
    TooLarge,
    /// It has to be tried again, or others first.
    Later,
}

/// Does what there is to do, until it is stopped.
pub(super) async fn run(tools: Arc<Tools>, stop: CancellationToken) {
    let cascades = Arc::clone(tools.applier.store.cascades());
    if cascades.is_empty() {
        // Whoever ends before the worker has died.
        return stop.cancelled().await;
    }
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pauses = Pauses::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // Once too large, parts stay small until there is nothing left to do.
        let mut most = cascades.part_size();
        while tools.may_begin().await && !stop.is_cancelled() {
            match part(&tools, most).await {
                Part::Done(Progress::Going) => pauses = Pauses::default(),
                Part::Done(Progress::Idle) => break,
                Part::TooLarge => {
                    most = most.div_ceil(2);
                    tracing::warn!(
                        rows = most,
                        "rows of the application take too long: smaller parts from now on"
                    );
                }
                Part::Later => {
                    if !pauses.wait(&tools.shutdown).await {
                        return;
                    }
                }
            }
        }
    }
}

/// One part of so many rows.
async fn part(tools: &Arc<Tools>, most: u64) -> Part {
    let epoch = tools.brake.epoch();
    let store = tools.applier.store.clone();
    let _turn = tools.shared_turn().await;
    // In a task of its own: a transaction that is cancelled half-way would stay open on its connection.
    let done = tokio::spawn(async move { store.go_on(clock::now(), most).await }).await;
    let Halted { work, error } = match done {
        Ok(Ok(progress)) => {
            if progress == Progress::Going {
                tools.brake.worked();
            }
            return Part::Done(progress);
        }
        Ok(Err(halted)) => halted,
        Err(_) => return Part::Later,
    };
    let fault = failure::fault(&error);
    if fault.took_too_long() && most > 1 {
        return Part::TooLarge;
    }
    let is_its_own = match fault.alone {
        Class::Event => true,
        Class::Contended => return Part::Later,
        // Of optional tables, and of what only a row brings out, the probe knows nothing: it would free the brake at once,
        // and the same part would hold it again.
        Class::World => error.is_refusal() && !fault.passes() && tools.brake.probe().await.is_ok(),
    };
    match work.filter(|_| is_its_own) {
        Some(work) => {
            tracing::error!(error = %fault, "rows of the application cannot follow their user: tried again in a minute");
            let (text, until) = (fault.to_string(), clock::now() + REFUSED);
            let store = &tools.applier.store;
            let _ = tools.persist(|| store.set_aside(work, &text, until)).await;
        }
        None => tools.brake.hold(epoch, &fault),
    }
    Part::Later
}
