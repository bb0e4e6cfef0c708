//! PostgreSQL: arrays in, `unnest` inside, one statement per table and kind of change.
//!
//! Tables are written `@name` in the SQL and get their schema here. Plans must not depend on statistics, because our
//! tables grow from empty under prepared statements: each connection plans with index scans only.

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

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Postgres as Driver, Row as _, Transaction,
};

use super::cascade::Cascades;
use super::{Patience, SchemaState, StoreError, StoreSettings, columns};
use crate::domain::Policy;
use crate::failpoint::{Point, reach};

pub(super) use backfill::QueryRows;

const POLICIES: &str = "SELECT policy_id, body FROM @policies WHERE policy_id = ANY($1)";

/// Every migration, oldest first; the number of a migration is its place, from 1.
const MIGRATIONS: [(&str, &str); 6] = [
    ("foundation", include_str!("0001_foundation.sql")),
    ("checkpoints", include_str!("0002_checkpoints.sql")),
    ("failures", include_str!("0003_failures.sql")),
    ("cascades", include_str!("0004_cascades.sql")),
    ("customers", include_str!("0005_customers.sql")),
    ("announcements", include_str!("0006_announcements.sql")),
];

/// Any number will do, as long as every version of Rollcall uses the same.
const MIGRATION_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

/// How long a connection may take to be had.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a connection of the pool may take to prove that it is alive.
const PING: Duration = Duration::from_secs(2);

/// How much longer than the server's own timeout an answer may take to arrive.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// An open PostgreSQL database.
#[derive(Clone)]
pub struct Postgres {
    pool: PgPool,
    names: Arc<str>,
    schema: Arc<str>,
    patience: Duration,
    cascades: Arc<Cascades>,
}

impl std::fmt::Debug for Postgres {
    // The pool's own Debug prints the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// One connection.
pub struct Session {
    connection: PoolConnection<Driver>,
    names: Arc<str>,
    patience: Patience,
    cascades: Arc<Cascades>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// One transaction.
pub struct Tx<'c> {
    inner: Transaction<'c, Driver>,
    names: Arc<str>,
    patience: Patience,
    cascades: Arc<Cascades>,
    statements: u32,
    /// Keys of the batch that nothing is stored about.
    new_keys: BTreeSet<String>,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("statements", &self.statements)
            .finish_non_exhaustive()
    }
}

/// Puts the schema before the names of our tables. The schema is a plain identifier, checked with the configuration;
/// nothing from an event ever becomes SQL.
fn named(sql: &str, names: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.replace('@', names))
}

