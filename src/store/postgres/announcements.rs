//! What others are told of profiles, until it is published.

use super::super::{Announcement, StoreError, columns};
use super::Tx;

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
