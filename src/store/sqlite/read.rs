//! What a batch reads.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::super::{Known, LedgerRow, OutboxRow, Queue, StoreError, columns};
use super::{Sqlite, Tx, named};
use crate::domain::{KeyRow, Person, Policy, Position, hex};

const KEYS: &str = "SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM json_each(?1) AS r CROSS JOIN @keys k ON k.key = r.value \
    UNION ALL \
    SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM json_each(?1) AS r CROSS JOIN @keys k ON k.root = r.value AND k.root <> k.key";

// Materialized, or the JSON would be read anew for every row of the ledger.
const HISTORY: &str = "WITH k AS MATERIALIZED (SELECT value ->> 0 AS key, value ->> 1 AS since, \
    unhex(value ->> 2) AS after FROM json_each(?1)) \
    SELECT l.source, l.event_id, l.user_id, l.key, l.new_key, l.type, l.sequence, l.position, \
    l.backfill, l.data, l.outcome, l.reason, l.effects, l.degraded, l.policy_id, l.late, l.subject, \
    l.stream_sequence, l.published_at, l.reduced, l.cascades, l.inputs FROM k CROSS JOIN @ledger l \
    ON l.key = k.key AND l.time >= k.since AND l.position > k.after";

impl Tx<'_> {
    /// The transaction is the only writer already. Keys that are not there yet are inserted with what becomes of them.
    pub(in super::super) async fn lock(&mut self, keys: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        let sql = self.sql("SELECT k.key, k.root FROM json_each(?1) AS u CROSS JOIN @keys k ON k.key = u.value");
        let stored: Vec<(String, String)> = sqlx::query_as(sql)
            .bind(columns::json(&keys)?)
            .fetch_all(&mut *self.inner)
            .await?;
        let (there, roots): (BTreeSet<String>, BTreeSet<String>) = stored.into_iter().unzip();
        let new = keys.iter().filter(|key| !there.contains(*key));
        let mut rows: Vec<KeyRow> = new.cloned().map(KeyRow::unknown).collect();
        if roots.is_empty() {
            return Ok(rows);
        }
        let sql = self.sql(KEYS);
        let found = sqlx::query(sql)
            .bind(columns::json(&roots)?)
            .fetch_all(&mut *self.inner)
            .await?;
        for row in &found {
            rows.push(key_row(row)?);
        }
        Ok(rows)
    }

    pub(in super::super) async fn known(&mut self, identities: &[(&str, &str)]) -> Result<Vec<Known>, StoreError> {
        let sql = self.sql(
            "SELECT l.source, l.event_id, l.content, l.position, l.outcome, l.key, l.new_key FROM json_each(?1) AS u CROSS JOIN @ledger l \
             ON l.source = u.value ->> 0 AND l.event_id = u.value ->> 1",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&identities)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Known {
                    source: row.try_get(0)?,
                    event_id: row.try_get(1)?,
                    content: row.try_get(2)?,
                    position: Position::from_bytes(row.try_get(3)?),
                    outcome: columns::outcome_of(row.try_get(4)?)?,
                    key: row.try_get(5)?,
                    new_key: row.try_get(6)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn history(
        &mut self,
        keys: &[(&str, Option<&Position>)],
    ) -> Result<Vec<LedgerRow>, StoreError> {
        self.ask();
        history(&mut self.inner, &self.prefix, keys).await
    }

    pub(in super::super) async fn policies(&mut self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        let sql = self.sql(super::POLICIES);
        let rows = sqlx::query(sql)
            .bind(columns::json(&ids)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, columns::policy_of(row.try_get(1)?)?)))
            .collect()
    }

    pub(in super::super) async fn departed(&mut self, keys: &[&str]) -> Result<Vec<Person>, StoreError> {
        let sql = self.sql("SELECT d.state FROM json_each(?1) AS k CROSS JOIN @departed d ON d.key = k.value");
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .bind(columns::json(&keys)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter().map(|state| columns::person_of(state)).collect()
    }
}

impl Sqlite {
    pub(in super::super) async fn component(&self, key: &str) -> Result<(Vec<KeyRow>, Vec<LedgerRow>), StoreError> {
        // One snapshot for all statements, or a rename between them would show half of itself.
        let mut tx = self.readers.begin().await?;
        let root: Option<String> = sqlx::query_scalar(self.sql("SELECT root FROM @keys WHERE key = ?1"))
            .bind(key)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(root) = root else {
            return Ok((Vec::new(), Vec::new()));
        };
        let rows = sqlx::query(self.sql(KEYS))
            .bind(columns::json(&[root])?)
            .fetch_all(&mut *tx)
            .await?;
        let keys: Vec<KeyRow> = rows.iter().map(key_row).collect::<Result<_, _>>()?;
        let names: Vec<(&str, Option<&Position>)> = keys.iter().map(|row| (row.key.as_str(), None)).collect();
        let entries = history(&mut tx, &self.prefix, &names).await?;
        Ok((keys, entries))
    }

