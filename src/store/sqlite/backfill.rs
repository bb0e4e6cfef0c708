//! What a backfill asks of SQLite, on connections that cannot write.

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::super::backfill::{KnownRow, QueryError, QueryRow, wrong_query};
use super::super::{StoreError, columns};
use super::Sqlite;

/// The rows of a query, read by a task that waits while nobody asks for more.
pub struct QueryRows {
    rows: mpsc::Receiver<Result<QueryRow, QueryError>>,
    first: Option<QueryRow>,
}

/// Rows that are read ahead.
const AHEAD: usize = 256;

impl Sqlite {
    pub(in super::super) async fn query(&self, sql: &str) -> Result<QueryRows, QueryError> {
        let mut connection = self.readers.acquire().await.map_err(StoreError::from)?;
        let sql = AssertSqlSafe(sql.trim().trim_end_matches(';').to_owned());
        let (send, mut rows) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            let mut found = sqlx::query(sql).fetch(&mut *connection);
            loop {
                let next = match found.try_next().await {
                    Ok(Some(row)) => row_of(&row),
                    Ok(None) => return,
                    Err(error) => Err(wrong_query(error)),
                };
                let over = next.is_err();
                if send.send(next).await.is_err() || over {
                    return;
                }
            }
        });
        // What is wrong with a query shows with its first row.
        let first = rows.recv().await.transpose()?;
        Ok(QueryRows { rows, first })
    }

    pub(in super::super) async fn known_of(&self, keys: &[&str]) -> Result<Vec<KnownRow>, StoreError> {
        let sql = self.sql(
            "SELECT u.value, coalesce(k.holder, 0), p.profile_id IS NOT NULL, p.email, p.username, p.first_name, \
             p.last_name, p.full_name, p.phone, p.external_id FROM json_each(?1) AS u \
             LEFT JOIN @keys k ON k.key = u.value \
             LEFT JOIN @profiles p ON p.user_id = u.value AND p.deleted_at IS NULL ORDER BY u.key, p.profile_id",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&keys)?)
            .fetch_all(&self.readers)
            .await?;
        let known = |row: &SqliteRow| {
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
            "SELECT profile_id, user_id FROM @profiles WHERE profile_id > ?1 AND deleted_at IS NULL \
             ORDER BY profile_id LIMIT ?2",
        );
        let rows: Vec<(String, String)> = sqlx::query_as(sql)
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await?;
        let parsed = rows.into_iter().map(|(id, user)| match Uuid::parse_str(&id) {
            Ok(id) => Ok((id, user)),
            Err(_) => Err(columns::unreadable("profile_id", "not a uuid")),
        });
        parsed.collect()
    }
}

impl QueryRows {
    pub(in super::super) async fn next(&mut self, most: usize) -> Result<Vec<QueryRow>, QueryError> {
        let mut piece: Vec<QueryRow> = self.first.take().into_iter().collect();
        while piece.len() < most {
            match self.rows.recv().await {
                Some(row) => piece.push(row?),
                None => break,
            }
        }
        Ok(piece)
    }
}

fn row_of(row: &SqliteRow) -> Result<QueryRow, QueryError> {
    let mut found = QueryRow::new();
    for (n, column) in row.columns().iter().enumerate() {
        let raw = row.try_get_raw(n).map_err(StoreError::from)?;
        let kind = raw.type_info();
        let value = if raw.is_null() {
            Value::Null
        } else if kind.name() == "INTEGER" {
            row.try_get_unchecked::<i64, _>(n).map_err(StoreError::from)?.into()
        } else if kind.name() == "REAL" {
            row.try_get_unchecked::<f64, _>(n).map_err(StoreError::from)?.into()
        } else {
            // Bytes that are no text have no place in an event.
            let text = row.try_get_unchecked::<String, _>(n).ok();
            text.map_or(Value::Null, Value::String)
        };
        found.insert(column.name().to_owned(), value);
    }
    Ok(found)
}
