//! What those read who only look: on connections that cannot write.

use std::collections::BTreeMap;

use sqlx::Row as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{Entered, StoreError, columns};
use super::Sqlite;
use crate::domain::{Position, Reason};

impl Sqlite {
    pub(in super::super) async fn entered(&self, identities: &[(&str, &str)]) -> Result<Vec<Entered>, StoreError> {
        let sql = self.sql(
            "SELECT l.source, l.event_id, l.content, l.position, l.outcome, l.stream_sequence, l.published_at, l.reason \
             FROM json_each(?1) AS u CROSS JOIN @ledger l ON l.source = u.value ->> 0 AND l.event_id = u.value ->> 1",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&identities)?)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let published: String = row.try_get(6)?;
                Ok(Entered {
                    source: row.try_get(0)?,
                    event_id: row.try_get(1)?,
                    content: row.try_get(2)?,
                    position: Position::from_bytes(row.try_get(3)?),
                    outcome: columns::outcome_of(row.try_get(4)?)?,
                    stream_sequence: row.try_get(5)?,
                    published: OffsetDateTime::parse(&published, &Rfc3339)
                        .map_err(|_| columns::unreadable("time", "not a time"))?,
                    reason: columns::reason_of(row.try_get(7)?)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn entered_between(&self, first: i64, last: i64) -> Result<u64, StoreError> {
        let sql = self.sql("SELECT count(*) FROM @ledger WHERE stream_sequence BETWEEN ?1 AND ?2");
        let count: i64 = sqlx::query_scalar(sql)
            .bind(first)
            .bind(last)
            .fetch_one(&self.readers)
            .await?;
        Ok(count as u64)
    }

    pub(in super::super) async fn buried(
        &self,
        message_ids: &[String],
    ) -> Result<BTreeMap<String, Reason>, StoreError> {
        let sql = self.sql(
            "SELECT d.message_id, d.reason FROM json_each(?1) AS u CROSS JOIN @dead_letters d ON d.message_id = u.value",
        );
        let rows: Vec<(String, String)> = sqlx::query_as(sql)
            .bind(columns::json(&message_ids)?)
            .fetch_all(&self.readers)
            .await?;
        columns::reasons_of(rows)
    }
}
