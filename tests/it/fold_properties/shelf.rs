//! The tables in memory: what the store and the batch do around the product's pure functions, and nothing more.

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall::domain::{
    Checkpoint, CustomerRow, Difference, Entry, Event, EventRef, KeyRow, Person, Plan, Planned, Policy, ProfileRow,
    Spacing, Stored, StoredHolder, Verdict, World, difference, name_rows, plan, redundant, refold,
};
use rollcall::envelope::Envelope;
use uuid::Uuid;

use crate::naive;

/// How many events were applied on the stored state, and how many histories' events were folded again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paths {
    pub(super) fast: u64,
    pub(super) late: u64,
    /// How many times a fold began at a checkpoint.
    pub(super) checkpoints: u64,
}

/// Checkpoints everywhere, so that short histories meet them.
const SPACING: Spacing = Spacing { every: 1, worth: 0 };

type Identity = (String, String);

#[derive(Default)]
pub(super) struct Shelf {
    keys: BTreeMap<String, KeyRow>,
    ledger: BTreeMap<EventRef, (Entry, Verdict)>,
    names: BTreeMap<EventRef, Identity>,
    departed: BTreeMap<Uuid, Person>,
    profiles: BTreeMap<Uuid, ProfileRow>,
    customers: BTreeMap<Uuid, CustomerRow>,
    /// By root, in order.
    checkpoints: BTreeMap<String, Vec<Checkpoint>>,
    minted: u128,
}

impl Shelf {
    /// What the tables hold after these batches of events, named by index.
    pub(super) fn arrival(
        envelopes: &[Envelope],
        batches: &[Vec<usize>],
        policy: &Arc<Policy>,
        paths: &mut Paths,
    ) -> Result<naive::World, String> {
        let name = |envelope: &Envelope| (envelope.event.source.clone(), envelope.id.clone());
        let names = envelopes
            .iter()
            .map(|envelope| (envelope.event.reference, name(envelope)))
            .collect();
        let mut shelf = Self {
            names,
            ..Self::default()
        };
        for batch in batches {
            let batch: Vec<&Envelope> = batch.iter().map(|index| &envelopes[*index]).collect();
            shelf.apply(&batch, policy, paths)?;
        }
        shelf.world()
    }

