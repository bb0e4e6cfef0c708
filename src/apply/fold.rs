//! What a batch changes. Pure: rows and events in, rows and outcomes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Settled;
use super::decide::{Batch, Loaded};
use crate::dead_letters::Undertaker;
use crate::domain::{self, Difference, Entry, KeyRow, Outcome, Plan, Planned, Policy, Verdict, World};
use crate::envelope::{self, Envelope};
use crate::store::{Changed, Decided, LedgerRow, NewEntry, StoreError};

/// What every decision of a batch is made by.
pub(super) struct Terms<'a> {
    pub(super) policy: &'a Arc<Policy>,
    pub(super) policy_id: i64,
    pub(super) undertaker: &'a Undertaker,
    pub(super) now: OffsetDateTime,
    pub(super) mint: &'a mut (dyn FnMut() -> Uuid + Send),
}

/// On which path an event reached the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Fast,
    Late,
}

impl Batch<'_> {
    /// Folds and writes down the difference.
    pub(super) fn decide(
        &mut self,
        plan: &Plan,
        loaded: &Loaded,
        terms: &mut Terms<'_>,
    ) -> Result<Decided, StoreError> {
        let mut decided = Decided::default();
        self.decide_fast(plan, loaded, terms, &mut decided);
        for late in &plan.late {
            self.decide_late(late, plan, loaded, terms, &mut decided)?;
        }
        Ok(decided)
    }

    /// The next events of their histories, applied on the stored state.
    fn decide_fast(&mut self, plan: &Plan, loaded: &Loaded, terms: &mut Terms<'_>, decided: &mut Decided) {
        let late: BTreeSet<&String> = plan.late.iter().flat_map(|late| &late.roots).collect();
        let rows = rows_where(loaded, |row| !late.contains(&row.root));
        let stored = World::from_rows(rows.values(), Vec::new());
        let mut world = stored.clone();
        let mut order: Vec<(usize, &Envelope)> = plan
            .fast
            .iter()
            .filter_map(|event| {
                self.envelope(self.fresh[*event])
                    .map(|envelope| (self.fresh[*event], envelope))
            })
            .collect();
        order.sort_by(|(_, a), (_, b)| a.event.position.cmp(&b.event.position));
        for (index, envelope) in order {
            let (verdict, _) = world.apply(&envelope.event, terms.policy);
            self.enter(index, envelope, verdict, Path::Fast, terms, decided);
        }
        domain::name_rows(&mut world, terms.mint);
        extend(
            &mut decided.difference,
            domain::difference(&rows, &stored, &world, plan),
        );
    }

    /// One component whose history is folded again.
    fn decide_late(
        &mut self,
        late: &Planned,
        plan: &Plan,
        loaded: &Loaded,
        terms: &mut Terms<'_>,
        decided: &mut Decided,
    ) -> Result<(), StoreError> {
        let rows = rows_where(loaded, |row| late.roots.contains(&row.root));
        let departed = loaded
            .departed
            .iter()
            .filter(|person| rows.contains_key(&person.key))
            .cloned()
            .collect();
        let stored = World::from_rows(rows.values(), departed);
        let mut history: Vec<(Entry, Origin<'_>)> = Vec::new();
        for row in loaded.history.iter().filter(|row| rows.contains_key(&row.key)) {
            history.push((recalled(row, &loaded.policies)?, Origin::Ledger(row)));
        }
        for event in &late.events {
            let index = self.fresh[*event];
            if let Some(envelope) = self.envelope(index) {
                let entry = Entry {
                    event: envelope.event.clone(),
                    policy: Arc::clone(terms.policy),
                    known: false,
                };
                history.push((entry, Origin::Batch(index, envelope)));
            }
        }
        history.sort_by(|(a, _), (b, _)| a.event.position.cmp(&b.event.position));
        let (entries, origins): (Vec<Entry>, Vec<Origin<'_>>) = history.into_iter().unzip();
        let mut refolded = domain::refold(&entries, &stored);
        for (origin, verdict) in origins.into_iter().zip(refolded.verdicts) {
            match origin {
                Origin::Batch(index, envelope) => self.enter(index, envelope, verdict, Path::Late, terms, decided),
                Origin::Ledger(row) => changed(row, verdict, decided, terms)?,
            }
        }
        domain::name_rows(&mut refolded.world, terms.mint);
        extend(
            &mut decided.difference,
            domain::difference(&rows, &stored, &refolded.world, plan),
        );
        Ok(())
    }

    /// An event with its verdict enters the ledger; a rejected one goes to the dead letters as well.
    fn enter(
        &mut self,
        index: usize,
        envelope: &Envelope,
        verdict: Verdict,
        path: Path,
        terms: &Terms<'_>,
        decided: &mut Decided,
    ) {
        let message = &self.arrivals[index].message;
        let event = &envelope.event;
        let settled = settled(&verdict);
        if let Settled::Rejected(reason) = settled {
            let identity = Some((event.source.as_str(), envelope.id.as_str()));
            self.letters.push(
                terms
                    .undertaker
                    .bury(message, reason, reason.meaning(), identity, terms.now),
            );
        }
        self.settled[index] = Some(settled);
        decided.entries.push(NewEntry {
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
            policy_id: terms.policy_id,
            late: path == Path::Late,
            // The broker delivers subjects that PostgreSQL could not keep.
            subject: message.subject.replace(char::is_control, "_"),
            stream_sequence: message.sequence as i64,
            published: message.published,
        });
    }
}

fn rows_where(loaded: &Loaded, wanted: impl Fn(&KeyRow) -> bool) -> BTreeMap<String, KeyRow> {
    loaded
        .rows
        .iter()
        .filter(|(_, row)| wanted(row))
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect()
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
    let unreadable = |problem: String| StoreError::Unreadable {
        what: "ledger entry",
        problem,
    };
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
    let policy = policies
        .get(&row.policy_id)
        .ok_or_else(|| unreadable(format!("policy {} is missing", row.policy_id)))?;
    Ok(Entry {
        event,
        policy: Arc::clone(policy),
        known: true,
    })
}

/// Notes an event of the ledger that is seen differently now, and what that means for its dead letter.
fn changed(row: &LedgerRow, verdict: Verdict, decided: &mut Decided, terms: &Terms<'_>) -> Result<(), StoreError> {
    let same = row.outcome == verdict.outcome
        && row.reason == verdict.reason
        && row.effects == crate::store::effects_text(&verdict)?
        && row.degraded == crate::store::degraded_text(&verdict)?;
    if same {
        return Ok(());
    }
    match (row.outcome, verdict.outcome, verdict.reason) {
        (before, Outcome::Rejected, Some(reason)) if before != Outcome::Rejected => {
            decided
                .letters
                .push(terms.undertaker.bury_recorded(row, reason, terms.now));
        }
        (Outcome::Rejected, Outcome::Applied | Outcome::Ignored, _) => {
            decided.resolved.push((row.source.clone(), row.event_id.clone()));
        }
        _ => {}
    }
    decided.changed.push(Changed {
        source: row.source.clone(),
        event_id: row.event_id.clone(),
        verdict,
    });
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
