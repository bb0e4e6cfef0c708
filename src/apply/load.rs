//! What a batch has to know: the keys it is about and, for late events, the histories they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Applier;
use super::decide::Batch;
use crate::domain::{Checkpoint, KeyRow, Person, Plan, Planned, Policy, Position};
use crate::store::{LedgerRow, Mark, StoreError, Tx};

/// What was read from the store.
pub(super) struct Loaded {
    /// Every key of the components that the batch is about.
    pub(super) rows: BTreeMap<String, KeyRow>,
    /// One per late component of the plan, in its order.
    pub(super) histories: Vec<History>,
    pub(super) policies: BTreeMap<i64, Arc<Policy>>,
}

/// What a late event needs to know of its component.
#[derive(Default)]
pub(super) struct History {
    /// Where the fold begins; nothing before it was read.
    pub(super) base: Option<Checkpoint>,
    /// Every stored checkpoint of the component.
    pub(super) marks: Vec<Mark>,
    /// The ledger after the base, unordered.
    pub(super) ledger: Vec<LedgerRow>,
    pub(super) departed: Vec<Person>,
}

impl Loaded {
    pub(super) fn new(rows: Vec<KeyRow>) -> Self {
        Self {
            rows: rows.into_iter().map(|row| (row.key.clone(), row)).collect(),
            histories: Vec::new(),
            policies: BTreeMap::new(),
        }
    }

    /// The rows of the late components, in the order of the plan, and all others.
    pub(super) fn split(
        rows: BTreeMap<String, KeyRow>,
        plan: &Plan,
    ) -> (Vec<BTreeMap<String, KeyRow>>, BTreeMap<String, KeyRow>) {
        let place = places(plan);
        let mut late = vec![BTreeMap::new(); plan.late.len()];
        let mut others = BTreeMap::new();
        for (key, row) in rows {
            match place.get(row.root.as_str()) {
                Some(index) => late[*index].insert(key, row),
                None => others.insert(key, row),
            };
        }
        (late, others)
    }

    /// The rows of all others than the late components.
    pub(super) fn rows_of_others(&self, plan: &Plan) -> Vec<&KeyRow> {
        let place = places(plan);
        let is_late = |row: &&KeyRow| place.contains_key(row.root.as_str());
        self.rows.values().filter(|row| !is_late(row)).collect()
    }

    pub(super) fn events_of(&self, root: &str) -> u64 {
        self.rows.get(root).map_or(0, |row| row.events)
    }
}

/// Which late component each stored root belongs to.
fn places(plan: &Plan) -> BTreeMap<&str, usize> {
    let roots = plan.late.iter().enumerate();
    roots
        .flat_map(|(index, late)| late.roots.iter().map(move |root| (root.as_str(), index)))
        .collect()
}

impl Applier {
    /// Reads the histories of the late components, each from the last checkpoint before its first new event.
    pub(super) async fn load_histories(
        &self,
        tx: &mut Tx<'_>,
        loaded: &mut Loaded,
        plan: &Plan,
        batch: &Batch<'_>,
    ) -> Result<(), StoreError> {
        let mut histories: Vec<History> = plan.late.iter().map(|_| History::default()).collect();
        self.load_bases(tx, loaded, plan, batch, &mut histories).await?;
        let place = places(plan);
        let late_rows = || {
            loaded
                .rows
                .values()
                .filter_map(|row| Some((row, *place.get(row.root.as_str())?)))
        };
        let keys: Vec<(&str, Option<&Position>)> = late_rows()
            .map(|(row, index)| (row.key.as_str(), histories[index].base.as_ref().map(|base| &base.at)))
            .collect();
        let mut ledger = tx.history(&keys).await?;
        batch.mark_anew(&mut ledger, self.policy_id);
        let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        let departed = tx.departed(&names).await?;
        let by_key: BTreeMap<&str, usize> = late_rows().map(|(row, index)| (row.key.as_str(), index)).collect();
        loaded.policies = self.policies_of(tx, &ledger).await?;
        for row in ledger {
            if let Some(index) = by_key.get(row.key.as_str()) {
                histories[*index].ledger.push(row);
            }
        }
        for person in departed {
            if let Some(index) = by_key.get(person.key.as_str()) {
                histories[*index].departed.push(person);
            }
        }
        loaded.histories = histories;
        Ok(())
    }

    async fn load_bases(
        &self,
        tx: &mut Tx<'_>,
        loaded: &Loaded,
        plan: &Plan,
        batch: &Batch<'_>,
        histories: &mut [History],
    ) -> Result<(), StoreError> {
        let place = places(plan);
        let long: Vec<&str> = place
            .keys()
            .copied()
            .filter(|root| loaded.events_of(root) >= self.spacing.long_history())
            .collect();
        if long.is_empty() {
            return Ok(());
        }
        for mark in tx.marks(&long).await? {
            if let Some(index) = place.get(mark.root.as_str()) {
                histories[*index].marks.push(mark);
            }
        }
        let mut wanted = Vec::new();
        for (late, history) in plan.late.iter().zip(histories.iter_mut()) {
            history.marks.sort_by(|a, b| a.at.cmp(&b.at));
            wanted.extend(usable(late, loaded, plan, batch, &history.marks));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        for (root, checkpoint) in tx.checkpoints(&wanted).await? {
            if let Some(index) = place.get(root.as_str()) {
                histories[*index].base = Some(checkpoint);
            }
        }
        Ok(())
    }
}

/// The last checkpoint that no new event comes before. One that stands for a part of what is now one component does not
/// stand for the whole.
fn usable(late: &Planned, loaded: &Loaded, plan: &Plan, batch: &Batch<'_>, marks: &[Mark]) -> Option<Mark> {
    let with_events: BTreeSet<&String> = late.roots.iter().filter(|root| loaded.events_of(root) > 0).collect();
    let root = with_events.first().filter(|_| with_events.len() == 1)?;
    if plan.merged.contains_key(*root) {
        return None;
    }
    let new = late.events.iter().filter_map(|event| batch.fresh_event(*event));
    let first = new.map(|event| &event.position).min()?;
    marks.iter().rev().find(|mark| mark.at < *first).cloned()
}
