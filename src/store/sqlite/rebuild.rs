//! What a rebuild reads beside the ledger: which users there are, and the public rows as they are.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::super::{OpenLetter, StoreError, columns};
use super::{Sqlite, Tx};
use crate::domain::{ActualProfile, CustomerRow, Reason};

// Rows of the departed are found by their ids only: no index knows their users.
const PROFILES: &str = "SELECT p.profile_id, p.user_id, p.profile_type, p.status, p.is_active, p.display_name, p.email, \
    p.username, p.first_name, p.last_name, p.full_name, p.phone, p.external_id, p.organization_id, p.customer_id, \
    p.degraded, p.created_via, p.created_at, p.updated_at, p.version, p.deleted_at, p.attributes, \
    p.linked_customer \
    FROM json_each(?1) AS u CROSS JOIN @profiles p ON p.profile_id = u.value \
    UNION \
    SELECT p.profile_id, p.user_id, p.profile_type, p.status, p.is_active, p.display_name, p.email, \
    p.username, p.first_name, p.last_name, p.full_name, p.phone, p.external_id, p.organization_id, p.customer_id, \
    p.degraded, p.created_via, p.created_at, p.updated_at, p.version, p.deleted_at, p.attributes, \
    p.linked_customer \
    FROM json_each(?2) AS u CROSS JOIN @profiles p ON p.user_id = u.value AND p.deleted_at IS NULL";

const CUSTOMERS: &str = "SELECT c.customer_id, c.user_id, c.organization_id, c.profile_id, c.name, c.email, c.created_at, c.updated_at, \
    c.deleted_at, c.made_by_worker \
    FROM json_each(?1) AS u CROSS JOIN @customers c ON c.customer_id = u.value \
    UNION \
    SELECT c.customer_id, c.user_id, c.organization_id, c.profile_id, c.name, c.email, c.created_at, c.updated_at, \
    c.deleted_at, c.made_by_worker \
    FROM json_each(?2) AS u CROSS JOIN @customers c ON c.user_id = u.value AND c.user_id <> '' \
    AND c.deleted_at IS NULL";

impl Tx<'_> {
    pub(in super::super) async fn named_by_somebody(&mut self, rows: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let sql = self.sql(
            "SELECT u.value FROM json_each(?1) AS u \
             WHERE EXISTS (SELECT 1 FROM @keys k WHERE instr(k.state, u.value) > 0) \
             OR EXISTS (SELECT 1 FROM @departed d WHERE instr(d.state, u.value) > 0)",
        );
        let found: Vec<String> = sqlx::query_scalar(sql)
            .bind(columns::json(&rows)?)
            .fetch_all(&mut *self.inner)
            .await?;
        Ok(found.iter().map(|text| uuid(text)).collect())
    }

    /// SQLite has no limits of this kind.
    pub(in super::super) async fn take_your_time(&mut self) -> Result<(), StoreError> {
        std::future::ready(Ok(())).await
    }

    pub(in super::super) async fn profiles(
        &mut self,
        ids: &[Uuid],
        users: &[&str],
    ) -> Result<Vec<ActualProfile>, StoreError> {
        let sql = self.sql(PROFILES);
        let rows = sqlx::query(sql)
            .bind(columns::json(&ids)?)
            .bind(columns::json(&users)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter().map(profile_row).collect()
    }

    pub(in super::super) async fn customers(
        &mut self,
        ids: &[Uuid],
        users: &[&str],
    ) -> Result<Vec<CustomerRow>, StoreError> {
        let sql = self.sql(CUSTOMERS);
        let rows = sqlx::query(sql)
            .bind(columns::json(&ids)?)
            .bind(columns::json(&users)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter().map(customer_row).collect()
    }
}

impl Sqlite {
    pub(in super::super) async fn components(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        // No key is empty, so that the empty text is before all of them.
        let sql = "SELECT key, events FROM @keys WHERE key = root AND key > ?1 ORDER BY key LIMIT ?2";
        let rows = sqlx::query(self.sql(sql))
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)? as u64)))
            .collect()
    }

    pub(in super::super) async fn count_components(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(self.sql("SELECT count(*) FROM @keys WHERE key = root"))
            .fetch_one(&self.readers)
            .await?;
        Ok(count as u64)
    }

    pub(in super::super) async fn open_letters(&self, reason: Reason) -> Result<Vec<OpenLetter>, StoreError> {
        let sql = "SELECT message_id, stream_sequence FROM @dead_letters WHERE reason = ?1 AND resolved_at IS NULL \
            ORDER BY stream_sequence";
        let rows = sqlx::query(self.sql(sql))
            .bind(reason.name())
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(OpenLetter {
                    message_id: row.try_get(0)?,
                    stream_sequence: row.try_get::<i64, _>(1)? as u64,
                })
            })
            .collect()
    }

    pub(in super::super) async fn resolve(&self, message_ids: &[&str]) -> Result<(), StoreError> {
        let sql = "UPDATE @dead_letters SET resolved_at = strftime('%Y-%m-%dT%H:%M:%f000Z') WHERE message_id IN (SELECT value FROM json_each(?1))";
        sqlx::query(self.sql(sql))
            .bind(columns::json(&message_ids)?)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn count_strangers(&self) -> Result<u64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM @profiles p WHERE NOT EXISTS \
            (SELECT 1 FROM @keys k WHERE k.key = p.user_id)) + (SELECT count(*) FROM @customers c WHERE c.user_id <> '' AND NOT EXISTS \
            (SELECT 1 FROM @keys k WHERE k.key = c.user_id))";
        let count: i64 = sqlx::query_scalar(self.sql(sql)).fetch_one(&self.readers).await?;
        Ok(count as u64)
    }
}

