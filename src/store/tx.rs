//! What can be done in one transaction, whichever database it is.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Decided, Known, LedgerRow, Mark, StoreError, Tx};
use crate::domain::{ActualProfile, Checkpoint, CustomerRow, KeyRow, Person, Policy, Position};

impl Tx<'_> {
    /// Locks the components of the keys that are there in a fixed order, and reads every key of these components; with
    /// them come the keys that nothing is stored about. `keys` must be sorted.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when a component was united with another while we waited for it: try the batch again.
    pub async fn lock(&mut self, keys: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        in_tx!(self, inner => inner.lock(keys).await)
    }

    /// Which of these events the ledger has already.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn known(&mut self, identities: &[(&str, &str)]) -> Result<Vec<Known>, StoreError> {
        in_tx!(self, inner => inner.known(identities).await)
    }

    /// The ledger of these keys, unordered; of each key only what is after the position beside it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&mut self, keys: &[(&str, Option<&Position>)]) -> Result<Vec<LedgerRow>, StoreError> {
        in_tx!(self, inner => inner.history(keys).await)
    }

    /// The checkpoints of these components, unordered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn marks(&mut self, roots: &[&str]) -> Result<Vec<Mark>, StoreError> {
        in_tx!(self, inner => inner.marks(roots).await)
    }

    /// These checkpoints with their roots, unordered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checkpoints(&mut self, marks: &[Mark]) -> Result<Vec<(String, Checkpoint)>, StoreError> {
        in_tx!(self, inner => inner.checkpoints(marks).await)
    }

    /// The departed people whose last key is one of these.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn departed(&mut self, keys: &[&str]) -> Result<Vec<Person>, StoreError> {
        in_tx!(self, inner => inner.departed(keys).await)
    }

    /// The policies with these numbers, read on this connection: a second one might not be had while this one waits.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn policies(&mut self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        in_tx!(self, inner => inner.policies(ids).await)
    }

    /// Which of these rows the folded state of anybody names. Reads every state there is: for rare occasions.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn named_by_somebody(&mut self, rows: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        in_tx!(self, inner => inner.named_by_somebody(rows).await)
    }

    /// Lifts the database's own limits for this transaction: histories of any length are folded in it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn take_your_time(&mut self) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.take_your_time().await)
    }

    /// The rows of `profiles` with these ids or of these users, as they are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn profiles(&mut self, ids: &[Uuid], users: &[&str]) -> Result<Vec<ActualProfile>, StoreError> {
        in_tx!(self, inner => inner.profiles(ids, users).await)
    }

    /// The rows of `customers` with these ids or of these users, as they are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn customers(&mut self, ids: &[Uuid], users: &[&str]) -> Result<Vec<CustomerRow>, StoreError> {
        in_tx!(self, inner => inner.customers(ids, users).await)
    }

    /// Writes a whole batch in a number of statements that does not depend on its size.
    ///
    /// # Errors
    /// When the database refuses; then the transaction has to be dropped.
    pub async fn save(&mut self, decided: &Decided<'_>) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.save(decided).await)
    }

    /// Statements run so far; the tests hold us to a constant number per batch.
    pub fn statements(&self) -> u32 {
        on_both!(self, Self, inner => inner.statements())
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the outcome is unknown or the database refused; the ledger decides at the next delivery.
    pub async fn commit(self) -> Result<(), StoreError> {
        on_both!(self, Self, inner => inner.commit().await)
    }
}
