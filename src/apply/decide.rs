//! What of a batch has to be folded at all: undecodable messages, duplicates and conflicts are settled before. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::anew::{Redrives, is_to_be_judged_anew};
use super::follow::Followed;
use super::load::Loaded;
use super::{Arrival, Settled};
use crate::dead_letters::{Undertaker, is_redrive};
use crate::domain::{self, Event, Inputs, Outcome, Plan, Reason, Stored};
use crate::envelope::{Envelope, Refusal};
use crate::store::{Known, Letter};

/// A batch on its way to its outcomes.
pub(super) struct Batch<'a> {
    pub(super) arrivals: &'a [Arrival<'a>],
    pub(super) settled: Vec<Option<Settled>>,
    /// Indices of the arrivals that may change something, one per identity.
    pub(super) fresh: Vec<usize>,
    /// Indices of further copies of an identity within the batch, with the index of the first.
    copies: Vec<(usize, usize)>,
    pub(super) letters: Vec<Letter>,
    /// What the application's tables have to follow, where there are any.
    pub(super) followed: Option<Followed>,
    /// What was asked of the application's data, by index of the arrival.
    inputs: BTreeMap<usize, Inputs>,
    /// Whether a redrive is more than a copy.
    redrives: Redrives,
    /// Rejected events of the ledger that a redrive has judged anew, with the index of the arrival, which is fresh.
    pub(super) anew: BTreeMap<(&'a str, &'a str), usize>,
    /// Identities of which a redrive says that there are dead letters, and which need none any more.
    pub(super) resolved: Vec<(String, String)>,
}

