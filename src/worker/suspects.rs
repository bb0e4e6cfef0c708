//! Events that may kill the worker. What was in hand at a death is delivered again, and so is much that is innocent: a
//! killed broker forgets acknowledgements. Hence three steps, each noted in the database before it is taken:
//!
//! what is delivered again is tried in small groups; after a death each of a group is tried alone, nothing else beside it;
//! who was alone in hand at three deaths is buried. A new message costs nothing, an innocent one three small transactions
//! a group, and chance would have to strike one event five times in a row, within milliseconds, to bury it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lane::Part;
use super::message::{InHand, Message};
use super::tools::{End, Tools};
use crate::apply::Settled;
use crate::domain::Reason;
use crate::failpoint::{Sabotage, is_sabotaged};
use crate::store::Suspicion;

/// How many are tried together that were delivered before.
const GROUP: usize = 64;

/// So many deaths with it alone in hand, and it is buried.
const FATAL: u32 = 3;

/// The same for an event that waited: at the first death others were tried beside it.
const FATAL_WAITING: u32 = FATAL + 1;

/// How carefully an event has to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// It is delivered for the first time.
    Fresh,
    /// It was delivered before, for whatever reason.
    Group,
    /// A worker died with it in hand, so many times with nothing else.
    Alone {
        /// How many times.
        deaths: u32,
    },
}

impl Care {
    /// Whether it has killed enough.
    pub(super) fn is_fatal(self) -> bool {
        matches!(self, Self::Alone { deaths } if deaths >= FATAL)
    }

    /// What follows from a note, where there is one, for a worker of this life.
    fn after(note: Option<&Suspicion>, life: uuid::Uuid) -> Self {
        match note {
            // Our own note: it came again while we live, so nobody died.
            Some(note) if note.life == life && note.deaths == 0 => Self::Group,
            Some(note) if note.life == life => Self::Alone { deaths: note.deaths },
            Some(note) => Self::Alone {
                deaths: note.deaths + u32::from(note.company == 1),
            },
            None => Self::Group,
        }
    }
}

/// Makes parts of what was delivered before; what has to go alone goes last, because it may be the end of the worker.
pub(super) fn line_up(suspects: Vec<InHand>, cares: Vec<Care>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut group = Vec::new();
    for (event, care) in suspects.into_iter().zip(cares) {
        match care {
            Care::Alone { .. } => parts.push(Part {
                events: vec![event],
                care,
            }),
            Care::Fresh | Care::Group => group.push(event),
        }
    }
    while !group.is_empty() {
        let rest = group.split_off(group.len().min(GROUP));
        parts.push(Part {
            events: group,
            care: Care::Group,
        });
        group = rest;
    }
    parts
}

impl Tools {
    /// How carefully each of these has to be handled; None when nobody waits for it any longer.
    pub(super) async fn suspicions(&self, messages: &[Arc<Message>]) -> Option<Vec<Care>> {
        if is_sabotaged(Sabotage::BuryRedelivered) {
            return Some(vec![Care::Alone { deaths: FATAL }; messages.len()]);
        }
        let ids: Vec<String> = messages.iter().map(|message| self.message_id(message)).collect();
        let notes = self.persist(|| self.applier.store.suspicions(&ids)).await?;
        let notes: BTreeMap<&str, &Suspicion> = notes.iter().map(|note| (note.message_id.as_str(), note)).collect();
        let cares = ids
            .iter()
            .map(|id| Care::after(notes.get(id.as_str()).copied(), self.life));
        Some(cares.collect())
    }

    /// Notes what is about to be tried; false when nobody waits for it any longer.
    pub(super) async fn note(&self, messages: &[Arc<Message>], care: Care) -> bool {
        let deaths = match care {
            Care::Fresh => return true,
            Care::Group => 0,
            Care::Alone { deaths } => deaths,
        };
        // A message that lay waiting for longer than the ack wait is there twice, and one statement writes each note once.
        let ids: BTreeSet<String> = messages.iter().map(|message| self.message_id(message)).collect();
        // Other lanes are at work beside a group, even beside one of a single event: only who is tried alone is alone.
        let company = match care {
            Care::Alone { .. } => 1,
            Care::Fresh | Care::Group => (ids.len() as u32).max(2),
        };
        let notes: Vec<Suspicion> = ids
            .into_iter()
            .map(|message_id| Suspicion {
                message_id,
                life: self.life,
                company,
                deaths,
            })
            .collect();
        self.persist(|| self.applier.store.suspect(&notes)).await.is_some()
    }

