//! What a batch reads.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{Known, LedgerRow, OutboxRow, Queue, StoreError, columns};
use super::{Postgres, Tx, named};
use crate::domain::{KeyRow, Person, Policy, Position};

const KEYS: &str = "SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM unnest($1::text[]) AS r (root) JOIN @keys k ON k.key = r.root \
    UNION ALL \
    SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM unnest($1::text[]) AS r (root) JOIN @keys k ON k.root = r.root AND k.root <> k.key";

const LOCKED_ROOTS: &str = "SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM unnest($1::text[]) WITH ORDINALITY AS u (root, n) JOIN @keys k ON k.key = u.root ORDER BY u.n FOR UPDATE OF k";

const MEMBERS: &str = "SELECT k.key, k.root, k.holder, k.person, k.state, k.newest, k.events \
    FROM unnest($1::text[]) AS r (root) JOIN @keys k ON k.root = r.root AND k.root <> k.key";

const HISTORY: &str = "SELECT l.source, l.event_id, l.user_id, l.key, l.new_key, l.type, l.sequence, l.position, \
    l.backfill, l.data::text, l.outcome, l.reason, l.effects::text, l.degraded::text, l.policy_id, l.late, l.subject, \
    l.stream_sequence, l.published_at, l.reduced, l.cascades::text, \
    l.inputs::text \
    FROM unnest($1::text[], $2::bytea[], $3::timestamptz[]) AS k (key, after, since) \
    JOIN @ledger l ON l.key = k.key AND l.time >= k.since AND l.position > k.after";

impl Tx<'_> {
    /// Locking in sorted order makes workers wait for each other and never in a circle. Keys that are not there yet are
    /// inserted with what becomes of them, after all locks are had and in order as well: of two workers who do, the
    /// second waits for the first, inserts nothing and tries its batch again.
    pub(in super::super) async fn lock(&mut self, keys: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        let sql = self.sql("SELECT k.key, k.root FROM unnest($1::text[]) AS u (key) JOIN @keys k ON k.key = u.key");
        let stored: Vec<(String, String)> = sqlx::query_as(sql).bind(keys).fetch_all(&mut *self.inner).await?;
        let (there, roots): (BTreeSet<String>, BTreeSet<String>) = stored.into_iter().unzip();
        self.new_keys = keys.iter().filter(|key| !there.contains(*key)).cloned().collect();
        let mut rows: Vec<KeyRow> = self.new_keys.iter().cloned().map(KeyRow::unknown).collect();
        if roots.is_empty() {
            return Ok(rows);
        }
        let roots: Vec<String> = roots.into_iter().collect();
        for sql in [LOCKED_ROOTS, MEMBERS] {
            let sql = self.sql(sql);
            let found = sqlx::query(sql).bind(&roots).fetch_all(&mut *self.inner).await?;
            let found: Vec<KeyRow> = found.iter().map(key_row).collect::<Result<_, _>>()?;
            rows.extend(found);
        }
        // Whoever held these locks before may have united the components with others.
        let found: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let moved = rows.iter().any(|row| !found.contains(row.root.as_str()));
        if moved || keys.iter().any(|key| !found.contains(key.as_str())) {
            return Err(StoreError::Moved);
        }
        Ok(rows)
    }

    pub(in super::super) async fn known(&mut self, identities: &[(&str, &str)]) -> Result<Vec<Known>, StoreError> {
        let (sources, ids): (Vec<&str>, Vec<&str>) = identities.iter().copied().unzip();
        let sql = self.sql(
            "SELECT l.source, l.event_id, l.content, l.position, l.outcome, l.key, l.new_key FROM unnest($1::text[], $2::text[]) AS u (source, id) \
             JOIN @ledger l ON l.source = u.source AND l.event_id = u.id",
        );
        let rows = sqlx::query(sql)
            .bind(&sources)
            .bind(&ids)
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
        history(&mut self.inner, &self.names, keys).await
    }

    pub(in super::super) async fn policies(&mut self, ids: &[i64]) -> Result<BTreeMap<i64, Policy>, StoreError> {
        let sql = self.sql(super::POLICIES);
        let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *self.inner).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, columns::policy_of(row.try_get(1)?)?)))
            .collect()
    }

    pub(in super::super) async fn departed(&mut self, keys: &[&str]) -> Result<Vec<Person>, StoreError> {
        let sql = self.sql("SELECT d.state FROM unnest($1::text[]) AS k (key) JOIN @departed d ON d.key = k.key");
        let rows: Vec<String> = sqlx::query_scalar(sql).bind(keys).fetch_all(&mut *self.inner).await?;
        rows.iter().map(|state| columns::person_of(state)).collect()
    }
}

