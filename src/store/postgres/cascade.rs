//! The application's tables: steps, audit rows, work that was put off, and what the catalogue says.

use sqlx::postgres::PgRow;
use sqlx::{Executor as _, Row as _};
use time::OffsetDateTime;

use super::super::cascade::{Audit, Column, Step, Table, Work, WorkEnd, quoted, safe};
use super::super::{StoreError, columns};
use super::{Postgres, Tx};
use crate::domain::cascade::KeyKind;

impl Tx<'_> {
    /// Only where a table has no index; the plans of our own statements are prepared, and stay as they are.
    pub(in super::super) async fn allow_scans(&mut self) -> Result<(), StoreError> {
        if !self.cascades.scans() {
            return Ok(());
        }
        self.ask();
        let sql = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on";
        self.inner.execute(sqlx::raw_sql(sql)).await?;
        Ok(())
    }

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
            .bind(values)
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
        sqlx::query(safe(&step.sql.remove))
            .bind(values)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn rewrite_rows(
        &mut self,
        step: &Step,
        pairs: &[(&str, Option<&str>)],
    ) -> Result<(), StoreError> {
        let (values, targets): (Vec<&str>, Vec<Option<&str>>) = pairs.iter().copied().unzip();
        self.ask();
        sqlx::query(safe(&step.sql.rewrite))
            .bind(values)
            .bind(targets)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn write_audit(
        &mut self,
        audit: &Audit,
        rows: &[Vec<Option<String>>],
    ) -> Result<(), StoreError> {
        self.ask();
        let mut query = sqlx::query(safe(&audit.sql.insert));
        for column in 0..audit.rule.columns.len() {
            let values: Vec<Option<&str>> = rows.iter().map(|row| row.get(column)?.as_deref()).collect();
            query = query.bind(values);
        }
        query.execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn holders(
        &mut self,
        kind: KeyKind,
        values: &[&str],
    ) -> Result<Vec<(String, String)>, StoreError> {
        let value = key_expression(kind);
        let sql = self.sql(&format!(
            "SELECT u.value, k.key FROM unnest($1::text[]) AS u (value) JOIN @keys k ON {value} = u.value \
             WHERE k.holder = 1"
        ));
        Ok(sqlx::query_as(sql).bind(values).fetch_all(&mut *self.inner).await?)
    }

    pub(in super::super) async fn note_steps(&mut self, notes: &[(String, String, String)]) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "UPDATE @ledger l SET cascades = u.note::json FROM unnest($1::text[], $2::text[], $3::text[]) \
             AS u (source, id, note) WHERE l.source = u.source AND l.event_id = u.id",
        );
        sqlx::query(sql)
            .bind(notes.iter().map(|note| note.0.as_str()).collect::<Vec<_>>())
            .bind(notes.iter().map(|note| note.1.as_str()).collect::<Vec<_>>())
            .bind(notes.iter().map(|note| note.2.as_str()).collect::<Vec<_>>())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn put_off(&mut self, work: &[Work]) -> Result<(), StoreError> {
        if work.is_empty() {
            return Ok(());
        }
        let events: Vec<String> = work
            .iter()
            .map(|work| columns::json(&work.events))
            .collect::<Result<_, _>>()?;
        let sql = self.sql(
            "INSERT INTO @cascade_work (step, value, ending, target, events) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])",
        );
        sqlx::query(sql)
            .bind(work.iter().map(|work| work.step.as_str()).collect::<Vec<_>>())
            .bind(work.iter().map(|work| work.value.as_str()).collect::<Vec<_>>())
            .bind(work.iter().map(|work| work.end.word()).collect::<Vec<_>>())
            .bind(work.iter().map(|work| work.end.target()).collect::<Vec<_>>())
            .bind(events)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(in super::super) async fn is_unfinished(&mut self, values: &[&str]) -> Result<bool, StoreError> {
        let sql = self.sql(
            "SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) AS u (value) JOIN @cascade_work w ON w.value = u.value) \
             OR EXISTS (SELECT 1 FROM unnest($1::text[]) AS u (value) JOIN @cascade_work w ON w.target = u.value)",
        );
        Ok(sqlx::query_scalar(sql).bind(values).fetch_one(&mut *self.inner).await?)
    }

    pub(in super::super) async fn claim_work(
        &mut self,
        steps: &[&str],
        now: OffsetDateTime,
    ) -> Result<Option<(i64, Work)>, StoreError> {
        let sql = self.sql(
            "SELECT w.work_id, w.step, w.value, w.ending, w.target, w.events, w.rows_done FROM @cascade_work w \
             WHERE w.step = ANY($1) AND w.retry_at <= $2 ORDER BY w.work_id LIMIT 1 FOR UPDATE OF w SKIP LOCKED",
        );
        let row = sqlx::query(sql)
            .bind(steps)
            .bind(now)
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
        let sql = self.sql("UPDATE @cascade_work SET rows_done = $2, error = NULL WHERE work_id = $1");
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
        let sql = self.sql("UPDATE @cascade_work SET error = $2, retry_at = $3 WHERE work_id = $1");
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
        let sql = self.sql("DELETE FROM @cascade_work WHERE work_id = $1");
        sqlx::query(sql).bind(id).execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(in super::super) async fn steps_noted(&mut self, source: &str, id: &str) -> Result<Option<String>, StoreError> {
        let sql =
            self.sql("SELECT l.cascades::text FROM @ledger l WHERE l.source = $1 AND l.event_id = $2 FOR UPDATE OF l");
        let noted: Option<Option<String>> = sqlx::query_scalar(sql)
            .bind(source)
            .bind(id)
            .fetch_optional(&mut *self.inner)
            .await?;
        Ok(noted.flatten())
    }
}

/// The address or the user name in the folded state, as its index has it.
pub(super) fn key_expression(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::UserId => "k.key",
        KeyKind::Email => "((k.state::jsonb #>> '{fields,email}'))",
        KeyKind::Username => "((k.state::jsonb #>> '{fields,username}'))",
    }
}

fn work_of(row: &PgRow) -> Result<(i64, Work), StoreError> {
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

const TABLE: &str = "SELECT n.nspname::text, c.relname::text, c.relkind::text, \
    n.nspname = $2 OR n.nspname LIKE 'pg\\_%' OR n.nspname = 'information_schema', \
    has_table_privilege(c.oid, 'DELETE'), row_security_active(c.oid) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

/// Types are written without a length, and so that they mean any length: `character` would be one character.
const COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, -1), \
    coalesce(nullif(t.typbasetype, 0), t.oid) IN ('text'::regtype, 'varchar'::regtype), \
    CASE WHEN coalesce(nullif(t.typbasetype, 0), t.oid) = 'varchar'::regtype \
    THEN nullif(greatest(a.atttypmod, t.typtypmod), -1) - 4 END, \
    a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, a.attgenerated <> '', \
    EXISTS (SELECT 1 FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam \
    WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum \
    AND am.amname IN ('btree', 'hash')), \
    EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)), \
    coalesce(NOT co.collisdeterministic, false), \
    has_column_privilege(a.attrelid, a.attnum, 'SELECT'), has_column_privilege(a.attrelid, a.attnum, 'UPDATE'), \
    has_column_privilege(a.attrelid, a.attnum, 'INSERT') \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation co ON co.oid = a.attcollation \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

