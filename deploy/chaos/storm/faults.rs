//! What is done to the field. Each fault is over when it returns: what was frozen runs, what was killed is back.

use anyhow::{Context as _, Result};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use std::time::Duration;

use super::cluster::signal;
use super::field::{ACK_WAIT, Field};
use super::plan::Kind;
use super::rng::Rng;
use crate::harness::proxy::{Deed, Proxy};
use crate::harness::wait::wait_for;

/// How long a COMMIT that is to be cut is waited for.
const UNTIL_COMMIT: Duration = Duration::from_secs(8);
/// Longer than a worker waits for an answer of the database.
const BEYOND_PATIENCE: Duration = Duration::from_secs(9);

/// Does one fault to the field; false if there was nothing to do it to.
pub(super) async fn inflict(kind: Kind, field: &Field, rng: &mut Rng) -> Result<bool> {
    match kind {
        Kind::WorkerKill => kill_workers(field, rng).await,
        Kind::WorkerFreeze => freeze_worker(field, rng).await,
        Kind::BrokerKill => kill_broker(field, rng).await,
        Kind::BrokerFreeze => {
            let mut nats = field.nats.lock().await;
            nats.freeze().await?;
            pause(rng, 100, 3_000).await;
            nats.thaw().map(|()| true)
        }
        Kind::BrokerCut => cut(&field.broker_road, rng).await,
        Kind::PostmasterKill => {
            let mut cluster = field.cluster.as_ref().context("PostgreSQL")?.lock().await;
            cluster.kill().await?;
            pause(rng, 0, 500).await;
            cluster.launch().await.map(|()| true)
        }
        Kind::BackendKill => {
            let cluster = field.cluster.as_ref().context("PostgreSQL")?.lock().await;
            Ok(cluster.kill_backend(|count| rng.below(count)))
        }
        Kind::DatabaseFreeze => freeze_database(field, rng).await,
        Kind::DatabaseCut => cut(field.store_road.as_ref().context("a proxy")?, rng).await,
        Kind::CommitLost => cut_commits(field, Deed::LoseRequest, rng).await,
        Kind::CommitUnanswered => cut_commits(field, Deed::LoseReply, rng).await,
        Kind::DatabaseLocked => lock_file(field, rng).await,
        // The generator does these.
        Kind::DuplicateStorm | Kind::ReorderStorm => Ok(true),
    }
}

/// Lets between so and so many milliseconds pass.
pub(super) async fn pause(rng: &mut Rng, least: usize, most: usize) {
    let milliseconds = least + rng.below(most - least + 1);
    tokio::time::sleep(Duration::from_millis(milliseconds as u64)).await;
}

/// One worker, or now and then all; they are started again by whoever looks after the field.
async fn kill_workers(field: &Field, rng: &mut Rng) -> Result<bool> {
    if rng.percent(15) {
        for seat in &field.seats {
            seat.lock().await.kill().await?;
        }
    } else {
        let mut seat = rng.pick(&field.seats).lock().await;
        seat.kill().await?;
        pause(rng, 0, 300).await;
    }
    Ok(true)
}

/// Often for so long that others get what it has in hand.
async fn freeze_worker(field: &Field, rng: &mut Rng) -> Result<bool> {
    let mut seat = rng.pick(&field.seats).lock().await;
    seat.freeze().await?;
    if rng.percent(40) {
        tokio::time::sleep(ACK_WAIT).await;
    }
    pause(rng, 50, 1_000).await;
    seat.thaw().map(|()| true)
}

/// Sometimes once more while it recovers.
async fn kill_broker(field: &Field, rng: &mut Rng) -> Result<bool> {
    let mut nats = field.nats.lock().await;
    nats.kill().await?;
    pause(rng, 0, 500).await;
    nats.restart().await?;
    if rng.percent(25) {
        pause(rng, 0, 200).await;
        nats.restart().await?;
    }
    Ok(true)
}

/// All of it, or one process that serves a worker, until that gives up.
async fn freeze_database(field: &Field, rng: &mut Rng) -> Result<bool> {
    let cluster = field.cluster.as_ref().context("PostgreSQL")?.lock().await;
    let backends = cluster.backends();
    if rng.percent(30) && !backends.is_empty() {
        let one = [*rng.pick(&backends)];
        signal("STOP", &one);
        tokio::time::sleep(BEYOND_PATIENCE).await;
        signal("CONT", &one);
    } else {
        let all = cluster.processes();
        signal("STOP", &all);
        pause(rng, 100, 2_500).await;
        signal("CONT", &all);
    }
    Ok(true)
}

/// A network that resets, refuses, swallows or forgets.
async fn cut(road: &Proxy, rng: &mut Rng) -> Result<bool> {
    match rng.below(4) {
        0 => road.cut(),
        1 => {
            road.refuse();
            pause(rng, 100, 1_500).await;
            road.welcome();
        }
        2 => {
            road.freeze();
            pause(rng, 100, 3_000).await;
            road.thaw();
        }
        _ => {
            road.freeze();
            pause(rng, 0, 300).await;
            road.forget();
        }
    }
    Ok(true)
}

/// The next few COMMITs: the server never hears of them, or does them and is not heard.
async fn cut_commits(field: &Field, deed: Deed, rng: &mut Rng) -> Result<bool> {
    let road = field.store_road.as_ref().context("a proxy")?;
    let before = road.done().len();
    let wanted = 1 + rng.below(4);
    for _ in 0..wanted {
        road.plan("COMMIT", deed);
    }
    let all = wait_for("COMMITs", UNTIL_COMMIT, async || {
        (road.done().len() >= before + wanted).then_some(())
    });
    let _ = all.await;
    road.unplan();
    Ok(road.done().len() > before)
}

/// Somebody else writes into the file, and takes their time.
async fn lock_file(field: &Field, rng: &mut Rng) -> Result<bool> {
    let path = field.store_url.trim_start_matches("sqlite://");
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(30));
    let mut connection = options.connect().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    pause(rng, 100, 5_000).await;
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    connection.close().await?;
    Ok(true)
}
