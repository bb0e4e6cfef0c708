//! Redrives: an event that the ledger has as rejected is judged anew, in its old place and by its old content, with today's
//! policy and today's answers. Anything else that a redrive brings is an event like others. Pure.

use super::decide::Batch;
use super::fold::{Ruled, Terms, error_text, settled};
use super::inputs::inputs_of;
use super::{Settled, StoreError};
use crate::domain::{Outcome, Plan};
use crate::envelope::Envelope;
use crate::store::{Changed, Decided, Known, LedgerRow};

/// Whether messages that say they are redrives are taken as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redrives {
    /// They are.
    Heeded,
    /// They are copies like others: a replay meets redrives that were done long ago.
    Ignored,
}

/// Whether a redriven copy of an event makes the ledger judge it anew. Keys that configuration makes otherwise by now would
/// lead to the history of somebody else, so they have to be those of then.
pub(super) fn is_to_be_judged_anew(copy: &Envelope, known: &Known) -> bool {
    known.outcome == Outcome::Rejected
        && known.position == copy.event.position
        && known.key == copy.event.key
        && known.new_key.as_deref() == copy.event.new_key()
}

impl Batch<'_> {
    /// Whether an arrival has an event of the ledger judged anew.
    pub(super) fn is_anew(&self, index: usize) -> bool {
        !self.anew.is_empty()
            && self.envelope(index).is_some_and(|envelope| {
                self.anew
                    .contains_key(&(envelope.event.source.as_str(), envelope.id.as_str()))
            })
    }

    /// Marks what is judged anew in a history that was read, and gives it the policy of today.
    pub(super) fn mark_anew(&self, ledger: &mut [LedgerRow], policy_id: i64) {
        if self.anew.is_empty() {
            return;
        }
        for row in ledger {
            if self.anew.contains_key(&(row.source.as_str(), row.event_id.as_str())) {
                row.anew = true;
                row.policy_id = policy_id;
            }
        }
    }

    /// The ledger has these events already: they are no more than before.
    pub(super) fn uncount_anew(&self, plan: &mut Plan) {
        if self.anew.is_empty() {
            return;
        }
        for late in &plan.late {
            let known = late.events.iter().filter(|event| self.is_anew(self.fresh[**event]));
            let known = known.count() as u64;
            for root in &late.roots {
                if let Some(component) = plan.components.get_mut(root) {
                    component.events -= known;
                }
            }
        }
    }

    /// Writes down what an event is now. Rejected for the same reason it needs no further letter: it has one.
    pub(super) fn judged_anew(
        &mut self,
        row: &LedgerRow,
        ruled: Ruled,
        terms: &Terms<'_>,
        decided: &mut Decided,
    ) -> Result<(), StoreError> {
        let Ruled { verdict, concerned } = ruled;
        let identity = (row.source.as_str(), row.event_id.as_str());
        let Some(index) = self.anew.get(&identity).copied() else {
            return Ok(());
        };
        let message = &self.arrivals[index].message;
        let settled = settled(&verdict);
        if let Settled::Rejected(reason) = settled {
            let error = error_text(reason, Some(&inputs_of(row.answered.as_deref())?));
            let before = error_text(reason, Some(&inputs_of(row.inputs.as_deref())?));
            if row.reason != Some(reason) || error != before {
                let letter = terms
                    .undertaker
                    .bury(message, reason, &error, Some(identity), terms.now);
                self.letters.push(letter);
            }
        } else {
            decided.resolved.push((row.source.clone(), row.event_id.clone()));
        }
        if let Some(envelope) = self.envelope(index) {
            decided
                .mails
                .extend(terms.mail(envelope, &verdict, concerned, message.published));
        }
        self.settled[index] = Some(settled);
        decided.changed.push(Changed {
            source: row.source.clone(),
            event_id: row.event_id.clone(),
            verdict,
            policy_id: row.policy_id,
            inputs: row.answered.clone(),
        });
        Ok(())
    }
}
