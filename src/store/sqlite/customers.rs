//! Customers: who has an address, what of them is filled, and the check of the application's table.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::super::cascade::quoted;
use super::super::customers::{CustomerSource, FoundCustomer, MadeCustomer, Remark};
use super::super::{StoreError, columns};
use super::{Sqlite, Tx};
use crate::domain::CustomerPlace;

impl Tx<'_> {
    pub(in super::super) async fn find_customers(
        &mut self,
        source: &CustomerSource,
        needles: &[String],
    ) -> Result<Vec<FoundCustomer>, StoreError> {
        let sql = self.sql(&find(source));
        let rows = sqlx::query(sql)
            .bind(columns::json(&needles)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(FoundCustomer {
                    id: row.try_get(0)?,
                    address: row.try_get::<String, _>(1)?.to_lowercase(),
                    organization_id: row.try_get(2)?,
                })
            })
            .collect()
    }

    pub(in super::super) async fn find_rows(
        &mut self,
        memberships: &[(&str, &str)],
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let sql = self.sql(
            "SELECT c.user_id, c.organization_id, c.customer_id FROM json_each(?1) AS u CROSS JOIN @customers c \
             ON c.user_id = u.value ->> 0 AND c.organization_id = u.value ->> 1 \
             AND c.user_id <> '' AND c.deleted_at IS NULL AND NOT c.made_by_worker",
        );
        let rows = sqlx::query_as(sql).bind(columns::json(&memberships)?);
        Ok(rows.fetch_all(&mut *self.inner).await?)
    }

    pub(in super::super) async fn rows_to_be_had(
        &mut self,
        rows: &[Uuid],
        users: &[&str],
    ) -> Result<Vec<Uuid>, StoreError> {
        let sql = self.sql(
            "SELECT c.customer_id FROM json_each(?1) AS u CROSS JOIN @customers c ON c.customer_id = u.value \
             WHERE c.user_id = '' OR c.user_id IN (SELECT value FROM json_each(?2))",
        );
        let found: Vec<String> = sqlx::query_scalar(sql)
            .bind(columns::json(&rows)?)
            .bind(columns::json(&users)?)
            .fetch_all(&mut *self.inner)
            .await?;
        let ids = found.iter().map(|id| Uuid::parse_str(id));
        ids.collect::<Result<_, _>>()
            .map_err(|_| columns::unreadable("customer", "its id is none"))
    }

    pub(in super::super) async fn filled_columns(
        &mut self,
        source: &CustomerSource,
        customers: &[&str],
    ) -> Result<BTreeMap<String, Vec<bool>>, StoreError> {
        let sql = self.sql(&filled(source));
        let rows = sqlx::query(sql)
            .bind(columns::json(&customers)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                let filled = (1..=source.required.len())
                    .map(|column| row.try_get(column))
                    .collect::<Result<Vec<bool>, sqlx::Error>>()?;
                Ok((row.try_get(0)?, filled))
            })
            .collect()
    }

    pub(in super::super) async fn customer_address(
        &mut self,
        source: &CustomerSource,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let email = quoted(&source.email_column);
        let sql = self.sql(&format!("SELECT CAST(t.{email} AS TEXT) {}", by_id(source)));
        let address: Option<Option<String>> = sqlx::query_scalar(sql)
            .bind(columns::json(&[id])?)
            .fetch_optional(&mut *self.inner)
            .await?;
        Ok(address.flatten())
    }

    pub(in super::super) async fn make_customers(
        &mut self,
        source: &CustomerSource,
        made: &[MadeCustomer],
    ) -> Result<(), StoreError> {
        if source.place == CustomerPlace::Own {
            return self.make_own_customers(made).await;
        }
        let names: Vec<String> = source.make.keys().map(|name| quoted(name)).collect();
        let values: Vec<String> = (0..names.len()).map(|place| format!("value ->> {place}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM json_each(?1)",
            source.quoted_table(),
            names.join(", "),
            values.join(", ")
        );
        self.run(&sql, made, |made| {
            Ok(Value::Array(source.row(made).into_values().collect()))
        })
        .await
        .map(|_| ())
    }

    async fn make_own_customers(&mut self, made: &[MadeCustomer]) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO @customers (customer_id, user_id, organization_id, name, email, created_at, updated_at, \
             made_by_worker) SELECT value ->> 0, '', '', value ->> 1, value ->> 2, value ->> 3, value ->> 3, 1 \
             FROM json_each(?1)",
            made,
            |made| {
                let time = columns::time_text(columns::instant(made.created_at)?)?;
                Ok(json!([made.id, made.display_name, made.email, time]))
            },
        )
        .await
        .map(|_| ())
    }
}

