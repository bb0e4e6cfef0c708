//! Columns of text in the application's tables, and how many of their values are known.

use sqlx::Row as _;

use super::super::cascade::{SAMPLE, Sample, TextColumn, quoted, safe};
use super::super::{StoreError, columns};
use super::Sqlite;

const COLUMNS: &str = "SELECT t.name, c.name, c.\"notnull\" <> 0, \
    (SELECT f.\"table\" || '.' || f.\"to\" FROM pragma_foreign_key_list(t.name) f WHERE f.\"from\" = c.name LIMIT 1) \
    FROM pragma_table_list t JOIN pragma_table_xinfo(t.name) c \
    WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND c.type NOT LIKE '%INT%' AND (c.type LIKE '%CHAR%' OR c.type LIKE '%CLOB%' OR c.type LIKE '%TEXT%') \
    ORDER BY t.name, c.cid";

impl Sqlite {
    pub(in super::super) async fn text_columns(&self) -> Result<Vec<TextColumn>, StoreError> {
        let rows = sqlx::query(COLUMNS).fetch_all(&self.readers).await?;
        let mut found = Vec::new();
        for row in &rows {
            let table: String = row.try_get(0)?;
            if !self.is_ours(&table) {
                found.push(TextColumn {
                    schema: None,
                    table,
                    column: row.try_get(1)?,
                    is_required: row.try_get(2)?,
                    refers_to: row.try_get(3)?,
                });
            }
        }
        Ok(found)
    }

    pub(in super::super) async fn sample(&self, column: &TextColumn) -> Result<Sample, StoreError> {
        let (table, name) = (quoted(&column.table), quoted(&column.column));
        let values = format!(
            "SELECT DISTINCT CAST(v AS TEXT) FROM (SELECT {name} AS v FROM {table} WHERE {name} IS NOT NULL LIMIT {SAMPLE})"
        );
        let values: Vec<String> = sqlx::query_scalar(safe(&values)).fetch_all(&self.readers).await?;
        let known = self.sql(
            "SELECT (SELECT count(*) FROM @keys WHERE holder <> 0 AND key IN (SELECT value FROM json_each(?1))), \
             (SELECT count(DISTINCT email) FROM @profiles WHERE email IN (SELECT value FROM json_each(?1))), \
             (SELECT count(DISTINCT username) FROM @profiles WHERE username IN (SELECT value FROM json_each(?1)))",
        );
        let row = sqlx::query(known)
            .bind(columns::json(&values)?)
            .fetch_one(&self.readers)
            .await?;
        let count = |n: usize| row.try_get::<i64, _>(n).map(|count| count as u64);
        Ok(Sample {
            values: values.len() as u64,
            keys: count(0)?,
            emails: count(1)?,
            usernames: count(2)?,
        })
    }
}