    pub(in super::super) async fn outbox(&self, queue: Queue, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = self.sql(&format!(
            "SELECT outbox_id, message_id, subject, headers, payload FROM {} ORDER BY outbox_id LIMIT ?1",
            queue.table()
        ));
        let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                Ok(OutboxRow {
                    outbox_id: row.try_get(0)?,
                    message_id: row.try_get(1)?,
                    subject: row.try_get(2)?,
                    headers: columns::headers_of(row.try_get(3)?)?,
                    payload: row.try_get(4)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn published(&self, queue: Queue, outbox_ids: &[i64]) -> Result<(), StoreError> {
        let sql = self.sql(&format!(
            "DELETE FROM {} WHERE outbox_id IN (SELECT value FROM json_each(?1))",
            queue.table()
        ));
        sqlx::query(sql)
            .bind(columns::json(&outbox_ids)?)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn resolved(&self, message_ids: &[String]) -> Result<Vec<String>, StoreError> {
        let sql = self.sql(
            "SELECT d.message_id FROM json_each(?1) AS u CROSS JOIN @dead_letters d ON d.message_id = u.value \
             WHERE d.resolved_at IS NOT NULL",
        );
        Ok(sqlx::query_scalar(sql)
            .bind(columns::json(&message_ids)?)
            .fetch_all(&self.readers)
            .await?)
    }
}

async fn history(
    connection: &mut SqliteConnection,
    prefix: &str,
    keys: &[(&str, Option<&Position>)],
) -> Result<Vec<LedgerRow>, StoreError> {
    let keys = keys
        .iter()
        .map(|(key, after)| {
            let since = columns::time_text(columns::since(*after)?)?;
            Ok((*key, since, hex(after.map_or(&[][..], Position::as_bytes))))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let rows = sqlx::query(named(HISTORY, prefix))
        .bind(columns::json(&keys)?)
        .fetch_all(connection)
        .await?;
    rows.iter().map(ledger_row).collect()
}

fn key_row(row: &SqliteRow) -> Result<KeyRow, StoreError> {
    let person: Option<String> = row.try_get(3)?;
    let person = person.map(|text| Uuid::parse_str(&text)).transpose();
    let state: Option<String> = row.try_get(4)?;
    let newest: Option<Vec<u8>> = row.try_get(5)?;
    let events: i64 = row.try_get(6)?;
    Ok(KeyRow {
        key: row.try_get(0)?,
        root: row.try_get(1)?,
        holder: columns::holder_of(
            row.try_get(2)?,
            person.map_err(|_| columns::unreadable("person", "its id is none"))?,
            state.as_deref(),
        )?,
        newest: newest.map(Position::from_bytes),
        events: events as u64,
    })
}

fn ledger_row(row: &SqliteRow) -> Result<LedgerRow, StoreError> {
    let published: String = row.try_get(18)?;
    Ok(LedgerRow {
        source: row.try_get(0)?,
        event_id: row.try_get(1)?,
        user_id: row.try_get(2)?,
        key: row.try_get(3)?,
        new_key: row.try_get(4)?,
        kind: columns::kind_of(row.try_get(5)?)?,
        sequence: row.try_get(6)?,
        position: Position::from_bytes(row.try_get(7)?),
        backfill: row.try_get(8)?,
        data: row.try_get(9)?,
        outcome: columns::outcome_of(row.try_get(10)?)?,
        reason: columns::reason_of(row.try_get(11)?)?,
        effects: row.try_get(12)?,
        degraded: row.try_get(13)?,
        policy_id: row.try_get(14)?,
        late: row.try_get(15)?,
        reduced: row.try_get(19)?,
        cascades: row.try_get(20)?,
        inputs: row.try_get(21)?,
        answered: None,
        anew: false,
        subject: row.try_get(16)?,
        stream_sequence: row.try_get(17)?,
        published: OffsetDateTime::parse(&published, &Rfc3339)
            .map_err(|_| columns::unreadable("time", "it is none"))?,
    })
}
