//! Folds ledgers again, page by page, and puts right what is not as they say.
//!
//! Each page is one transaction in a task of its own: it is committed or it is not, whenever we are stopped.

use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};

use crate::apply::rebuild::{Mode, Repaired};
use crate::apply::{Applier, Givens};
use crate::clock;
use crate::failure::{self, Class};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// Histories per page at most.
const PAGE: u32 = 200;
/// Events per page, unless one history alone has more.
const PAGE_EVENTS: u64 = 20_000;
/// How often a page that others are in the way of is tried.
const TRIES: usize = 20;

/// What a rebuild found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Histories folded again.
    pub histories: u64,
    /// Those in which something was wrong.
    pub wrong: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// Folds the history of whoever stands, or stood, at `key`; None when nobody ever did.
///
/// # Errors
/// When the database cannot be read or does not take the repair; then nothing is changed.
pub async fn one(
    applier: &Arc<Applier>,
    store: &Store,
    key: &str,
    mode: Mode,
) -> Result<Option<Vec<Repaired>>, StoreError> {
    let (keys, _) = store.component(key).await?;
    let Some(row) = keys.first() else {
        return Ok(None);
    };
    page(applier, std::slice::from_ref(&row.root), mode).await.map(Some)
}

/// Folds every history; tells after each page how many there were in it and what was wrong.
///
/// # Errors
/// When the database cannot be read or does not take a repair. The pages before are done, and doing them again is safe.
pub async fn all(
    applier: &Arc<Applier>,
    store: &Store,
    mode: Mode,
    shutdown: &Shutdown,
    mut tell: impl FnMut(u64, &[Repaired]),
) -> Result<Summary, StoreError> {
    let mut summary = Summary::default();
    let mut after: Option<String> = None;
    loop {
        if shutdown.soft.is_cancelled() {
            summary.stopped = true;
            return Ok(summary);
        }
        let roots = next_page(store, after.as_deref()).await?;
        let Some(last) = roots.last() else {
            return Ok(summary);
        };
        let wrong = page(applier, &roots, mode).await?;
        summary.histories += roots.len() as u64;
        summary.wrong += wrong.len() as u64;
        tell(roots.len() as u64, &wrong);
        after = Some(last.clone());
    }
}

async fn next_page(store: &Store, after: Option<&str>) -> Result<Vec<String>, StoreError> {
    let mut events = 0;
    let components = store.components(after, PAGE).await?;
    let fitting = components.into_iter().take_while(|(_, more)| {
        let fits = events == 0 || events + more <= PAGE_EVENTS;
        events += more.max(&1);
        fits
    });
    Ok(fitting.map(|(root, _)| root).collect())
}

/// One transaction, again while others are in its way.
async fn page(applier: &Arc<Applier>, roots: &[String], mode: Mode) -> Result<Vec<Repaired>, StoreError> {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(500))
        .with_jitter()
        .with_max_times(TRIES)
        .build();
    loop {
        let (applier, roots) = (Arc::clone(applier), roots.to_vec());
        let work = tokio::spawn(async move {
            let givens = Givens {
                now: clock::now(),
                mint: &mut clock::new_row_id,
            };
            applier.rebuild(&roots, mode, givens).await
        });
        let result = work.await.unwrap_or(Err(StoreError::Died("it panicked")));
        match result {
            Err(error) if failure::class(&error) == Class::Contended => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            result => return result,
        }
    }
}
