//! Ledgers folded again with today's policy, and the tables put right by what comes out.
//!
//! Goes the way of a batch: lock, load, fold, save, commit. Nothing here acknowledges, and no event enters the ledger.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::fold::{Terms, extend};
use super::inputs::inputs_text;
use super::late::{changed, recalled};
use super::{Applier, Givens};
use crate::domain::repair::{adopt, repair};
use crate::domain::{
    self, Actual, CUSTOMER_COLUMNS, Entry, KeyRow, Kind, Outcome, PROFILE_COLUMNS, Person, Plan, Refolded, Stored,
    StoredHolder, World,
};
use crate::store::{Decided, LedgerRow, Mark, Session, StoreError, Tx};

/// Whether what is found wrong is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Repair,
    /// It is only told.
    DryRun,
}

/// What was wrong with one component: the users who ever shared a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// The keys of its active users; its root when there is none.
    pub users: Vec<String>,
    /// Profiles that were missing.
    pub profiles_made: usize,
    /// Profiles that were not as the fold would have them.
    pub profiles_changed: usize,
    /// Profiles that nobody should have.
    pub profiles_removed: usize,
    /// Customers that were missing.
    pub customers_made: usize,
    /// Customers that were not as the fold would have them.
    pub customers_changed: usize,
    /// Customers that nobody should have.
    pub customers_removed: usize,
    /// Columns of public tables that were wrong, or attributes.
    pub columns: BTreeSet<&'static str>,
    /// Internal rows that were wrong: keys and people whose rows are kept.
    pub internal: usize,
    /// Events of the ledger with another outcome or another policy than before.
    pub events: usize,
}

/// One component as it is stored.
struct Component {
    root: String,
    rows: BTreeMap<String, KeyRow>,
    departed: Vec<Person>,
    history: Vec<(Entry, LedgerRow)>,
    marks: Vec<Mark>,
}

/// One component as it should be.
struct Folded {
    component: Component,
    stored: World,
    refolded: Refolded,
}

impl Applier {
    /// Folds the components with these roots again; returns those in which something was wrong. Roots that have become
    /// part of another component meanwhile bring that one.
    ///
    /// Must run to its end: a cancelled transaction would stay open on its connection.
    ///
    /// # Errors
    /// When the database does not take it; then nothing is changed, and it can be tried again.
    pub async fn rebuild(&self, roots: &[String], mode: Mode, givens: Givens<'_>) -> Result<Vec<Repaired>, StoreError> {
        let mut session = self.session().await?;
        let patience = session.patience();
        let rebuilt = patience.with(self.rebuild_in(&mut session, roots, mode, givens)).await;
        self.conclude(session, rebuilt)
    }

    async fn rebuild_in(
        &self,
        session: &mut Session,
        roots: &[String],
        mode: Mode,
        givens: Givens<'_>,
    ) -> Result<Vec<Repaired>, StoreError> {
        let mut tx = session.begin().await?;
        tx.take_your_time().await?;
        let mut terms = Terms {
            policy: &self.policy,
            policy_id: self.policy_id,
            undertaker: &self.undertaker,
            // What is folded again was mailed when it was new.
            orders: None,
            now: givens.now,
            spacing: self.spacing,
            refused: &super::follow::Blamed::new(),
            mint: givens.mint,
        };
        let mut folded: Vec<Folded> = Vec::new();
        for component in self.components(&mut tx, roots).await? {
            folded.push(fold(component, &terms));
        }
        let actual = actual_rows(&mut tx, &folded).await?;
        let foreign = foreign_rows(&mut tx, &folded, &actual).await?;
        let mut decided = Decided::default();
        let mut wrong = Vec::new();
        for (folded, actual) in folded.into_iter().zip(&actual) {
            let repaired = decide(folded, actual, &foreign, &mut terms, &mut decided)?;
            if repaired.is_something() {
                wrong.push(repaired);
            }
        }
        if mode == Mode::Repair {
            self.announce(&mut decided, givens.now);
            tx.save(&decided).await?;
            tx.commit().await?;
        }
        Ok(wrong)
    }