fn find(source: &CustomerSource) -> String {
    let (table, id, email) = (
        source.quoted_table(),
        quoted(&source.id_column),
        quoted(&source.email_column),
    );
    match source.place {
        CustomerPlace::Own => format!(
            "SELECT t.customer_id, t.email, t.organization_id FROM json_each(?1) AS u CROSS JOIN {table} t \
             ON lower(t.email) = u.value AND t.user_id = '' AND t.deleted_at IS NULL"
        ),
        CustomerPlace::Application => format!(
            "SELECT CAST(t.{id} AS TEXT), CAST(t.{email} AS TEXT), '' FROM json_each(?1) AS u CROSS JOIN {table} t \
             ON lower(t.{email}) = u.value AND +t.{id} IS NOT NULL"
        ),
    }
}

fn filled(source: &CustomerSource) -> String {
    let tests: Vec<String> = source
        .required
        .iter()
        .map(|column| format!("coalesce(trim(CAST(t.{} AS TEXT)), '') <> ''", quoted(column)))
        .collect();
    format!("SELECT u.value, {} {}", tests.join(", "), by_id(source))
}

/// The customers `t` with the ids `u.value`.
fn by_id(source: &CustomerSource) -> String {
    let (table, id) = (source.quoted_table(), quoted(&source.id_column));
    format!("FROM json_each(?1) AS u CROSS JOIN {table} t ON t.{id} = u.value")
}

impl Sqlite {
    pub(in super::super) async fn check_customers(&self, source: &CustomerSource) -> Result<Vec<Remark>, StoreError> {
        let name = source.name();
        let bare = match source.place {
            CustomerPlace::Own => format!("{}customers", self.prefix),
            CustomerPlace::Application => source.table.last().cloned().unwrap_or_default(),
        };
        let found: Vec<(String, bool)> = sqlx::query_as(
            "SELECT name, \"notnull\" AND dflt_value IS NULL AND NOT (pk = 1 AND upper(type) = 'INTEGER') \
             FROM pragma_table_info(?1)",
        )
        .bind(bare)
        .fetch_all(&self.readers)
        .await?;
        if found.is_empty() {
            return Ok(vec![Remark::Problem(format!(
                "table {name}, where customers are looked for, does not exist in the file of the store"
            ))]);
        }
        let is_there = |wanted: &str| found.iter().any(|(column, _)| column.eq_ignore_ascii_case(wanted));
        let mut remarks: Vec<Remark> = source
            .read_columns()
            .into_iter()
            .chain(source.make.keys().map(String::as_str))
            .filter(|wanted| !is_there(wanted))
            .map(|wanted| Remark::Problem(format!("table {name} has no column {wanted}")))
            .collect();
        if source.place == CustomerPlace::Application && !source.make.is_empty() {
            let given = |column: &str| source.make.keys().any(|made| made.eq_ignore_ascii_case(column));
            remarks.extend(
                found
                    .iter()
                    .filter(|(column, is_needed)| *is_needed && !given(column))
                    .map(|(column, _)| {
                        Remark::Problem(format!("{name}.{column} may not be empty: give it in create_columns"))
                    }),
            );
        }
        if remarks.is_empty() && source.place == CustomerPlace::Application {
            self.check_customer_indexes(source, &mut remarks).await?;
        }
        Ok(remarks)
    }

    async fn check_customer_indexes(
        &self,
        source: &CustomerSource,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), StoreError> {
        let (table, name) = (source.quoted_table(), source.name());
        let (id, email) = (quoted(&source.id_column), quoted(&source.email_column));
        let index = |columns: &str| format!("{}_{columns}", source.table.join("_"));
        if self.scans(&find(source)).await? {
            let index = quoted(&index(&source.email_column));
            remarks.push(Remark::Warning(format!(
                "no index serves the look for an address in {name}: CREATE INDEX {index} ON {table} (lower({email}))"
            )));
        }
        if !source.required.is_empty() && self.scans(&filled(source)).await? {
            let index = quoted(&index(&source.id_column));
            remarks.push(Remark::Warning(format!(
                "no index serves the look for a customer in {name}: CREATE UNIQUE INDEX {index} ON {table} ({id})"
            )));
        }
        Ok(())
    }

    async fn scans(&self, sql: &str) -> Result<bool, StoreError> {
        let mut connection = self.readers.acquire().await?;
        // Only a statement that is run notices an index that was made since the last one.
        sqlx::query(self.sql(sql))
            .bind("[]")
            .fetch_all(&mut *connection)
            .await?;
        let rows = sqlx::query(self.sql(&format!("EXPLAIN QUERY PLAN {sql}")))
            .bind("[]")
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        let plan = rows
            .iter()
            .map(|row| row.try_get::<String, _>("detail"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(plan.iter().any(|line| line == "SCAN t" || line.starts_with("SCAN t ")))
    }
}
