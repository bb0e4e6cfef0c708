//! What others are told of profiles, until it is published.

use serde_json::json;
use sqlx::Row as _;

use super::super::{Announcement, OutboxRow, StoreError, columns};
use super::{Sqlite, Tx};
use crate::domain::hex;

impl Tx<'_> {
    /// In their order, which is that of their numbers.
    pub(super) async fn save_announcements(&mut self, said: &[Announcement]) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO @announcements (message_id, subject, headers, payload) \
             SELECT u.value ->> 0, u.value ->> 1, u.value ->> 2, unhex(u.value ->> 3) FROM json_each(?1) AS u \
             WHERE true ORDER BY u.key ON CONFLICT (message_id) DO NOTHING",
            said,
            |one| {
                let headers = columns::headers_text(&one.headers)?;
                Ok(json!([one.message_id, one.subject, headers, hex(&one.payload)]))
            },
        )
        .await
        .map(|_| ())
    }
}

impl Sqlite {
    pub(in super::super) async fn announcements(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = self.sql(
            "SELECT outbox_id, message_id, subject, headers, payload FROM @announcements ORDER BY outbox_id LIMIT ?1",
        );
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

    pub(in super::super) async fn announced(&self, outbox_ids: &[i64]) -> Result<(), StoreError> {
        sqlx::query(self.sql("DELETE FROM @announcements WHERE outbox_id IN (SELECT value FROM json_each(?1))"))
            .bind(columns::json(&outbox_ids)?)
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
