//! A database of its own for each test.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::apply::Applier;
use rollcall::config::Config;
use rollcall::dead_letters::Undertaker;
use rollcall::domain::Policy;
use rollcall::store::{Backend, Store, StoreSettings};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use crate::harness::postgres::Postgres;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Sqlite,
    Postgres,
}

/// A database of its own; goes with the test.
pub struct Base {
    pub which: Which,
    pub folder: TempDir,
    pub url: String,
    pub server: Option<Postgres>,
}

impl Base {
    /// An empty database: no file, no tables.
    pub async fn fresh(which: Which) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rollcall-base-").tempdir()?;
        let (url, server) = match which {
            Which::Sqlite => (format!("sqlite://{}/test.db", folder.path().display()), None),
            Which::Postgres => {
                let mut server = Postgres::start().await?;
                (server.fresh_database()?, Some(server))
            }
        };
        Ok(Self {
            which,
            folder,
            url,
            server,
        })
    }

    /// Another empty database, on the same server where there is one; this one has to outlive it.
    pub fn another(&mut self) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rollcall-base-").tempdir()?;
        let url = match &mut self.server {
            None => format!("sqlite://{}/test.db", folder.path().display()),
            Some(server) => server.fresh_database()?,
        };
        Ok(Self {
            which: self.which,
            folder,
            url,
            server: None,
        })
    }

    /// Settings that open it.
    pub fn settings(&self) -> StoreSettings {
        let backend = match self.which {
            Which::Sqlite => Backend::Sqlite {
                path: self.url.trim_start_matches("sqlite://").into(),
                prefix: String::new(),
            },
            Which::Postgres => Backend::Postgres {
                url: SecretString::from(self.url.as_str()),
                schema: "rollcall".to_owned(),
            },
        };
        StoreSettings {
            backend,
            max_connections: 4,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
        }
    }

    /// Migrated and open.
    pub async fn store(&self) -> Result<Store> {
        Ok(Store::migrate(&self.settings()).await?.0)
    }

    /// Ready to apply batches, with the shipped policy changed as wanted.
    pub async fn applier_with(&self, change: impl FnOnce(&mut Policy)) -> Result<Applier> {
        let mut policy = rollcall::wiring::policy(&Config::default());
        change(&mut policy);
        self.applier_for(policy, 100_000).await
    }

    /// Ready to apply batches under a policy.
    pub async fn applier_for(&self, policy: Policy, max_component_events: u64) -> Result<Applier> {
        let undertaker = Undertaker {
            subject_prefix: "dead".to_owned(),
            stream: "USERS".to_owned(),
        };
        Ok(Applier::new(self.store().await?, policy, undertaker, max_component_events).await?)
    }

    /// Ready to apply batches with other settings of the store.
    pub async fn applier_on(&self, settings: &StoreSettings) -> Result<Applier> {
        let undertaker = Undertaker {
            subject_prefix: "dead".to_owned(),
            stream: "USERS".to_owned(),
        };
        let policy = rollcall::wiring::policy(&Config::default());
        self.store().await?.close().await;
        let store = Store::open(settings).await?;
        Ok(Applier::new(store, policy, undertaker, 100_000).await?)
    }

    /// Ready to apply batches under the shipped policy.
    pub async fn applier(&self) -> Result<Applier> {
        self.applier_with(|_| {}).await
    }

    /// The name of one of our tables, in SQL.
    pub fn table(&self, name: &str) -> String {
        match self.which {
            Which::Sqlite => name.to_owned(),
            Which::Postgres => format!("rollcall.{name}"),
        }
    }

    /// The address of a SQLite file that is made when it is not there.
    fn writable(&self) -> String {
        format!("{}?mode=rwc", self.url)
    }

    /// Runs SQL past the code under test; `@name` stands for one of our tables. Returns the rows affected.
    pub async fn execute(&self, sql: &str) -> Result<u64> {
        let sql = AssertSqlSafe(self.named(sql));
        Ok(match self.which {
            Which::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(&self.writable()).await?;
                sqlx::query(sql).execute(&mut connection).await?.rows_affected()
            }
            Which::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&self.url).await?;
                sqlx::query(sql).execute(&mut connection).await?.rows_affected()
            }
        })
    }

    /// Runs several statements past the code under test; `@name` stands for one of our tables.
    pub async fn script(&self, sql: &str) -> Result<()> {
        let sql = sqlx::raw_sql(AssertSqlSafe(self.named(sql)));
        match self.which {
            Which::Sqlite => sqlx::SqliteConnection::connect(&self.writable())
                .await?
                .execute(sql)
                .await
                .map(drop),
            Which::Postgres => sqlx::PgConnection::connect(&self.url)
                .await?
                .execute(sql)
                .await
                .map(drop),
        }?;
        Ok(())
    }

    /// The columns of the rows as text, times and truth values written the same on both databases, JSON without blanks.
    /// `from` is everything after FROM, with `@name` for our tables.
    pub async fn select(&self, columns: &[&str], from: &str) -> Result<Vec<Vec<Option<String>>>> {
        let shown: Vec<String> = columns.iter().map(|column| self.shown(column)).collect();
        let sql = AssertSqlSafe(self.named(&format!("SELECT {} FROM {from}", shown.join(", "))));
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        match self.which {
            Which::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(&self.url).await?;
                for row in sqlx::query(sql).fetch_all(&mut connection).await? {
                    rows.push((0..columns.len()).map(|n| row.try_get(n)).collect::<Result<_, _>>()?);
                }
            }
            Which::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&self.url).await?;
                for row in sqlx::query(sql).fetch_all(&mut connection).await? {
                    rows.push((0..columns.len()).map(|n| row.try_get(n)).collect::<Result<_, _>>()?);
                }
            }
        }
        for row in &mut rows {
            for (value, column) in row.iter_mut().zip(columns) {
                if let (Some(text), true) = (value.as_mut(), JSON.contains(column)) {
                    *text = serde_json::from_str::<Value>(text).context("JSON")?.to_string();
                }
            }
        }
        Ok(rows)
    }

    /// One number, such as a count.
    pub async fn number(&self, what: &str, from: &str) -> Result<i64> {
        let rows = self.select(&[what], from).await?;
        let value = rows.first().and_then(|row| row[0].clone()).context("a number")?;
        Ok(value.parse()?)
    }

    /// The one row there is, as text with `-` for nothing and blanks between.
    pub async fn line(&self, columns: &[&str], from: &str) -> Result<String> {
        Ok(self.lines(columns, from).await?.join(" / "))
    }

    /// Each row as a line: columns as text, `-` for nothing, blanks between; sorted.
    pub async fn lines(&self, columns: &[&str], from: &str) -> Result<Vec<String>> {
        let rows = self.select(columns, from).await?;
        let mut lines: Vec<String> = rows
            .into_iter()
            .map(|row| {
                let values: Vec<String> = row.into_iter().map(|v| v.unwrap_or_else(|| "-".to_owned())).collect();
                values.join(" ")
            })
            .collect();
        lines.sort_unstable();
        Ok(lines)
    }

    /// The names of our tables.
    pub async fn tables(&self) -> Result<Vec<String>> {
        let (name, from) = match self.which {
            Which::Sqlite => ("name", "sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"),
            Which::Postgres => ("tablename", "pg_tables WHERE schemaname = 'rollcall'"),
        };
        self.lines(&[name], from).await
    }

    /// The columns of one of our tables, in their order.
    pub async fn columns(&self, table: &str) -> Result<Vec<String>> {
        let (name, from) = match self.which {
            Which::Sqlite => ("name", format!("pragma_table_info('{table}') ORDER BY cid")),
            Which::Postgres => (
                "column_name",
                format!(
                    "information_schema.columns WHERE table_schema = 'rollcall' AND table_name = '{table}' \
                     ORDER BY ordinal_position"
                ),
            ),
        };
        Ok(self
            .select(&[name], &from)
            .await?
            .into_iter()
            .flatten()
            .flatten()
            .collect())
    }

    /// Each row of one of our tables as a line of every column but those, so that a new column is compared unless somebody
    /// says why not.
    pub async fn lines_but(&self, left_out: &[&str], table: &str) -> Result<Vec<String>> {
        let columns = self.columns(table).await?;
        assert!(
            left_out
                .iter()
                .all(|column| columns.iter().any(|there| there == column)),
            "{table} has {columns:?}"
        );
        let compared: Vec<&str> = columns
            .iter()
            .map(String::as_str)
            .filter(|column| !left_out.contains(column))
            .collect();
        self.lines(&compared, &format!("@{table}")).await
    }

    fn named(&self, sql: &str) -> String {
        OURS.iter().fold(sql.to_owned(), |sql, name| {
            sql.replace(&format!("@{name}"), &self.table(name))
        })
    }

    fn shown(&self, column: &str) -> String {
        let bare = column.rsplit('.').next().unwrap_or(column);
        match self.which {
            Which::Sqlite => format!("CAST({column} AS TEXT)"),
            Which::Postgres if TIMES.contains(&bare) => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
            Which::Postgres if TRUTHS.contains(&bare) => format!("({column})::int::text"),
            Which::Postgres => format!("({column})::text"),
        }
    }
}

const OURS: [&str; 17] = [
    "cascade_work",
    "mails",
    "announcements",
    "checkpoints",
    "retries",
    "holds",
    "suspects",
    "heartbeat",
    "profiles",
    "customers",
    "ledger",
    "keys",
    "outbox",
    "dead_letters",
    "migrations",
    "policies",
    "departed",
];
const TIMES: [&str; 8] = [
    "next_at",
    "created_at",
    "updated_at",
    "deleted_at",
    "applied_at",
    "time",
    "published_at",
    "resolved_at",
];
const TRUTHS: [&str; 6] = [
    "made_by_worker",
    "reduced",
    "is_active",
    "late",
    "states_time",
    "backfill",
];
const JSON: [&str; 5] = ["inputs", "attributes", "degraded", "effects", "cascades"];
