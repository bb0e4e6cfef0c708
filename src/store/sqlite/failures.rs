//! The small transactions of [`super::super::failures`].

use std::sync::Arc;

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor as _, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::super::failures::{Claimed, Duties, PROBE, Parked, Suspicion, Waiting};
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
            attempts, judged, next_at) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, \
            unhex(value ->> 5), value ->> 6, value ->> 7, value ->> 8, value ->> 9 FROM json_each(?1) WHERE true \
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
        until: OffsetDateTime,
        kind: Option<&str>,
    ) -> Result<Option<Claimed>, StoreError> {
        // With a type: what was judged of it, however long it still has to wait. Without: what is due and not held.
        let which = match kind {
            Some(_) => "r.type = ?3 AND r.judged > 0 AND ?1 IS NOT NULL",
            None => {
                "r.next_at <= ?1 AND ?3 IS NULL AND (r.judged = 0 \
                 OR NOT EXISTS (SELECT 1 FROM @holds h WHERE h.type = r.type))"
            }
        };
        let sql = self.sql(&format!(
            "UPDATE @retries SET next_at = ?2, deaths = deaths + in_hand, in_hand = 1 \
             WHERE message_id = (SELECT r.message_id FROM @retries r WHERE {which} ORDER BY r.next_at LIMIT 1) \
             RETURNING message_id, stream, stream_sequence, published_nanos, message, payload, type, attempts, next_at, \
             deaths"
        ));
        let row = sqlx::query(sql)
            .bind(columns::time_text(now)?)
            .bind(columns::time_text(until)?)
            .bind(kind)
            .fetch_optional(&mut *self.inner)
            .await?;
        row.as_ref().map(claimed).transpose()
    }

    pub(in super::super) async fn failed_again(&mut self, event: &Parked) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET attempts = ?2, judged = ?3, next_at = ?4, in_hand = 0 \
             WHERE message_id = ?1 AND judged = ?3 - 1",
        );
        sqlx::query(sql)
            .bind(&event.message_id)
            .bind(columns::json(&event.attempts)?)
            .bind(event.attempts.len() as i64)
            .bind(columns::time_text(event.next_at)?)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn give_back(
        &mut self,
        message_id: &str,
        next_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let sql = self.sql("UPDATE @retries SET next_at = ?2, in_hand = 0 WHERE message_id = ?1");
        sqlx::query(sql)
            .bind(message_id)
            .bind(columns::time_text(next_at)?)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn take_up(&mut self, message_id: &str) -> Result<(), StoreError> {
        let sql = self.sql("UPDATE @retries SET in_hand = 1 WHERE message_id = ?1");
        sqlx::query(sql).bind(message_id).execute(&mut *self.inner).await?;
        Ok(())
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
        let sql = self.sql(
            "SELECT count(*), count(h.type) FROM @retries r LEFT JOIN @holds h ON h.type = r.type AND r.judged > 0",
        );
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
             EXISTS (SELECT 1 FROM @retries r WHERE r.next_at <= ?1 AND (r.judged = 0 \
             OR NOT EXISTS (SELECT 1 FROM @holds h WHERE h.type = r.type)))",
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
        let sql = self.sql("UPDATE @retries SET next_at = ?2 WHERE type = ?1 AND next_at > ?2 AND in_hand = 0");
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

fn claimed(row: &SqliteRow) -> Result<Claimed, StoreError> {
    let (sequence, nanos, deaths): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(9)?);
    let (subject, headers) = columns::message_of(row.try_get(4)?)?;
    let next_at: String = row.try_get(8)?;
    Ok(Claimed {
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
    })
}