impl Postgres {
    pub(super) async fn open(settings: &StoreSettings, url: &SecretString, schema: &str) -> Result<Self, StoreError> {
        let patience = settings.statement_timeout + ON_THE_WAY;
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|_| StoreError::Settings("expected postgres://user:password@host:port/database".to_owned()))?
            .application_name("rollcall")
            .options([
                ("statement_timeout", milliseconds(settings.statement_timeout)),
                ("lock_timeout", milliseconds(settings.lock_timeout)),
                // When nothing of us reaches the server any more, our locks are freed as soon as we gave up ourselves.
                ("idle_in_transaction_session_timeout", milliseconds(patience)),
                ("enable_seqscan", "off".to_owned()),
                ("enable_hashjoin", "off".to_owned()),
                ("enable_mergejoin", "off".to_owned()),
                ("jit", "off".to_owned()),
                ("timezone", "UTC".to_owned()),
            ]);
        // Statements are ours to log, without what they carry.
        let options = options.disable_statement_logging();
        // A pool hides why it cannot connect; a first connection of its own says it.
        connect(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(is_fit(connection)))
            .after_release(|connection, _| Box::pin(is_fit(connection)))
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            names: format!("\"{schema}\".").into(),
            schema: schema.into(),
            patience,
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
        named(sql, &self.names)
    }

    pub(super) async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *tx)
            .await?;
        let schema = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema);
        tx.execute(AssertSqlSafe(schema)).await?;
        tx.execute(self.sql(
            "CREATE TABLE IF NOT EXISTS @migrations (version bigint PRIMARY KEY, name text NOT NULL, \
             applied_at timestamptz NOT NULL DEFAULT now())",
        ))
        .await?;
        let current: i64 = sqlx::query_scalar(self.sql("SELECT coalesce(max(version), 0) FROM @migrations"))
            .fetch_one(&mut *tx)
            .await?;
        let mut done = Vec::new();
        for (version, (name, sql)) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > current) {
            tx.execute(sqlx::raw_sql(self.sql(sql))).await?;
            sqlx::query(self.sql("INSERT INTO @migrations (version, name) VALUES ($1, $2)"))
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
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("{}migrations", self.names))
            .fetch_one(&self.pool)
            .await?;
        if !there {
            return Ok(SchemaState::Behind);
        }
        let current: i64 = sqlx::query_scalar(self.sql("SELECT coalesce(max(version), 0) FROM @migrations"))
            .fetch_one(&self.pool)
            .await?;
        Ok(super::state_of(current, MIGRATIONS.len()))
    }

    pub(super) async fn durability_warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut warnings = Vec::new();
        for name in ["synchronous_commit", "fsync", "full_page_writes"] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(name)
                .fetch_one(&self.pool)
                .await?;
            if value == "off" {
                warnings.push(format!(
                    "PostgreSQL runs with {name} = off: committed work can be lost in a crash"
                ));
            }
        }
        Ok(warnings)
    }

    pub(super) async fn register_policy(&self, policy: &Policy) -> Result<i64, StoreError> {
        let body = columns::policy_text(policy)?;
        let hash = Sha256::digest(body.as_bytes()).to_vec();
        sqlx::query(self.sql("INSERT INTO @policies (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING"))
            .bind(&hash)
            .bind(&body)
            .execute(&self.pool)
            .await?;
        let id = sqlx::query_scalar(self.sql("SELECT policy_id FROM @policies WHERE hash = $1"))
            .bind(&hash)
            .fetch_one(&self.pool)
            .await?;
        Ok(id)
    }

    pub(super) async fn policies(&self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        let rows = sqlx::query(self.sql(POLICIES)).bind(ids).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, columns::policy_of(row.try_get(1)?)?)))
            .collect()
    }

    pub(super) async fn session(&self) -> Result<Session, StoreError> {
        let connection = match self.pool.acquire().await {
            // The pool tries again and again within its time, and hides what was wrong: one try of our own shows it.
            Err(sqlx::Error::PoolTimedOut) => {
                connect(&self.pool.connect_options()).await?;
                return Err(sqlx::Error::PoolTimedOut.into());
            }
            acquired => acquired?,
        };
        Ok(Session {
            connection,
            names: Arc::clone(&self.names),
            patience: Patience::new(self.patience),
            cascades: Arc::clone(&self.cascades),
        })
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Session {
    pub(super) async fn begin(&mut self) -> Result<Tx<'_>, StoreError> {
        self.patience.ask();
        let inner = self.connection.begin().await?;
        Ok(Tx {
            inner,
            names: Arc::clone(&self.names),
            patience: self.patience.clone(),
            cascades: Arc::clone(&self.cascades),
            statements: 0,
            new_keys: BTreeSet::new(),
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
        named(sql, &self.names)
    }

    /// One more statement is about to be sent.
    fn ask(&mut self) {
        reach(Point::Statement);
        self.statements += 1;
        self.patience.ask();
    }

    pub(super) fn statements(&self) -> u32 {
        self.statements
    }

    /// PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK that looks like success to the driver, so
    /// a statement goes before it that cannot succeed then.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.patience.ask();
        self.inner.execute("SELECT 1").await?;
        self.patience.ask();
        self.inner.commit().await?;
        Ok(())
    }
}

/// A connection outside of the pool, which says why there is none, and does not wait for ever for a server that is mute.
async fn connect(options: &PgConnectOptions) -> Result<(), StoreError> {
    let connected = async { PgConnection::connect_with(options).await?.close().await };
    match tokio::time::timeout(ACQUIRE, connected).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(StoreError::Slow(ACQUIRE)),
    }
}

/// Whether a connection may go into the pool or come out of it: it answers in time, and nobody left a transaction open
/// on it. The pool itself would wait for the answer without end, and keep the place of the connection for as long; and
/// a transaction whose beginning was cancelled would swallow whatever is written next.
async fn is_fit(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // In a transaction, now() is when it began.
    let asked = connection.fetch_one(sqlx::raw_sql("SELECT now() = statement_timestamp()"));
    match tokio::time::timeout(PING, asked).await {
        Ok(row) => row?.try_get(0),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}