    fn apply(&mut self, batch: &[&Envelope], policy: &Arc<Policy>, paths: &mut Paths) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let mut events: Vec<Event> = Vec::new();
        for Envelope { event, .. } in batch {
            if !self.ledger.contains_key(&event.reference) && seen.insert(event.reference) {
                events.push(event.clone());
            }
        }
        let rows = self.locked(&events);
        let plan = plan(
            &events.iter().collect::<Vec<_>>(),
            &roots(&rows),
            &components(&rows),
            100_000,
        );
        if !plan.too_large.is_empty() {
            return Err("no history is too large".to_owned());
        }
        let late_roots: BTreeSet<&String> = plan.late.iter().flat_map(|late| &late.roots).collect();
        let fast_rows = those(&rows, |row| !late_roots.contains(&row.root));
        for (lost, kept) in plan.merged.iter().filter(|(lost, _)| rows[*lost].events > 0) {
            if !late_roots.contains(lost) {
                self.checkpoints.remove(lost);
                self.checkpoints.remove(kept);
            }
        }
        for event in plan.fast.iter().map(|index| &events[*index]) {
            let kept = plan.merged.get(&rows[&event.key].root);
            let newest = kept.and_then(|kept| rows[kept].newest.as_ref());
            if newest.is_some_and(|newest| event.position < *newest) {
                kept.map(|kept| self.checkpoints.remove(kept));
            }
        }
        let mut changes = vec![self.fast(&fast_rows, &events, &plan, policy)];
        paths.fast += plan.fast.len() as u64;
        for late in &plan.late {
            let late_rows = those(&rows, |row| late.roots.contains(&row.root));
            changes.push(self.late(&late_rows, late, &events, &plan, policy, paths));
        }
        changes.into_iter().try_for_each(|change| self.write(change))
    }

    /// The rows of every component that the events touch, unknown keys included.
    fn locked(&mut self, events: &[Event]) -> BTreeMap<String, KeyRow> {
        let mut touched = BTreeSet::new();
        for key in events
            .iter()
            .flat_map(|event| std::iter::once(event.key.as_str()).chain(event.other_key()))
        {
            let row = self.keys.entry(key.to_owned()).or_insert_with(|| KeyRow {
                key: key.to_owned(),
                root: key.to_owned(),
                holder: StoredHolder::Unknown,
                newest: None,
                events: 0,
            });
            touched.insert(row.root.clone());
        }
        those(&self.keys, |row| touched.contains(&row.root))
    }

    fn fast(
        &mut self,
        rows: &BTreeMap<String, KeyRow>,
        events: &[Event],
        plan: &Plan,
        policy: &Arc<Policy>,
    ) -> Difference {
        let stored = World::from_rows(rows.values(), Vec::new());
        let mut world = stored.clone();
        let mut order: Vec<&Event> = plan.fast.iter().map(|index| &events[*index]).collect();
        order.sort_by(|a, b| a.position.cmp(&b.position));
        for event in order {
            let (verdict, _) = world.apply(event, policy);
            self.ledger.insert(event.reference, (entry(event, policy), verdict));
        }
        name_rows(&mut world, &mut || mint(&mut self.minted));
        difference(rows, &stored, world, plan)
    }

    fn late(
        &mut self,
        rows: &BTreeMap<String, KeyRow>,
        late: &Planned,
        events: &[Event],
        plan: &Plan,
        policy: &Arc<Policy>,
        paths: &mut Paths,
    ) -> Difference {
        let departed = self
            .departed
            .values()
            .filter(|person| rows.contains_key(&person.key))
            .cloned()
            .collect();
        let stored = World::from_rows(rows.values(), departed);
        let new = late.events.iter().map(|index| &events[*index]);
        let first = new.min_by_key(|event| &event.position).expect("something is late");
        let (root, mut checkpoints) = self.checkpoints_before(rows, late, first, plan);
        let base = checkpoints.last().cloned();
        let known = self.ledger.extract_if(.., |_, (entry, _)| {
            let is_in_base = base.as_ref().is_some_and(|base| entry.event.position <= base.at);
            rows.contains_key(&entry.event.key) && !is_in_base
        });
        let mut history: Vec<Entry> = known.map(|(_, (entry, _))| Entry { known: true, ..entry }).collect();
        history.extend(late.events.iter().map(|index| entry(&events[*index], policy)));
        history.sort_by(|a, b| a.event.position.cmp(&b.event.position));
        paths.late += history.len() as u64;
        paths.checkpoints += u64::from(base.is_some());
        let total = base.as_ref().map_or(0, |base| base.events) + history.len() as u64;
        let mut refolded = refold(base.as_ref(), &history, &stored, SPACING);
        checkpoints.extend(refolded.checkpoints.iter().map(stored_and_read));
        let numbers: Vec<u64> = checkpoints.iter().map(|checkpoint| checkpoint.events).collect();
        for index in redundant(&numbers, total) {
            checkpoints.remove(index);
        }
        self.checkpoints.insert(root, checkpoints);
        for (entry, verdict) in history.into_iter().zip(refolded.verdicts) {
            self.ledger.insert(entry.event.reference, (entry, verdict));
        }
        name_rows(&mut refolded.world, &mut || mint(&mut self.minted));
        difference(rows, &stored, refolded.world, plan)
    }

    /// The root that a component will have, and those of its checkpoints that still hold, in order.
    fn checkpoints_before(
        &mut self,
        rows: &BTreeMap<String, KeyRow>,
        late: &Planned,
        first: &Event,
        plan: &Plan,
    ) -> (String, Vec<Checkpoint>) {
        let all: Vec<Vec<Checkpoint>> = late
            .roots
            .iter()
            .filter(|root| rows[*root].events > 0)
            .map(|root| self.checkpoints.remove(root).unwrap_or_default())
            .collect();
        let is_root = |root: &&String| !plan.merged.contains_key(*root);
        let root = late.roots.iter().find(is_root).expect("every component has a root");
        let held = match <[_; 1]>::try_from(all) {
            Ok([checkpoints]) if rows[root].events > 0 => checkpoints
                .into_iter()
                .filter(|checkpoint| checkpoint.at < first.position)
                .collect(),
            _ => Vec::new(),
        };
        (root.clone(), held)
    }

    /// Writes a difference; a row made twice, or changed or removed without being there, is an error.
    fn write(&mut self, change: Difference) -> Result<(), String> {
        self.keys
            .extend(change.keys.into_iter().map(|row| (row.key.clone(), row)));
        for gone in change.returned {
            self.departed.remove(&gone);
        }
        for person in change.departed {
            self.departed
                .insert(person.row.ok_or("a departed person without a row")?, person);
        }
        for gone in change.gone_profiles {
            self.profiles.remove(&gone).ok_or("a profile gone twice")?;
        }
        for gone in change.gone_customers {
            self.customers.remove(&gone).ok_or("a customer gone twice")?;
        }
        for change in change.profiles {
            self.profiles
                .insert(change.row.profile_id, change.row)
                .ok_or("a changed profile is not there")?;
        }
        for change in change.customers {
            self.customers
                .insert(change.row.customer_id, change.row)
                .ok_or("a changed customer is not there")?;
        }
        for row in change.new_profiles {
            self.profiles
                .insert(row.profile_id, row)
                .map_or(Ok(()), |_| Err("a profile made twice"))?;
        }
        for row in change.new_customers {
            self.customers
                .insert(row.customer_id, row)
                .map_or(Ok(()), |_| Err("a customer made twice"))?;
        }
        Ok(())
    }
}

/// A new entry of the ledger.
fn entry(event: &Event, policy: &Arc<Policy>) -> Entry {
    Entry {
        event: event.clone(),
        policy: Arc::clone(policy),
        known: false,
    }
}

fn stored_and_read(checkpoint: &Checkpoint) -> Checkpoint {
    let state = checkpoint.state().expect("a checkpoint can be written");
    let read = Checkpoint::restore(checkpoint.at.clone(), checkpoint.events, &state).expect("a checkpoint can be read");
    assert_eq!(&read, checkpoint);
    read
}

fn mint(minted: &mut u128) -> Uuid {
    *minted += 1;
    Uuid::from_u128(*minted)
}

fn those(rows: &BTreeMap<String, KeyRow>, wanted: impl Fn(&KeyRow) -> bool) -> BTreeMap<String, KeyRow> {
    rows.iter()
        .filter(|(_, row)| wanted(row))
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect()
}

fn roots(rows: &BTreeMap<String, KeyRow>) -> BTreeMap<&str, &str> {
    rows.values().map(|row| (row.key.as_str(), row.root.as_str())).collect()
}

fn components(rows: &BTreeMap<String, KeyRow>) -> BTreeMap<&str, Stored> {
    let mut components: BTreeMap<&str, Stored> = BTreeMap::new();
    for row in rows.values() {
        let component = components.entry(&row.root).or_default();
        component.keys += 1;
        if row.key == row.root {
            component.newest.clone_from(&row.newest);
            component.events = row.events;
        }
    }
    components
}
