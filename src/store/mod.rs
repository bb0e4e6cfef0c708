//! The stored state: a closed choice of two databases, and the only SQL of the project.
//!
//! The caller's unit of work is one [`Session`], one [`Tx`] in it, and [`Tx::commit`]; an error anywhere means the
//! transaction is dropped, never committed. Both databases pass one conformance suite.

mod columns;
mod error;
mod ledger;
mod look;
mod patience;
mod postgres;
mod settings;
mod sqlite;

use std::collections::BTreeMap;
use std::time::Duration;

use patience::within;

use crate::domain::{KeyRow, Policy, Reason};

pub use columns::{degraded_text, effects_text};
pub use customers::{CustomerSource, FoundCustomer, MadeCustomer, Remark};
pub use error::{Dialect, Refusal, StoreError, Trouble};
pub use ledger::{
    Announcement, Changed, Checkpoints, Decided, Entered, Known, LedgerRow, Letter, Mark, NewEntry, OpenLetter,
    OutboxRow, Queue,
};
pub use patience::Patience;
pub use settings::{Backend, StoreSettings};

/// An open database.
#[derive(Debug, Clone)]
pub enum Store {
    /// PostgreSQL.
    Postgres(postgres::Postgres),
    /// SQLite.
    Sqlite(sqlite::Sqlite),
}

/// One connection, for one unit of work.
#[derive(Debug)]
pub enum Session {
    /// PostgreSQL.
    Postgres(postgres::Session),
    /// SQLite.
    Sqlite(sqlite::Session),
}

/// One transaction; dropped without [`Tx::commit`] it leaves nothing behind.
#[derive(Debug)]
pub enum Tx<'c> {
    /// PostgreSQL.
    Postgres(postgres::Tx<'c>),
    /// SQLite.
    Sqlite(sqlite::Tx<'c>),
}

/// Whether the tables are there and current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// As this version of Rollcall wants them.
    Current,
    /// `rollcall migrate` has something to do.
    Behind,
    /// Made by a newer version of Rollcall.
    Ahead,
}

/// Does the same on whichever database it is.
macro_rules! on_both {
    ($this:expr, $name:ident, $inner:ident => $body:expr) => {
        match $this {
            $name::Postgres($inner) => $body,
            $name::Sqlite($inner) => $body,
        }
    };
}

// After the macro, which they use.
mod backfill;
mod failures;
mod mail;

pub use backfill::{Holding, KnownKey, QueryError, QueryRow, QueryRows};
pub use failures::{Attempt, Claimed, Duties, Lease, Parked, Suspicion, Waiting};
pub use mail::{Addressee, DueMail, MailEnd, MailKind, MailOrder, MailRecord};
/// Does the same in a transaction of either. A statement that failed undoes a transaction of PostgreSQL, whatever comes
/// after it, and leaves one of SQLite as it was: there we remember it ourselves, and commit nothing.
macro_rules! in_tx {
    ($this:expr, $inner:ident => $body:expr) => {
        match $this {
            Tx::Postgres($inner) => $body,
            Tx::Sqlite($inner) => {
                let done = $body;
                $inner.note(done.is_ok());
                done
            }
        }
    };
}

// After the macros, which they use.
pub mod cascade;
mod customers;
mod tx;

