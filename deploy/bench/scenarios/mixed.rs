//! A mixed history with tables of the application that follow, beside a plain script that makes the same row changes for
//! everybody at once.

use anyhow::{Result, ensure};
use rollcall::clock;
use serde_json::json;
use sqlx::PgConnection;
use std::fmt::Write as _;

use crate::cluster::run;
use crate::field::{Base, Field};
use crate::history::{History, history};
use crate::limit::set_aside;
use crate::report::{Goal, Row};

const TABLES: [&str; 5] = ["user_permissions", "notifications", "sessions", "documents", "comments"];
/// Tables of ours that such a history fills.
const WRITTEN: [&str; 7] = [
    "customers",
    "departed",
    "keys",
    "ledger",
    "migrations",
    "policies",
    "profiles",
];
/// Rows of a user in each of them.
const ROWS: u64 = 10;
/// Each event changes about five rows of the application on average: a third of the events takes as long as the first row.
const SHARE: u64 = 3;

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    let mut history = history((field.order.events / SHARE).max(300));
    let broker = field.broker(std::mem::take(&mut history.events).into_iter()).await?;
    let sections = cascades();
    let (mut product, mut script, mut changed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..field.order.repetitions {
        let base = field.database().await?;
        let mut connection = field.cluster.connect(&base.name).await?;
        furnish(&mut connection, &history.people).await?;
        let drained = field
            .pass_as(&broker, &base, 1, |task| task.sections.clone_from(&sections))
            .await?;
        product.push(drained.rate());
        field.expect(&base, "rollcall.ledger", history.distinct).await?;
        field.expect(&base, "rollcall.dead_letters", 0).await?;
        changed = check(field, &base, &history).await?;
        let seconds = by_script(field, &base, &mut connection, &history).await?;
        script.push(broker.messages as f64 / seconds);
        check(field, &base, &history).await?;
        connection_closed(connection).await?;
        field.drop(base).await?;
    }
    Ok(vec![Row {
        name: "mixed",
        what: format!("mixed history of {} messages, five cascade tables", broker.messages),
        unit: "events/s",
        runs: product,
        beside: Some(("an SQL script for the same row changes".to_owned(), script)),
        goal: Some(Goal::AtLeast(0.6)),
        more: json!({"distinct_events": history.distinct, "rows_of_the_application_that_followed": changed}),
    }])
}

async fn connection_closed(connection: PgConnection) -> Result<()> {
    use sqlx::Connection as _;
    Ok(connection.close().await?)
}

fn cascades() -> String {
    let mut sections = String::new();
    for table in TABLES {
        let _ = write!(
            sections,
            "[[cascade]]\ntable = \"{table}\"\ncolumn = \"user\"\non_rename = \"rewrite\"\non_delete = \"delete\"\n"
        );
    }
    sections
}

/// The application's tables as they are in use: filled, indexed, known to the planner; rows of a user are not neighbours.
async fn furnish(connection: &mut PgConnection, people: &[String]) -> Result<()> {
    run(
        connection,
        "CREATE SCHEMA IF NOT EXISTS bench; CREATE UNLOGGED TABLE IF NOT EXISTS bench.people (key text)",
    )
    .await?;
    run(connection, "TRUNCATE bench.people").await?;
    fill(
        connection,
        "INSERT INTO bench.people SELECT * FROM unnest($1::text[])",
        &[people],
    )
    .await?;
    for table in TABLES {
        run(
            connection,
            &format!(
                "DROP TABLE IF EXISTS {table};
                CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \"user\" text NOT NULL, body text);
                INSERT INTO {table} (\"user\", body)
                SELECT key, 'row ' || n || ' of {table}' FROM generate_series(1, {ROWS}) n, bench.people ORDER BY n, key;
                CREATE INDEX ON {table} (\"user\")"
            ),
        )
        .await?;
        run(connection, &format!("VACUUM ANALYZE {table}")).await?;
    }
    Ok(())
}

async fn fill(connection: &mut PgConnection, sql: &'static str, columns: &[&[String]]) -> Result<()> {
    let mut query = sqlx::query(sql);
    for column in columns {
        query = query.bind(*column);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Whoever has gone has no rows, whoever has another key has all of them there; how many rows that concerns.
async fn check(field: &Field, base: &Base, history: &History) -> Result<u64> {
    let there = history.people.len() - history.gone.len();
    field.expect(base, "rollcall.profiles", there as u64).await?;
    for table in TABLES {
        field.expect(base, table, there as u64 * ROWS).await?;
        let strangers =
            format!("{table} t WHERE NOT EXISTS (SELECT FROM rollcall.profiles p WHERE p.user_id = t.\"user\")");
        field.expect(base, &strangers, 0).await?;
    }
    Ok((history.gone.len() + history.moved.len()) as u64 * ROWS * TABLES.len() as u64)
}

/// The same tables anew, and the script; how long it takes, in seconds.
async fn by_script(field: &Field, base: &Base, connection: &mut PgConnection, history: &History) -> Result<f64> {
    for table in set_aside(connection).await? {
        ensure!(WRITTEN.contains(&table.as_str()), "script.sql writes no {table}");
    }
    run(connection, "DROP SCHEMA rollcall CASCADE").await?;
    let broker = field.created().await?;
    field.task(broker, "script", base).migrate().await?;
    furnish(connection, &history.people).await?;
    tell_of(connection, history).await?;
    run(connection, include_str!("../mixed.sql")).await?;
    field.settle().await?;
    let began = clock::monotonic();
    run(connection, include_str!("../script.sql")).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// What the history knows, as tables.
async fn tell_of(connection: &mut PgConnection, history: &History) -> Result<()> {
    run(
        connection,
        "CREATE UNLOGGED TABLE aside.people_gone (first text);
        CREATE UNLOGGED TABLE aside.people_updated (first text);
        CREATE UNLOGGED TABLE aside.people_moved (first text, last text);
        CREATE UNLOGGED TABLE aside.people_joined (first text, organization text)",
    )
    .await?;
    let one = |pairs: &[(String, String)]| -> (Vec<String>, Vec<String>) { pairs.iter().cloned().unzip() };
    let moved: Vec<(String, String)> = history.moved.clone().into_iter().collect();
    let ((first, last), (members, organizations)) = (one(&moved), one(&history.joined));
    fill(
        connection,
        "INSERT INTO aside.people_gone SELECT * FROM unnest($1::text[])",
        &[&history.gone],
    )
    .await?;
    fill(
        connection,
        "INSERT INTO aside.people_updated SELECT * FROM unnest($1::text[])",
        &[&history.updated],
    )
    .await?;
    let moved = "INSERT INTO aside.people_moved SELECT * FROM unnest($1::text[], $2::text[])";
    fill(connection, moved, &[&first, &last]).await?;
    let joined = "INSERT INTO aside.people_joined SELECT * FROM unnest($1::text[], $2::text[])";
    fill(connection, joined, &[&members, &organizations]).await
}
