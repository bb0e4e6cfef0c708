//! Reads the tables as any application would: SQL, no code of Rollcall's.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::books::Row;
use crate::event::instant;

/// A table and the columns that the demo reads of it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    columns: &'static [&'static str],
}

pub(crate) const PROFILES: Table = Table {
    name: "profiles",
    columns: &[
        "profile_id",
        "user_id",
        "profile_type",
        "status",
        "is_active",
        "display_name",
        "email",
        "username",
        "first_name",
        "last_name",
        "full_name",
        "phone",
        "external_id",
        "organization_id",
        "customer_id",
        "attributes",
        "degraded",
        "created_via",
        "created_at",
        "updated_at",
        "version",
    ],
};
pub(crate) const CUSTOMERS: Table = Table {
    name: "customers",
    columns: &[
        "customer_id",
        "user_id",
        "organization_id",
        "profile_id",
        "name",
        "email",
        "created_at",
        "updated_at",
    ],
};
pub(crate) const LEDGER: Table = Table {
    name: "ledger",
    columns: &[
        "source", "event_id", "user_id", "type", "time", "outcome", "reason", "data", "late",
    ],
};
pub(crate) const KEYS: Table = Table {
    name: "keys",
    columns: &["key", "holder"],
};

/// One of the two databases.
pub(crate) enum Tables {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Tables {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            return Ok(Self::Sqlite(
                options.connect().await.context("the SQLite file cannot be opened")?,
            ));
        }
        if url.starts_with("postgres") {
            return Ok(Self::Postgres(
                PgConnection::connect(url)
                    .await
                    .context("PostgreSQL cannot be reached")?,
            ));
        }
        bail!("the store must be sqlite://… or postgres://…")
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// All rows of a table, as JSON objects of the same shape for both databases.
    pub(crate) async fn rows(&mut self, table: &Table) -> Result<Vec<Row>> {
        let texts = match self {
            Self::Sqlite(connection) => {
                let pairs: Vec<String> = table
                    .columns
                    .iter()
                    .map(|column| format!("'{column}', \"{column}\""))
                    .collect();
                let sql = format!("SELECT json_object({}) FROM {}", pairs.join(", "), table.name);
                sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
                    .fetch_all(connection)
                    .await
            }
            Self::Postgres(connection) => {
                let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{column}\"")).collect();
                let sql = format!(
                    "SELECT CAST(to_jsonb(r) AS text) FROM (SELECT {} FROM rollcall.{}) r",
                    columns.join(", "),
                    table.name
                );
                sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
                    .fetch_all(connection)
                    .await
            }
        };
        let texts = texts.with_context(|| format!("the table {} cannot be read", table.name))?;
        texts
            .iter()
            .map(|text| Ok(alike(serde_json::from_str(text)?)))
            .collect()
    }
}

/// One shape for what the two databases write differently: instants, truth values, JSON.
fn alike(row: Map<String, Value>) -> Row {
    let mut alike = Row::new();
    for (column, value) in row {
        let value = match (column.as_str(), value) {
            ("created_at" | "updated_at" | "time", Value::String(text)) => json!(same_instant(&text)),
            ("is_active" | "late", Value::Number(number)) => json!(number.as_i64() == Some(1)),
            ("attributes" | "degraded" | "data", Value::String(text)) => {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
            (_, value) => value,
        };
        alike.insert(column, value);
    }
    alike
}

fn same_instant(text: &str) -> String {
    OffsetDateTime::parse(text, &Rfc3339).map_or_else(|_| text.to_owned(), instant)
}
