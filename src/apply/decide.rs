//! What a batch changes. Pure: rows and events in, rows and outcomes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::{Arrival, Givens, Settled};
use crate::dead_letters::Undertaker;
use crate::domain::diff::Difference;
use crate::domain::{
    self, Entry, Event, KeyRow, Outcome, Person, Plan, Planned, Policy, Reason, Stored, Verdict, World,
};
use crate::envelope::{self, Envelope, Refusal};
use crate::store::{Changed, Decided, Known, LedgerRow, Letter, NewEntry, StoreError};

/// A batch on its way to its outcomes.
pub(super) struct Batch<'a> {
    arrivals: &'a [Arrival<'a>],
    settled: Vec<Option<Settled>>,
    /// Indices of the arrivals that may change something, one per identity.
    fresh: Vec<usize>,
    /// Indices of further copies of an identity within the batch, with the index of the first.
    copies: Vec<(usize, usize)>,
    pub(super) letters: Vec<Letter>,
}

/// What was read from the store.
pub(super) struct Loaded {
    rows: BTreeMap<String, KeyRow>,
    pub(super) departed: Vec<Person>,
    pub(super) history: Vec<LedgerRow>,
    pub(super) policies: BTreeMap<i64, Arc<Policy>>,
}

impl Loaded {
    pub(super) fn new(rows: Vec<KeyRow>) -> Self {
        Self {
            rows: rows.into_iter().map(|row| (row.key.clone(), row)).collect(),
            departed: Vec::new(),
            history: Vec::new(),
            policies: BTreeMap::new(),
        }
    }

    /// Every key whose history is needed.
    pub(super) fn late_keys(&self, plan: &Plan) -> Vec<String> {
        let roots: BTreeSet<&String> = plan.late.iter().flat_map(|late| &late.roots).collect();
        self.rows.values().filter(|row| roots.contains(&row.root)).map(|row| row.key.clone()).collect()
    }

    fn rows_under(&self, roots: &BTreeSet<String>) -> BTreeMap<String, KeyRow> {
        self.rows.iter().filter(|(_, row)| roots.contains(&row.root)).map(|(k, row)| (k.clone(), row.clone())).collect()
    }
}

