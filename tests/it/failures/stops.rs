//! Stopping while nothing works: within the grace period, with exit code 0, and nothing lost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use sqlx::Connection as _;
use tokio::time::Instant;

use super::created;
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::world::{Base, Which, on_both};

on_both!(
    a_stop_while_the_brake_holds_is_quick,
    a_stop_while_the_database_hangs_ends_with_the_grace_period,
    a_stop_while_the_broker_is_frozen_ends_with_the_grace_period,
    stops_while_the_brake_holds_are_no_deaths,
);

/// Stops it and returns how long that took.
async fn stopped(mut worker: Worker) -> Result<Duration> {
    let began = Instant::now();
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(began.elapsed())
}

/// Everything comes to its end in the next life.
async fn nothing_is_lost(deployment: &Deployment, events: i64) -> Result<()> {
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({}));
    assert_eq!(
        deployment
            .base
            .number("count(*)", "@ledger WHERE outcome = 'applied'")
            .await?,
        events
    );
    assert_eq!(deployment.base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

async fn a_stop_while_the_brake_holds_is_quick(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let hidden = deployment.base.table("hidden");
    let profiles = deployment.base.table("profiles");
    deployment
        .base
        .execute(&format!("ALTER TABLE {profiles} RENAME TO hidden"))
        .await?;
    deployment.publish(&created(0..500)).await?;
    let mut worker = deployment.start(&["run"])?;
    worker.logged("the brake holds", PATIENCE).await?;
    let took = stopped(worker).await?;
    assert!(took < Duration::from_secs(8), "{took:?}");
    deployment
        .base
        .execute(&format!("ALTER TABLE {hidden} RENAME TO profiles"))
        .await?;
    nothing_is_lost(&deployment, 500).await
}

async fn a_stop_while_the_database_hangs_ends_with_the_grace_period(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL__WORKER__GRACE", "8s")
        .set("ROLLCALL__STORE__STATEMENT_TIMEOUT", "60s")
        .set("ROLLCALL__STORE__LOCK_TIMEOUT", "60s");
    deployment.publish(&created(0..50)).await?;
    let worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(50).await?;
    let took = match deployment.base.which {
        Which::Sqlite => {
            let mut writer = sqlx::SqliteConnection::connect(&deployment.base.url).await?;
            sqlx::query("BEGIN EXCLUSIVE").execute(&mut writer).await?;
            deployment.publish(&created(50..100)).await?;
            in_hand(&deployment).await?;
            let took = stopped(worker).await?;
            sqlx::query("ROLLBACK").execute(&mut writer).await?;
            took
        }
        Which::Postgres => {
            let mut holder = sqlx::PgConnection::connect(&deployment.base.url).await?;
            sqlx::query("BEGIN").execute(&mut holder).await?;
            sqlx::query("LOCK TABLE rollcall.ledger IN ACCESS EXCLUSIVE MODE")
                .execute(&mut holder)
                .await?;
            deployment.publish(&created(50..100)).await?;
            in_hand(&deployment).await?;
            let took = stopped(worker).await?;
            sqlx::query("ROLLBACK").execute(&mut holder).await?;
            took
        }
    };
    assert!(took < Duration::from_secs(8), "{took:?}");
    nothing_is_lost(&deployment, 100).await
}

/// Waits until the worker has something in hand.
async fn in_hand(deployment: &Deployment) -> Result<()> {
    let broker = deployment.nats.connect().await?;
    wait_for("events in hand", PATIENCE, async || {
        let backlog = broker.backlog("USERS", "rollcall").await.ok()?;
        (backlog.pending == 0 && backlog.ack_pending > 0).then_some(())
    })
    .await?;
    broker.close().await;
    Ok(())
}

async fn a_stop_while_the_broker_is_frozen_ends_with_the_grace_period(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__GRACE", "8s");
    deployment.publish(&created(0..50)).await?;
    let mut worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(50).await?;
    deployment.nats.freeze().await?;
    let began = Instant::now();
    worker.logged("pulling is disturbed", PATIENCE).await?;
    let noticed = began.elapsed();
    assert!(noticed < Duration::from_secs(10), "{noticed:?}");
    let took = stopped(worker).await.context("the stop")?;
    assert!(took < Duration::from_secs(8), "{took:?}");
    deployment.nats.thaw()?;
    nothing_is_lost(&deployment, 50).await
}

/// An event that was delivered again, and a table that is missing: each life has the event alone in hand when it is stopped.
async fn stops_while_the_brake_holds_are_no_deaths(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__ACK_WAIT", "1s");
    let base = &deployment.base;
    let (miss, find) = match base.which {
        Which::Sqlite => (
            "CREATE TRIGGER missing BEFORE INSERT ON @profiles BEGIN INSERT INTO nowhere VALUES (1); END",
            "DROP TRIGGER missing",
        ),
        Which::Postgres => (
            "CREATE FUNCTION missing() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO nowhere VALUES (1); RETURN NEW; END'; \
             CREATE TRIGGER missing BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION missing()",
            "DROP TRIGGER missing ON @profiles",
        ),
    };
    base.script(miss).await?;
    deployment.publish(&created(0..1)).await?;
    // Five deaths bury an event, and a sixth life would do it.
    for life in 0..7 {
        let mut worker = deployment.start(&["run"])?;
        worker.logged("the brake holds", PATIENCE).await?;
        stopped(worker).await?;
        assert_eq!(base.number("count(*)", "@suspects").await?, 0, "life {life}");
    }
    base.execute(find).await?;
    nothing_is_lost(&deployment, 1).await
}

/// Without the relay events would be applied, and nobody told: the worker ends, and says so.
#[tokio::test]
async fn a_relay_that_ends_ends_the_worker() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    deployment.publish(&created(0..50)).await?;
    deployment.set("ROLLCALL_SABOTAGE", "end-relay");
    let ended = deployment.run(&["run"]).await?;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("the relay ended while there was work to do"),
        "{ended:?}"
    );
    deployment.set("ROLLCALL_SABOTAGE", "");
    nothing_is_lost(&deployment, 50).await
}
