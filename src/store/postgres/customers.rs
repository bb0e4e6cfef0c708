//! Customers: who has an address, what of them is filled, and the check of the application's table.

use std::collections::BTreeMap;

use sqlx::Row as _;
use uuid::Uuid;

use super::super::cascade::quoted;
use super::super::customers::{CustomerSource, FoundCustomer, MadeCustomer, Remark};
use super::super::{StoreError, columns};
use super::{Postgres, Tx, named};
use crate::domain::CustomerPlace;

impl Tx<'_> {
    pub(in super::super) async fn find_customers(
        &mut self,
        source: &CustomerSource,
        needles: &[String],
    ) -> Result<Vec<FoundCustomer>, StoreError> {
        if source.place == CustomerPlace::Application && !source.make.is_empty() {
            let sql = self.sql(
                "SELECT pg_advisory_xact_lock(hashtextextended('rollcall customer ' || u.address, 0)) \
                 FROM unnest($1::text[]) AS u (address)",
            );
            sqlx::query(sql).bind(needles).execute(&mut *self.inner).await?;
        }
        let sql = self.sql(&find(source, "$1::text[]"));
        let rows = sqlx::query(sql).bind(needles).fetch_all(&mut *self.inner).await?;
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
        let (users, organizations): (Vec<&str>, Vec<&str>) = memberships.iter().copied().unzip();
        let sql = self.sql(
            "SELECT c.user_id, c.organization_id, c.customer_id::text \
             FROM unnest($1::text[], $2::text[]) AS u (user_id, organization_id) \
             JOIN @customers c ON c.user_id = u.user_id AND c.organization_id = u.organization_id \
             AND c.user_id <> '' AND c.deleted_at IS NULL AND NOT c.made_by_worker",
        );
        let rows = sqlx::query_as(sql).bind(users).bind(organizations);
        Ok(rows.fetch_all(&mut *self.inner).await?)
    }

    pub(in super::super) async fn rows_to_be_had(
        &mut self,
        rows: &[Uuid],
        users: &[&str],
    ) -> Result<Vec<Uuid>, StoreError> {
        let sql = self.sql(
            "SELECT c.customer_id FROM unnest($1::uuid[]) AS u (id) JOIN @customers c ON c.customer_id = u.id \
             WHERE c.user_id = '' OR c.user_id = ANY ($2) ORDER BY c.customer_id FOR UPDATE OF c",
        );
        let found = sqlx::query_scalar(sql).bind(rows).bind(users);
        Ok(found.fetch_all(&mut *self.inner).await?)
    }

    pub(in super::super) async fn filled_columns(
        &mut self,
        source: &CustomerSource,
        customers: &[&str],
    ) -> Result<BTreeMap<String, Vec<bool>>, StoreError> {
        let sql = self.sql(&filled(source, "$1::text[]"));
        let rows = sqlx::query(sql).bind(customers).fetch_all(&mut *self.inner).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    pub(in super::super) async fn customer_address(
        &mut self,
        source: &CustomerSource,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = self.sql(&address(source));
        let address: Option<Option<String>> = sqlx::query_scalar(sql)
            .bind(vec![id])
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
        let table = source.quoted_table();
        let names: Vec<String> = source.make.keys().map(|name| quoted(name)).collect();
        let values: Vec<String> = names.iter().map(|name| format!("r.{name}")).collect();
        // Through the type of the row, so that texts become what the columns are.
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM unnest($1::text[]) AS u (body) \
             CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, u.body::jsonb) AS r",
            names.join(", "),
            values.join(", ")
        );
        let bodies = made
            .iter()
            .map(|made| columns::json(&source.row(made)))
            .collect::<Result<Vec<String>, _>>()?;
        let sql = self.sql(&sql);
        sqlx::query(sql).bind(bodies).execute(&mut *self.inner).await?;
        Ok(())
    }

    async fn make_own_customers(&mut self, made: &[MadeCustomer]) -> Result<(), StoreError> {
        let sql = self.sql(
            "INSERT INTO @customers (customer_id, user_id, name, email, created_at, updated_at, made_by_worker) \
             SELECT u.id::uuid, '', u.name, u.email, u.created_at, u.created_at, true \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS u (id, name, email, created_at)",
        );
        let times = made
            .iter()
            .map(|made| columns::instant(made.created_at))
            .collect::<Result<Vec<time::OffsetDateTime>, _>>()?;
        sqlx::query(sql)
            .bind(made.iter().map(|made| made.id.as_str()).collect::<Vec<_>>())
            .bind(made.iter().map(|made| made.display_name.as_str()).collect::<Vec<_>>())
            .bind(made.iter().map(|made| made.email.as_str()).collect::<Vec<_>>())
            .bind(times)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}

/// `needles` is an array of addresses in lower case. Rows of our own that are found are locked, so that they are given
/// away once.
fn find(source: &CustomerSource, needles: &str) -> String {
    let (table, id, email) = (
        source.quoted_table(),
        quoted(&source.id_column),
        quoted(&source.email_column),
    );
    match source.place {
        CustomerPlace::Own => format!(
            "SELECT t.customer_id::text, t.email, t.organization_id FROM unnest({needles}) AS u (address) \
             JOIN {table} t ON lower(t.email) = u.address AND t.user_id = '' AND t.deleted_at IS NULL \
             ORDER BY t.customer_id FOR UPDATE OF t"
        ),
        // In a form that no index serves: one over the ids would be read whole.
        CustomerPlace::Application => format!(
            "SELECT t.{id}::text, t.{email}::text, '' FROM unnest({needles}) AS u (address) \
             JOIN {table} t ON lower(t.{email}::text) = u.address AND (t.{id}::text || '') IS NOT NULL"
        ),
    }
}

