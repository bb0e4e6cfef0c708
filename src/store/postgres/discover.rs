//! Columns of text in the application's tables, and how many of their values are known.

use sqlx::{Executor as _, Row as _};

use super::super::StoreError;
use super::super::cascade::{SAMPLE, Sample, TextColumn, quoted, safe};
use super::{Postgres, named};

const COLUMNS: &str = "SELECT n.nspname::text, pg_table_is_visible(c.oid), c.relname::text, a.attname::text, a.attnotnull, \
    (SELECT fc.relname || '.' || fa.attname FROM pg_constraint f JOIN pg_class fc ON fc.oid = f.confrelid \
    JOIN pg_attribute fa ON fa.attrelid = f.confrelid AND fa.attnum = f.confkey[1] \
    WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum] LIMIT 1) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
    JOIN pg_type t ON t.oid = a.atttypid \
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped \
    AND n.nspname <> $1 AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
    AND coalesce(nullif(t.typbasetype, 0), t.oid) IN ('text'::regtype, 'varchar'::regtype) \
    AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT') \
    ORDER BY n.nspname, c.relname, a.attnum";

impl Postgres {
    pub(in super::super) async fn text_columns(&self) -> Result<Vec<TextColumn>, StoreError> {
        let rows = sqlx::query(COLUMNS).bind(&*self.schema).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let (schema, is_visible): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
                Ok(TextColumn {
                    schema: (!is_visible).then_some(schema),
                    table: row.try_get(2)?,
                    column: row.try_get(3)?,
                    is_required: row.try_get(4)?,
                    refers_to: row.try_get(5)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn sample(&self, column: &TextColumn) -> Result<Sample, StoreError> {
        let table = match &column.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&column.table)),
            None => quoted(&column.table),
        };
        let name = quoted(&column.column);
        let values = format!(
            "SELECT DISTINCT x.v FROM (SELECT t.{name}::text AS v FROM {table} AS t WHERE t.{name} IS NOT NULL \
             LIMIT {SAMPLE}) AS x"
        );
        let mut tx = self.pool.begin().await?;
        // Read only, once, and by hand: the whole of a table may be looked at.
        let plans = "SET TRANSACTION READ ONLY; SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on";
        tx.execute(sqlx::raw_sql(plans)).await?;
        let values: Vec<String> = sqlx::query_scalar(safe(&values)).fetch_all(&mut *tx).await?;
        let known = named(
            "SELECT (SELECT count(*) FROM unnest($1::text[]) AS u (v) JOIN @keys k ON k.key = u.v AND k.holder <> 0), \
             (SELECT count(DISTINCT p.email) FROM unnest($1::text[]) AS u (v) JOIN @profiles p ON p.email = u.v), \
             (SELECT count(DISTINCT p.username) FROM unnest($1::text[]) AS u (v) JOIN @profiles p ON p.username = u.v)",
            &self.names,
        );
        let row = sqlx::query(known).bind(&values).fetch_one(&mut *tx).await?;
        let count = |n: usize| row.try_get::<i64, _>(n).map(|count| count as u64);
        let sample = Sample {
            values: values.len() as u64,
            keys: count(0)?,
            emails: count(1)?,
            usernames: count(2)?,
        };
        tx.rollback().await?;
        Ok(sample)
    }
}
