//! The tables as any application would read them, and a table of the application itself: SQL, no code of Rollcall's.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// An effect that is not idempotent: every row that enters the ledger counts once more for its event.
const EFFECTS_POSTGRES: [&str; 3] = [
    "CREATE TABLE public.effects (source text, event_id text, n bigint NOT NULL, PRIMARY KEY (source, event_id))",
    "CREATE FUNCTION public.take_effect() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
     INSERT INTO public.effects VALUES (NEW.source, NEW.event_id, 1) \
     ON CONFLICT (source, event_id) DO UPDATE SET n = public.effects.n + 1; RETURN NULL; END'",
    "CREATE TRIGGER effects AFTER INSERT ON rollcall.ledger FOR EACH ROW EXECUTE FUNCTION public.take_effect()",
];
const EFFECTS_SQLITE: [&str; 2] = [
    "CREATE TABLE effects (source TEXT, event_id TEXT, n INTEGER NOT NULL, PRIMARY KEY (source, event_id))",
    "CREATE TRIGGER effects AFTER INSERT ON ledger BEGIN INSERT INTO effects VALUES (NEW.source, NEW.event_id, 1) \
     ON CONFLICT (source, event_id) DO UPDATE SET n = n + 1; END",
];

/// A connection of the application's.
pub(super) enum Tables {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Tables {
    pub(super) async fn open(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let options = SqliteConnectOptions::new().filename(path);
            return Ok(Self::Sqlite(options.connect().await.context("the SQLite file")?));
        }
        Ok(Self::Postgres(PgConnection::connect(url).await.context("PostgreSQL")?))
    }

    /// The application's part of the tables that `rollcall migrate` made.
    pub(super) async fn furnish(&mut self) -> Result<()> {
        let statements: &[&str] = match self {
            Self::Postgres(_) => &EFFECTS_POSTGRES,
            Self::Sqlite(_) => &EFFECTS_SQLITE,
        };
        for sql in statements {
            match self {
                Self::Postgres(connection) => {
                    sqlx::query(*sql).execute(connection).await?;
                }
                Self::Sqlite(connection) => {
                    sqlx::query(*sql).execute(connection).await?;
                }
            }
        }
        Ok(())
    }

    /// Every row of these columns. In `columns` and `from`, `@` stands before a table of Rollcall's, and a column in angle
    /// brackets is a time, which comes as text in UTC with six decimals; truth values come as 0 and 1.
    pub(super) async fn each<T: DeserializeOwned>(
        &mut self,
        columns: &str,
        from: &str,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let (open, close, schema, array) = match self {
            Self::Postgres(_) => (
                "to_char(",
                " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
                "rollcall.",
                "json_build_array",
            ),
            Self::Sqlite(_) => ("", "", "", "json_array"),
        };
        let columns = columns.replace('<', open).replace('>', close);
        let sql = format!("SELECT CAST({array}({columns}) AS text) FROM {from}").replace('@', schema);
        let context = || format!("reading {from}");
        let mut rows = match self {
            Self::Postgres(connection) => sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch(connection),
            Self::Sqlite(connection) => sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch(connection),
        };
        while let Some(row) = rows.try_next().await.with_context(context)? {
            take(serde_json::from_str(&row).with_context(context)?);
        }
        Ok(())
    }

    /// How many rows there are.
    pub(super) async fn count(&mut self, from: &str) -> Result<u64> {
        let mut found = 0;
        self.each("count(*)", from, |[count]: [u64; 1]| found = count).await?;
        Ok(found)
    }
}
