//! The world is out of order: nothing is lost, nothing buried, and work goes on by itself when it is in order again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall::worker::brake::Brake;

use super::{RECOVERY, created, reaches};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::world::{Base, Which, on_both};

on_both!(
    the_probe_sees_every_table_and_column,
    a_missing_table_holds_the_brake,
    a_fault_that_the_probe_does_not_see_is_no_stream_of_lines,
);

const BATCH: u64 = 20;

async fn the_probe_sees_every_table_and_column(base: Base) -> Result<()> {
    let store = base.store().await?;
    let brake = Brake::new(store.clone());
    brake.probe().await.context("a healthy database")?;
    let mut tables = base.tables().await?;
    // The list of migrations is read at the start only.
    tables.retain(|table| table != "migrations");
    assert!(tables.len() >= 12, "{tables:?}");
    for table in tables {
        let name = base.table(&table);
        base.execute(&format!("ALTER TABLE {name} RENAME TO hidden")).await?;
        assert!(brake.probe().await.is_err(), "{table} is missing");
        let hidden = base.table("hidden");
        base.execute(&format!("ALTER TABLE {hidden} RENAME TO {table}")).await?;
        for column in base.columns(&table).await? {
            base.execute(&format!("ALTER TABLE {name} RENAME COLUMN {column} TO hidden_column"))
                .await?;
            assert!(brake.probe().await.is_err(), "{table}.{column} is missing");
            base.execute(&format!("ALTER TABLE {name} RENAME COLUMN hidden_column TO {column}"))
                .await?;
        }
        brake.probe().await.with_context(|| format!("{table} is back"))?;
    }
    Ok(())
}

async fn a_missing_table_holds_the_brake(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", &BATCH.to_string());
    deployment.publish(&created(0..50)).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(50).await?;
    let profiles = deployment.base.table("profiles");
    let hidden = deployment.base.table("hidden");
    deployment
        .base
        .execute(&format!("ALTER TABLE {profiles} RENAME TO hidden"))
        .await?;
    deployment.publish(&created(50..1050)).await?;
    worker.logged("the brake holds", PATIENCE).await?;
    stops_pulling(&deployment).await?;
    deployment
        .base
        .execute(&format!("ALTER TABLE {hidden} RENAME TO profiles"))
        .await?;
    reaches(&deployment.base, "@ledger WHERE outcome = 'applied'", 1050, RECOVERY).await?;
    ends_well(deployment, worker, 1050).await
}

/// What is in hand does not grow any more, for longer than the broker waits for an acknowledgement; nor is it delivered
/// anew, because it is kept alive. Two requests of a batch each may be on their way when the brake is pulled, whose messages
/// nobody has.
async fn stops_pulling(deployment: &Deployment) -> Result<()> {
    let broker = deployment.nats.connect().await?;
    let mut seen = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    wait_for("three seconds in which nothing moves", PATIENCE, async || {
        ticks.tick().await;
        seen.push(broker.backlog("USERS", "rollcall").await.ok()?);
        let last = seen.last()?;
        let still = seen.iter().rev().take_while(|backlog| *backlog == last).count();
        (still >= 7 && last.pending + last.ack_pending > 0).then_some(())
    })
    .await?;
    let last = seen.last().context("a backlog")?;
    assert!(last.redelivered <= 2 * BATCH, "what is in hand is kept alive: {seen:?}");
    assert!(last.ack_pending > last.redelivered, "{seen:?}");
    broker.close().await;
    Ok(())
}

async fn ends_well(deployment: Deployment, mut worker: Worker, events: i64) -> Result<()> {
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert_eq!(finished.json()?["outcomes"]["applied"], events, "{}", finished.stdout);
    assert_eq!(deployment.base.number("count(*)", "@dead_letters").await?, 0);
    assert_eq!(
        deployment.base.number("count(*)", "@retries").await?,
        0,
        "no attempt is counted"
    );
    for (line, count) in [("the brake holds", 1), ("takes events again", 1)] {
        let found = finished.stderr.matches(line).count();
        assert_eq!(found, count, "{line}\n{}", finished.stderr);
    }
    Ok(())
}

