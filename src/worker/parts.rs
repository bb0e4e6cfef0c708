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

/// Does what there is to do, until it is stopped.
pub(super) async fn run(tools: Arc<Tools>, stop: CancellationToken) {
    if tools.applier.store.cascades().is_empty() {
        return;
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
        while tools.may_begin().await && !stop.is_cancelled() {
            match part(&tools).await {
                Some(Progress::Going) => pauses = Pauses::default(),
                Some(Progress::Idle) => break,
                None => {
                    if !pauses.wait(&tools.shutdown).await {
                        return;
                    }
                }
            }
        }
    }
}

/// One part; nothing when it has to be tried again.
async fn part(tools: &Arc<Tools>) -> Option<Progress> {
    let epoch = tools.brake.epoch();
    let store = tools.applier.store.clone();
    let _turn = tools.shared_turn().await;
    // In a task of its own: a transaction that is cancelled half-way would stay open on its connection.
    let done = tokio::spawn(async move { store.go_on(clock::now()).await })
        .await
        .ok()?;
    let Halted { work, error } = match done {
        Ok(progress) => {
            if progress == Progress::Going {
                tools.brake.worked();
            }
            return Some(progress);
        }
        Err(halted) => halted,
    };
    let fault = failure::fault(&error);
    match (fault.alone, work) {
        (Class::Event, Some(work)) => {
            tracing::error!(error = %fault, "rows of the application cannot follow their user: tried again in a minute");
            let (text, until) = (fault.to_string(), clock::now() + REFUSED);
            let store = &tools.applier.store;
            tools.persist(|| store.set_aside(work, &text, until)).await?;
        }
        (Class::Contended, _) => {}
        (Class::World | Class::Event, _) => tools.brake.hold(epoch, &fault),
    }
    None
}
