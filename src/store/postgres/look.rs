//! What those read who only look: no locks, nothing written.

use std::collections::BTreeMap;

use sqlx::{Executor as _, Row as _};

use super::super::{Entered, StoreError, columns};
use super::Postgres;
use crate::domain::{Position, Reason};

impl Postgres {
    pub(in super::super) async fn entered(&self, identities: &[(&str, &str)]) -> Result<Vec<Entered>, StoreError> {
        let (sources, ids): (Vec<&str>, Vec<&str>) = identities.iter().copied().unzip();
        let sql = self.sql(
            "SELECT l.source, l.event_id, l.content, l.position, l.outcome, l.stream_sequence, l.published_at, l.reason \
             FROM unnest($1::text[], $2::text[]) AS u (source, id) \
             JOIN @ledger l ON l.source = u.source AND l.event_id = u.id",
        );
        let rows = sqlx::query(sql).bind(&sources).bind(&ids).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Entered {
                    source: row.try_get(0)?,
                    event_id: row.try_get(1)?,
                    content: row.try_get(2)?,
                    position: Position::from_bytes(row.try_get(3)?),
                    outcome: columns::outcome_of(row.try_get(4)?)?,
                    stream_sequence: row.try_get(5)?,
                    published: row.try_get(6)?,
                    reason: columns::reason_of(row.try_get(7)?)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn entered_between(&self, first: i64, last: i64) -> Result<u64, StoreError> {
        let mut tx = self.pool.begin().await?;
        // No index serves this, and through the primary key the table would be read row by row.
        tx.execute("SET LOCAL enable_seqscan = on").await?;
        let sql = self.sql("SELECT count(*) FROM @ledger WHERE stream_sequence BETWEEN $1 AND $2");
        let count: i64 = sqlx::query_scalar(sql)
            .bind(first)
            .bind(last)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(count as u64)
    }

    pub(in super::super) async fn buried(
        &self,
        message_ids: &[String],
    ) -> Result<BTreeMap<String, Reason>, StoreError> {
        let sql = self.sql(
            "SELECT d.message_id, d.reason FROM unnest($1::text[]) AS u (id) \
             JOIN @dead_letters d ON d.message_id = u.id",
        );
        let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(message_ids).fetch_all(&self.pool).await?;
        columns::reasons_of(rows)
    }
}
