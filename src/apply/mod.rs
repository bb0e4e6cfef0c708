//! One batch, one transaction, an outcome per message: lock and load, decide, save, commit.
//!
//! The decision is pure (`decide` and `fold`); this file only moves rows to it and from it. Nothing here acknowledges.

mod anew;
mod decide;
mod fold;
mod follow;
mod inputs;
mod late;
mod load;
mod notes;
pub mod rebuild;
mod steps;
mod trail;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::announcements::{Announcer, Mark};
use crate::dead_letters::Undertaker;
use crate::domain::{Policy, Reason, Spacing};
use crate::envelope::{Envelope, Incoming, Refusal};
use crate::failpoint::{Point, reach};
use crate::failure::{self, Alarms};
use crate::mail::Orders;
use crate::store::{CustomerSource, Decided, Session, Store, StoreError, Tx};

pub use late::recalled;

use anew::Redrives;
use decide::Batch;
use fold::Terms;
use follow::{Blamed, Followed};
use load::Loaded;

/// A message and what the decoder made of it.
#[derive(Debug, Clone)]
pub struct Arrival<'a> {
    /// As delivered.
    pub message: Incoming<'a>,
    /// As decoded.
    pub decoded: Cow<'a, Result<Envelope, Refusal>>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settled {
    /// It changed something; a reason says what it could not do.
    Applied(Option<Reason>),
    /// It is in the ledger already.
    Duplicate,
    /// It changed nothing, and that is right.
    Ignored(Reason),
    /// It changed nothing and went to the dead letters.
    Rejected(Reason),
    /// It never entered the ledger and went to the dead letters.
    Dead(Reason),
}

/// Applies batches to one store under one policy.
#[derive(Debug)]
pub struct Applier {
    pub(crate) store: Store,
    policy: Arc<Policy>,
    policy_id: i64,
    pub(crate) undertaker: Undertaker,
    announcer: Option<Announcer>,
    orders: Option<Orders>,
    max_component_events: u64,
    spacing: Spacing,
    /// Where customers are looked for, if anywhere.
    customers: Option<CustomerSource>,
    redrives: Redrives,
    /// Policies of events that were evaluated before; there are only ever a few.
    policies: Mutex<BTreeMap<i64, Arc<Policy>>>,
    alarms: Alarms,
}

/// Time and names, taken from the air by the caller.
pub struct Givens<'a> {
    /// Now.
    pub now: OffsetDateTime,
    /// Names new rows.
    pub mint: &'a mut (dyn FnMut() -> Uuid + Send),
}