    /// Takes the notes back: nobody died.
    pub(super) async fn acquit(&self, messages: &[Arc<Message>], care: Care) {
        if care == Care::Fresh {
            return;
        }
        let ids: Vec<String> = messages.iter().map(|message| self.message_id(message)).collect();
        let store = &self.applier.store;
        if self.persist(|| store.acquit(&ids)).await.is_some() {
            return;
        }
        // We are stopped, maybe while the brake holds: past it, because a note that stays looks like a death.
        let acquitted = tokio::select! {
            biased;
            () = self.shutdown.hard.cancelled() => return,
            acquitted = store.acquit(&ids) => acquitted,
        };
        if let Err(error) = acquitted {
            tracing::debug!(%error, "a note of what was in hand stays");
        }
    }

    /// Buries an event that was alone in hand at too many deaths, unless the ledger has it: then the deaths came after it
    /// was applied, and were not its doing.
    pub(super) async fn bury_crash_loop(&self, messages: &[Arc<Message>], care: Care) -> End {
        let (Some(message), Care::Alone { deaths }) = (messages.first(), care) else {
            return End::GivenUp;
        };
        match self.crash_loop(message, deaths).await {
            Some(settled) => End::Committed(vec![settled]),
            None => End::GivenUp,
        }
    }

    /// The same for an event that waited in the table `retries`.
    pub(super) async fn crash_loop(&self, message: &Arc<Message>, deaths: u32) -> Option<Settled> {
        // The decoder may be what it dies of; it is asked, but not for ever.
        let identity = (deaths <= FATAL_WAITING).then(|| {
            let _ = message.decoded(&self.intake);
            message.identity()
        });
        let store = &self.applier.store;
        let id = self.message_id(message);
        if let Some((source, event_id)) = identity.flatten()
            && self.persist(|| store.has(source, event_id)).await?
        {
            self.persist(|| store.conclude(&id, None)).await?;
            return Some(Settled::Duplicate);
        }
        let error = format!("the worker died {deaths} times with this event alone in hand");
        let letter = self.letter(message, Reason::CrashLoop, &error, &[]);
        self.persist(|| store.conclude(&id, Some(&letter))).await?;
        Some(Settled::Dead(Reason::CrashLoop))
    }
}

/// Whether an event that waited has killed enough.
pub(super) fn is_fatal(deaths: u32) -> bool {
    deaths >= FATAL_WAITING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_a_dead_worker_makes_alone_and_only_deaths_alone_count() {
        let (mine, theirs) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let note = |life, company, deaths| Suspicion {
            message_id: "m".to_owned(),
            life,
            company,
            deaths,
        };
        for (found, expected) in [
            (None, Care::Group),
            (Some(note(mine, 64, 0)), Care::Group),
            (Some(note(mine, 1, 2)), Care::Alone { deaths: 2 }),
            (Some(note(theirs, 64, 0)), Care::Alone { deaths: 0 }),
            (Some(note(theirs, 2, 0)), Care::Alone { deaths: 0 }),
            (Some(note(theirs, 1, 0)), Care::Alone { deaths: 1 }),
            (Some(note(theirs, 1, 2)), Care::Alone { deaths: 3 }),
        ] {
            assert_eq!(Care::after(found.as_ref(), mine), expected, "{found:?}");
        }
        for (care, fatal) in [
            (Care::Fresh, false),
            (Care::Group, false),
            (Care::Alone { deaths: 2 }, false),
            (Care::Alone { deaths: 3 }, true),
            (Care::Alone { deaths: 9 }, true),
        ] {
            assert_eq!(care.is_fatal(), fatal, "{care:?}");
        }
    }
}
