//! The audit: proves message by message that nothing is lost, from the stream, the ledger and the dead letters alone.
//!
//! Each consumer is asked how far it is *before* the database is: what was acknowledged then was committed before, so
//! that the database must know it. What is in somebody's hands cannot be judged and counts as pending. Writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use time::OffsetDateTime;

use crate::dead_letters::Undertaker;
use crate::domain::{Outcome, Reason};
use crate::envelope::Refusal;
use crate::jetstream::{Reached, Reader, StoredMessages};
use crate::reading::{End, InHand, Reading};
use crate::shutdown::Shutdown;
use crate::store::{Entered, Store, StoreError};

/// Holes, and stretches of deleted sequences, that are listed; more are only counted.
pub const MOST_LISTED: usize = 10_000;
/// A consumer that has everything behind it.
const ALL: Reached = Reached {
    acknowledged: u64::MAX,
    delivered: u64::MAX,
    in_hand: 0,
    waiting: 0,
};

/// What an audit works with.
pub struct Audit<'a> {
    /// Only read.
    pub store: &'a Store,
    /// Names the dead letters.
    pub undertaker: &'a Undertaker,
    /// How messages are read. Its intake must not mind the future: what was applied stays so when the rule changes.
    pub reading: Reading<'a>,
    /// How far each consumer was before anything was read.
    pub readers: Vec<Reader>,
    /// Stops it between two batches.
    pub shutdown: Shutdown,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its event is in the ledger and changed something.
    Applied,
    /// Its event is in the ledger, from another message.
    Duplicate,
    /// Its event is in the ledger and changed nothing.
    Ignored,
    /// No type of Rollcall's: there is nothing to be done.
    UnknownType,
    /// Its event is in the ledger and among the dead letters.
    Rejected,
    /// It is among the dead letters only.
    Dead(Reason),
    /// It was never delivered.
    Waiting,
    /// It may be in the hands of a worker.
    InHand,
    /// The database refused it, and it waits in `retries` to be judged again.
    Parked,
    /// It was acknowledged, and what should be there is not.
    Hole(Missing),
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The event, in the ledger and among the dead letters.
    Event,
    /// The dead letter of a message that is no event.
    Burial,
    /// The dead letter of a message that differs from what the ledger has under its source and id.
    Conflict,
    /// The dead letter of an event that the ledger has as rejected.
    Letter,
}

impl Missing {
    /// For scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Burial => "burial",
            Self::Conflict => "conflict",
            Self::Letter => "letter",
        }
    }

    /// In words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Event => "neither in the ledger nor among the dead letters",
            Self::Burial => "no event, and not among the dead letters",
            Self::Conflict => {
                "the ledger has another event under its source and id, and it is not among the dead letters"
            }
            Self::Letter => "rejected in the ledger, but not among the dead letters",
        }
    }
}

/// A message that was acknowledged and is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Its number in the stream.
    pub sequence: u64,
    /// Where it was published.
    pub subject: String,
    /// When the broker stored it.
    pub published: OffsetDateTime,
    /// What is not there.
    pub missing: Missing,
}

/// What was found.
#[derive(Debug)]
#[expect(missing_docs, reason = "counts of the standings, explained there")]
pub struct Audited {
    /// Messages looked at.
    pub messages: u64,
    pub applied: u64,
    pub duplicate: u64,
    pub ignored: u64,
    pub unknown_type: u64,
    pub rejected: u64,
    pub dead: BTreeMap<&'static str, u64>,
    pub waiting: u64,
    pub in_hand: u64,
    pub parked: u64,
    /// How many there are; the first of them are in `listed`.
    pub holes: u64,
    pub listed: Vec<Hole>,
    /// Holes that are certain without a place: more messages may be in hand than the broker says are.
    pub unlocated: u64,
    /// Sequences that the stream no longer has; the first stretches of them are in `stretches`.
    pub deleted: u64,
    pub stretches: Vec<(u64, u64)>,
    /// Messages that events of the ledger came from.
    pub origins: u64,
    /// The sequence to go on from.
    pub next: u64,
    /// Whether that is the end.
    pub end: End,
}