    async fn components(&self, tx: &mut Tx<'_>, roots: &[String]) -> Result<Vec<Component>, StoreError> {
        let rows = tx.lock(roots).await?;
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let all: Vec<(&str, Option<&domain::Position>)> = keys.iter().map(|key| (*key, None)).collect();
        let ledger = tx.history(&all).await?;
        let departed = tx.departed(&keys).await?;
        let policies = self.policies_of(tx, &ledger).await?;
        let root_of: BTreeMap<String, String> = rows.iter().map(|row| (row.key.clone(), row.root.clone())).collect();
        let mut components: BTreeMap<String, Component> = BTreeMap::new();
        for row in rows {
            let component = components.entry(row.root.clone()).or_insert_with(|| Component {
                root: row.root.clone(),
                rows: BTreeMap::new(),
                departed: Vec::new(),
                history: Vec::new(),
                marks: Vec::new(),
            });
            component.rows.insert(row.key.clone(), row);
        }
        let roots: Vec<&str> = components.keys().map(String::as_str).collect();
        let marks = tx.marks(&roots).await?;
        for row in ledger {
            let entry = recalled(&row, &policies)?;
            if let Some(component) = root_of.get(&row.key).and_then(|root| components.get_mut(root)) {
                component.history.push(self.as_evaluated(entry, row)?);
            }
        }
        for person in departed {
            if let Some(component) = root_of.get(&person.key).and_then(|root| components.get_mut(root)) {
                component.departed.push(person);
            }
        }
        for mark in marks {
            if let Some(component) = components.get_mut(&mark.root) {
                component.marks.push(mark);
            }
        }
        Ok(components.into_values().collect())
    }
}

impl Applier {
    /// What an activation requires is evaluated once. One that went through by another configuration than today's stays:
    /// that is an input of every later fold, so it is kept with the event.
    fn as_evaluated(&self, mut entry: Entry, mut row: LedgerRow) -> Result<(Entry, LedgerRow), StoreError> {
        let went_through = row.kind == Kind::Activated && row.outcome == Outcome::Applied && row.reason.is_none();
        if went_through && row.policy_id != self.policy_id && !entry.event.inputs.met {
            entry.event.inputs.met = true;
            row.answered = Some(inputs_text(&entry.event.inputs)?);
        }
        Ok((entry, row))
    }
}

fn fold(mut component: Component, terms: &Terms<'_>) -> Folded {
    component
        .history
        .sort_by(|(a, _), (b, _)| a.event.position.cmp(&b.event.position));
    let stored = World::from_rows(component.rows.values(), component.departed.clone());
    let entries: Vec<Entry> = component.history.iter().map(|(entry, _)| entry.clone()).collect();
    let refolded = domain::rebuild(&entries, terms.policy, &stored, terms.spacing);
    Folded {
        component,
        stored,
        refolded,
    }
}

/// The public rows that each component has or should have.
async fn actual_rows(tx: &mut Tx<'_>, folded: &[Folded]) -> Result<Vec<Actual>, StoreError> {
    let mut ids: BTreeMap<Uuid, usize> = BTreeMap::new();
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, folded) in folded.iter().enumerate() {
        for world in [&folded.stored, &folded.refolded.world] {
            ids.extend(world.row_names().map(|row| (row, index)));
        }
        keys.extend(folded.component.rows.keys().map(|key| (key.as_str(), index)));
    }
    let names: Vec<Uuid> = ids.keys().copied().collect();
    let users: Vec<&str> = keys.keys().copied().collect();
    let mut actual: Vec<Actual> = folded.iter().map(|_| Actual::default()).collect();
    for profile in tx.profiles(&names, &users).await? {
        let owner = ids
            .get(&profile.row.profile_id)
            .or_else(|| keys.get(profile.row.user_id.as_str()));
        if let Some(index) = owner {
            actual[*index].profiles.push(profile);
        }
    }
    for customer in tx.customers(&names, &users).await? {
        let owner = ids
            .get(&customer.customer_id)
            .or_else(|| keys.get(customer.user_id.as_str()));
        if let Some(index) = owner {
            actual[*index].customers.push(customer);
        }
    }
    Ok(actual)
}