impl Store {
    /// Opens the database; makes neither tables nor files.
    ///
    /// # Errors
    /// When it cannot be reached or refuses us.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        match &settings.backend {
            Backend::Postgres { url, schema } => postgres::Postgres::open(settings, url, schema)
                .await
                .map(Self::Postgres),
            Backend::Sqlite { path, prefix } => {
                sqlite::Sqlite::open(settings, path, prefix, sqlite::Missing::IsAnError)
                    .await
                    .map(Self::Sqlite)
            }
        }
    }

    /// Opens the database, makes what is missing of the file, the schema and the tables, and says what it did.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn migrate(settings: &StoreSettings) -> Result<(Self, Vec<&'static str>), StoreError> {
        let store = match &settings.backend {
            Backend::Postgres { .. } => Self::open(settings).await?,
            Backend::Sqlite { path, prefix } => sqlite::Sqlite::open(settings, path, prefix, sqlite::Missing::IsMade)
                .await
                .map(Self::Sqlite)?,
        };
        let done = on_both!(&store, Self, inner => inner.migrate().await)?;
        Ok((store, done))
    }

    /// Whether the tables are there and current.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.schema_state().await)
        })
        .await
    }

    /// Settings of the database under which committed work can be lost, in words; empty when it is durable.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn durability_warnings(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Postgres(inner) => within(self.patience(), inner.durability_warnings()).await,
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// The number of a policy, which is stored if it is new.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn register_policy(&self, policy: &Policy) -> Result<i64, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.register_policy(policy).await)
        })
        .await
    }

    /// The policies with these numbers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn policies(&self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.policies(ids).await)
        })
        .await
    }

    /// A connection for one unit of work.
    ///
    /// # Errors
    /// When none is to be had in time.
    pub async fn session(&self) -> Result<Session, StoreError> {
        match self {
            Self::Postgres(inner) => inner.session().await.map(Session::Postgres),
            Self::Sqlite(inner) => inner.session().await.map(Session::Sqlite),
        }
    }

    /// The oldest messages that wait to be published, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outbox(&self, queue: Queue, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.outbox(queue, limit).await)
        })
        .await
    }

    /// Forgets messages that were published.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn published(&self, queue: Queue, outbox_ids: &[i64]) -> Result<(), StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.published(queue, outbox_ids).await)
        })
        .await
    }

    /// Which of these dead letters are resolved: message ids.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn resolved(&self, message_ids: &[String]) -> Result<Vec<String>, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.resolved(message_ids).await)
        })
        .await
    }

    /// Every key of the component that `key` belongs to, and the ledger of them all, unordered; both empty when the key
    /// was never heard of. Reads without locking.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn component(&self, key: &str) -> Result<(Vec<KeyRow>, Vec<LedgerRow>), StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.component(key).await)
        })
        .await
    }

    /// Components in the order of their roots, from after one of them, at most `limit`: root and number of events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn components(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, u64)>, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.components(after, limit).await)
        })
        .await
    }

    /// How many components there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_components(&self) -> Result<u64, StoreError> {
        on_both!(self, Self, inner => inner.count_components().await)
    }

    /// Dead letters with this reason that are not resolved, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_letters(&self, reason: Reason) -> Result<Vec<OpenLetter>, StoreError> {
        on_both!(self, Self, inner => inner.open_letters(reason).await)
    }

    /// Marks dead letters as resolved.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn resolve(&self, message_ids: &[&str]) -> Result<(), StoreError> {
        on_both!(self, Self, inner => inner.resolve(message_ids).await)
    }

    /// Rows of `profiles` and of `customers` whose user no event speaks of.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_strangers(&self) -> Result<u64, StoreError> {
        on_both!(self, Self, inner => inner.count_strangers().await)
    }

    /// How long one statement may remain without an answer.
    pub fn patience(&self) -> Duration {
        on_both!(self, Self, inner => inner.patience())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        on_both!(self, Self, inner => inner.close().await);
    }
}

impl Session {
    /// Begins the transaction.
    ///
    /// # Errors
    /// When the database refuses, or stays locked.
    pub async fn begin(&mut self) -> Result<Tx<'_>, StoreError> {
        match self {
            Self::Postgres(inner) => inner.begin().await.map(Tx::Postgres),
            Self::Sqlite(inner) => inner.begin().await.map(Tx::Sqlite),
        }
    }

    /// How long to wait for a unit of work in it.
    pub fn patience(&self) -> Patience {
        on_both!(self, Self, inner => inner.patience())
    }

    /// Lets the connection go for good: after a timeout nobody knows what state it is in.
    pub fn discard(self) {
        match self {
            Self::Postgres(inner) => inner.discard(),
            Self::Sqlite(inner) => inner.discard(),
        }
    }
}

/// Compares the newest migration of a database with those we know.
fn state_of(current: i64, known: usize) -> SchemaState {
    match usize::try_from(current).unwrap_or_default().cmp(&known) {
        std::cmp::Ordering::Less => SchemaState::Behind,
        std::cmp::Ordering::Equal => SchemaState::Current,
        std::cmp::Ordering::Greater => SchemaState::Ahead,
    }
}
