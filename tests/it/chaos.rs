//! Storms as deploy/chaos.sh makes them: with the events and faults of a seed that stays, and of one that is fresh.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::harness::postgres::programs;

#[allow(dead_code, reason = "the driver prints the page")]
#[path = "../../deploy/chaos/storm/mod.rs"]
mod storm;

use storm::{Database, Order, Report};

const EVENTS: usize = 20_000;
const FAULTS: usize = 30;

/// A storm of its own; where it fails, configuration, logs and journal stay.
async fn stormed(
    database: Database,
    events: usize,
    faults: usize,
    seed: u64,
    sabotage: Option<&str>,
) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("rollcall-chaos-").tempdir()?;
    let order = Order {
        events,
        faults,
        seed,
        database,
        sabotage: sabotage.map(str::to_owned),
        rollcall: env!("CARGO_BIN_EXE_rollcall").into(),
        postgres: Some(programs()?),
        folder: folder.path().to_path_buf(),
    };
    let report = storm::storm(order).await;
    if sabotage.is_none() && !matches!(&report, Ok(report) if report.is_ok()) {
        writeln!(std::io::stdout(), "seed {seed}; see {}", folder.keep().display())?;
    }
    report.with_context(|| format!("seed {seed}"))
}

async fn passes(database: Database, events: usize, faults: usize, seed: u64) -> Result<()> {
    let report = stormed(database, events, faults, seed, None).await?;
    writeln!(std::io::stdout(), "{}", report.page())?;
    ensure!(report.is_ok(), "seed {seed}: {}", report.object());
    ensure!(report.object()["faults"] == faults, "every fault was inflicted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn known_storm_loses_nothing_and_doubles_nothing() -> Result<()> {
    passes(Database::Postgres, EVENTS, FAULTS, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_storm_loses_nothing_and_doubles_nothing() -> Result<()> {
    let seed = match std::env::var("ROLLCALL_TEST_SEED") {
        Ok(text) => text.parse().context("ROLLCALL_TEST_SEED")?,
        Err(_) => RandomState::new().hash_one("a storm") % 1_000_000_000,
    };
    passes(Database::Postgres, EVENTS, FAULTS, seed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_storm_loses_nothing_and_doubles_nothing() -> Result<()> {
    passes(Database::Sqlite, 10_000, 20, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotaged_workers_are_caught() -> Result<()> {
    let lossy = stormed(Database::Postgres, 4_000, 24, 1, Some("ack-before-commit")).await?;
    ensure!(lossy.findings.lost > 0 && !lossy.is_ok(), "{}", lossy.object());
    let hasty = stormed(Database::Sqlite, 2_000, 12, 1, Some("bury-redelivered")).await?;
    ensure!(hasty.findings.misplaced > 0 && !hasty.is_ok(), "{}", hasty.object());
    Ok(())
}