impl Applier {
    /// Registers the policy and gets ready.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn new(
        store: Store,
        policy: Policy,
        undertaker: Undertaker,
        max_component_events: u64,
    ) -> Result<Self, StoreError> {
        let policy_id = store.register_policy(&policy).await?;
        let policy = Arc::new(policy);
        let policies = Mutex::new(BTreeMap::from([(policy_id, Arc::clone(&policy))]));
        Ok(Self {
            store,
            policy,
            policy_id,
            undertaker,
            announcer: None,
            orders: None,
            max_component_events,
            spacing: Spacing::STANDARD,
            customers: None,
            redrives: Redrives::Ignored,
            policies,
            alarms: Alarms::default(),
        })
    }

    /// With somebody who tells others of profiles.
    #[must_use]
    pub fn with_announcer(self, announcer: Option<Announcer>) -> Self {
        Self { announcer, ..self }
    }

    /// With mail.
    #[must_use]
    pub fn with_orders(self, orders: Option<Orders>) -> Self {
        Self { orders, ..self }
    }

    /// With checkpoints elsewhere than usual.
    #[must_use]
    pub fn with_spacing(self, spacing: Spacing) -> Self {
        Self { spacing, ..self }
    }

    /// Looking for customers there, as the policy says.
    #[must_use]
    pub fn with_customers(self, customers: Option<CustomerSource>) -> Self {
        Self { customers, ..self }
    }

    /// Heeding redrives: what the ledger has as rejected is then judged anew.
    #[must_use]
    pub fn heeding_redrives(self) -> Self {
        Self {
            redrives: Redrives::Heeded,
            ..self
        }
    }

    /// Applies a batch: all of it or, on an error, nothing. One outcome per arrival, in their order.
    ///
    /// Must run to its end: a cancelled transaction would stay open on its connection.
    ///
    /// # Errors
    /// When the database does not take the batch; it can be tried again as it is.
    pub async fn apply(&self, arrivals: &[Arrival<'_>], givens: Givens<'_>) -> Result<Vec<Settled>, StoreError> {
        let mut refused = Blamed::new();
        loop {
            let batch = Batch::sort_out(arrivals, self.redrives, &self.undertaker, givens.now);
            if batch.is_done() {
                return Ok(batch.into_settled());
            }
            let mut session = self.session().await?;
            let patience = session.patience();
            let again = Givens {
                now: givens.now,
                mint: &mut *givens.mint,
            };
            let mut blamed = Blamed::new();
            let unit = self.unit_of_work(&mut session, batch, again, &refused, &mut blamed);
            let applied = patience.with(unit).await;
            let applied = self.conclude(session, applied);
            // Alone, an event is not to blame for the older ones that it makes apply: those are rejected then.
            if applied.is_ok() || arrivals.len() > 1 || blamed.is_subset(&refused) {
                return applied;
            }
            refused.append(&mut blamed);
        }
    }

    async fn session(&self) -> Result<Session, StoreError> {
        let session = self.store.session().await;
        if let Err(error) = &session {
            self.alarms.sound(&failure::fault(error));
        }
        session
    }

    /// Ends a unit of work: a connection that nobody can be sure of is not used again.
    fn conclude<T>(&self, session: Session, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done {
            let fault = failure::fault(error);
            self.alarms.sound(&fault);
            if fault.spoils_connection() {
                session.discard();
            }
        }
        done
    }

    async fn unit_of_work(
        &self,
        session: &mut Session,
        mut batch: Batch<'_>,
        givens: Givens<'_>,
        refused: &Blamed,
        blamed: &mut Blamed,
    ) -> Result<Vec<Settled>, StoreError> {
        let mut tx = session.begin().await?;
        reach(Point::Begun);
        let mut decided = Decided::default();
        batch.followed = (!self.store.cascades().is_empty()).then(Followed::default);
        if batch.has_events() {
            let rows = tx.lock(&batch.keys()).await?;
            reach(Point::Locked);
            let known = tx.known(&batch.identities()).await?;
            reach(Point::Recognised);
            batch.drop_known(&known, &self.undertaker, givens.now);
            let mut loaded = Loaded::new(rows);
            let plan = batch.plan(&loaded, self.max_component_events, &self.undertaker, givens.now);
            if !plan.late.is_empty() {
                self.load_histories(&mut tx, &mut loaded, &plan, &batch).await?;
                reach(Point::Loaded);
            }
            self.inquire(&mut tx, &mut batch, &plan, &mut loaded, givens.mint)
                .await?;
            let mut terms = Terms {
                policy: &self.policy,
                policy_id: self.policy_id,
                undertaker: &self.undertaker,
                orders: self.orders,
                now: givens.now,
                spacing: self.spacing,
                refused,
                mint: givens.mint,
            };
            decided = batch.decide(&plan, loaded, &mut terms)?;
            reach(Point::Decided);
            batch.settle_copies(&known, &self.undertaker, givens.now);
            self.announce(&mut decided, givens.now);
        }
        decided.letters.append(&mut batch.letters);
        decided.resolved.append(&mut batch.resolved);
        // A message that is delivered twice within a batch is buried once.
        let mut buried = BTreeSet::new();
        decided
            .letters
            .retain(|letter| buried.insert(letter.message_id.clone()));
        tx.save(&decided).await?;
        if let Some(followed) = batch.followed.take() {
            self.follow(&mut tx, followed, blamed).await?;
        }
        reach(Point::Saved);
        tracing::trace!(statements = tx.statements(), "batch written");
        tx.commit().await?;
        reach(Point::Committed);
        Ok(batch.into_settled())
    }

    /// Tells others what changes, where that is configured.
    fn announce(&self, decided: &mut Decided<'_>, now: OffsetDateTime) {
        let Some(announcer) = &self.announcer else { return };
        let entries = decided.entries.iter();
        let mark = if decided.entries.is_empty() {
            Mark::of_time(now)
        } else {
            Mark::of_events(entries.map(|entry| (entry.source, entry.event_id)))
        };
        decided.announcements = announcer.announce(&decided.difference, &self.policy, mark, now);
    }

    async fn policies_of(
        &self,
        tx: &mut Tx<'_>,
        history: &[crate::store::LedgerRow],
    ) -> Result<BTreeMap<i64, Arc<Policy>>, StoreError> {
        let missing: Vec<i64> = {
            let cached = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
            let ids: BTreeSet<i64> = history.iter().map(|row| row.policy_id).collect();
            ids.into_iter().filter(|id| !cached.contains_key(id)).collect()
        };
        let found = if missing.is_empty() {
            BTreeMap::new()
        } else {
            tx.policies(&missing).await?
        };
        let mut cached = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        cached.extend(found.into_iter().map(|(id, policy)| (id, Arc::new(policy))));
        Ok(cached.clone())
    }
}