/// Rows that stand under a user of ours and belong to somebody else. There are hardly ever any to ask for.
async fn foreign_rows(tx: &mut Tx<'_>, folded: &[Folded], actual: &[Actual]) -> Result<BTreeSet<Uuid>, StoreError> {
    let ours: BTreeSet<Uuid> = folded
        .iter()
        .flat_map(|folded| folded.stored.row_names().chain(folded.refolded.world.row_names()))
        .collect();
    let there = actual.iter().flat_map(|actual| {
        let profiles = actual.profiles.iter().map(|profile| profile.row.profile_id);
        profiles.chain(actual.customers.iter().map(|customer| customer.customer_id))
    });
    let surplus: Vec<Uuid> = there.filter(|id| !ours.contains(id)).collect();
    if surplus.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(tx.named_by_somebody(&surplus).await?.into_iter().collect())
}

fn decide(
    folded: Folded,
    actual: &Actual,
    foreign: &BTreeSet<Uuid>,
    terms: &mut Terms<'_>,
    decided: &mut Decided,
) -> Result<Repaired, StoreError> {
    let Folded {
        component,
        stored,
        mut refolded,
    } = folded;
    let mut repaired = Repaired {
        users: users(&component),
        ..Repaired::default()
    };
    let events = component.history.len() as u64;
    let before = decided.changed.len();
    for ((_, row), verdict) in component.history.iter().zip(refolded.verdicts) {
        changed(row, verdict, terms.policy_id, decided, terms)?;
    }
    repaired.events = decided.changed.len() - before;
    let made = std::mem::take(&mut refolded.checkpoints);
    decided
        .checkpoints
        .keep(&component.root, 0, &component.marks, made, events)?;
    adopt(&mut refolded.world, actual);
    domain::name_rows(&mut refolded.world, terms.mint);
    let plan = plan(&component, events);
    let mut difference = domain::difference(&component.rows, &stored, refolded.world.clone(), &plan);
    repair(&mut difference, actual, &refolded.world, terms.policy, foreign);
    repaired.count(&difference);
    extend(&mut decided.difference, difference);
    Ok(repaired)
}

fn users(component: &Component) -> Vec<String> {
    let active = component
        .rows
        .values()
        .filter(|row| matches!(row.holder, StoredHolder::Active(_)));
    let users: Vec<String> = active.map(|row| row.key.clone()).collect();
    if users.is_empty() {
        vec![component.root.clone()]
    } else {
        users
    }
}

/// What is to be stored on the root: as the ledger has it.
fn plan(component: &Component, events: u64) -> Plan {
    let newest = component.history.last().map(|(entry, _)| entry.event.position.clone());
    let stored = Stored {
        newest,
        events,
        keys: component.rows.len() as u64,
    };
    Plan {
        components: BTreeMap::from([(component.root.clone(), stored)]),
        ..Plan::default()
    }
}

impl Repaired {
    fn count(&mut self, difference: &domain::Difference) {
        self.profiles_made = difference.new_profiles.len();
        self.profiles_changed = difference.profiles.len();
        self.profiles_removed = difference.gone_profiles.len();
        self.customers_made = difference.new_customers.len();
        self.customers_changed = difference.customers.len();
        self.customers_removed = difference.gone_customers.len();
        self.internal = difference.keys.len() + difference.departed.len() + difference.returned.len();
        for change in &difference.profiles {
            let names = PROFILE_COLUMNS.iter().enumerate();
            self.columns.extend(
                names
                    .filter(|(bit, _)| change.changed & (1 << bit) != 0)
                    .map(|(_, name)| *name),
            );
            if !change.set.is_empty() || !change.unset.is_empty() {
                self.columns.insert("attributes");
            }
        }
        for change in &difference.customers {
            let names = CUSTOMER_COLUMNS.iter().enumerate();
            self.columns.extend(
                names
                    .filter(|(bit, _)| change.changed & (1 << bit) != 0)
                    .map(|(_, name)| *name),
            );
        }
    }

    fn is_something(&self) -> bool {
        let untouched = Self {
            users: self.users.clone(),
            ..Self::default()
        };
        *self != untouched
    }
}