fn profile_row(row: &SqliteRow) -> Result<ActualProfile, StoreError> {
    let texts = columns::ProfileTexts {
        status: row.try_get(3)?,
        degraded: row.try_get(15)?,
        created_via: row.try_get(16)?,
        attributes: row.try_get(21)?,
    };
    Ok(texts.actual(crate::domain::ProfileRow {
        profile_id: uuid(row.try_get(0)?),
        user_id: row.try_get(1)?,
        profile_type: row.try_get(2)?,
        is_active: row.try_get(4)?,
        display_name: row.try_get(5)?,
        email: row.try_get(6)?,
        username: row.try_get(7)?,
        first_name: row.try_get(8)?,
        last_name: row.try_get(9)?,
        full_name: row.try_get(10)?,
        phone: row.try_get(11)?,
        external_id: row.try_get(12)?,
        organization_id: row.try_get(13)?,
        customer_id: row.try_get::<Option<&str>, _>(14)?.map(uuid),
        created_at: columns::micros_of(row.try_get(17)?),
        updated_at: columns::micros_of(row.try_get(18)?),
        version: row.try_get::<i64, _>(19)? as u64,
        deleted_at: row.try_get::<Option<&str>, _>(20)?.map(columns::micros_of),
        linked_customer: row.try_get(22)?,
        // These four come as texts.
        status: crate::domain::Status::Draft,
        degraded: Vec::new(),
        created_via: "",
        attributes: serde_json::Map::new(),
        synchronised: serde_json::Map::new(),
    }))
}

fn customer_row(row: &SqliteRow) -> Result<CustomerRow, StoreError> {
    Ok(CustomerRow {
        customer_id: uuid(row.try_get(0)?),
        user_id: row.try_get(1)?,
        organization_id: row.try_get(2)?,
        profile_id: row.try_get::<Option<&str>, _>(3)?.map(uuid),
        name: row.try_get(4)?,
        email: row.try_get(5)?,
        made_by_worker: row.try_get(9)?,
        created_at: columns::micros_of(row.try_get(6)?),
        updated_at: columns::micros_of(row.try_get(7)?),
        deleted_at: row.try_get::<Option<&str>, _>(8)?.map(columns::micros_of),
    })
}

/// What is no id is like none that is in use.
fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or_default()
}