impl Postgres {
    pub(in super::super) async fn steps_at_work(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = self.sql("SELECT step, count(*) FROM @cascade_work GROUP BY step ORDER BY step");
        Ok(sqlx::query_as(sql).fetch_all(&self.pool).await?)
    }

    pub(in super::super) async fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Table>, StoreError> {
        let wanted = match schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
            None => quoted(name),
        };
        let row = sqlx::query(TABLE)
            .bind(&wanted)
            .bind(&*self.schema)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (schema, name, kind): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let columns = sqlx::query(COLUMNS).bind(&wanted).fetch_all(&self.pool).await?;
        Ok(Some(Table {
            full: format!("{}.{}", quoted(&schema), quoted(&name)),
            odd: match kind.as_str() {
                "r" | "p" => None,
                "v" => Some("view".to_owned()),
                "m" => Some("materialized view".to_owned()),
                "f" => Some("foreign table".to_owned()),
                _ => Some("relation of another kind".to_owned()),
            },
            is_off_limits: row.try_get(3)?,
            has_row_names: true,
            may_delete: row.try_get(4)?,
            hides_rows: row.try_get(5)?,
            columns: columns.iter().map(column_of).collect::<Result<_, _>>()?,
        }))
    }

    pub(in super::super) async fn index_holders(&self, kind: KeyKind) -> Result<(), StoreError> {
        let (name, value) = (kind.name(), key_expression(kind).replace("k.", ""));
        let sql = format!("CREATE INDEX IF NOT EXISTS keys_{name} ON @keys ({value}) WHERE holder = 1");
        sqlx::query(self.sql(&sql)).execute(&self.pool).await?;
        Ok(())
    }

    pub(in super::super) async fn indexes_holders(&self, kind: KeyKind) -> Result<bool, StoreError> {
        let name = format!("{}keys_{}", self.names, kind.name());
        let sql = "SELECT to_regclass($1) IS NOT NULL";
        Ok(sqlx::query_scalar(sql).bind(name).fetch_one(&self.pool).await?)
    }
}

fn column_of(row: &PgRow) -> Result<Column, StoreError> {
    Ok(Column {
        name: row.try_get(0)?,
        kind: row.try_get(1)?,
        is_text: row.try_get(2)?,
        length: row.try_get(3)?,
        is_required: row.try_get(4)?,
        has_default: row.try_get(5)?,
        is_generated: row.try_get(6)?,
        is_indexed: row.try_get(7)?,
        is_unique: row.try_get(8)?,
        is_inexact: row.try_get(9)?,
        may_read: row.try_get(10)?,
        may_update: row.try_get(11)?,
        may_insert: row.try_get(12)?,
    })
}