async fn a_fault_that_the_probe_does_not_see_is_no_stream_of_lines(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..5)).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(5).await?;
    // Not a refusal of the row, by its code; and no row, no fault.
    let (make, unmake) = match deployment.base.which {
        Which::Sqlite => (
            vec!["CREATE TRIGGER odd BEFORE INSERT ON @profiles BEGIN SELECT json('{' || NEW.user_id); END"],
            "DROP TRIGGER odd",
        ),
        Which::Postgres => (
            vec![
                "CREATE FUNCTION @profiles_odd() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM missing_function(); RETURN NEW; END $$",
                "CREATE TRIGGER odd BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION @profiles_odd()",
            ],
            "DROP TRIGGER odd ON @profiles",
        ),
    };
    for sql in make {
        deployment.base.execute(sql).await?;
    }
    deployment.publish(&created(5..10)).await?;
    worker.logged("the brake holds", PATIENCE).await?;
    let beats = async || deployment.base.number("beats", "@heartbeat").await.ok();
    wait_for("several probes", PATIENCE, async || (beats().await? >= 5).then_some(())).await?;
    deployment.base.execute(unmake).await?;
    reaches(&deployment.base, "@ledger", 10, RECOVERY).await?;
    ends_well(deployment, worker, 10).await
}

mod postgres_only {
    use super::*;

    async fn started() -> Result<(Deployment, Worker)> {
        let deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
        deployment.publish(&created(0..50)).await?;
        let worker = deployment.start(&["run", "--json"])?;
        deployment.ledger_reaches(50).await?;
        Ok((deployment, worker))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_killed_server_is_waited_for() -> Result<()> {
        let (mut deployment, mut worker) = started().await?;
        deployment.base.server.as_mut().context("a server")?.kill().await?;
        deployment.publish(&created(50..1050)).await?;
        worker.logged("the brake holds", PATIENCE).await?;
        stops_pulling(&deployment).await?;
        deployment.base.server.as_mut().context("a server")?.restart().await?;
        reaches(&deployment.base, "@ledger", 1050, RECOVERY).await?;
        ends_well(deployment, worker, 1050).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_read_only_server_is_waited_for() -> Result<()> {
        let (deployment, mut worker) = started().await?;
        let server = deployment.base.server.as_ref().context("a server")?;
        let read_only = |on: &str| -> Result<()> {
            server.sql(
                "postgres",
                &format!("ALTER SYSTEM SET default_transaction_read_only = {on}"),
            )?;
            server.sql("postgres", "SELECT pg_reload_conf()").map(drop)
        };
        read_only("on")?;
        wait_for("the new setting", PATIENCE, async || {
            let found = server.sql("postgres", "SHOW default_transaction_read_only").ok()?;
            (found == "on").then_some(())
        })
        .await?;
        deployment.publish(&created(50..100)).await?;
        worker.logged("the brake holds", PATIENCE).await?;
        let url = server.url("postgres");
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await?;
        for sql in [
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM SET default_transaction_read_only = off",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::query(sql).execute(&mut connection).await?;
        }
        reaches(&deployment.base, "@ledger", 100, RECOVERY).await?;
        ends_well(deployment, worker, 100).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn revoked_grants_are_waited_for() -> Result<()> {
        let mut deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
        for sql in [
            "CREATE ROLE worker LOGIN",
            "GRANT USAGE ON SCHEMA rollcall TO worker",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO worker",
        ] {
            deployment.base.execute(sql).await?;
        }
        let url = deployment.base.url.replace("postgres@", "worker@");
        deployment.set("ROLLCALL__STORE__URL", &url);
        deployment.publish(&created(0..50)).await?;
        let mut worker = deployment.start(&["run", "--json"])?;
        deployment.ledger_reaches(50).await?;
        deployment.base.execute("REVOKE INSERT ON @ledger FROM worker").await?;
        deployment.publish(&created(50..100)).await?;
        worker.logged("the brake holds", PATIENCE).await?;
        deployment.base.execute("GRANT INSERT ON @ledger TO worker").await?;
        reaches(&deployment.base, "@ledger", 100, RECOVERY).await?;
        ends_well(deployment, worker, 100).await
    }
}
