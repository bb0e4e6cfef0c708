//! The database is away while a backlog waits: nothing is buried, nothing piles up in memory, and all of it is applied.
//!
//! `ROLLCALL_TEST_EVENTS=200000 ROLLCALL_TEST_OUTAGE_SECONDS=120 cargo nextest run soak` is the long one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Connection as _;
use tokio::time::Instant;

use super::RECOVERY;
use crate::deployment::{Deployment, PATIENCE};
use crate::end_to_end::outages::{complete, users};
use crate::harness::tell;
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::world::{Base, Which, on_both};

const EVENTS: usize = 50_000;
const OUTAGE_SECONDS: usize = 20;
/// Memory during the outage, in parts of a hundred of what it was before.
const MOST_PERCENT: u64 = 120;
/// A backlog drains at some thousand events a second; this is for a machine that does much else.
const PATIENCE_PER_THOUSAND: Duration = Duration::from_secs(3);

on_both!(a_long_outage_with_a_backlog);

async fn a_long_outage_with_a_backlog(base: Base) -> Result<()> {
    let events = number("ROLLCALL_TEST_EVENTS", EVENTS)?;
    let outage = Duration::from_secs(number("ROLLCALL_TEST_OUTAGE_SECONDS", OUTAGE_SECONDS)? as u64);
    let which = base.which;
    let mut deployment = Deployment::around(base).await?;
    for first in (0..events).step_by(10_000) {
        deployment.publish(&users(first..events.min(first + 10_000))).await?;
    }
    let mut worker = deployment.start(&["run", "--drain", "--json"])?;
    deployment.ledger_reaches(events as i64 / 5).await?;
    let before = worker.peak_memory()?;
    let during = away(&mut deployment, &mut worker, outage).await?;
    let stood = deployment.base.number("count(*)", "@ledger").await?;
    ensure!((stood as usize) < events, "{stood} of {events}: no backlog was left");
    wait_for("the first commit after the outage", RECOVERY, async || {
        let found = deployment.base.number("count(*)", "@ledger").await.ok()?;
        (found > stood).then_some(())
    })
    .await
    .with_context(|| worker.log())?;
    let patience = PATIENCE + PATIENCE_PER_THOUSAND * (events / 1000) as u32;
    let finished = worker.finished(patience).await?.success()?;
    assert_eq!(finished.json()?["outcomes"]["applied"], events, "{}", finished.stdout);
    complete(&deployment, events as i64).await?;
    assert_eq!(deployment.base.number("count(*)", "@retries").await?, 0);
    tell(&format!(
        "{which:?}: {stood} of {events} applied before {outage:?} of outage; peak memory {before} KiB, then {during} KiB"
    ))?;
    ensure!(
        during * 100 <= before * MOST_PERCENT,
        "{during} KiB during the outage, {before} KiB before"
    );
    Ok(())
}

/// Takes the database away for so long; the worker's peak memory at the end of it.
async fn away(deployment: &mut Deployment, worker: &mut Worker, outage: Duration) -> Result<u64> {
    let begin = Instant::now();
    let over = async || {
        wait_for("the end of the outage", outage * 2, async || {
            (begin.elapsed() >= outage).then_some(())
        })
        .await
    };
    match deployment.base.which {
        Which::Postgres => {
            let server = deployment.base.server.as_mut().context("a server")?;
            server.kill().await?;
            worker.logged("the brake holds", RECOVERY).await?;
            over().await?;
            let peak = worker.peak_memory()?;
            server.restart().await?;
            Ok(peak)
        }
        Which::Sqlite => {
            let mut writer = sqlx::SqliteConnection::connect(&deployment.base.url).await?;
            sqlx::query("BEGIN EXCLUSIVE").execute(&mut writer).await?;
            over().await?;
            let peak = worker.peak_memory()?;
            sqlx::query("ROLLBACK").execute(&mut writer).await?;
            Ok(peak)
        }
    }
}

fn number(name: &str, default: usize) -> Result<usize> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| name.to_owned()))
}
