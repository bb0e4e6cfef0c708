//! Folds ledgers again, page by page, and puts right what is not as they say.
//!
//! Each page is one transaction in a task of its own: it is committed or it is not, whenever we are stopped.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};

use crate::apply::rebuild::{Mode, Repaired};
use crate::apply::{Applier, Arrival, Givens, Settled};
use crate::clock;
use crate::domain::Outcome;
use crate::failure::{self, Class};
use crate::jetstream::{Broker, BrokerError, PullSettings, ReadSettings};
use crate::reading::{End, InHand, Reading};
use crate::shutdown::Shutdown;
use crate::store::{OpenLetter, Store, StoreError};

/// Histories per page at most.
const PAGE: u32 = 200;
/// Events per page, unless one history alone has more.
const PAGE_EVENTS: u64 = 20_000;
/// How long a broker that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a page that others are in the way of is tried.
const TRIES: usize = 20;

/// What a rebuild found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Histories folded again.
    pub histories: u64,
    /// Those in which something was wrong.
    pub wrong: u64,
    /// Those that could not be folded, because something stored of them cannot be read; the log says what.
    pub unreadable: u64,
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
        let wrong = match page(applier, &roots, mode).await {
            Err(StoreError::Unreadable { .. }) => one_by_one(applier, &roots, mode, &mut summary).await?,
            wrong => wrong?,
        };
        summary.histories += roots.len() as u64;
        summary.wrong += wrong.len() as u64;
        tell(roots.len() as u64, &wrong);
        after = Some(last.clone());
    }
}

/// A page of which something cannot be read: the others are folded all the same.
async fn one_by_one(
    applier: &Arc<Applier>,
    roots: &[String],
    mode: Mode,
    summary: &mut Summary,
) -> Result<Vec<Repaired>, StoreError> {
    let mut wrong = Vec::new();
    for root in roots {
        match page(applier, std::slice::from_ref(root), mode).await {
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::error!(
                    error = failure::chain(&error),
                    user = root,
                    "this history is left as it is"
                );
                summary.unreadable += 1;
            }
            found => wrong.extend(found?),
        }
    }
    Ok(wrong)
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
            // What is stored oddly stays so, and what took too long would take as long again.
            Err(error) if is_passing(&error) => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            result => return result,
        }
    }
}

fn is_passing(error: &StoreError) -> bool {
    let fault = failure::fault(error);
    fault.class == Class::Contended && fault.alone != Class::Event && !matches!(error, StoreError::Unreadable { .. })
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

/// What became of refused events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Applied now, and their dead letters resolved.
    pub taken: u64,
    /// Not applied: not asked for, or refused for another reason now.
    pub left: u64,
    /// Not applied, because the stream does not hold their messages any more.
    pub lost: u64,
}

/// Why refused events could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// The broker cannot be read.
    #[error("the message of a refused event cannot be read")]
    Broker(#[from] BrokerError),
    /// The database does not take it.
    #[error("a refused event cannot be applied")]
    Store(#[from] StoreError),
}

/// What refused events are taken in with.
pub struct TakeIn<'a> {
    /// Folds histories of any length.
    pub applier: &'a Arc<Applier>,
    /// The applier's store.
    pub store: &'a Store,
    /// Holds the messages.
    pub broker: &'a Broker,
    /// How messages are read.
    pub reading: Reading<'a>,
    /// Stops it between two events.
    pub shutdown: &'a Shutdown,
}

impl TakeIn<'_> {
    /// Applies the refused events that are `wanted`, each with its whole history, and marks their dead letters resolved.
    ///
    /// # Errors
    /// When one of them cannot be read or applied; those before it are done.
    pub async fn run(
        &self,
        letters: Vec<OpenLetter>,
        wanted: impl Fn(&Refused) -> bool,
    ) -> Result<TakenIn, TakeInError> {
        let mut result = TakenIn::default();
        for letter in letters {
            if self.shutdown.soft.is_cancelled() {
                result.left += 1;
                continue;
            }
            let Some(event) = self.refused(letter).await? else {
                result.lost += 1;
                continue;
            };
            if wanted(&event) && self.apply(&Arc::new(event)).await? {
                result.taken += 1;
            } else {
                result.left += 1;
            }
        }
        Ok(result)
    }

    /// The event of a letter; None when the stream holds another message, or none, at its place.
    async fn refused(&self, letter: OpenLetter) -> Result<Option<Refused>, BrokerError> {
        let settings = ReadSettings {
            pull: PullSettings::default(),
            patience: PATIENCE,
        };
        let sequence = letter.stream_sequence;
        let mut messages = self
            .broker
            .stored_range(self.reading.stream, sequence..=sequence, settings);
        let in_hand = match self.reading.next(&mut messages, self.shutdown).await {
            Ok(mut batch) => batch.pop(),
            Err(End::Unreadable(error)) => return Err(error),
            Err(End::Complete | End::Stopped | End::Unanswered(_)) => None,
        };
        // A stream that was made anew counts from 1 again.
        let is_its = |in_hand: &InHand| {
            let message = &in_hand.message;
            let id = self.applier.undertaker.message_id(message.sequence, message.published);
            id == letter.message_id
        };
        Ok(in_hand.filter(is_its).map(|in_hand| Refused {
            message_id: letter.message_id,
            in_hand,
        }))
    }

    /// Whether it is in the ledger now, and not rejected there: what is rejected keeps its letter.
    async fn apply(&self, event: &Arc<Refused>) -> Result<bool, StoreError> {
        let settled = again_while_contended(|| {
            let (applier, event) = (Arc::clone(self.applier), Arc::clone(event));
            let stream = self.reading.stream.to_owned();
            async move {
                let arrival = Arrival {
                    message: event.in_hand.incoming(&stream),
                    decoded: Cow::Borrowed(&event.in_hand.decoded),
                };
                applier.apply(&[arrival], givens(&mut clock::new_row_id)).await
            }
        })
        .await?;
        let is_good = match settled.first() {
            Some(Settled::Applied(_) | Settled::Ignored(_)) => true,
            Some(Settled::Duplicate) => !self.is_rejected(event).await?,
            Some(Settled::Rejected(_) | Settled::Dead(_)) | None => false,
        };
        if is_good {
            self.store.resolve(&[event.message_id.as_str()]).await?;
        }
        Ok(is_good)
    }

    async fn is_rejected(&self, event: &Refused) -> Result<bool, StoreError> {
        let Ok(envelope) = &event.in_hand.decoded else {
            return Ok(false);
        };
        let entered = self.store.entered(&[(&envelope.event.source, &envelope.id)]).await?;
        Ok(entered.iter().any(|entered| entered.outcome == Outcome::Rejected))
    }
}
