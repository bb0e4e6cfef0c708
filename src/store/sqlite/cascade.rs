//! The application's tables: steps, audit rows, work that was put off, and what the catalogue says.

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor as _, Row as _};
use time::OffsetDateTime;

use super::super::cascade::{Audit, Column, Step, Table, Work, WorkEnd, quoted, safe};
use super::super::{StoreError, columns};
use super::{Sqlite, Tx};
use crate::domain::cascade::KeyKind;

impl Tx<'_> {
    pub(in super::super) async fn savepoint(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.ask();
        self.inner.execute(sqlx::raw_sql(sql)).await?;
        Ok(())
    }

    pub(in super::super) async fn rows_of(
        &mut self,
        step: &Step,
        values: &[&str],
        most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        self.ask();
        let found: Vec<(i64, i64)> = sqlx::query_as(safe(&step.sql.count))
            .bind(columns::json(&values)?)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.inner)
            .await?;
        let mut counts = vec![0; values.len()];
        for (n, rows) in found {
            if let Some(count) = counts.get_mut((n - 1) as usize) {
                *count = rows as u64;
            }
        }
        Ok(counts)
    }

    pub(in super::super) async fn remove_rows(&mut self, step: &Step, values: &[&str]) -> Result<(), StoreError> {
        self.ask();
        let sql = sqlx::query(safe(&step.sql.remove));
        sql.bind(columns::json(&values)?).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn rewrite_rows(
        &mut self,
        step: &Step,
        pairs: &[(&str, Option<&str>)],
    ) -> Result<(), StoreError> {
        self.ask();
        let sql = sqlx::query(safe(&step.sql.rewrite));
        sql.bind(columns::json(&pairs)?).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn write_audit(
        &mut self,
        audit: &Audit,
        rows: &[Vec<Option<String>>],
    ) -> Result<(), StoreError> {
        self.ask();
        let sql = sqlx::query(safe(&audit.sql.insert));
        sql.bind(columns::json(&rows)?).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn holders(
        &mut self,
        kind: KeyKind,
        values: &[&str],
    ) -> Result<Vec<(String, String)>, StoreError> {
        let value = key_expression(kind);
        let sql = self.sql(&format!(
            "SELECT u.value, k.key FROM json_each(?1) AS u CROSS JOIN @keys k ON {value} = u.value WHERE k.holder = 1"
        ));
        Ok(sqlx::query_as(sql)
            .bind(columns::json(&values)?)
            .fetch_all(&mut *self.inner)
            .await?)
    }

    pub(in super::super) async fn note_steps(&mut self, notes: &[(String, String, String)]) -> Result<(), StoreError> {
        self.run(
            "UPDATE @ledger AS l SET cascades = u.value ->> 2 FROM json_each(?1) AS u \
             WHERE l.source = u.value ->> 0 AND l.event_id = u.value ->> 1",
            notes,
            |note| Ok(json!(note)),
        )
        .await
        .map(|_| ())
    }

    pub(in super::super) async fn put_off(&mut self, work: &[Work]) -> Result<(), StoreError> {
        let sql = "INSERT INTO @cascade_work (step, value, ending, target, events) SELECT value ->> 0, value ->> 1, \
                   value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1)";
        self.run(sql, work, |work| {
            let events = columns::json(&work.events)?;
            Ok(json!([
                work.step,
                work.value,
                work.end.word(),
                work.end.target(),
                events
            ]))
        })
        .await
        .map(|_| ())
    }

    pub(in super::super) async fn is_unfinished(&mut self, values: &[&str]) -> Result<bool, StoreError> {
        let sql = self.sql(
            "SELECT EXISTS (SELECT 1 FROM json_each(?1) AS u CROSS JOIN @cascade_work w ON w.value = u.value) \
             OR EXISTS (SELECT 1 FROM json_each(?1) AS u CROSS JOIN @cascade_work w ON w.target = u.value)",
        );
        Ok(sqlx::query_scalar(sql)
            .bind(columns::json(&values)?)
            .fetch_one(&mut *self.inner)
            .await?)
    }

    pub(in super::super) async fn claim_work(
        &mut self,
        steps: &[&str],
        now: OffsetDateTime,
    ) -> Result<Option<(i64, Work)>, StoreError> {
        let sql = self.sql(
            "SELECT w.work_id, w.step, w.value, w.ending, w.target, w.events, w.rows_done FROM @cascade_work w \
             WHERE w.step IN (SELECT value FROM json_each(?1)) AND w.retry_at <= ?2 ORDER BY w.work_id LIMIT 1",
        );
        let row = sqlx::query(sql)
            .bind(columns::json(&steps)?)
            .bind(columns::time_text(now)?)
            .fetch_optional(&mut *self.inner)
            .await?;
        row.as_ref().map(work_of).transpose()
    }

    pub(in super::super) async fn do_some(&mut self, step: &Step, work: &Work, most: u64) -> Result<u64, StoreError> {
        self.ask();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let done = match &work.end {
            WorkEnd::Gone => sqlx::query(safe(&step.sql.remove_some)).bind(&work.value).bind(most),
            WorkEnd::Set(_) | WorkEnd::Null => sqlx::query(safe(&step.sql.rewrite_some))
                .bind(&work.value)
                .bind(most)
                .bind(work.end.target()),
        };
        Ok(done.execute(&mut *self.inner).await?.rows_affected())
    }

    pub(in super::super) async fn keep_work(&mut self, id: i64, rows: u64) -> Result<(), StoreError> {
        let sql = self.sql("UPDATE @cascade_work SET rows_done = ?2, error = NULL WHERE work_id = ?1");
        sqlx::query(sql)
            .bind(id)
            .bind(rows as i64)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn set_aside(
        &mut self,
        id: i64,
        error: &str,
        until: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let sql = self.sql("UPDATE @cascade_work SET error = ?2, retry_at = ?3 WHERE work_id = ?1");
        let until = columns::time_text(until)?;
        sqlx::query(sql)
            .bind(id)
            .bind(error)
            .bind(until)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn count_work(&mut self) -> Result<u64, StoreError> {
        let sql = self.sql("SELECT count(*) FROM @cascade_work WHERE error IS NULL");
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut *self.inner).await?;
        Ok(count as u64)
    }

    pub(in super::super) async fn touch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.inner.execute(sqlx::raw_sql(safe(sql))).await?;
        Ok(())
    }

    pub(in super::super) async fn end_work(&mut self, id: i64) -> Result<(), StoreError> {
        let sql = self.sql("DELETE FROM @cascade_work WHERE work_id = ?1");
        sqlx::query(sql).bind(id).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn steps_noted(&mut self, source: &str, id: &str) -> Result<Option<String>, StoreError> {
        let sql = self.sql("SELECT l.cascades FROM @ledger l WHERE l.source = ?1 AND l.event_id = ?2");
        let noted: Option<Option<String>> = sqlx::query_scalar(sql)
            .bind(source)
            .bind(id)
            .fetch_optional(&mut *self.inner)
            .await?;
        Ok(noted.flatten())
    }

    /// What failed was undone to a savepoint.
    pub(in super::super) fn is_whole_again(&mut self) {
        self.has_failed = false;
    }
}

/// The address or the user name in the folded state, as its index has it.
pub(super) fn key_expression(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::UserId => "k.key",
        KeyKind::Email => "k.state ->> '$.fields.email'",
        KeyKind::Username => "k.state ->> '$.fields.username'",
    }
}

fn work_of(row: &SqliteRow) -> Result<(i64, Work), StoreError> {
    let (ending, target): (String, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
    let rows: i64 = row.try_get(6)?;
    let work = Work {
        step: row.try_get(1)?,
        value: row.try_get(2)?,
        end: WorkEnd::from_words(&ending, target)
            .ok_or_else(|| columns::unreadable("cascade work", "no such ending"))?,
        events: columns::identities_of(row.try_get(5)?)?,
        rows: rows as u64,
    };
    Ok((row.try_get(0)?, work))
}

/// The tables of ours, without their prefix: those that the migrations make.
fn our_tables() -> impl Iterator<Item = &'static str> {
    let made = super::MIGRATIONS.iter().flat_map(|(_, sql)| sql.lines());
    let names = made.filter_map(|line| line.strip_prefix("CREATE TABLE @")?.split([' ', '(']).next());
    names.chain(["migrations"])
}

const COLUMNS: &str = "SELECT c.name, c.type, c.\"notnull\" <> 0 OR c.pk > 0, c.dflt_value IS NOT NULL OR \
    (c.pk = 1 AND upper(c.type) = 'INTEGER'), c.hidden > 1, \
    EXISTS (SELECT 1 FROM pragma_index_list(?1) i JOIN pragma_index_info(i.name) x WHERE i.partial = 0 AND x.seqno = 0 \
    AND x.cid = c.cid) OR (c.pk = 1 AND ?2), \
    EXISTS (SELECT 1 FROM pragma_index_list(?1) i JOIN pragma_index_info(i.name) x WHERE i.\"unique\" AND x.cid = c.cid) \
    OR c.pk > 0 FROM pragma_table_xinfo(?1) c ORDER BY c.cid";

impl Sqlite {
    pub(in super::super) async fn steps_at_work(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = self.sql("SELECT step, count(*) FROM @cascade_work GROUP BY step ORDER BY step");
        Ok(sqlx::query_as(sql).fetch_all(&self.readers).await?)
    }

    pub(in super::super) async fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Table>, StoreError> {
        if schema.is_some_and(|schema| schema != "main") {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?1)",
        )
        .bind(name)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (found, kind, without_names): (String, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let columns = sqlx::query(COLUMNS)
            .bind(&found)
            .bind(without_names)
            .fetch_all(&self.readers)
            .await?;
        Ok(Some(Table {
            full: quoted(&found),
            odd: match kind.as_str() {
                "table" => None,
                "view" => Some("view".to_owned()),
                kind => Some(format!("{kind} table")),
            },
            is_off_limits: self.is_ours(&found),
            has_row_names: !without_names,
            may_delete: true,
            hides_rows: false,
            columns: columns.iter().map(column_of).collect::<Result<_, _>>()?,
        }))
    }

    pub(in super::super) async fn index_holders(&self, kind: KeyKind) -> Result<(), StoreError> {
        let (name, value) = (kind.name(), key_expression(kind).replace("k.", ""));
        let sql = format!("CREATE INDEX IF NOT EXISTS @keys_{name} ON @keys ({value}) WHERE holder = 1");
        sqlx::query(self.sql(&sql)).execute(&self.writer).await?;
        Ok(())
    }

    pub(in super::super) async fn indexes_holders(&self, kind: KeyKind) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1)";
        let name = format!("{}keys_{}", self.prefix, kind.name());
        Ok(sqlx::query_scalar(sql).bind(name).fetch_one(&self.writer).await?)
    }

    /// Whether a table is ours, or the database's own.
    pub(super) fn is_ours(&self, table: &str) -> bool {
        let table = table.to_ascii_lowercase();
        table.starts_with("sqlite_") || our_tables().any(|ours| table == format!("{}{ours}", self.prefix))
    }
}

fn column_of(row: &SqliteRow) -> Result<Column, StoreError> {
    let kind: String = row.try_get(1)?;
    let upper = kind.to_ascii_uppercase();
    Ok(Column {
        name: row.try_get(0)?,
        // The rules of SQLite for what becomes text.
        is_text: !upper.contains("INT") && ["CHAR", "CLOB", "TEXT"].iter().any(|name| upper.contains(name)),
        kind,
        length: None,
        is_required: row.try_get(2)?,
        has_default: row.try_get(3)?,
        is_generated: row.try_get(4)?,
        is_indexed: row.try_get(5)?,
        is_unique: row.try_get(6)?,
        is_inexact: false,
        may_read: true,
        may_update: true,
        may_insert: true,
    })
}
