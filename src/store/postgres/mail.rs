//! Mails that are to be sent, and what became of them.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::mail::{Addressee, DueMail, MailEnd, MailKind, MailOrder, MailRecord};
use super::super::{StoreError, columns};
use super::Tx;

/// Whose mails are due, with a lock that others step over.
const DUE: &str = "WITH due AS (SELECT source, event_id, kind FROM @mails WHERE next_at <= $1 \
    ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
    UPDATE @mails m SET next_at = $2, attempts = m.attempts + 1 FROM due \
    WHERE m.source = due.source AND m.event_id = due.event_id AND m.kind = due.kind \
    RETURNING m.source, m.event_id, m.kind, m.key, m.secret, m.next_at, m.attempts, m.ordered_at, m.person";

/// The holder of a key, and where it is an alias the holder of the current key of its person.
const PERSON: &str = "SELECT k.person, k.state FROM @keys k WHERE k.key = $1 AND k.holder = 1 \
    UNION ALL SELECT c.person, c.state FROM @keys k JOIN @keys c ON c.key = k.root \
    WHERE k.key = $1 AND k.holder = 2 AND c.holder = 1 AND c.person = k.person \
    UNION ALL SELECT c.person, c.state FROM @keys k JOIN @keys c ON c.root = k.root AND c.root <> c.key \
    WHERE k.key = $1 AND k.holder = 2 AND c.holder = 1 AND c.person = k.person";

/// A person by their row, which stands among the keys that ever had to do with one they had.
const BOUND: &str = "SELECT c.state FROM @keys k JOIN @keys c ON c.key = k.root \
    WHERE k.key = $1 AND c.holder = 1 AND c.person = $2 \
    UNION ALL SELECT c.state FROM @keys k JOIN @keys c ON c.root = k.root AND c.root <> c.key \
    WHERE k.key = $1 AND c.holder = 1 AND c.person = $2";

/// From now on the mail is for this person.
const BIND: &str = "UPDATE @mails SET person = $4 WHERE source = $1 AND event_id = $2 AND kind = $3";

impl Tx<'_> {
    pub(super) async fn save_mails(&mut self, orders: &[MailOrder]) -> Result<(), StoreError> {
        if orders.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "INSERT INTO @mails (source, event_id, kind, key, secret, person, next_at, ordered_at) \
             SELECT u.*, u.next_at FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], \
             $6::uuid[], $7::timestamptz[]) AS u (source, event_id, kind, key, secret, person, next_at) \
             ON CONFLICT (source, event_id, kind) DO NOTHING",
        );
        sqlx::query(sql)
            .bind(orders.iter().map(|order| order.source.as_str()).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.event_id.as_str()).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.kind.name()).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.key.as_str()).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.secret.as_deref()).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.person).collect::<Vec<_>>())
            .bind(orders.iter().map(|order| order.next_at).collect::<Vec<_>>())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn due_mails(
        &mut self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        most: u32,
    ) -> Result<Vec<DueMail>, StoreError> {
        let rows = sqlx::query(self.sql(DUE))
            .bind(now)
            .bind(until)
            .bind(i64::from(most))
            .fetch_all(&mut *self.inner)
            .await?;
        let due = |row: &PgRow| {
            let attempts: i32 = row.try_get(6)?;
            Ok(DueMail {
                order: MailOrder {
                    source: row.try_get(0)?,
                    event_id: row.try_get(1)?,
                    kind: MailKind::of(row.try_get(2)?)?,
                    key: row.try_get(3)?,
                    person: row.try_get(8)?,
                    secret: row.try_get(4)?,
                    next_at: row.try_get(5)?,
                },
                attempts: attempts as u32,
                ordered: row.try_get(7)?,
            })
        };
        rows.iter().map(due).collect()
    }

    pub(in super::super) async fn addressee(&mut self, order: &MailOrder) -> Result<Addressee, StoreError> {
        if let Some(person) = order.person {
            let state: Option<String> = sqlx::query_scalar(self.sql(BOUND))
                .bind(&order.key)
                .bind(person)
                .fetch_optional(&mut *self.inner)
                .await?;
            return state.map_or(Ok(Addressee::Gone), |state| {
                Ok(Addressee::Known(Box::new(columns::person_of(&state)?)))
            });
        }
        let found = sqlx::query(self.sql(PERSON))
            .bind(&order.key)
            .fetch_optional(&mut *self.inner)
            .await?;
        let Some(row) = found else {
            return Ok(Addressee::Unknown);
        };
        let (person, state): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        sqlx::query(self.sql(BIND))
            .bind(&order.source)
            .bind(&order.event_id)
            .bind(order.kind.name())
            .bind(person)
            .execute(&mut *self.inner)
            .await?;
        Ok(Addressee::Known(Box::new(columns::person_of(&state)?)))
    }

    pub(in super::super) async fn mail_ended(
        &mut self,
        order: &MailOrder,
        end: &MailEnd,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let (error, next, sent, given_up) = match end {
            MailEnd::Sent => (None, None, Some(now), None),
            MailEnd::Later(error, next) => (Some(error), Some(*next), None, None),
            MailEnd::GivenUp(error) => (Some(error), None, None, Some(now)),
        };
        let sql = self.sql(
            "UPDATE @mails SET error = $4, next_at = $5, sent_at = $6, given_up_at = $7, tried_at = $8, \
             secret = CASE WHEN $5::timestamptz IS NULL THEN NULL ELSE secret END \
             WHERE source = $1 AND event_id = $2 AND kind = $3 AND sent_at IS NULL",
        );
        sqlx::query(sql)
            .bind(&order.source)
            .bind(&order.event_id)
            .bind(order.kind.name())
            .bind(error)
            .bind(next)
            .bind(sent)
            .bind(given_up)
            .bind(now)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn mail_records(
        &mut self,
        identities: &[(&str, &str)],
    ) -> Result<Vec<MailRecord>, StoreError> {
        let (sources, ids): (Vec<&str>, Vec<&str>) = identities.iter().copied().unzip();
        let sql = self.sql(
            "SELECT m.source, m.event_id, m.kind, m.sent_at IS NOT NULL, m.error, m.attempts \
             FROM unnest($1::text[], $2::text[]) AS u (source, id) \
             JOIN @mails m ON m.source = u.source AND m.event_id = u.id",
        );
        let rows = sqlx::query(sql)
            .bind(&sources)
            .bind(&ids)
            .fetch_all(&mut *self.inner)
            .await?;
        let record = |row: &PgRow| {
            let attempts: i32 = row.try_get(5)?;
            Ok(MailRecord {
                source: row.try_get(0)?,
                event_id: row.try_get(1)?,
                kind: MailKind::of(row.try_get(2)?)?,
                sent: row.try_get(3)?,
                error: row.try_get(4)?,
                attempts: attempts as u32,
            })
        };
        rows.iter().map(record).collect()
    }

    pub(in super::super) async fn mails_waiting(&mut self) -> Result<u64, StoreError> {
        let sql = self.sql("SELECT count(*) FROM @mails WHERE next_at IS NOT NULL");
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut *self.inner).await?;
        Ok(count as u64)
    }
}
