//! A world that goes away and comes back: waited for, never blamed on an event.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::deployment::{Deployment, PATIENCE};
use crate::world::{Base, Which, cloud_event, on_both};

/// Creations of users with these numbers.
pub(crate) fn users(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers
        .map(|n| {
            cloud_event(
                "created",
                &format!("{n}"),
                n as i64,
                &json!({"user_id": format!("u{n}")}),
            )
        })
        .collect()
}

/// Every event once in the ledger, one profile each, nothing buried.
pub(crate) async fn complete(deployment: &Deployment, count: i64) -> Result<()> {
    let base = &deployment.base;
    assert_eq!(
        base.number("count(*)", "@ledger WHERE outcome = 'applied'").await?,
        count
    );
    assert_eq!(base.number("count(*)", "@profiles WHERE version = 1").await?, count);
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    assert!(deployment.dead_letters().await?.is_empty());
    Ok(())
}

on_both!(
    a_broker_that_restarts_is_waited_for,
    a_broker_that_is_not_there_yet_is_waited_for,
    a_locked_or_stopped_database_is_waited_for,
);

async fn a_broker_that_restarts_is_waited_for(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..300)).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "10");
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(50).await?;
    deployment.nats.restart().await?;
    deployment.publish(&users(300..600)).await?;
    deployment.ledger_reaches(600).await?;
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert!(
        finished.json()?["outcomes"]["applied"] == json!(600),
        "{}",
        finished.stdout
    );
    complete(&deployment, 600).await
}

async fn a_broker_that_is_not_there_yet_is_waited_for(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..10)).await?;
    deployment.nats.kill().await?;
    let mut worker = deployment.start(&["run", "--drain", "--json"])?;
    worker.logged("waiting for the broker", PATIENCE).await?;
    deployment.nats.restart().await?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert_eq!(finished.json()?["outcomes"]["applied"], json!(10));
    complete(&deployment, 10).await
}

async fn a_locked_or_stopped_database_is_waited_for(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..50)).await?;
    deployment
        .set("ROLLCALL__STORE__LOCK_TIMEOUT", "100ms")
        .set("ROLLCALL__TELEMETRY__LOG", "info,rollcall=debug");
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(50).await?;
    match deployment.base.which {
        Which::Sqlite => {
            let mut writer = sqlx::SqliteConnection::connect(&deployment.base.url).await?;
            sqlx::query("BEGIN EXCLUSIVE").execute(&mut writer).await?;
            deployment.publish(&users(50..100)).await?;
            deployment.put("user.created", &[], b"not JSON").await?;
            worker.logged("batch contended", PATIENCE).await?;
            sqlx::query("ROLLBACK").execute(&mut writer).await?;
        }
        Which::Postgres => {
            let server = deployment.base.server.as_mut().context("a server")?;
            server.kill().await?;
            deployment.publish(&users(50..100)).await?;
            deployment.put("user.created", &[], b"not JSON").await?;
            worker.logged("the database does not take events", PATIENCE).await?;
            deployment.base.server.as_mut().context("a server")?.restart().await?;
        }
    }
    deployment.ledger_reaches(100).await?;
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert_eq!(
        finished.json()?["outcomes"]["applied"],
        json!(100),
        "{}",
        finished.stderr
    );
    let counts = deployment.drain().await?;
    let letters = deployment.dead_list().await?;
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("undecodable")], "{counts}");
    assert_eq!(
        deployment
            .base
            .number("count(*)", "@profiles WHERE version = 1")
            .await?,
        100
    );
    Ok(())
}
