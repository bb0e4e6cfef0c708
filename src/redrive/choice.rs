//! Which dead letters are to be brought back, and which of them go first. Pure.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::revive::Letter;
use crate::domain::{Kind, Outcome, Reason};
use crate::store::Entered;

/// How many of those that died of the same thing go first, to see whether they die of it again.
pub const FIRST: usize = 3;

/// What is asked for; what is not given allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Letters by message id, or by their number in the stream of dead letters.
    pub letters: BTreeSet<String>,
    /// Source and id of one event.
    pub event: Option<(String, String)>,
    /// Why they died.
    pub reasons: Vec<Reason>,
    /// The type of the event.
    pub kinds: Vec<Kind>,
    /// The user it is about.
    pub users: Vec<String>,
    /// Buried at this time or later.
    pub since: Option<OffsetDateTime>,
}

impl Choice {
    /// Whether a letter is asked for by its name, or none is.
    pub fn names(&self, sequence: u64, message_id: &str) -> bool {
        let named = || self.letters.contains(message_id) || self.letters.contains(&sequence.to_string());
        self.letters.is_empty() || named()
    }

    /// Whether the newest letter of an event fits all but the names.
    pub fn takes(&self, letter: &Letter) -> bool {
        let is_event = |(source, id): &(String, String)| *source == letter.source && *id == letter.event_id;
        self.since.is_none_or(|since| letter.buried >= since)
            && self.event.as_ref().is_none_or(is_event)
            && (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && (self.kinds.is_empty() || self.kinds.contains(&letter.kind))
            && (self.users.is_empty() || self.users.contains(&letter.user_id))
    }

    /// Whether a letter without a readable event is asked for.
    pub fn takes_unread(
        &self,
        sequence: u64,
        message_id: &str,
        buried: OffsetDateTime,
        reason: Option<Reason>,
    ) -> bool {
        self.names(sequence, message_id)
            && self.since.is_none_or(|since| buried >= since)
            && self.event.is_none()
            && self.kinds.is_empty()
            && self.users.is_empty()
            && (self.reasons.is_empty() || reason.is_some_and(|reason| self.reasons.contains(&reason)))
    }
}

/// What became of an event that was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is applied, or has nothing to change.
    Settled(Outcome),
    /// The ledger has it as rejected.
    Rejected(Option<Reason>),
    /// The ledger does not have it: it was refused again, or waits for its next try.
    Absent,
}

/// What became of a letter's event, by what the ledger says of it.
pub fn fate(entered: Option<&Entered>) -> Fate {
    match entered {
        None => Fate::Absent,
        Some(entered) if entered.outcome == Outcome::Rejected => Fate::Rejected(entered.reason),
        Some(entered) => Fate::Settled(entered.outcome),
    }
}

/// Whether an event failed as it had failed before.
pub fn is_the_same_again(letter: &Letter, fate: Fate) -> bool {
    match fate {
        Fate::Settled(_) => false,
        Fate::Rejected(reason) => reason == Some(letter.reason),
        Fate::Absent => true,
    }
}

/// The first ones of each group that died of the same thing, by their number.
pub fn first_ones(letters: &[Letter]) -> BTreeSet<u64> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut first = BTreeSet::new();
    for letter in letters {
        let count = seen.entry(&letter.fingerprint).or_default();
        *count += 1;
        if *count <= FIRST {
            first.insert(letter.sequence);
        }
    }
    first
}

/// The groups of which every first one failed as before: the rest of them would too.
pub fn hopeless<'a>(tried: impl Iterator<Item = (&'a Letter, Fate)>) -> BTreeSet<String> {
    let mut groups: BTreeMap<&str, bool> = BTreeMap::new();
    for (letter, fate) in tried {
        *groups.entry(&letter.fingerprint).or_insert(true) &= is_the_same_again(letter, fate);
    }
    let hopeless = groups.into_iter().filter(|(_, all)| *all);
    hopeless.map(|(group, _)| group.to_owned()).collect()
}
