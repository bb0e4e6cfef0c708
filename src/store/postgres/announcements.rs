//! What others are told of profiles, until it is published.

use sqlx::Row as _;

use super::super::{Announcement, OutboxRow, StoreError, columns};
use super::{Postgres, Tx};

impl Tx<'_> {
    /// In their order, which is that of their numbers.
    pub(super) async fn save_announcements(&mut self, said: &[Announcement]) -> Result<(), StoreError> {
        if said.is_empty() {
            return Ok(());
        }
        let headers = said.iter().map(|one| columns::headers_text(&one.headers));
        let headers = headers.collect::<Result<Vec<String>, _>>()?;
        let sql = self.sql(
            "INSERT INTO @announcements (message_id, subject, headers, payload) SELECT u.id, u.subject, u.headers, u.payload \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY \
             AS u (id, subject, headers, payload, place) ORDER BY u.place ON CONFLICT (message_id) DO NOTHING",
        );
        sqlx::query(sql)
            .bind(said.iter().map(|one| one.message_id.as_str()).collect::<Vec<_>>())
            .bind(said.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>())
            .bind(headers)
            .bind(said.iter().map(|one| one.payload.as_slice()).collect::<Vec<_>>())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}

impl Postgres {
    pub(in super::super) async fn announcements(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = self.sql(
            "SELECT outbox_id, message_id, subject, headers, payload FROM @announcements ORDER BY outbox_id LIMIT $1",
        );
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

    pub(in super::super) async fn announced(&self, outbox_ids: &[i64]) -> Result<(), StoreError> {
        sqlx::query(self.sql("DELETE FROM @announcements WHERE outbox_id = ANY($1)"))
            .bind(outbox_ids)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
