//! One database under test and events made for it: the words the tests of the store, the worker and the commands share.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::apply::{Applier, Arrival, Givens, Settled};
use rollcall::clock::new_row_id;
use rollcall::config::Config;
use rollcall::dead_letters::Undertaker;
use rollcall::domain::Policy;
use rollcall::envelope::{Incoming, Intake, decode};
use rollcall::store::{Backend, Store, StoreError, StoreSettings};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::postgres::Postgres;

/// Runs each case on both databases; names in the output say which.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> {
                super::$case($crate::world::Base::fresh($crate::world::Which::Sqlite).await?).await
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> {
                super::$case($crate::world::Base::fresh($crate::world::Which::Postgres).await?).await
            })+
        }
    };
}
pub(crate) use on_both;

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

    /// Runs SQL past the code under test; `@name` stands for one of our tables. Returns the rows affected.
    pub async fn execute(&self, sql: &str) -> Result<u64> {
        let sql = AssertSqlSafe(self.named(sql));
        Ok(match self.which {
            Which::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(&self.url).await?;
                sqlx::query(sql).execute(&mut connection).await?.rows_affected()
            }
            Which::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&self.url).await?;
                sqlx::query(sql).execute(&mut connection).await?.rows_affected()
            }
        })
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

const OURS: [&str; 9] = [
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
const TIMES: [&str; 7] = [
    "created_at",
    "updated_at",
    "deleted_at",
    "applied_at",
    "time",
    "published_at",
    "resolved_at",
];
const TRUTHS: [&str; 4] = ["is_active", "late", "states_time", "backfill"];
const JSON: [&str; 3] = ["attributes", "degraded", "effects"];

/// The columns of `profiles` that every fold must agree on.
pub const PROFILE: [&str; 20] = [
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
    "attributes",
    "degraded",
    "created_via",
    "created_at",
    "updated_at",
    "version",
    "deleted_at",
];
/// The columns of `customers` that every fold must agree on.
pub const CUSTOMER: [&str; 7] = [
    "user_id",
    "organization_id",
    "name",
    "email",
    "created_at",
    "updated_at",
    "deleted_at",
];
/// The columns of `ledger` that every fold must agree on.
pub const LEDGER: [&str; 9] = [
    "user_id", "source", "event_id", "type", "time", "outcome", "reason", "data", "effects",
];

/// All public tables without what differs from run to run: surrogate ids and times of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    pub profiles: Vec<String>,
    pub customers: Vec<String>,
    pub links: Vec<String>,
    pub ledger: Vec<String>,
    pub keys: Vec<String>,
}

impl Tables {
    /// As they are now.
    pub async fn read(base: &Base) -> Result<Self> {
        let links = "@profiles p JOIN @customers c ON c.customer_id = p.customer_id OR c.profile_id = p.profile_id";
        let direction = "CASE WHEN c.customer_id = p.customer_id THEN 'both' ELSE 'back' END";
        let linked = [
            "p.user_id",
            "p.profile_type",
            "c.user_id",
            "c.organization_id",
            direction,
        ];
        Ok(Self {
            profiles: base.lines(&PROFILE, "@profiles").await?,
            customers: base.lines(&CUSTOMER, "@customers").await?,
            links: base.lines(&linked, links).await?,
            ledger: base.lines(&LEDGER, "@ledger").await?,
            keys: base.lines(&["k.key", "k.holder", "p.key"], HOLDERS).await?,
        })
    }
}

impl Tables {
    /// Fails with the lines that are only here (-) or only there (+).
    pub fn assert_same(&self, expected: &Self, context: &str) {
        let mut lines = Vec::new();
        for (found, wanted) in [
            (&self.profiles, &expected.profiles),
            (&self.customers, &expected.customers),
            (&self.links, &expected.links),
            (&self.ledger, &expected.ledger),
            (&self.keys, &expected.keys),
        ] {
            lines.extend(
                wanted
                    .iter()
                    .filter(|line| !found.contains(line))
                    .map(|line| format!("- {line}")),
            );
            lines.extend(
                found
                    .iter()
                    .filter(|line| !wanted.contains(line))
                    .map(|line| format!("+ {line}")),
            );
        }
        assert!(lines.is_empty() && self == expected, "{context}:\n{}", lines.join("\n"));
    }
}

