//! The small transactions of [`super::super::failures`].

use std::sync::Arc;

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::super::failures::{Claimed, Duties, Lease, PROBE, Parked, Suspicion, Waiting};
use super::super::{Letter, StoreError, columns};
use super::Tx;
use crate::domain::hex;

impl Tx<'_> {
    pub(in super::super) async fn probe(&mut self) -> Result<(), StoreError> {
        let sql = self.sql(PROBE);
        self.inner.execute(sqlx::raw_sql(sql)).await?;
        let cascades = Arc::clone(&self.cascades);
        for sql in cascades.probes() {
            self.ask();
            self.touch(sql).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn park(&mut self, events: &[Parked]) -> Result<(), StoreError> {
        let sql = "INSERT INTO @retries (message_id, stream, stream_sequence, published_nanos, message, payload, type, \
            attempts, judged, next_at, held) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, \
            unhex(value ->> 5), value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 8 > 0 AND \
            EXISTS (SELECT 1 FROM @holds h WHERE h.type = value ->> 6) FROM json_each(?1) WHERE true \
            ON CONFLICT (message_id) DO NOTHING";
        self.run(sql, events, |event| {
            Ok(json!([
                event.message_id,
                event.stream,
                event.sequence,
                columns::nanos(event.published),
                columns::message_text(event)?,
                hex(&event.payload),
                event.kind,
                columns::json(&event.attempts)?,
                event.attempts.len(),
                columns::time_text(event.next_at)?,
            ]))
        })
        .await
        .map(|_| ())
    }

    pub(in super::super) async fn claim(
        &mut self,
        now: OffsetDateTime,
        lease: Lease,
        kind: Option<&str>,
    ) -> Result<Option<Claimed>, StoreError> {
        // With a type: what is held of it, however long it still has to wait. Without: what is due and not held.
        let which = match kind {
            Some(_) => "r.held = 1 AND r.type = ?4 AND (r.in_hand = 0 OR r.next_at <= ?1)",
            None => "r.held = 0 AND r.next_at <= ?1 AND ?4 IS NULL",
        };
        // What somebody else has in hand is doubted: it is nobody's for a lease. Doubted it still was: that was a death.
        let sql = self.sql(&format!(
            "UPDATE @retries SET next_at = ?2, deaths = deaths + (in_hand AND life IS NULL), \
             life = CASE WHEN in_hand AND life <> ?3 THEN NULL ELSE ?3 END, in_hand = 1 \
             WHERE message_id = (SELECT r.message_id FROM @retries r WHERE {which} ORDER BY r.next_at LIMIT 1) \
             RETURNING message_id, stream, stream_sequence, published_nanos, message, payload, type, attempts, next_at, \
             deaths, life IS NOT NULL"
        ));
        let row = sqlx::query(sql)
            .bind(columns::time_text(now)?)
            .bind(columns::time_text(lease.until)?)
            .bind(lease.life.to_string())
            .bind(kind)
            .fetch_optional(&mut *self.inner)
            .await?;
        let claimed = row.as_ref().map(claimed).transpose()?;
        Ok(claimed.flatten())
    }

    pub(in super::super) async fn holds_back(&mut self, kind: &str) -> Result<bool, StoreError> {
        let sql = self.sql("SELECT EXISTS (SELECT 1 FROM @retries r WHERE r.held = 1 AND r.type = ?1)");
        Ok(sqlx::query_scalar(sql).bind(kind).fetch_one(&mut *self.inner).await?)
    }

    pub(in super::super) async fn renew(&mut self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET next_at = ?3, life = ?2 WHERE message_id = ?1 AND in_hand \
             AND (life IS NULL OR life = ?2)",
        );
        self.lease(sql, message_id, lease).await.map(drop)
    }

    pub(in super::super) async fn failed_again(&mut self, event: &Parked) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET attempts = ?2, judged = ?3, next_at = ?4, in_hand = 0, life = NULL, deaths = 0, \
             held = EXISTS (SELECT 1 FROM @holds h WHERE h.type = ?5) WHERE message_id = ?1 AND judged = ?3 - 1",
        );
        sqlx::query(sql)
            .bind(&event.message_id)
            .bind(columns::json(&event.attempts)?)
            .bind(event.attempts.len() as i64)
            .bind(columns::time_text(event.next_at)?)
            .bind(&event.kind)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn give_back(&mut self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET next_at = ?3, in_hand = 0, life = NULL WHERE message_id = ?1 \
             AND (life IS NULL OR life = ?2)",
        );
        self.lease(sql, message_id, lease).await.map(drop)
    }

    pub(in super::super) async fn take_up(&mut self, message_id: &str, lease: Lease) -> Result<bool, StoreError> {
        let sql =
            self.sql("UPDATE @retries SET next_at = ?3, in_hand = 1, life = ?2 WHERE message_id = ?1 AND in_hand = 0");
        Ok(self.lease(sql, message_id, lease).await? > 0)
    }

    async fn lease(&mut self, sql: AssertSqlSafe<String>, id: &str, lease: Lease) -> Result<u64, StoreError> {
        let query = sqlx::query(sql).bind(id).bind(lease.life.to_string());
        let query = query.bind(columns::time_text(lease.until)?);
        Ok(query.execute(&mut *self.inner).await?.rows_affected())
    }

    pub(in super::super) async fn conclude(
        &mut self,
        message_id: &str,
        letter: Option<&Letter>,
    ) -> Result<(), StoreError> {
        if let Some(letter) = letter {
            self.save_letters(std::slice::from_ref(letter)).await?;
        }
        for sql in [
            "DELETE FROM @suspects WHERE message_id = ?1",
            "DELETE FROM @retries WHERE message_id = ?1",
        ] {
            let sql = self.sql(sql);
            sqlx::query(sql).bind(message_id).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn waiting(&mut self) -> Result<Waiting, StoreError> {
        let sql = self.sql("SELECT count(*), count(*) FILTER (WHERE r.held = 1) FROM @retries r");
        let row = sqlx::query(sql).fetch_one(&mut *self.inner).await?;
        let (all, held): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Waiting {
            tries: (all - held) as u64,
            held: held as u64,
        })
    }

    pub(in super::super) async fn parked_sequences(
        &mut self,
        stream: &str,
        first: i64,
        last: i64,
    ) -> Result<Vec<u64>, StoreError> {
        let sql = self.sql(
            "SELECT stream_sequence FROM @retries WHERE stream = ?1 AND stream_sequence BETWEEN ?2 AND ?3 \
             ORDER BY stream_sequence",
        );
        let found: Vec<i64> = sqlx::query_scalar(sql)
            .bind(stream)
            .bind(first)
            .bind(last)
            .fetch_all(&mut *self.inner)
            .await?;
        Ok(found.into_iter().map(|sequence| sequence as u64).collect())
    }

    pub(in super::super) async fn duties(&mut self, now: OffsetDateTime) -> Result<Duties, StoreError> {
        let sql = self.sql("SELECT type FROM @holds ORDER BY type");
        let holds = sqlx::query_scalar(sql).fetch_all(&mut *self.inner).await?;
        let sql = self.sql(
            "SELECT EXISTS (SELECT 1 FROM @holds h WHERE h.probe_at <= ?1), \
             EXISTS (SELECT 1 FROM @retries r WHERE r.held = 0 AND r.next_at <= ?1)",
        );
        let row = sqlx::query(sql)
            .bind(columns::time_text(now)?)
            .fetch_one(&mut *self.inner)
            .await?;
        Ok(Duties {
            holds,
            probe: row.try_get(0)?,
            retry: row.try_get(1)?,
        })
    }

    pub(in super::super) async fn hold(&mut self, kind: &str, probe_at: OffsetDateTime) -> Result<(), StoreError> {
        let sql = self.sql("INSERT INTO @holds (type, probe_at) VALUES (?1, ?2) ON CONFLICT (type) DO NOTHING");
        sqlx::query(sql)
            .bind(kind)
            .bind(columns::time_text(probe_at)?)
            .execute(&mut *self.inner)
            .await?;
        let sql = self.sql("UPDATE @retries SET held = 1 WHERE type = ?1 AND judged > 0 AND held = 0");
        sqlx::query(sql).bind(kind).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn claim_hold(
        &mut self,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<Option<String>, StoreError> {
        let sql = self.sql(
            "UPDATE @holds SET probe_at = ?2 WHERE type = (SELECT h.type FROM @holds h WHERE h.probe_at <= ?1 \
             ORDER BY h.probe_at LIMIT 1) RETURNING type",
        );
        Ok(sqlx::query_scalar(sql)
            .bind(columns::time_text(now)?)
            .bind(columns::time_text(next)?)
            .fetch_optional(&mut *self.inner)
            .await?)
    }

    pub(in super::super) async fn free(&mut self, kind: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        let sql = self.sql("DELETE FROM @holds WHERE type = ?1");
        sqlx::query(sql).bind(kind).execute(&mut *self.inner).await?;
        let sql = self.sql(
            "UPDATE @retries SET held = 0, next_at = CASE WHEN in_hand THEN next_at ELSE min(next_at, ?2) END \
             WHERE type = ?1 AND (held = 1 OR (next_at > ?2 AND in_hand = 0))",
        );
        sqlx::query(sql)
            .bind(kind)
            .bind(columns::time_text(now)?)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn suspicions(&mut self, ids: &[String]) -> Result<Vec<Suspicion>, StoreError> {
        let sql = self.sql(
            "SELECT s.message_id, s.life, s.company, s.deaths FROM json_each(?1) AS u CROSS JOIN @suspects s \
             ON s.message_id = u.value",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&ids)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                let life: String = row.try_get(1)?;
                let (company, deaths): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
                Ok(Suspicion {
                    message_id: row.try_get(0)?,
                    life: Uuid::parse_str(&life).map_err(|_| columns::unreadable("life", "not an id"))?,
                    company: company as u32,
                    deaths: deaths as u32,
                })
            })
            .collect()
    }

    pub(in super::super) async fn suspect(&mut self, notes: &[Suspicion]) -> Result<(), StoreError> {
        let sql = "INSERT INTO @suspects (message_id, life, company, deaths) \
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true \
            ON CONFLICT (message_id) DO UPDATE SET life = excluded.life, company = excluded.company, \
            deaths = excluded.deaths";
        self.run(sql, notes, |note| {
            Ok(json!([note.message_id, note.life, note.company, note.deaths]))
        })
        .await
        .map(|_| ())
    }

    pub(in super::super) async fn acquit(&mut self, ids: &[String]) -> Result<(), StoreError> {
        let sql = "DELETE FROM @suspects WHERE message_id IN (SELECT value FROM json_each(?1))";
        self.run(sql, ids, |id| Ok(json!(id))).await.map(|_| ())
    }
}

/// What was claimed; nothing where it is only doubted.
fn claimed(row: &SqliteRow) -> Result<Option<Claimed>, StoreError> {
    if !row.try_get::<bool, _>(10)? {
        return Ok(None);
    }
    let (sequence, nanos, deaths): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(9)?);
    let (subject, headers) = columns::message_of(row.try_get(4)?)?;
    let next_at: String = row.try_get(8)?;
    Ok(Some(Claimed {
        parked: Parked {
            message_id: row.try_get(0)?,
            stream: row.try_get(1)?,
            sequence: sequence as u64,
            published: columns::from_nanos(nanos)?,
            subject,
            headers,
            payload: row.try_get(5)?,
            kind: row.try_get(6)?,
            attempts: columns::attempts_of(row.try_get(7)?)?,
            next_at: OffsetDateTime::parse(&next_at, &Rfc3339)
                .map_err(|_| columns::unreadable("time", "not a time"))?,
        },
        deaths: deaths as u32,
    }))
}