impl Postgres {
    pub(in super::super) async fn component(&self, key: &str) -> Result<(Vec<KeyRow>, Vec<LedgerRow>), StoreError> {
        let mut tx = self.pool.begin().await?;
        // One snapshot for both statements, or a rename between them would show half of itself.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *tx)
            .await?;
        let root: Option<String> = sqlx::query_scalar(self.sql("SELECT root FROM @keys WHERE key = $1"))
            .bind(key)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(root) = root else {
            return Ok((Vec::new(), Vec::new()));
        };
        let rows = sqlx::query(self.sql(KEYS)).bind(vec![root]).fetch_all(&mut *tx).await?;
        let keys: Vec<KeyRow> = rows.iter().map(key_row).collect::<Result<_, _>>()?;
        let names: Vec<(&str, Option<&Position>)> = keys.iter().map(|row| (row.key.as_str(), None)).collect();
        let entries = history(&mut tx, &self.names, &names).await?;
        tx.commit().await?;
        Ok((keys, entries))
    }

    pub(in super::super) async fn outbox(&self, queue: Queue, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = self.sql(&format!(
            "SELECT outbox_id, message_id, subject, headers, payload FROM {} ORDER BY outbox_id LIMIT $1",
            queue.table()
        ));
        let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&self.pool).await?;
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
        let sql = self.sql(&format!("DELETE FROM {} WHERE outbox_id = ANY($1)", queue.table()));
        sqlx::query(sql).bind(outbox_ids).execute(&self.pool).await?;
        Ok(())
    }

    pub(in super::super) async fn resolved(&self, message_ids: &[String]) -> Result<Vec<String>, StoreError> {
        let sql = self.sql(
            "SELECT d.message_id FROM unnest($1::text[]) AS u (id) JOIN @dead_letters d ON d.message_id = u.id \
             WHERE d.resolved_at IS NOT NULL",
        );
        Ok(sqlx::query_scalar(sql).bind(message_ids).fetch_all(&self.pool).await?)
    }
}

async fn history(
    connection: &mut PgConnection,
    names: &str,
    keys: &[(&str, Option<&Position>)],
) -> Result<Vec<LedgerRow>, StoreError> {
    let (names_of_keys, after): (Vec<&str>, Vec<&[u8]>) = keys
        .iter()
        .map(|(key, after)| (*key, after.map_or(&[][..], Position::as_bytes)))
        .unzip();
    let since = keys
        .iter()
        .map(|(_, after)| columns::since(*after))
        .collect::<Result<Vec<OffsetDateTime>, _>>()?;
    let rows = sqlx::query(named(HISTORY, names))
        .bind(names_of_keys)
        .bind(after)
        .bind(since)
        .fetch_all(connection)
        .await?;
    rows.iter().map(ledger_row).collect()
}

fn key_row(row: &PgRow) -> Result<KeyRow, StoreError> {
    let holder: i16 = row.try_get(2)?;
    let person: Option<Uuid> = row.try_get(3)?;
    let state: Option<String> = row.try_get(4)?;
    let newest: Option<Vec<u8>> = row.try_get(5)?;
    let events: i64 = row.try_get(6)?;
    Ok(KeyRow {
        key: row.try_get(0)?,
        root: row.try_get(1)?,
        holder: columns::holder_of(i64::from(holder), person, state.as_deref())?,
        newest: newest.map(Position::from_bytes),
        events: events as u64,
    })
}

fn ledger_row(row: &PgRow) -> Result<LedgerRow, StoreError> {
    let published: OffsetDateTime = row.try_get(18)?;
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
        published,
    })
}