/// Keys with the current key of the person they stand for.
const HOLDERS: &str = "@keys k LEFT JOIN @keys p ON p.person = k.person AND p.holder = 1";

/// A message as the broker would deliver it.
#[derive(Debug, Clone)]
pub struct Message {
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
    pub sequence: u64,
    pub published: OffsetDateTime,
}

/// When the tests play: 2026-03-01T00:00:00Z.
pub fn epoch() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_772_323_200).expect("a time")
}

/// A structured event that happened so many minutes after [`epoch`], from source `idp`.
pub fn cloud_event(kind: &str, id: &str, minute: i64, data: &Value) -> Value {
    let time = (epoch() + time::Duration::minutes(minute))
        .format(&Rfc3339)
        .expect("a time");
    json!({
        "specversion": "1.0", "type": format!("user.{kind}"), "source": "idp", "id": id, "time": time, "data": data,
    })
}

/// Messages in the order in which they arrive, numbered as a stream would.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    pub messages: Vec<Message>,
}

impl Stream {
    pub fn new() -> Self {
        Self::default()
    }

    /// One more event: type without `user.`, id, minute, data.
    pub fn say(&mut self, kind: &str, id: &str, minute: i64, data: Value) -> &mut Self {
        self.event(&cloud_event(kind, id, minute, &data))
    }

    /// One more structured event.
    pub fn event(&mut self, event: &Value) -> &mut Self {
        let subject = event["type"].as_str().unwrap_or("user.unknown").to_owned();
        let headers = vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
        self.message(&subject, headers, event.to_string().as_bytes())
    }

    /// One more message of any form.
    pub fn message(&mut self, subject: &str, headers: Vec<(String, String)>, payload: &[u8]) -> &mut Self {
        let sequence = self.messages.len() as u64 + 1;
        // A year later: no event of the tests lies in the future.
        let published = epoch() + time::Duration::days(365) + time::Duration::seconds(sequence as i64);
        let (subject, payload) = (subject.to_owned(), payload.to_owned());
        self.messages.push(Message {
            subject,
            headers,
            payload,
            sequence,
            published,
        });
        self
    }
}

impl Message {
    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            subject: &self.subject,
            headers: &self.headers,
            payload: &self.payload,
            stream: "USERS",
            sequence: self.sequence,
            published: self.published,
        }
    }
}

/// Applies messages as one batch.
pub async fn apply(applier: &Applier, messages: &[Message]) -> Result<Vec<Settled>, StoreError> {
    let intake = Intake {
        max_future: Duration::from_mins(5),
        ..Intake::default()
    };
    let arrivals: Vec<Arrival<'_>> = messages
        .iter()
        .map(|message| Arrival {
            message: message.incoming(),
            decoded: decode(&message.incoming(), &intake),
        })
        .collect();
    let now = epoch() + time::Duration::days(366);
    applier
        .apply(
            &arrivals,
            Givens {
                now,
                mint: &mut new_row_id,
            },
        )
        .await
}

/// Applies all messages of a stream in batches of at most `size`; the outcomes in order.
pub async fn apply_cut(applier: &Applier, stream: &Stream, size: usize) -> Result<Vec<Settled>> {
    let mut settled = Vec::new();
    for batch in stream.messages.chunks(size.max(1)) {
        settled.extend(apply(applier, batch).await?);
    }
    Ok(settled)
}

/// Outcomes as words: `applied`, `ignored after_deletion`, `dead id_conflict` …
pub fn said(settled: &[Settled]) -> Vec<String> {
    settled
        .iter()
        .map(|settled| {
            let (outcome, reason) = match settled {
                Settled::Applied(reason) => ("applied", *reason),
                Settled::Duplicate => ("duplicate", None),
                Settled::Ignored(reason) => ("ignored", Some(*reason)),
                Settled::Rejected(reason) => ("rejected", Some(*reason)),
                Settled::Dead(reason) => ("dead", Some(*reason)),
            };
            reason.map_or_else(|| outcome.to_owned(), |reason| format!("{outcome} {}", reason.name()))
        })
        .collect()
}
