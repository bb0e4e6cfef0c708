//! What a batch changes. Pure: rows and events in, rows and outcomes out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Settled;
use super::decide::Batch;
use super::follow::{Blamed, Named};
use super::inputs::inputs_text;
use super::late::Component;
use super::load::Loaded;
use crate::dead_letters::Undertaker;
use crate::domain::cascade::{Trail, Watch};
use crate::domain::{
    self, Difference, EventRef, Inputs, KeyRow, Outcome, Plan, Policy, Reason, Spacing, Verdict, World,
};
use crate::envelope::{Envelope, Incoming};
use crate::mail::{Cause, Orders};
use crate::store::{Decided, MailOrder, NewEntry, StoreError};

/// What every decision of a batch is made by.
pub(super) struct Terms<'a> {
    pub(super) policy: &'a Arc<Policy>,
    pub(super) policy_id: i64,
    pub(super) undertaker: &'a Undertaker,
    pub(super) orders: Option<Orders>,
    pub(super) now: OffsetDateTime,
    pub(super) spacing: Spacing,
    /// Events of the ledger that are rejected from now on, because a required step of theirs failed.
    pub(super) refused: &'a Blamed,
    pub(super) mint: &'a mut (dyn FnMut() -> Uuid + Send),
}

/// What the fold made of an event.
pub(super) struct Ruled {
    pub(super) verdict: Verdict,
    /// The row of whom it is about, where somebody asks; `None` for nobody who is known.
    pub(super) concerned: Option<Uuid>,
}

impl Terms<'_> {
    /// The mail that an event asks for, which a message brought at this time.
    pub(super) fn mail(
        &self,
        envelope: &Envelope,
        verdict: &Verdict,
        concerned: Option<Uuid>,
        published: OffsetDateTime,
    ) -> Option<MailOrder> {
        let event = &envelope.event;
        let cause = Cause {
            kind: event.body.kind(),
            source: &event.source,
            event_id: &envelope.id,
            key: &event.key,
            backfill: event.backfill,
            published,
            verdict,
            concerned,
        };
        self.orders?.order(&cause, envelope.sealed.as_ref(), self.now)
    }
}

/// On which path an event reached the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Fast,
    Late,
}

impl<'a> Batch<'a> {
    /// Folds and writes down the difference.
    pub(super) fn decide(
        &mut self,
        plan: &Plan,
        loaded: Loaded,
        terms: &mut Terms<'_>,
    ) -> Result<Decided<'a>, StoreError> {
        let mut decided = Decided {
            stale_components: stale_components(plan, &loaded, terms.spacing, self),
            ..Decided::default()
        };
        let (late_rows, rows) = Loaded::split(loaded.rows, plan);
        self.decide_fast(plan, &rows, terms, &mut decided)?;
        for ((late, rows), history) in plan.late.iter().zip(&late_rows).zip(loaded.histories) {
            let component = Component {
                planned: late,
                rows,
                history,
            };
            self.decide_late(component, plan, &loaded.policies, terms, &mut decided)?;
        }
        decided.difference.leave_edited_names(terms.policy);
        Ok(decided)
    }

    /// The next events of their histories, applied on the stored state.
    fn decide_fast(
        &mut self,
        plan: &Plan,
        rows: &BTreeMap<String, KeyRow>,
        terms: &mut Terms<'_>,
        decided: &mut Decided<'a>,
    ) -> Result<(), StoreError> {
        let stored = World::from_rows(rows.values(), Vec::new());
        let mut world = stored.clone();
        let mut watch = self.followed.is_some().then(|| Watch::over(&world));
        decided.entries.reserve(plan.fast.len());
        for (index, envelope) in self.in_order(plan) {
            let event = &*self.informed(index, envelope);
            let seen = watch.as_ref().map(|_| Watch::before(&world, event));
            let (verdict, person) = world.apply(event, terms.policy);
            let concerned = match (person, terms.orders) {
                (Some(id), Some(_)) => world.named(id, terms.mint),
                _ => None,
            };
            if let (Some(watch), Some(seen)) = (&mut watch, seen) {
                watch.after(&world, event, &verdict, person, &seen);
            }
            let ruled = Ruled { verdict, concerned };
            self.enter(index, envelope, ruled, Path::Fast, terms, decided)?;
        }
        if let Some(watch) = watch {
            self.note_trail(watch.into_trail(), rows);
        }
        domain::name_rows(&mut world, terms.mint);
        extend(&mut decided.difference, domain::difference(rows, &stored, world, plan));
        Ok(())
    }

    /// Keeps what the application's tables have to follow, with the names of the events.
    fn note_trail(&mut self, trail: Trail, rows: &BTreeMap<String, KeyRow>) {
        let named: Vec<(EventRef, Named)> = self
            .fresh
            .iter()
            .filter_map(|index| self.envelope(*index))
            .filter(|envelope| trail.names(envelope.event.reference))
            .map(|envelope| (envelope.event.reference, Named::of(envelope)))
            .collect();
        if let Some(followed) = &mut self.followed {
            followed.events.extend(named);
            followed.trails.push((trail, rows.keys().cloned().collect()));
        }
    }

    /// An event with its verdict enters the ledger; a rejected one goes to the dead letters as well.
    pub(super) fn enter(
        &mut self,
        index: usize,
        envelope: &'a Envelope,
        Ruled { verdict, concerned }: Ruled,
        path: Path,
        terms: &Terms<'_>,
        decided: &mut Decided<'a>,
    ) -> Result<(), StoreError> {
        let message: &'a Incoming<'a> = &self.arrivals[index].message;
        let event = &envelope.event;
        let settled = settled(&verdict);
        if let Settled::Rejected(reason) = settled {
            let identity = Some((event.source.as_str(), envelope.id.as_str()));
            self.letters.push(terms.undertaker.bury(
                message,
                reason,
                &error_text(reason, self.inputs(index)),
                identity,
                terms.now,
            ));
        }
        self.settled[index] = Some(settled);
        let entry = NewEntry {
            source: &event.source,
            event_id: &envelope.id,
            user_id: &envelope.user_id,
            key: &event.key,
            new_key: event.new_key(),
            kind: event.body.kind(),
            states_time: envelope.states_time,
            sequence: &envelope.sequence,
            position: &event.position,
            backfill: event.backfill,
            content: &envelope.content,
            data: &envelope.data,
            verdict,
            policy_id: terms.policy_id,
            late: path == Path::Late,
            subject: keepable(message.subject),
            stream_sequence: message.sequence as i64,
            published: message.published,
            reduced: envelope.reduced,
            inputs: self.inputs(index).map(inputs_text).transpose()?,
        };
        if entry.verdict.outcome != Outcome::Rejected && self.is_redriven(index) {
            decided
                .resolved
                .push((entry.source.to_owned(), entry.event_id.to_owned()));
        }
        let mail = terms.mail(envelope, &entry.verdict, concerned, message.published);
        decided.mails.extend(mail);
        decided.entries.push(entry);
        Ok(())
    }
}