/// Judges the messages of a range in order; `progress` is told the sequence of the last message judged.
pub async fn audit(
    with: &Audit<'_>,
    mut messages: StoredMessages,
    range: RangeInclusive<u64>,
    progress: impl Fn(u64),
) -> Audited {
    let mut audited = Audited::beginning_at(*range.start());
    audited.end = loop {
        let batch = match with.reading.next(&mut messages, &with.shutdown).await {
            Ok(batch) => batch,
            Err(end) => break end,
        };
        match with.judge(&batch).await {
            Ok(standings) => {
                for (in_hand, standing) in batch.iter().zip(standings) {
                    audited.note(in_hand, standing);
                }
            }
            Err(error) => break End::Unanswered(error),
        }
        progress(audited.next - 1);
    };
    if matches!(audited.end, End::Complete) {
        audited.note_deleted(*range.end() + 1);
    }
    let in_hand: u64 = with.readers.iter().map(|reader| reader.reached.in_hand).sum();
    audited.unlocated = audited.in_hand.saturating_sub(in_hand);
    audited
}

impl Audit<'_> {
    /// Three statements, whatever the size of the batch. What waits to be judged is read first: it may be concluded while
    /// we look, and then it is in the ledger or among the dead letters.
    async fn judge(&self, batch: &[InHand]) -> Result<Vec<Standing>, StoreError> {
        let sequence = |in_hand: Option<&InHand>| in_hand.map_or(0, |in_hand| in_hand.message.sequence);
        let (first, last) = (sequence(batch.first()), sequence(batch.last()));
        let parked = self.store.parked_sequences(self.reading.stream, first, last).await?;
        let parked: BTreeSet<u64> = parked.into_iter().collect();
        let identities: Vec<(&str, &str)> = batch.iter().filter_map(InHand::identity).collect();
        let entered = self.store.entered(&identities).await?;
        let entered: HashMap<(&str, &str), &Entered> = entered
            .iter()
            .map(|entered| ((entered.source.as_str(), entered.event_id.as_str()), entered))
            .collect();
        let of = |in_hand: &InHand| in_hand.identity().and_then(|identity| entered.get(&identity).copied());
        let letters: Vec<String> = batch
            .iter()
            .filter(|in_hand| needs_letter(in_hand, of(in_hand)))
            .map(|in_hand| self.letter_of(in_hand))
            .collect();
        let buried = self.store.buried(&letters).await?;
        let standings = batch.iter().map(|in_hand| {
            let letter = buried.get(&self.letter_of(in_hand)).copied();
            let whereabouts = Whereabouts {
                letter,
                parked: parked.contains(&in_hand.message.sequence),
                reached: self.reached_on(&in_hand.message.subject),
            };
            standing(in_hand, of(in_hand), whereabouts)
        });
        Ok(standings.collect())
    }

    /// How far the consumer is that reads this subject. What none of them reads is in nobody's hands and will not be, as if
    /// all of it were acknowledged.
    fn reached_on(&self, subject: &str) -> Reached {
        let reader = self.readers.iter().find(|reader| reader.reads(subject));
        reader.map_or(ALL, |reader| reader.reached)
    }

    fn letter_of(&self, in_hand: &InHand) -> String {
        let message = &in_hand.message;
        self.undertaker.message_id(message.sequence, message.published)
    }
}

impl InHand {
    fn identity(&self) -> Option<(&str, &str)> {
        let envelope = self.decoded.as_ref().ok()?;
        Some((&envelope.event.source, &envelope.id))
    }

    /// Whether it is the one message that this event of the ledger came from. A stream made anew counts from 1 again.
    fn is_origin_of(&self, entered: &Entered) -> bool {
        let micros = |time: OffsetDateTime| time.unix_timestamp_nanos() / 1_000;
        entered.stream_sequence == self.message.sequence as i64
            && micros(entered.published) == micros(self.message.published)
    }
}

/// Whether its standing depends on a dead letter.
fn needs_letter(in_hand: &InHand, entered: Option<&Entered>) -> bool {
    match (&in_hand.decoded, entered) {
        (Err(Refusal::UnknownType(_)), _) => false,
        (Err(Refusal::Undecodable(_) | Refusal::TimeInFuture { .. }), _) | (Ok(_), None) => true,
        (Ok(envelope), Some(entered)) => {
            entered.outcome == Outcome::Rejected || !envelope.repeats(&entered.content, entered.position.time())
        }
    }
}