/// `ids` is an array of texts.
fn filled(source: &CustomerSource, ids: &str) -> String {
    let tests: Vec<String> = source
        .required
        .iter()
        .map(|column| format!("coalesce(btrim(t.{}::text), '') <> ''", quoted(column)))
        .collect();
    format!(
        "SELECT u.id, ARRAY[{}]::boolean[] {}",
        tests.join(", "),
        by_id(source, ids)
    )
}

/// The address of the customer of the first parameter, an array of one text.
fn address(source: &CustomerSource) -> String {
    let email = quoted(&source.email_column);
    format!("SELECT t.{email}::text {}", by_id(source, "$1::text[]"))
}

/// The customers `t` with the ids `u.id`. Through the type of the row, so that a text becomes what the column is, and its
/// index serves.
fn by_id(source: &CustomerSource, ids: &str) -> String {
    let (table, id) = (source.quoted_table(), quoted(&source.id_column));
    let name = source.id_column.replace('\'', "''");
    format!(
        "FROM unnest({ids}) AS u (id) CROSS JOIN LATERAL \
         jsonb_populate_record(NULL::{table}, jsonb_build_object('{name}', u.id)) AS k JOIN {table} t ON t.{id} = k.{id}"
    )
}

/// What the catalog says of one column.
struct Column {
    name: String,
    kind: String,
    is_readable: bool,
    is_writable: bool,
    is_needed: bool,
}

impl Postgres {
    pub(in super::super) async fn check_customers(&self, source: &CustomerSource) -> Result<Vec<Remark>, StoreError> {
        let found = self.columns_of(source).await?;
        let name = source.name();
        if found.is_empty() {
            return Ok(vec![Remark::Problem(format!(
                "table {name}, where customers are looked for, does not exist or may not be seen"
            ))]);
        }
        let mut remarks = Vec::new();
        let column = |wanted: &str| found.iter().find(|column| column.name == wanted);
        for wanted in source.read_columns() {
            match column(wanted) {
                None => remarks.push(Remark::Problem(format!("table {name} has no column {wanted}"))),
                Some(column) if !column.is_readable => {
                    remarks.push(Remark::Problem(format!(
                        "we may not read {name}.{wanted}: grant SELECT"
                    )));
                }
                Some(column) if wanted == source.email_column && !is_text(&column.kind) => {
                    let kind = &column.kind;
                    remarks.push(Remark::Problem(format!(
                        "{name}.{wanted} is of type {kind}: an address is a text"
                    )));
                }
                Some(_) => {}
            }
        }
        for wanted in source.make.keys() {
            match column(wanted) {
                None => remarks.push(Remark::Problem(format!("table {name} has no column {wanted}"))),
                Some(column) if !column.is_writable => {
                    remarks.push(Remark::Problem(format!(
                        "we may not write {name}.{wanted}: grant INSERT"
                    )));
                }
                Some(_) => {}
            }
        }
        let left_out = |column: &&Column| column.is_needed && !source.make.contains_key(&column.name);
        if source.place == CustomerPlace::Application && !source.make.is_empty() {
            for column in found.iter().filter(left_out) {
                remarks.push(Remark::Problem(format!(
                    "{name}.{} may not be empty: give it in create_columns",
                    column.name
                )));
            }
        }
        if remarks.is_empty() {
            self.check_customer_indexes(source, &mut remarks).await?;
        }
        Ok(remarks)
    }

    async fn columns_of(&self, source: &CustomerSource) -> Result<Vec<Column>, StoreError> {
        // A name that is taken apart again resolves as it does in our statements.
        let table = source.quoted_table().replace('@', &self.names);
        let sql = "SELECT a.attname::text, format_type(a.atttypid, NULL), \
            has_column_privilege(a.attrelid, a.attnum, 'SELECT'), has_column_privilege(a.attrelid, a.attnum, 'INSERT'), \
            a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' \
            FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
        let rows = sqlx::query(sql).bind(table).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Column {
                    name: row.try_get(0)?,
                    kind: row.try_get(1)?,
                    is_readable: row.try_get(2)?,
                    is_writable: row.try_get(3)?,
                    is_needed: row.try_get(4)?,
                })
            })
            .collect()
    }

    /// Our connections use an index wherever one serves, so the plan says whether one does.
    async fn check_customer_indexes(
        &self,
        source: &CustomerSource,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), StoreError> {
        if source.place == CustomerPlace::Own {
            return Ok(());
        }
        let (table, name) = (source.quoted_table(), source.name());
        let (id, email) = (quoted(&source.id_column), quoted(&source.email_column));
        if self.scans(&find(source, "ARRAY['a']::text[]")).await? {
            remarks.push(Remark::Warning(format!(
                "no index serves the look for an address in {name}: CREATE INDEX ON {table} (lower({email}::text))"
            )));
        }
        if !source.required.is_empty() && self.scans(&filled(source, "ARRAY[]::text[]")).await? {
            remarks.push(Remark::Warning(format!(
                "no index serves the look for a customer in {name}: CREATE UNIQUE INDEX ON {table} ({id})"
            )));
        }
        Ok(())
    }

    async fn scans(&self, sql: &str) -> Result<bool, StoreError> {
        let plan: Vec<String> = sqlx::query_scalar(named(&format!("EXPLAIN (COSTS OFF) {sql}"), &self.names))
            .fetch_all(&self.pool)
            .await?;
        Ok(plan.iter().any(|line| line.contains("Seq Scan on")))
    }
}

fn is_text(kind: &str) -> bool {
    ["text", "character varying", "character", "citext"].contains(&kind)
}