/// A subject without what PostgreSQL could not keep.
fn keepable(subject: &str) -> Cow<'_, str> {
    if subject.contains(char::is_control) {
        subject.replace(char::is_control, "_").into()
    } else {
        subject.into()
    }
}

/// Why an event was rejected; columns that have to be filled are named.
pub(super) fn error_text(reason: Reason, inputs: Option<&Inputs>) -> String {
    let lacking = inputs.map(Inputs::lacking).unwrap_or_default();
    if reason != Reason::RequirementsMissing {
        reason.meaning().to_owned()
    } else if lacking.is_empty() {
        format!("{}, and there is none", reason.meaning())
    } else {
        format!("{}: {} is empty", reason.meaning(), lacking.join(", "))
    }
}

/// Components whose checkpoints stand for a part of them only, because others with a history have become one with them:
/// one that is stored, or one that begins in this batch with events older than the component's newest.
fn stale_components(plan: &Plan, loaded: &Loaded, spacing: Spacing, batch: &Batch<'_>) -> Vec<String> {
    let is_long = |root: &String| loaded.events_of(root) >= spacing.long_history();
    let united = plan.merged.iter().filter(|(lost, _)| loaded.events_of(lost) > 0);
    let mut stale: BTreeSet<&String> = united.flat_map(|(lost, kept)| [lost, kept]).collect();
    for event in plan.fast.iter().filter_map(|event| batch.fresh_event(*event)) {
        let kept = loaded.rows.get(&event.key).and_then(|row| plan.merged.get(&row.root));
        let newest = kept.and_then(|kept| loaded.rows.get(kept)?.newest.as_ref());
        if newest.is_some_and(|newest| event.position < *newest) {
            stale.extend(kept);
        }
    }
    stale.retain(|root| is_long(root));
    // Late components know their checkpoints by name.
    let late = plan.late.iter().flat_map(|late| &late.roots);
    late.for_each(|root| {
        stale.remove(root);
    });
    stale.into_iter().cloned().collect()
}

pub(super) fn settled(verdict: &Verdict) -> Settled {
    match (verdict.outcome, verdict.reason) {
        (Outcome::Ignored, Some(reason)) => Settled::Ignored(reason),
        (Outcome::Rejected, Some(reason)) => Settled::Rejected(reason),
        (_, reason) => Settled::Applied(reason),
    }
}

/// The first, which is nearly always all there is, is taken as it is.
fn join<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

pub(super) fn extend(all: &mut Difference, more: Difference) {
    let Difference {
        keys,
        departed,
        returned,
        new_profiles,
        profiles,
        gone_profiles,
        lost_profiles,
        new_customers,
        customers,
        gone_customers,
    } = more;
    join(&mut all.keys, keys);
    join(&mut all.departed, departed);
    join(&mut all.returned, returned);
    join(&mut all.new_profiles, new_profiles);
    join(&mut all.profiles, profiles);
    join(&mut all.gone_profiles, gone_profiles);
    join(&mut all.lost_profiles, lost_profiles);
    join(&mut all.new_customers, new_customers);
    join(&mut all.customers, customers);
    join(&mut all.gone_customers, gone_customers);
}
