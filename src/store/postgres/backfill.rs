//! What a backfill asks of PostgreSQL.

use sqlx::{AssertSqlSafe, Executor as _, Postgres as Driver, Row as _, Transaction};
use uuid::Uuid;

use super::super::backfill::{KnownRow, QueryError, QueryRow, wrong_query};
use super::super::{StoreError, columns};
use super::Postgres;

/// The rows of a query through a cursor: the server keeps what was not asked for yet.
pub struct QueryRows {
    tx: Transaction<'static, Driver>,
}

/// A reader of millions of rows takes its time, pauses between pieces, and is not one of our own small questions.
const AS_THE_APPLICATION_WOULD: [&str; 6] = [
    "SET TRANSACTION READ ONLY",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL enable_seqscan = on",
    "SET LOCAL enable_hashjoin = on",
    "SET LOCAL enable_mergejoin = on",
];

impl Postgres {
    pub(in super::super) async fn query(&self, sql: &str) -> Result<QueryRows, QueryError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::from)?;
        for setting in AS_THE_APPLICATION_WOULD {
            tx.execute(setting).await.map_err(StoreError::from)?;
        }
        let sql = sql.trim().trim_end_matches(';');
        // The operator's own words; a comment at their end must not swallow what follows.
        let cursor =
            format!("DECLARE rows_of_backfill NO SCROLL CURSOR FOR SELECT row_to_json(q)::text FROM (\n{sql}\n) AS q");
        sqlx::query(AssertSqlSafe(cursor))
            .execute(&mut *tx)
            .await
            .map_err(wrong_query)?;
        Ok(QueryRows { tx })
    }

    pub(in super::super) async fn known_of(&self, keys: &[&str]) -> Result<Vec<KnownRow>, StoreError> {
        let sql = self.sql(
            "SELECT u.key, coalesce(k.holder, 0::smallint), p.profile_id IS NOT NULL, p.email, p.username, \
             p.first_name, p.last_name, p.full_name, p.phone, p.external_id \
             FROM unnest($1::text[]) WITH ORDINALITY AS u (key, place) LEFT JOIN @keys k ON k.key = u.key \
             LEFT JOIN @profiles p ON p.user_id = u.key AND p.deleted_at IS NULL ORDER BY u.place, p.profile_id",
        );
        let rows = sqlx::query(sql).bind(keys).fetch_all(&self.pool).await?;
        let known = |row: &sqlx::postgres::PgRow| {
            let mut details = <[Option<String>; 7]>::default();
            for (n, detail) in details.iter_mut().enumerate() {
                *detail = row.try_get(3 + n)?;
            }
            let there: bool = row.try_get(2)?;
            Ok((row.try_get(0)?, row.try_get(1)?, there.then_some(details)))
        };
        rows.iter().map(known).collect()
    }

    pub(in super::super) async fn profile_users(
        &self,
        after: Option<Uuid>,
        most: u32,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let sql = self.sql(
            "SELECT profile_id, user_id FROM @profiles WHERE profile_id > $1 AND deleted_at IS NULL \
             ORDER BY profile_id LIMIT $2",
        );
        let rows = sqlx::query_as(sql)
            .bind(after.unwrap_or(Uuid::nil()))
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }
}

impl QueryRows {
    pub(in super::super) async fn next(&mut self, most: usize) -> Result<Vec<QueryRow>, QueryError> {
        let fetch = format!("FETCH {most} FROM rows_of_backfill");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(fetch))
            .fetch_all(&mut *self.tx)
            .await
            .map_err(wrong_query)?;
        let parsed = rows.iter().map(|text| columns::object_of(text));
        Ok(parsed.collect::<Result<_, _>>()?)
    }
}
