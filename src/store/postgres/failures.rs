//! The small transactions of [`super::super::failures`].

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use time::OffsetDateTime;

use super::super::failures::{Claimed, Duties, Lease, PROBE, Parked, Suspicion, Waiting};
use super::super::{Letter, StoreError, columns};
use super::Tx;

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
        let messages: Vec<String> = events.iter().map(columns::message_text).collect::<Result<_, _>>()?;
        let attempts: Vec<String> = events
            .iter()
            .map(|event| columns::json(&event.attempts))
            .collect::<Result<_, _>>()?;
        let sql = self.sql(
            "WITH h AS (SELECT type FROM @holds FOR KEY SHARE) \
             INSERT INTO @retries (message_id, stream, stream_sequence, published_nanos, message, payload, type, \
             attempts, judged, next_at, held) \
             SELECT u.*, u.judged > 0 AND EXISTS (SELECT 1 FROM h WHERE h.type = u.type) \
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], \
             $7::text[], $8::text[], $9::int[], $10::timestamptz[]) AS u (message_id, stream, stream_sequence, \
             published_nanos, message, payload, type, attempts, judged, next_at) ON CONFLICT (message_id) DO NOTHING",
        );
        sqlx::query(sql)
            .bind(events.iter().map(|event| event.message_id.as_str()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.stream.as_str()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.sequence as i64).collect::<Vec<_>>())
            .bind(
                events
                    .iter()
                    .map(|event| columns::nanos(event.published))
                    .collect::<Vec<_>>(),
            )
            .bind(messages)
            .bind(events.iter().map(|event| event.payload.as_slice()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
            .bind(attempts)
            .bind(
                events
                    .iter()
                    .map(|event| event.attempts.len() as i32)
                    .collect::<Vec<_>>(),
            )
            .bind(events.iter().map(|event| event.next_at).collect::<Vec<_>>())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn claim(
        &mut self,
        now: OffsetDateTime,
        lease: Lease,
        kind: Option<&str>,
    ) -> Result<Option<Claimed>, StoreError> {
        // With a type: what is held of it, however long it still has to wait. Without: what is due and not held.
        let which = match kind {
            Some(_) => "r.held AND r.type = $4 AND (NOT r.in_hand OR r.next_at <= $1)",
            None => "NOT r.held AND r.next_at <= $1 AND $4::text IS NULL",
        };
        // What somebody else has in hand is doubted: it is nobody's for a lease. Doubted it still was: that was a death.
        let sql = self.sql(&format!(
            "UPDATE @retries t SET next_at = $2, deaths = t.deaths + (t.in_hand AND t.life IS NULL)::int, \
             life = CASE WHEN t.in_hand AND t.life <> $3 THEN NULL ELSE $3 END, in_hand = true \
             FROM (SELECT r.message_id FROM @retries r WHERE {which} ORDER BY r.next_at LIMIT 1 \
             FOR UPDATE OF r SKIP LOCKED) c WHERE t.message_id = c.message_id \
             RETURNING t.message_id, t.stream, t.stream_sequence, t.published_nanos, t.message, t.payload, t.type, \
             t.attempts, t.next_at, t.deaths, t.life IS NOT NULL"
        ));
        let row = sqlx::query(sql)
            .bind(now)
            .bind(lease.until)
            .bind(lease.life)
            .bind(kind)
            .fetch_optional(&mut *self.inner)
            .await?;
        let claimed = row.as_ref().map(claimed).transpose()?;
        Ok(claimed.flatten())
    }

    pub(in super::super) async fn holds_back(&mut self, kind: &str) -> Result<bool, StoreError> {
        let sql = self.sql("SELECT EXISTS (SELECT 1 FROM @retries r WHERE r.held AND r.type = $1)");
        Ok(sqlx::query_scalar(sql).bind(kind).fetch_one(&mut *self.inner).await?)
    }

    pub(in super::super) async fn renew(&mut self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET next_at = $3, life = $2 WHERE message_id = $1 AND in_hand \
             AND (life IS NULL OR life = $2)",
        );
        self.lease(sql, message_id, lease).await.map(drop)
    }

    pub(in super::super) async fn failed_again(&mut self, event: &Parked) -> Result<(), StoreError> {
        let judged = event.attempts.len() as i32;
        let sql = self.sql(
            "WITH h AS (SELECT type FROM @holds WHERE type = $5 FOR KEY SHARE) \
             UPDATE @retries SET attempts = $2, judged = $3, next_at = $4, in_hand = false, life = NULL, deaths = 0, \
             held = EXISTS (SELECT 1 FROM h) WHERE message_id = $1 AND judged = $3 - 1",
        );
        sqlx::query(sql)
            .bind(&event.message_id)
            .bind(columns::json(&event.attempts)?)
            .bind(judged)
            .bind(event.next_at)
            .bind(&event.kind)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn give_back(&mut self, message_id: &str, lease: Lease) -> Result<(), StoreError> {
        let sql = self.sql(
            "UPDATE @retries SET next_at = $3, in_hand = false, life = NULL WHERE message_id = $1 \
             AND (life IS NULL OR life = $2)",
        );
        self.lease(sql, message_id, lease).await.map(drop)
    }

    pub(in super::super) async fn take_up(&mut self, message_id: &str, lease: Lease) -> Result<bool, StoreError> {
        let sql = self
            .sql("UPDATE @retries SET next_at = $3, in_hand = true, life = $2 WHERE message_id = $1 AND NOT in_hand");
        Ok(self.lease(sql, message_id, lease).await? > 0)
    }

    async fn lease(&mut self, sql: AssertSqlSafe<String>, id: &str, lease: Lease) -> Result<u64, StoreError> {
        let query = sqlx::query(sql).bind(id).bind(lease.life).bind(lease.until);
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
            "DELETE FROM @suspects WHERE message_id = $1",
            "DELETE FROM @retries WHERE message_id = $1",
        ] {
            let sql = self.sql(sql);
            sqlx::query(sql).bind(message_id).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn waiting(&mut self) -> Result<Waiting, StoreError> {
        let sql = self.sql("SELECT count(*), count(*) FILTER (WHERE r.held) FROM @retries r");
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
            "SELECT stream_sequence FROM @retries WHERE stream = $1 AND stream_sequence BETWEEN $2 AND $3 \
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
            "SELECT EXISTS (SELECT 1 FROM @holds h WHERE h.probe_at <= $1), \
             EXISTS (SELECT 1 FROM @retries r WHERE NOT r.held AND r.next_at <= $1)",
        );
        let row = sqlx::query(sql).bind(now).fetch_one(&mut *self.inner).await?;
        Ok(Duties {
            holds,
            probe: row.try_get(0)?,
            retry: row.try_get(1)?,
        })
    }

    pub(in super::super) async fn hold(&mut self, kind: &str, probe_at: OffsetDateTime) -> Result<(), StoreError> {
        let sql = self.sql("INSERT INTO @holds (type, probe_at) VALUES ($1, $2) ON CONFLICT (type) DO NOTHING");
        sqlx::query(sql)
            .bind(kind)
            .bind(probe_at)
            .execute(&mut *self.inner)
            .await?;
        // Whoever parks an event of it just now has looked for the hold before it was there: what they write has to be seen
        // by the next statement, or it would be tried without end and held by nobody.
        let sql = self.sql("LOCK TABLE @retries IN SHARE ROW EXCLUSIVE MODE");
        sqlx::query(sql).execute(&mut *self.inner).await?;
        let sql = self.sql("UPDATE @retries SET held = true WHERE type = $1 AND judged > 0 AND NOT held");
        sqlx::query(sql).bind(kind).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn claim_hold(
        &mut self,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<Option<String>, StoreError> {
        let sql = self.sql(
            "UPDATE @holds t SET probe_at = $2 FROM (SELECT h.type FROM @holds h WHERE h.probe_at <= $1 \
             ORDER BY h.probe_at LIMIT 1 FOR NO KEY UPDATE OF h SKIP LOCKED) c WHERE t.type = c.type RETURNING t.type",
        );
        Ok(sqlx::query_scalar(sql)
            .bind(now)
            .bind(next)
            .fetch_optional(&mut *self.inner)
            .await?)
    }

    pub(in super::super) async fn free(&mut self, kind: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        let sql = self.sql("DELETE FROM @holds WHERE type = $1");
        sqlx::query(sql).bind(kind).execute(&mut *self.inner).await?;
        let sql = self.sql(
            "UPDATE @retries SET held = false, next_at = CASE WHEN in_hand THEN next_at ELSE least(next_at, $2) END \
             WHERE type = $1 AND (held OR (next_at > $2 AND NOT in_hand))",
        );
        sqlx::query(sql).bind(kind).bind(now).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn suspicions(&mut self, ids: &[String]) -> Result<Vec<Suspicion>, StoreError> {
        let sql = self.sql(
            "SELECT s.message_id, s.life, s.company, s.deaths FROM unnest($1::text[]) AS u (id) \
             JOIN @suspects s ON s.message_id = u.id",
        );
        let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *self.inner).await?;
        rows.iter()
            .map(|row| {
                let (company, deaths): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
                Ok(Suspicion {
                    message_id: row.try_get(0)?,
                    life: row.try_get(1)?,
                    company: company as u32,
                    deaths: deaths as u32,
                })
            })
            .collect()
    }

    pub(in super::super) async fn suspect(&mut self, notes: &[Suspicion]) -> Result<(), StoreError> {
        let sql = self.sql(
            "INSERT INTO @suspects (message_id, life, company, deaths) \
             SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) ON CONFLICT (message_id) \
             DO UPDATE SET life = excluded.life, company = excluded.company, deaths = excluded.deaths",
        );
        sqlx::query(sql)
            .bind(notes.iter().map(|note| note.message_id.as_str()).collect::<Vec<_>>())
            .bind(notes.iter().map(|note| note.life).collect::<Vec<_>>())
            .bind(notes.iter().map(|note| note.company as i32).collect::<Vec<_>>())
            .bind(notes.iter().map(|note| note.deaths as i32).collect::<Vec<_>>())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn acquit(&mut self, ids: &[String]) -> Result<(), StoreError> {
        let sql = self.sql("DELETE FROM @suspects s USING unnest($1::text[]) AS u (id) WHERE s.message_id = u.id");
        sqlx::query(sql).bind(ids).execute(&mut *self.inner).await?;
        Ok(())
    }
}

/// What was claimed; nothing where it is only doubted.
fn claimed(row: &PgRow) -> Result<Option<Claimed>, StoreError> {
    if !row.try_get::<bool, _>(10)? {
        return Ok(None);
    }
    let (sequence, nanos, deaths): (i64, i64, i32) = (row.try_get(2)?, row.try_get(3)?, row.try_get(9)?);
    let (subject, headers) = columns::message_of(row.try_get(4)?)?;
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
            next_at: row.try_get(8)?,
        },
        deaths: deaths as u32,
    }))
}
