//! SQLite, the embedded default: one JSON array in, `json_each` inside, one statement per table and kind of change.
//!
//! One writer with `BEGIN IMMEDIATE`, so nothing has to be locked row by row; WAL and `synchronous = FULL`, so that
//! what is committed survives a power cut. Tables are written `@name` in the SQL and get their prefix here.

mod announcements;
mod backfill;
mod cascade;
mod checkpoints;
mod customers;
mod discover;
mod failures;
mod look;
mod mail;
mod read;
mod rebuild;
mod write;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, Sqlite as Driver, Transaction,
};

use super::cascade::Cascades;
use super::{Patience, SchemaState, StoreError, StoreSettings, columns};
use crate::domain::Policy;
use crate::failpoint::{Point, reach};

pub(super) use backfill::QueryRows;

const POLICIES: &str = "SELECT policy_id, body FROM @policies WHERE policy_id IN (SELECT value FROM json_each(?1))";

/// Every migration, oldest first; the number of a migration is its place, from 1.
const MIGRATIONS: [(&str, &str); 6] = [
    ("foundation", include_str!("0001_foundation.sql")),
    ("checkpoints", include_str!("0002_checkpoints.sql")),
    ("failures", include_str!("0003_failures.sql")),
    ("cascades", include_str!("0004_cascades.sql")),
    ("customers", include_str!("0005_customers.sql")),
    ("announcements", include_str!("0006_announcements.sql")),
];

/// How long one statement may take, and how long one batch waits behind others for the only writer. There is no server
/// that could be out of reach: only a disk that hangs takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open SQLite file: one connection that writes, a few that read.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    prefix: Arc<str>,
    cascades: Arc<Cascades>,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    connection: PoolConnection<Driver>,
    prefix: Arc<str>,
    patience: Patience,
    cascades: Arc<Cascades>,
}

/// One transaction.
#[derive(Debug)]
pub struct Tx<'c> {
    inner: Transaction<'c, Driver>,
    prefix: Arc<str>,
    patience: Patience,
    cascades: Arc<Cascades>,
    statements: u32,
    has_failed: bool,
}

/// What to do when there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    IsMade,
    IsAnError,
}

/// Puts the prefix before the names of our tables. The prefix is a plain identifier, checked with the configuration;
/// nothing from an event ever becomes SQL.
fn named(sql: &str, prefix: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.replace('@', prefix))
}

impl Sqlite {
    pub(super) async fn open(
        settings: &StoreSettings,
        path: &Path,
        prefix: &str,
        missing: Missing,
    ) -> Result<Self, StoreError> {
        if missing == Missing::IsAnError && !path.exists() {
            return Err(StoreError::NoFile {
                path: path.display().to_string(),
            });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == Missing::IsMade)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(settings.lock_timeout)
            .foreign_keys(true)
            // A batch changes thousands of pages all over the indexes: with the usual thousand each one would be followed by a
            // checkpoint. In pages; the log grows to some 40 MB.
            .pragma("wal_autocheckpoint", "10000")
            // Statements are ours to log, without what they carry.
            .disable_statement_logging();
        // More than one batch may wait for the only writer: behind a slow one that takes a while.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(options.read_only(true));
        Ok(Self {
            writer,
            readers,
            prefix: prefix.into(),
            cascades: Arc::default(),
        })
    }

    pub(super) fn with_cascades(self, cascades: Arc<Cascades>) -> Self {
        Self { cascades, ..self }
    }

    pub(super) fn cascades(&self) -> &Arc<Cascades> {
        &self.cascades
    }

    fn sql(&self, sql: &str) -> AssertSqlSafe<String> {
        named(sql, &self.prefix)
    }

    pub(super) async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        tx.execute(self.sql(
            "CREATE TABLE IF NOT EXISTS @migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')))",
        ))
        .await?;
        let current: i64 = sqlx::query_scalar(self.sql("SELECT coalesce(max(version), 0) FROM @migrations"))
            .fetch_one(&mut *tx)
            .await?;
        let mut done = Vec::new();
        for (version, (name, sql)) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > current) {
            tx.execute(sqlx::raw_sql(self.sql(sql))).await?;
            sqlx::query(self.sql("INSERT INTO @migrations (version, name) VALUES (?1, ?2)"))
                .bind(version)
                .bind(name)
                .execute(&mut *tx)
                .await?;
            done.push(name);
        }
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")
            .bind(format!("{}migrations", self.prefix))
            .fetch_one(&self.writer)
            .await?;
        if there == 0 {
            return Ok(SchemaState::Behind);
        }
        let current: i64 = sqlx::query_scalar(self.sql("SELECT coalesce(max(version), 0) FROM @migrations"))
            .fetch_one(&self.writer)
            .await?;
        Ok(super::state_of(current, MIGRATIONS.len()))
    }

    pub(super) async fn register_policy(&self, policy: &Policy) -> Result<i64, StoreError> {
        let body = columns::policy_text(policy)?;
        let hash = Sha256::digest(body.as_bytes()).to_vec();
        sqlx::query(self.sql("INSERT INTO @policies (hash, body) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING"))
            .bind(&hash)
            .bind(&body)
            .execute(&self.writer)
            .await?;
        let id = sqlx::query_scalar(self.sql("SELECT policy_id FROM @policies WHERE hash = ?1"))
            .bind(&hash)
            .fetch_one(&self.writer)
            .await?;
        Ok(id)
    }

    pub(super) async fn policies(&self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        let sql = self.sql(POLICIES);
        let rows = sqlx::query(sql)
            .bind(columns::json(&ids)?)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, columns::policy_of(row.try_get(1)?)?)))
            .collect()
    }

    pub(super) async fn session(&self) -> Result<Session, StoreError> {
        Ok(Session {
            connection: self.writer.acquire().await?,
            prefix: Arc::clone(&self.prefix),
            patience: Patience::new(PATIENCE),
            cascades: Arc::clone(&self.cascades),
        })
    }

    #[expect(clippy::unused_self, reason = "that of PostgreSQL is configured")]
    pub(super) fn patience(&self) -> Duration {
        PATIENCE
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Session {
    /// A transaction that only began to write after it had read would fail at once beside another writer, whatever the
    /// busy timeout says.
    pub(super) async fn begin(&mut self) -> Result<Tx<'_>, StoreError> {
        self.patience.ask();
        let inner = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx {
            inner,
            prefix: Arc::clone(&self.prefix),
            patience: self.patience.clone(),
            cascades: Arc::clone(&self.cascades),
            statements: 0,
            has_failed: false,
        })
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience.clone()
    }

    pub(super) fn discard(mut self) {
        self.connection.close_on_drop();
    }
}

impl Tx<'_> {
    /// The SQL of one more statement.
    fn sql(&mut self, sql: &str) -> AssertSqlSafe<String> {
        self.ask();
        named(sql, &self.prefix)
    }

    /// One more statement is about to begin.
    fn ask(&mut self) {
        reach(Point::Statement);
        self.statements += 1;
        self.patience.ask();
    }

    /// SQLite would commit what was done before and after a statement that failed.
    pub(super) fn note(&mut self, is_ok: bool) {
        self.has_failed |= !is_ok;
    }

    pub(super) fn statements(&self) -> u32 {
        self.statements
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        if self.has_failed {
            self.inner.rollback().await?;
            return Err(StoreError::Aborted);
        }
        self.patience.ask();
        self.inner.commit().await?;
        Ok(())
    }
}
