//! A network that swallows everything: noticed in time, wherever it begins, and left behind when it ends.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::clock::monotonic;
use rollcall::failure::{Class, class};
use rollcall::store::{Queue, Store, StoreError};

use super::{Line, PATIENCE, applying, creation};
use crate::harness::proxy::Deed;
use crate::harness::wait::wait_for;
use crate::world::{apply, said};

const LIMIT: Duration = Duration::from_millis(500);

/// What the promise of 15 seconds rests on: the shipped limit of the server, and the time its answer may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_shipped_settings_patience_ends_after_15_seconds() -> Result<()> {
    let line = Line::new().await?;
    let shipped = rollcall::config::Config::default().store.statement_timeout;
    let store = Store::open(&line.settings(1, shipped)).await?;
    assert_eq!(store.patience(), Duration::from_secs(15));
    Ok(())
}

/// Within its patience and the time of a new connection, and it is the world's.
#[track_caller]
fn noticed(began: std::time::Instant, error: &StoreError, patience: Duration) {
    assert_eq!(class(error), Class::World, "{error}");
    let took = began.elapsed();
    assert!(took < patience + Duration::from_secs(3), "{took:?} for {error}");
}

/// From this statement on nothing comes back; until the network is there again.
async fn swallowed(line: &Line, n: usize, statement: &str) -> Result<()> {
    let applier = line.applier(2, LIMIT).await?;
    let patience = Store::open(&line.settings(1, LIMIT)).await?.patience();
    line.proxy.plan(statement, Deed::HoldReply);
    let began = monotonic();
    let waiting = applying(&applier, creation(n));
    line.done(1).await?;
    line.proxy.freeze();
    let error = waiting.await?.err().context("no answer")?;
    assert_eq!(error.code(), "timeout", "{statement}");
    noticed(began, &error, patience);
    line.proxy.thaw();
    line.proxy.release();
    let again = wait_for("the same batch", PATIENCE, async || {
        apply(&applier, &[creation(n)]).await.ok()
    });
    // The answer that was lost may have been that of the commit.
    let again = said(&again.await?);
    assert_eq!(again, [if statement == "COMMIT" { "duplicate" } else { "applied" }]);
    line.nothing_is_open().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_swallowed_is_noticed_wherever_it_is() -> Result<()> {
    let (first, second, third, fourth) = tokio::try_join!(Line::new(), Line::new(), Line::new(), Line::new())?;
    tokio::try_join!(
        swallowed(&first, 1, "BEGIN"),
        swallowed(&second, 2, "SELECT L.SOURCE"),
        swallowed(&third, 3, "INSERT INTO"),
        swallowed(&fourth, 4, "COMMIT"),
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_went_mute_while_nobody_used_them_are_left_behind() -> Result<()> {
    let line = Line::new().await?;
    let applier = line.applier(2, LIMIT).await?;
    let store = Store::open(&line.settings(2, LIMIT)).await?;
    store.outbox(Queue::Letters, 1).await?;
    assert_eq!(said(&apply(&applier, &[creation(1)]).await?), ["applied"]);
    line.proxy.freeze();
    let began = monotonic();
    let event = [creation(2)];
    let (batch, question) = tokio::join!(apply(&applier, &event), store.outbox(Queue::Letters, 1));
    noticed(began, &batch.err().context("no connection")?, Duration::from_secs(10));
    noticed(began, &question.err().context("no answer")?, Duration::from_secs(10));
    // They stay mute for ever, as where a firewall has forgotten them; new connections are fine.
    line.proxy.forget();
    assert_eq!(said(&apply(&applier, &[creation(2)]).await?), ["applied"]);
    store.outbox(Queue::Letters, 1).await?;
    Ok(())
}