impl<'a> Batch<'a> {
    /// Settles what needs no state: what could not be decoded.
    pub(super) fn sort_out(arrivals: &'a [Arrival<'a>], undertaker: &Undertaker, now: OffsetDateTime) -> Self {
        let mut batch = Self {
            arrivals,
            settled: vec![None; arrivals.len()],
            fresh: Vec::new(),
            copies: Vec::new(),
            letters: Vec::new(),
        };
        let mut first: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            match &arrival.decoded {
                Err(Refusal::UnknownType(_)) => batch.settled[index] = Some(Settled::Ignored(Reason::UnknownType)),
                Err(refusal) => batch.bury(index, refusal.reason(), &refusal.to_string(), undertaker, now),
                Ok(envelope) => match first.entry((&envelope.event.source, &envelope.id)) {
                    std::collections::btree_map::Entry::Occupied(first) => batch.copies.push((index, *first.get())),
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
        self.settled.into_iter().map(|settled| settled.unwrap_or(Settled::Duplicate)).collect()
    }

    fn bury(&mut self, index: usize, reason: Reason, error: &str, undertaker: &Undertaker, now: OffsetDateTime) {
        let arrival = &self.arrivals[index];
        let identity = match &arrival.decoded {
            Ok(envelope) => Some((envelope.event.source.as_str(), envelope.id.as_str())),
            Err(refusal) => refusal.identity().map(|(source, id)| (source.as_str(), id.as_str())),
        };
        self.letters.push(undertaker.bury(&arrival.message, reason, error, identity, now));
        self.settled[index] = Some(Settled::Dead(reason));
    }

    fn envelope(&self, index: usize) -> Option<&'a Envelope> {
        self.arrivals[index].decoded.as_ref().ok()
    }

    fn events(&self) -> Vec<Event> {
        self.fresh.iter().filter_map(|index| self.envelope(*index)).map(|envelope| envelope.event.clone()).collect()
    }

    /// Every key the batch is about, sorted.
    pub(super) fn keys(&self) -> Vec<String> {
        let events = self.fresh.iter().filter_map(|index| self.envelope(*index)).map(|envelope| &envelope.event);
        let keys: BTreeSet<&str> =
            events.flat_map(|event| std::iter::once(event.key.as_str()).chain(event.other_key())).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn identities(&self) -> Vec<(&'a str, &'a str)> {
        self.fresh
            .iter()
            .filter_map(|index| self.envelope(*index))
            .map(|envelope| (envelope.event.source.as_str(), envelope.id.as_str()))
            .collect()
    }

    /// Settles what the ledger has already, and further copies within the batch: the first stored wins.
    pub(super) fn drop_known(&mut self, known: &[Known], undertaker: &Undertaker, now: OffsetDateTime) {
        let known: BTreeMap<(&str, &str), &Known> =
            known.iter().map(|known| ((known.source.as_str(), known.event_id.as_str()), known)).collect();
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|&index| {
            let Some(envelope) = self.envelope(index) else { return false };
            let Some(known) = known.get(&(envelope.event.source.as_str(), envelope.id.as_str())) else { return true };
            let same_time = !envelope.states_time || known.position.time() == envelope.event.time;
            self.settle_copy(index, known.content == envelope.content && same_time, undertaker, now);
            false
        });
        self.fresh = fresh;
        for (index, first) in std::mem::take(&mut self.copies) {
            let (Some(copy), Some(first)) = (self.envelope(index), self.envelope(first)) else { continue };
            let stored = known.get(&(copy.event.source.as_str(), copy.id.as_str()));
            let (content, time) = stored
                .map_or((&first.content[..], first.event.time), |known| (&known.content[..], known.position.time()));
            let same = content == copy.content && (!copy.states_time || time == copy.event.time);
            self.settle_copy(index, same, undertaker, now);
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
    pub(super) fn plan(
        &mut self,
        loaded: &Loaded,
        limit: u64,
        undertaker: &Undertaker,
        now: OffsetDateTime,
    ) -> Plan {
        let roots: BTreeMap<String, String> =
            loaded.rows.values().map(|row| (row.key.clone(), row.root.clone())).collect();
        let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
        for row in loaded.rows.values() {
            stored.entry(row.root.clone()).or_default().keys += 1;
            if row.key == row.root {
                let component = stored.entry(row.root.clone()).or_default();
                component.newest.clone_from(&row.newest);
                component.events = row.events;
            }
        }
        let plan = domain::plan(&self.events(), &roots, &stored, limit);
        for &event in &plan.too_large {
            let error = format!("late, and its user's history has more than {limit} events");
            self.bury(self.fresh[event], Reason::ComponentTooLarge, &error, undertaker, now);
        }
        plan
    }

    /// Folds and writes down the difference.
    pub(super) fn decide(
        &mut self,
        plan: &Plan,
        loaded: &Loaded,
        current: &(Arc<Policy>, i64),
        undertaker: &Undertaker,
        givens: Givens<'_>,
    ) -> Result<Decided, StoreError> {
        let mut decided = Decided::default();
        self.decide_fast(plan, loaded, current, givens.mint, &mut decided);
        for late in &plan.late {
            self.decide_late(late, plan, loaded, current, givens.mint, &mut decided, undertaker, givens.now)?;
        }
        let (arrivals, fresh) = (self.arrivals, self.fresh.clone());
        for entry in &decided.entries {
            let Some(reason) = entry.verdict.reason.filter(|_| entry.verdict.outcome == Outcome::Rejected) else {
                continue;
            };
            let index = fresh.iter().copied().find(|index| {
                self.envelope(*index).is_some_and(|e| e.event.source == entry.source && e.id == entry.event_id)
            });
            if let Some(index) = index {
                let identity = Some((entry.source.as_str(), entry.event_id.as_str()));
                let message = &arrivals[index].message;
                self.letters.push(undertaker.bury(message, reason, reason.meaning(), identity, givens.now));
            }
        }
        Ok(decided)
    }

    fn decide_fast(
        &mut self,
        plan: &Plan,
        loaded: &Loaded,
        (policy, policy_id): &(Arc<Policy>, i64),
        mint: &mut (dyn FnMut() -> uuid::Uuid + Send),
        decided: &mut Decided,
    ) {
        let late: BTreeSet<&String> = plan.late.iter().flat_map(|late| &late.roots).collect();
        let rows: BTreeMap<String, KeyRow> = loaded
            .rows
            .iter()
            .filter(|(_, row)| !late.contains(&row.root))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        let stored = World::from_rows(rows.values(), Vec::new());
        let mut world = stored.clone();
        let mut order = plan.fast.clone();
        order.sort_by(|a, b| self.fresh_event(*a).map(|e| &e.position).cmp(&self.fresh_event(*b).map(|e| &e.position)));
        for event in order {
            let index = self.fresh[event];
            if let Some(envelope) = self.envelope(index) {
                let (verdict, _) = world.apply(&envelope.event, policy);
                self.settled[index] = Some(settled(&verdict));
                decided.entries.push(self.entry(index, envelope, verdict, *policy_id, false));
            }
        }
        domain::name_rows(&mut world, mint);
        extend(&mut decided.difference, domain::difference(&rows, &stored, &world, plan));
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one decision, each needed once")]
    fn decide_late(
        &mut self,
        late: &Planned,
        plan: &Plan,
        loaded: &Loaded,
        (policy, policy_id): &(Arc<Policy>, i64),
        mint: &mut (dyn FnMut() -> uuid::Uuid + Send),
        decided: &mut Decided,
        undertaker: &Undertaker,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let rows = loaded.rows_under(&late.roots);
        let departed = loaded.departed.iter().filter(|person| rows.contains_key(&person.key)).cloned().collect();
        let stored = World::from_rows(rows.values(), departed);
        let mut history: Vec<(Entry, Origin<'_>)> = Vec::new();
        for row in loaded.history.iter().filter(|row| rows.contains_key(&row.key)) {
            history.push((recalled(row, &loaded.policies)?, Origin::Ledger(row)));
        }
        for event in &late.events {
            let index = self.fresh[*event];
            if let Some(envelope) = self.envelope(index) {
                let entry = Entry { event: envelope.event.clone(), policy: Arc::clone(policy), known: false };
                history.push((entry, Origin::Batch(index, envelope)));
            }
        }
        history.sort_by(|(a, _), (b, _)| a.event.position.cmp(&b.event.position));
        let (entries, origins): (Vec<Entry>, Vec<Origin<'_>>) = history.into_iter().unzip();
        let mut refolded = domain::refold(&entries, &stored);
        for (origin, verdict) in origins.into_iter().zip(refolded.verdicts) {
            match origin {
                Origin::Batch(index, envelope) => {
                    self.settled[index] = Some(settled(&verdict));
                    decided.entries.push(self.entry(index, envelope, verdict, *policy_id, true));
                }
                Origin::Ledger(row) => changed(row, verdict, decided, undertaker, now)?,
            }
        }
        domain::name_rows(&mut refolded.world, mint);
        extend(&mut decided.difference, domain::difference(&rows, &stored, &refolded.world, plan));
        Ok(())
    }

    fn fresh_event(&self, event: usize) -> Option<&Event> {
        self.envelope(self.fresh[event]).map(|envelope| &envelope.event)
    }

    fn entry(&self, index: usize, envelope: &Envelope, verdict: Verdict, policy_id: i64, late: bool) -> NewEntry {
        let message = &self.arrivals[index].message;
        let event = &envelope.event;
        NewEntry {
            source: event.source.clone(),
            event_id: envelope.id.clone(),
            user_id: envelope.user_id.clone(),
            key: event.key.clone(),
            new_key: event.new_key().map(str::to_owned),
            kind: event.body.kind(),
            states_time: envelope.states_time,
            sequence: envelope.sequence.clone(),
            position: event.position.clone(),
            backfill: event.backfill,
            content: envelope.content,
            data: envelope.data.clone(),
            verdict,
            policy_id,
            late,
            subject: message.subject.to_owned(),
            stream_sequence: message.sequence as i64,
            published: message.published,
        }
    }
}

/// Where an event of a history comes from.
enum Origin<'a> {
    Ledger(&'a LedgerRow),
    Batch(usize, &'a Envelope),
}

/// Makes an event of the ledger again, with the policy it was evaluated by.
///
/// # Errors
/// When the row is not what this version stores.
pub fn recalled(row: &LedgerRow, policies: &BTreeMap<i64, Arc<Policy>>) -> Result<Entry, StoreError> {
    let unreadable = |problem: String| StoreError::Unreadable { what: "ledger entry", problem };
    let event = envelope::recall(envelope::Recorded {
        kind: row.kind,
        source: &row.source,
        id: &row.event_id,
        key: row.key.clone(),
        new_key: row.new_key.clone(),
        position: row.position.clone(),
        data: &row.data,
        backfill: row.backfill,
    })
    .map_err(|refusal| unreadable(refusal.to_string()))?;
    let policy = policies.get(&row.policy_id).ok_or_else(|| unreadable(format!("policy {} is missing", row.policy_id)))?;
    Ok(Entry { event, policy: Arc::clone(policy), known: true })
}

/// Notes an event of the ledger that is seen differently now, and what that means for its dead letter.
fn changed(
    row: &LedgerRow,
    verdict: Verdict,
    decided: &mut Decided,
    undertaker: &Undertaker,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let same = row.outcome == verdict.outcome
        && row.reason == verdict.reason
        && row.effects == crate::store::effects_text(&verdict)?
        && row.degraded == crate::store::degraded_text(&verdict)?;
    if same {
        return Ok(());
    }
    match (row.outcome, verdict.outcome, verdict.reason) {
        (before, Outcome::Rejected, Some(reason)) if before != Outcome::Rejected => {
            decided.letters.push(undertaker.bury_recorded(row, reason, now));
        }
        (Outcome::Rejected, Outcome::Applied | Outcome::Ignored, _) => {
            decided.resolved.push((row.source.clone(), row.event_id.clone()));
        }
        _ => {}
    }
    decided.changed.push(Changed { source: row.source.clone(), event_id: row.event_id.clone(), verdict });
    Ok(())
}

fn settled(verdict: &Verdict) -> Settled {
    match (verdict.outcome, verdict.reason) {
        (Outcome::Ignored, Some(reason)) => Settled::Ignored(reason),
        (Outcome::Rejected, Some(reason)) => Settled::Rejected(reason),
        (_, reason) => Settled::Applied(reason),
    }
}

fn extend(all: &mut Difference, more: Difference) {
    let Difference {
        keys,
        departed,
        returned,
        new_profiles,
        profiles,
        gone_profiles,
        new_customers,
        customers,
        gone_customers,
    } = more;
    all.keys.extend(keys);
    all.departed.extend(departed);
    all.returned.extend(returned);
    all.new_profiles.extend(new_profiles);
    all.profiles.extend(profiles);
    all.gone_profiles.extend(gone_profiles);
    all.new_customers.extend(new_customers);
    all.customers.extend(customers);
    all.gone_customers.extend(gone_customers);
}