impl<'a> Batch<'a> {
    /// Settles what needs no state: what could not be decoded.
    pub(super) fn sort_out(
        arrivals: &'a [Arrival<'a>],
        redrives: Redrives,
        undertaker: &Undertaker,
        now: OffsetDateTime,
    ) -> Self {
        let mut batch = Self {
            arrivals,
            settled: vec![None; arrivals.len()],
            fresh: Vec::new(),
            copies: Vec::new(),
            letters: Vec::new(),
            followed: None,
            inputs: BTreeMap::new(),
            redrives,
            anew: BTreeMap::new(),
            resolved: Vec::new(),
        };
        let mut first: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            match &*arrival.decoded {
                Err(Refusal::UnknownType(_)) => batch.settled[index] = Some(Settled::Ignored(Reason::UnknownType)),
                Err(refusal) => batch.bury(index, refusal.reason(), &refusal.to_string(), undertaker, now),
                Ok(envelope) => match first.entry((&envelope.event.source, &envelope.id)) {
                    std::collections::btree_map::Entry::Occupied(mut first) => {
                        let (mut copy, mut of) = (index, *first.get());
                        // A redrive says more than the message that it is a copy of.
                        if batch.is_redriven(index) && !batch.is_redriven(of) {
                            batch.fresh.retain(|fresh| *fresh != of);
                            batch.fresh.push(index);
                            for (_, other) in batch.copies.iter_mut().filter(|(_, other)| *other == of) {
                                *other = index;
                            }
                            first.insert(index);
                            (copy, of) = (of, index);
                        }
                        batch.copies.push((copy, of));
                    }
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(index);
                        batch.fresh.push(index);
                    }
                },
            }
        }
        batch
    }

    /// Whether nothing has to be read or written.
    pub(super) fn is_done(&self) -> bool {
        self.fresh.is_empty() && self.letters.is_empty()
    }

    pub(super) fn has_events(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(super) fn into_settled(self) -> Vec<Settled> {
        self.settled
            .into_iter()
            .map(|settled| settled.unwrap_or(Settled::Duplicate))
            .collect()
    }

    /// Whether a message is a redrive, where such are heeded.
    pub(super) fn is_redriven(&self, index: usize) -> bool {
        self.redrives == Redrives::Heeded && is_redrive(self.arrivals[index].message.headers)
    }

    fn bury(&mut self, index: usize, reason: Reason, error: &str, undertaker: &Undertaker, now: OffsetDateTime) {
        let arrival = &self.arrivals[index];
        let identity = match &*arrival.decoded {
            Ok(envelope) => Some((envelope.event.source.as_str(), envelope.id.as_str())),
            Err(refusal) => refusal.identity().map(|(source, id)| (source.as_str(), id.as_str())),
        };
        self.letters
            .push(undertaker.bury(&arrival.message, reason, error, identity, now));
        self.settled[index] = Some(Settled::Dead(reason));
    }

    pub(super) fn envelope(&self, index: usize) -> Option<&'a Envelope> {
        (*self.arrivals[index].decoded).as_ref().ok()
    }

    /// The events of the fast path in position order, with their indices among the arrivals.
    pub(super) fn in_order(&self, plan: &Plan) -> Vec<(usize, &'a Envelope)> {
        let fresh = plan.fast.iter().map(|event| self.fresh[*event]);
        let mut order: Vec<(usize, &Envelope)> =
            fresh.filter_map(|index| Some((index, self.envelope(index)?))).collect();
        order.sort_by(|(_, a), (_, b)| a.event.position.cmp(&b.event.position));
        order
    }

    pub(super) fn keep_inputs(&mut self, index: usize, inputs: Inputs) {
        self.inputs.insert(index, inputs);
    }

    pub(super) fn inputs(&self, index: usize) -> Option<&Inputs> {
        self.inputs.get(&index)
    }

    /// An event with what it had to know.
    pub(super) fn informed(&self, index: usize, envelope: &'a Envelope) -> Cow<'a, Event> {
        match self.inputs.get(&index) {
            None => Cow::Borrowed(&envelope.event),
            Some(inputs) => Cow::Owned(Event {
                inputs: inputs.clone(),
                ..envelope.event.clone()
            }),
        }
    }

    /// An event of the plan.
    pub(super) fn fresh_event(&self, event: usize) -> Option<&'a Event> {
        self.fresh
            .get(event)
            .and_then(|index| self.envelope(*index))
            .map(|envelope| &envelope.event)
    }

    fn events(&self) -> Vec<&'a Event> {
        self.fresh
            .iter()
            .filter_map(|index| self.envelope(*index))
            .map(|envelope| &envelope.event)
            .collect()
    }

    /// Every key the batch is about, sorted.
    pub(super) fn keys(&self) -> Vec<String> {
        let events = self
            .fresh
            .iter()
            .filter_map(|index| self.envelope(*index))
            .map(|envelope| &envelope.event);
        let keys: BTreeSet<&str> = events
            .flat_map(|event| std::iter::once(event.key.as_str()).chain(event.other_key()))
            .collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn identities(&self) -> Vec<(&'a str, &'a str)> {
        self.fresh
            .iter()
            .filter_map(|index| self.envelope(*index))
            .map(|envelope| (envelope.event.source.as_str(), envelope.id.as_str()))
            .collect()
    }

    /// Settles what the ledger has already: the first stored wins.
    pub(super) fn drop_known(&mut self, known: &[Known], undertaker: &Undertaker, now: OffsetDateTime) {
        let known = by_identity(known);
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|&index| {
            let Some(envelope) = self.envelope(index) else {
                return false;
            };
            let Some(known) = known.get(&(envelope.event.source.as_str(), envelope.id.as_str())) else {
                return true;
            };
            let same = envelope.repeats(&known.content, known.position.time());
            if same && self.is_redriven(index) {
                let identity = (envelope.event.source.as_str(), envelope.id.as_str());
                if is_to_be_judged_anew(envelope, known) {
                    self.anew.insert(identity, index);
                    return true;
                }
                if known.outcome != Outcome::Rejected {
                    self.resolved.push((identity.0.to_owned(), identity.1.to_owned()));
                }
            }
            self.settle_copy(index, same, undertaker, now);
            false
        });
        self.fresh = fresh;
    }

    /// Settles further copies within the batch, when it is known what became of the first.
    pub(super) fn settle_copies(&mut self, known: &[Known], undertaker: &Undertaker, now: OffsetDateTime) {
        let known = by_identity(known);
        for (index, first) in std::mem::take(&mut self.copies) {
            let fate = self.settled[first];
            let (Some(copy), Some(first)) = (self.envelope(index), self.envelope(first)) else {
                continue;
            };
            let stored = known.get(&(copy.event.source.as_str(), copy.id.as_str()));
            let (content, time) = stored.map_or((&first.content[..], first.event.time), |known| {
                (&known.content[..], known.position.time())
            });
            let same = copy.repeats(content, time);
            match fate {
                // The first never entered the ledger, so there is nothing that this could be a copy of.
                Some(Settled::Dead(reason @ Reason::ComponentTooLarge)) => {
                    self.bury(index, reason, reason.meaning(), undertaker, now);
                }
                _ => self.settle_copy(index, same, undertaker, now),
            }
        }
    }

    fn settle_copy(&mut self, index: usize, same: bool, undertaker: &Undertaker, now: OffsetDateTime) {
        if same {
            self.settled[index] = Some(Settled::Duplicate);
        } else {
            self.bury(index, Reason::IdConflict, Reason::IdConflict.meaning(), undertaker, now);
        }
    }

    /// Plans what is left; indices in the plan count the fresh events.
    pub(super) fn plan(&mut self, loaded: &Loaded, limit: u64, undertaker: &Undertaker, now: OffsetDateTime) -> Plan {
        let rows = loaded.rows.values();
        let roots: BTreeMap<&str, &str> = rows.clone().map(|row| (row.key.as_str(), row.root.as_str())).collect();
        let own = rows.clone().filter(|row| row.key == row.root);
        let mut stored: BTreeMap<&str, Stored> = own
            .map(|row| {
                let component = Stored {
                    newest: row.newest.clone(),
                    events: row.events,
                    keys: 1,
                };
                (row.key.as_str(), component)
            })
            .collect();
        for row in rows.filter(|row| row.key != row.root) {
            stored.entry(&row.root).or_default().keys += 1;
        }
        let mut plan = domain::plan(&self.events(), &roots, &stored, limit);
        self.uncount_anew(&mut plan);
        for &event in &plan.too_large {
            let error = format!("late, and its user's history has more than {limit} events");
            self.bury(self.fresh[event], Reason::ComponentTooLarge, &error, undertaker, now);
        }
        plan
    }
}

fn by_identity(known: &[Known]) -> BTreeMap<(&str, &str), &Known> {
    known
        .iter()
        .map(|known| ((known.source.as_str(), known.event_id.as_str()), known))
        .collect()
}
