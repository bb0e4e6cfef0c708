//! Folds ledgers again, page by page, and puts right what is not as they say.
//!
//! Each page is one transaction in a task of its own: it is committed or it is not, whenever we are stopped.

use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};

use crate::apply::rebuild::{Mode, Repaired};
use crate::apply::{Applier, Arrival, Givens, Settled};
use crate::clock;
use crate::envelope::Intake;
use crate::failure::{self, Class};
use crate::jetstream::{Broker, BrokerError, PullSettings, ReadSettings};
use crate::reading::{End, InHand, Reading};
use crate::shutdown::Shutdown;
use crate::store::{OpenLetter, Store, StoreError};

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
    again_while_contended(|| {
        let (applier, roots) = (Arc::clone(applier), roots.to_vec());
        async move { applier.rebuild(&roots, mode, givens(&mut clock::new_row_id)).await }
    })
    .await
}

fn givens(mint: &mut (dyn FnMut() -> uuid::Uuid + Send)) -> Givens<'_> {
    Givens {
        now: clock::now(),
        mint,
    }
}

/// A unit of work in a task of its own, so that it runs to its end whatever becomes of us.
async fn again_while_contended<T, F>(mut work: impl FnMut() -> F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(500))
        .with_jitter()
        .with_max_times(TRIES)
        .build();
    loop {
        let result = tokio::spawn(work())
            .await
            .unwrap_or(Err(StoreError::Died("it panicked")));
        match result {
            Err(error) if failure::class(&error) == Class::Contended => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            result => return result,
        }
    }
}

/// A late event that was refused because its user's history was too long to be folded in passing.
pub struct Refused {
    message_id: String,
    in_hand: InHand,
}

impl Refused {
    /// The keys that the event names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let event = self.in_hand.decoded.as_ref().ok().map(|envelope| &envelope.event);
        event
            .into_iter()
            .flat_map(|event| std::iter::once(event.key.as_str()).chain(event.other_key()))
    }
}

/// The refused events whose messages the stream still holds, and how many it does not.
///
/// # Errors
/// When the broker cannot be read.
pub async fn refused(
    broker: &Broker,
    stream: &str,
    intake: &Intake,
    letters: Vec<OpenLetter>,
) -> Result<(Vec<Refused>, u64), BrokerError> {
    let (mut found, mut gone) = (Vec::new(), 0);
    let reading = Reading {
        stream,
        intake,
        batch_max: 1,
    };
    for letter in letters {
        let settings = ReadSettings {
            pull: PullSettings::default(),
            patience: Duration::from_secs(30),
        };
        let sequence = letter.stream_sequence;
        let mut messages = broker.stored_range(stream, sequence..=sequence, settings);
        match reading.next(&mut messages, &Shutdown::default()).await {
            Ok(batch) => found.extend(batch.into_iter().map(|in_hand| Refused {
                message_id: letter.message_id.clone(),
                in_hand,
            })),
            Err(End::Unreadable(error)) => return Err(error),
            Err(End::Complete | End::Stopped | End::Unanswered(_)) => gone += 1,
        }
    }
    Ok((found, gone))
}

/// Applies refused events after all, each with its whole history, and marks their dead letters resolved.
///
/// # Errors
/// When the database does not take one of them; those before it are done.
pub async fn take_in(
    applier: &Arc<Applier>,
    store: &Store,
    stream: &str,
    refused: Vec<Refused>,
) -> Result<u64, StoreError> {
    let mut taken = 0;
    for event in refused {
        let event = Arc::new(event);
        let settled = again_while_contended(|| {
            let (applier, event, stream) = (Arc::clone(applier), Arc::clone(&event), stream.to_owned());
            async move {
                let arrival = Arrival {
                    message: event.in_hand.incoming(&stream),
                    decoded: event.in_hand.decoded.clone(),
                };
                applier.apply(&[arrival], givens(&mut clock::new_row_id)).await
            }
        })
        .await?;
        // What is rejected, or in conflict with another, has that for its letter now.
        if let Some(Settled::Applied(_) | Settled::Ignored(_) | Settled::Duplicate) = settled.first() {
            store.resolve(&[event.message_id.as_str()]).await?;
            taken += 1;
        }
    }
    Ok(taken)
}
