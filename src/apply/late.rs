//! Late events: their component's history is folded again, from its last checkpoint before them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Batch;
use super::fold::{Path, Terms, extend};
use super::follow::Blamed;
use super::load::History;
use crate::domain::{self, Entry, KeyRow, Outcome, Plan, Planned, Policy, Reason, Verdict, World};
use crate::envelope::{self, Envelope};
use crate::store::{Changed, Decided, LedgerRow, StoreError};

/// A component with late events, and what is stored of it.
pub(super) struct Component<'a> {
    pub(super) planned: &'a Planned,
    pub(super) rows: &'a BTreeMap<String, KeyRow>,
    pub(super) history: History,
}

impl Batch<'_> {
    /// One component whose history is folded again.
    pub(super) fn decide_late(
        &mut self,
        component: Component<'_>,
        plan: &Plan,
        policies: &BTreeMap<i64, Arc<Policy>>,
        terms: &mut Terms<'_>,
        decided: &mut Decided,
    ) -> Result<(), StoreError> {
        let Component {
            planned: late,
            rows,
            history: read,
        } = component;
        let stored = World::from_rows(rows.values(), read.departed);
        let mut history: Vec<(Entry, Origin<'_>)> = Vec::new();
        for row in &read.ledger {
            let mut entry = recalled(row, policies)?;
            entry.event.cascade_failed |= is_refused(row, terms.refused);
            history.push((entry, Origin::Ledger(row)));
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
        let mut refolded = domain::refold(read.base.as_ref(), &entries, &stored, terms.spacing);
        let begun = read.base.as_ref().map_or(0, |base| base.events);
        let root = late.roots.iter().find(|root| !plan.merged.contains_key(*root));
        if let Some(root) = root {
            let total = begun + entries.len() as u64;
            let made = std::mem::take(&mut refolded.checkpoints);
            decided.checkpoints.keep(root, begun, &read.marks, made, total)?;
        }
        domain::name_rows(&mut refolded.world, terms.mint);
        if let Some(followed) = &mut self.followed {
            let keys = rows.keys().cloned().collect();
            followed.late(&stored, &refolded, &entries, &origins, keys);
        }
        for (origin, verdict) in origins.into_iter().zip(refolded.verdicts) {
            match origin {
                Origin::Batch(index, envelope) => self.enter(index, envelope, verdict, Path::Late, terms, decided),
                Origin::Ledger(row) => changed(row, verdict, row.policy_id, decided, terms)?,
            }
        }
        extend(
            &mut decided.difference,
            domain::difference(rows, &stored, &refolded.world, plan),
        );
        Ok(())
    }
}

/// Where an event of a history comes from.
pub(super) enum Origin<'a> {
    Ledger(&'a LedgerRow),
    Batch(usize, &'a Envelope),
}

fn is_refused(row: &LedgerRow, refused: &Blamed) -> bool {
    // A set of pairs can only be asked for a pair.
    !refused.is_empty() && refused.contains(&(row.source.clone(), row.event_id.clone()))
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
        reduced: row.reduced,
    })
    .map_err(|refusal| unreadable(refusal.to_string()))?;
    let event = domain::Event {
        cascade_failed: row.reason == Some(Reason::CascadeFailed),
        ..event
    };
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
pub(super) fn changed(
    row: &LedgerRow,
    verdict: Verdict,
    policy_id: i64,
    decided: &mut Decided,
    terms: &Terms<'_>,
) -> Result<(), StoreError> {
    let same = row.policy_id == policy_id
        && row.outcome == verdict.outcome
        && row.reason == verdict.reason
        && row.effects == crate::store::effects_text(&verdict)?
        && row.degraded == crate::store::degraded_text(&verdict)?;
    if same {
        return Ok(());
    }
    match (row.outcome, verdict.outcome, verdict.reason) {
        (before, Outcome::Rejected, Some(reason))
            if before != Outcome::Rejected || (reason == Reason::CascadeFailed && row.reason != Some(reason)) =>
        {
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
        policy_id,
    });
    Ok(())
}
