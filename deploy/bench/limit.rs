//! The limit: the rows that the worker wrote, by one `INSERT … SELECT` for each table, into the same empty tables with the
//! same indexes, in one transaction.

use anyhow::Result;
use rollcall::clock;
use sqlx::{AssertSqlSafe, PgConnection};
use std::fmt::Write as _;

use crate::cluster::run;
use crate::drain::Task;
use crate::field::{Base, Field};

/// Copies what is there aside, makes the tables anew, and brings it back; how long that last step takes, in seconds.
pub(crate) async fn insert_select(field: &Field, base: &Base, task: &Task<'_>) -> Result<f64> {
    let mut connection = field.cluster.connect(&base.name).await?;
    let tables = set_aside(&mut connection).await?;
    run(&mut connection, "DROP SCHEMA rollcall CASCADE").await?;
    task.migrate().await?;
    let script = script(&mut connection, &tables).await?;
    field.settle().await?;
    let began = clock::monotonic();
    run(&mut connection, &script).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Copies every table of Rollcall's that has rows into the schema `aside`; their names.
pub(crate) async fn set_aside(connection: &mut PgConnection) -> Result<Vec<String>> {
    let sql =
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'rollcall' ORDER BY table_name";
    let all: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await?;
    run(connection, "CREATE SCHEMA aside").await?;
    let mut tables = Vec::new();
    for table in all {
        if !is_empty(connection, &table).await? {
            run(
                connection,
                &format!("CREATE UNLOGGED TABLE aside.{table} AS TABLE rollcall.{table}"),
            )
            .await?;
            tables.push(table);
        }
    }
    Ok(tables)
}

/// One transaction that brings the tables back; what a migration has filled already is left out.
async fn script(connection: &mut PgConnection, tables: &[String]) -> Result<String> {
    let mut script = "BEGIN;\n".to_owned();
    for table in tables {
        if is_empty(connection, table).await? {
            let _ = writeln!(
                script,
                "INSERT INTO rollcall.{table} OVERRIDING SYSTEM VALUE SELECT * FROM aside.{table};"
            );
        }
    }
    Ok(script + "COMMIT")
}

async fn is_empty(connection: &mut PgConnection, table: &str) -> Result<bool> {
    let sql = format!("SELECT NOT EXISTS (SELECT FROM rollcall.{table})");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?)
}
