//! Late events: their component's history is folded again, from its last checkpoint before them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::decide::Batch;
use super::fold::{Path, Ruled, Terms, extend};
use super::follow::Blamed;
use super::inputs::{Source, inputs_of};
use super::load::History;
use crate::domain::{
    self, Entry, EventRef, KeyRow, Outcome, PersonId, Plan, Planned, Policy, Reason, Refolded, Verdict, World,
};
use crate::envelope::{self, Envelope};
use crate::store::{Changed, Decided, LedgerRow, StoreError};

/// A component with late events, and what is stored of it.
pub(super) struct Component<'a> {
    pub(super) planned: &'a Planned,
    pub(super) rows: &'a BTreeMap<String, KeyRow>,
    pub(super) history: History,
}

impl<'a> Batch<'a> {
    /// One component whose history is folded again.
    pub(super) fn decide_late(
        &mut self,
        component: Component<'_>,
        plan: &Plan,
        policies: &BTreeMap<i64, Arc<Policy>>,
        terms: &mut Terms<'_>,
        decided: &mut Decided<'a>,
    ) -> Result<(), StoreError> {
        let Component {
            planned: late,
            rows,
            history: read,
        } = component;
        let (mut entries, sources) = history_of(self, late, &read, policies, terms.policy)?;
        let origins = self.origins(sources, &mut entries, &read.ledger, terms.refused);
        let stored = World::from_rows(rows.values(), read.departed);
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
        let Refolded {
            mut world,
            verdicts,
            lives,
            ..
        } = refolded;
        for (origin, verdict) in origins.into_iter().zip(verdicts) {
            match origin {
                Origin::Batch(index, envelope) => {
                    let concerned = concerned(&mut world, &lives, envelope.event.reference, terms);
                    self.enter(
                        index,
                        envelope,
                        Ruled { verdict, concerned },
                        Path::Late,
                        terms,
                        decided,
                    )?;
                }
                Origin::Ledger(row) if row.anew => {
                    let concerned = concerned(
                        &mut world,
                        &lives,
                        envelope::reference(&row.source, &row.event_id),
                        terms,
                    );
                    self.judged_anew(row, Ruled { verdict, concerned }, terms, decided)?;
                }
                Origin::Ledger(row) => changed(row, verdict, row.policy_id, decided, terms)?,
            }
        }
        extend(&mut decided.difference, domain::difference(rows, &stored, world, plan));
        Ok(())
    }
}

impl<'a> Batch<'a> {
    /// Where each entry of a history comes from; those that failed in the application's tables are refused.
    fn origins<'b>(
        &self,
        sources: Vec<Source>,
        entries: &mut [Entry],
        ledger: &'b [LedgerRow],
        refused: &Blamed,
    ) -> Vec<Origin<'a, 'b>> {
        let mut origins = Vec::new();
        for (source, entry) in sources.into_iter().zip(entries) {
            match source {
                Source::Ledger(place) => {
                    let row = &ledger[place];
                    entry.event.cascade_failed |= is_refused(row, refused);
                    origins.push(Origin::Ledger(row));
                }
                Source::Batch(index) => {
                    origins.extend(self.envelope(index).map(|envelope| Origin::Batch(index, envelope)));
                }
            }
        }
        origins
    }
}

/// The row of whom an event is about, where somebody asks.
fn concerned(
    world: &mut World,
    lives: &BTreeMap<EventRef, PersonId>,
    event: EventRef,
    terms: &mut Terms<'_>,
) -> Option<Uuid> {
    let person = lives.get(&event).filter(|_| terms.orders.is_some())?;
    // Who is gone by now is somebody all the same: a mail for them must not go to whoever has their key.
    Some(world.named(*person, terms.mint).unwrap_or_else(&mut *terms.mint))
}

/// Where an event of a history comes from.
pub(super) enum Origin<'a, 'b> {
    Ledger(&'b LedgerRow),
    Batch(usize, &'a Envelope),
}

/// The history of a component with its new events, in position order, and where each event stands.
pub(super) fn history_of(
    batch: &Batch<'_>,
    late: &Planned,
    read: &History,
    policies: &BTreeMap<i64, Arc<Policy>>,
    policy: &Arc<Policy>,
) -> Result<(Vec<Entry>, Vec<Source>), StoreError> {
    let mut history: Vec<(Entry, Source)> = Vec::new();
    for (place, row) in read.ledger.iter().enumerate() {
        history.push((recalled(row, policies)?, Source::Ledger(place)));
    }
    for event in &late.events {
        let index = batch.fresh[*event];
        // What is judged anew stands in its ledger already.
        if let Some(envelope) = batch.envelope(index).filter(|_| !batch.is_anew(index)) {
            let entry = Entry {
                event: batch.informed(index, envelope).into_owned(),
                policy: Arc::clone(policy),
                known: false,
            };
            history.push((entry, Source::Batch(index)));
        }
    }
    history.sort_by(|(a, _), (b, _)| a.event.position.cmp(&b.event.position));
    Ok(history.into_iter().unzip())
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
        inputs: inputs_of(row.answered.as_deref().or(row.inputs.as_deref().filter(|_| !row.anew)))?,
    })
    .map_err(|refusal| unreadable(refusal.to_string()))?;
    let event = domain::Event {
        cascade_failed: row.reason == Some(Reason::CascadeFailed) && !row.anew,
        ..event
    };
    let policy = policies
        .get(&row.policy_id)
        .ok_or_else(|| unreadable(format!("policy {} is missing", row.policy_id)))?;
    Ok(Entry {
        event,
        policy: Arc::clone(policy),
        // It changed nothing as yet.
        known: !row.anew,
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
    let same = row.answered.is_none()
        && row.policy_id == policy_id
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
        inputs: row.answered.clone().or_else(|| row.inputs.clone()),
    });
    Ok(())
}