/// Where a message can be that is not in the ledger.
#[derive(Clone, Copy)]
struct Whereabouts {
    /// The reason of its dead letter, if there is one.
    letter: Option<Reason>,
    parked: bool,
    /// How far the consumer was before.
    reached: Reached,
}

/// What became of a message: from what the ledger has under its identity, and where else it can be.
fn standing(in_hand: &InHand, entered: Option<&Entered>, whereabouts: Whereabouts) -> Standing {
    let Whereabouts {
        letter,
        parked,
        reached,
    } = whereabouts;
    let sequence = in_hand.message.sequence;
    let absent = |missing| match letter {
        Some(reason) => Standing::Dead(reason),
        None if parked => Standing::Parked,
        None if sequence > reached.delivered => Standing::Waiting,
        None if sequence > reached.acknowledged && reached.in_hand > 0 => Standing::InHand,
        None => Standing::Hole(missing),
    };
    let envelope = match &in_hand.decoded {
        Ok(envelope) => envelope,
        Err(Refusal::UnknownType(_)) if sequence > reached.delivered => return Standing::Waiting,
        Err(Refusal::UnknownType(_)) => return Standing::UnknownType,
        Err(Refusal::Undecodable(_) | Refusal::TimeInFuture { .. }) => return absent(Missing::Burial),
    };
    let Some(entered) = entered else {
        return absent(Missing::Event);
    };
    if !envelope.repeats(&entered.content, entered.position.time()) {
        return absent(Missing::Conflict);
    }
    if !in_hand.is_origin_of(entered) {
        return Standing::Duplicate;
    }
    match (entered.outcome, letter) {
        (Outcome::Applied, _) => Standing::Applied,
        (Outcome::Ignored, _) => Standing::Ignored,
        (Outcome::Rejected, Some(_)) => Standing::Rejected,
        // It was written with the event, so that nobody can be about to write it.
        (Outcome::Rejected, None) => Standing::Hole(Missing::Letter),
    }
}

impl Audited {
    fn beginning_at(first: u64) -> Self {
        Self {
            messages: 0,
            applied: 0,
            duplicate: 0,
            ignored: 0,
            unknown_type: 0,
            rejected: 0,
            dead: BTreeMap::new(),
            waiting: 0,
            in_hand: 0,
            parked: 0,
            holes: 0,
            listed: Vec::new(),
            unlocated: 0,
            deleted: 0,
            stretches: Vec::new(),
            origins: 0,
            next: first,
            end: End::Complete,
        }
    }

    fn note(&mut self, in_hand: &InHand, standing: Standing) {
        let message = &in_hand.message;
        self.note_deleted(message.sequence);
        self.messages += 1;
        self.next = message.sequence + 1;
        match standing {
            Standing::Applied => self.applied += 1,
            Standing::Duplicate => self.duplicate += 1,
            Standing::Ignored => self.ignored += 1,
            Standing::UnknownType => self.unknown_type += 1,
            Standing::Rejected => self.rejected += 1,
            Standing::Dead(reason) => *self.dead.entry(reason.name()).or_default() += 1,
            Standing::Waiting => self.waiting += 1,
            Standing::InHand => self.in_hand += 1,
            Standing::Parked => self.parked += 1,
            Standing::Hole(missing) => {
                self.holes += 1;
                if self.listed.len() < MOST_LISTED {
                    self.listed.push(Hole {
                        sequence: message.sequence,
                        subject: message.subject.replace(char::is_control, "_"),
                        published: message.published,
                        missing,
                    });
                }
            }
        }
        self.origins += match standing {
            Standing::Applied | Standing::Ignored | Standing::Rejected | Standing::Hole(Missing::Letter) => 1,
            Standing::Duplicate
            | Standing::UnknownType
            | Standing::Dead(_)
            | Standing::Waiting
            | Standing::InHand
            | Standing::Parked
            | Standing::Hole(Missing::Event | Missing::Burial | Missing::Conflict) => 0,
        };
    }

    /// The stream has nothing between what came last and this sequence.
    fn note_deleted(&mut self, sequence: u64) {
        if sequence > self.next {
            self.deleted += sequence - self.next;
            if self.stretches.len() < MOST_LISTED {
                self.stretches.push((self.next, sequence - 1));
            }
        }
    }

    /// Whether something is missing.
    pub fn has_holes(&self) -> bool {
        self.holes > 0 || self.unlocated > 0
    }
}

#[cfg(test)]
mod tests;
