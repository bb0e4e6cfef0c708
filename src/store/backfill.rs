//! What a backfill asks: rows of the application's own database, who of them is known, and whose profiles there are.
//! Everything in bounded pieces, nothing locked, nothing written.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Store, StoreError, postgres, sqlite, within};
use crate::domain::PROFILE_DETAILS;

/// A row of a query, by the names of its columns.
pub type QueryRow = Map<String, Value>;

/// Why a query gives no rows.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is no query that this database can run: what the database says of it.
    #[error("the query cannot be run: {0}")]
    Wrong(String),
    /// The database does not answer, or stopped in the midst of it.
    #[error("the rows of the query cannot be read")]
    Store(#[from] StoreError),
}

/// The rows of a query, read piece by piece in one transaction that cannot write.
pub enum QueryRows {
    /// PostgreSQL.
    Postgres(postgres::QueryRows),
    /// SQLite.
    Sqlite(sqlite::QueryRows),
}

/// What a key stands for, in the stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// No event ever said whose it is.
    Nobody,
    /// A user has it.
    User,
    /// A user left it for another.
    Left,
    /// Its user was deleted.
    Deleted,
}

/// What there is of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: String,
    /// What it stands for.
    pub holding: Holding,
    /// Of each profile of the user the details in the order of [`PROFILE_DETAILS`].
    pub profiles: Vec<[Option<String>; PROFILE_DETAILS.len()]>,
}

impl QueryRows {
    /// The next rows, at most `most`; none at the end.
    ///
    /// # Errors
    /// When the database does not go on.
    pub async fn next(&mut self, most: usize) -> Result<Vec<QueryRow>, QueryError> {
        match self {
            Self::Postgres(rows) => rows.next(most).await,
            Self::Sqlite(rows) => rows.next(most).await,
        }
    }
}

impl Store {
    /// Begins to read the rows of a query on the application's database.
    ///
    /// # Errors
    /// When it is none, or the database does not answer.
    pub async fn query(&self, sql: &str) -> Result<QueryRows, QueryError> {
        match self {
            Self::Postgres(inner) => inner.query(sql).await.map(QueryRows::Postgres),
            Self::Sqlite(inner) => inner.query(sql).await.map(QueryRows::Sqlite),
        }
    }

    /// What there is of these keys, in their order, in one statement.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn known_of(&self, keys: &[&str]) -> Result<Vec<KnownKey>, StoreError> {
        let found = within(self.patience(), async {
            on_both!(self, Self, inner => inner.known_of(keys).await)
        })
        .await?;
        let mut all: Vec<KnownKey> = Vec::with_capacity(keys.len());
        for (key, holder, profile) in found {
            if all.last().is_none_or(|last| last.key != key) {
                let holding = match holder {
                    1 => Holding::User,
                    2 => Holding::Left,
                    3 => Holding::Deleted,
                    _ => Holding::Nobody,
                };
                all.push(KnownKey {
                    key,
                    holding,
                    profiles: Vec::new(),
                });
            }
            if let Some(last) = all.last_mut() {
                last.profiles.extend(profile);
            }
        }
        Ok(all)
    }

    /// Ids and users of the profiles after an id, in the order of the ids, at most `most`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn profile_users(&self, after: Option<Uuid>, most: u32) -> Result<Vec<(Uuid, String)>, StoreError> {
        within(self.patience(), async {
            on_both!(self, Self, inner => inner.profile_users(after, most).await)
        })
        .await
    }
}

/// A key, the number of its holder, and one of its profiles.
pub(super) type KnownRow = (String, i16, Option<[Option<String>; PROFILE_DETAILS.len()]>);

/// What the database says of a wrong query; other refusals may quote values of the data.
pub(super) fn wrong_query(error: sqlx::Error) -> QueryError {
    match &error {
        sqlx::Error::Database(refused) => match refused.code().as_deref() {
            Some(code) if code.starts_with("42") || matches!(code, "25006" | "1" | "8") => {
                QueryError::Wrong(refused.message().to_owned())
            }
            _ => QueryError::Store(error.into()),
        },
        _ => QueryError::Store(error.into()),
    }
}
