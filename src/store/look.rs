//! What those ask who only look: audit and dry runs. Nothing is locked, nothing is written.

use std::collections::BTreeMap;

use super::{Entered, Store, StoreError};
use crate::domain::Reason;

impl Store {
    /// What the ledger says of these events; those it does not have are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn entered(&self, identities: &[(&str, &str)]) -> Result<Vec<Entered>, StoreError> {
        match self {
            Self::Postgres(inner) => inner.entered(identities).await,
            Self::Sqlite(inner) => inner.entered(identities).await,
        }
    }

    /// How many events of the ledger came from messages with these numbers. Reads all of it.
    ///
    /// # Errors
    /// When the database cannot be read, or does not finish in time.
    pub async fn entered_between(&self, first: u64, last: u64) -> Result<u64, StoreError> {
        let (first, last) = (first as i64, last as i64);
        match self {
            Self::Postgres(inner) => inner.entered_between(first, last).await,
            Self::Sqlite(inner) => inner.entered_between(first, last).await,
        }
    }

    /// The reasons of these dead letters by message id, resolved or not; those that were never written are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn buried(&self, message_ids: &[String]) -> Result<BTreeMap<String, Reason>, StoreError> {
        match self {
            Self::Postgres(inner) => inner.buried(message_ids).await,
            Self::Sqlite(inner) => inner.buried(message_ids).await,
        }
    }
}
