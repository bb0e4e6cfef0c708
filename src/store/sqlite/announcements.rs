//! What others are told of profiles, until it is published.

use serde_json::json;

use super::super::{Announcement, StoreError, columns};
use super::Tx;
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
