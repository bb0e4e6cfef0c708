//! The server goes away in every way it has, and the same batch is applied when it is back.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::apply::Applier;
use rollcall::clock::monotonic;
use rollcall::failure::Class::World;
use rollcall::failure::fault;
use rollcall::store::{Store, StoreError, Trouble};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::contention::waiting_backend;
use super::{applied, change, creation, is, refused};
use crate::harness::process::send;
use crate::harness::wait::wait_for;
use crate::world::{Base, Message, Which, apply};

const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until it is applied; until then only the world may be to blame.
async fn applied_at_last(applier: &Applier, message: &Message) -> Result<()> {
    wait_for("the same batch", PATIENCE, async || {
        match apply(applier, std::slice::from_ref(message)).await {
            Ok(_) => Some(()),
            Err(error) => {
                assert_eq!(fault(&error).class, World, "{error}");
                None
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_killed_takes_all_others_with_it() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    let applier = std::sync::Arc::new(base.applier().await?);
    applied(&applier, &creation(1)).await?;
    let mut holder = PgConnection::connect(&base.url).await?;
    holder.execute("BEGIN; SELECT FROM rollcall.keys FOR UPDATE").await?;
    let waiting = tokio::spawn({
        let applier = std::sync::Arc::clone(&applier);
        async move { refused(&applier, &[change(1, "a")]).await }
    });
    send("KILL", waiting_backend(&base).await?)?;
    let error = waiting.await?;
    is(&error, "io", World, World);
    applied_at_last(&applier, &change(1, "a")).await?;
    assert_eq!(base.line(&["version"], "@profiles").await?, "2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_refuses_connections() -> Result<()> {
    let mut base = Base::fresh(Which::Postgres).await?;
    let applier = base.applier().await?;
    applied(&applier, &creation(1)).await?;
    let settings = base.settings();
    let server = base.server.as_mut().context("a server")?;
    server.kill().await?;
    let error = refused(&applier, &[creation(2)]).await;
    is(&error, "io", World, World);
    let error = Store::open(&settings).await.err().context("nobody there")?;
    let refused = StoreError::Driver(Trouble::Io(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(fault(&error), fault(&refused), "{error}");
    assert!(fault(&error).passes(), "waited for at start");
    server.restart().await?;
    applied_at_last(&applier, &creation(2)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopping_lets_nobody_in() -> Result<()> {
    let mut base = Base::fresh(Which::Postgres).await?;
    let settings = base.settings();
    base.store().await?.close().await;
    // It waits for this one to go.
    let last = PgConnection::connect(&base.url).await?;
    let server = base.server.as_mut().context("a server")?;
    server.signal("TERM")?;
    let error = wait_for("a closed door", PATIENCE, async || Store::open(&settings).await.err()).await?;
    let fault = is(&error, "57P03", World, World);
    assert!(fault.passes() && !fault.page);
    last.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_mute_is_not_waited_for_without_end() -> Result<()> {
    let mut base = Base::fresh(Which::Postgres).await?;
    base.store().await?.close().await;
    let settings = base.settings();
    let server = base.server.as_mut().context("a server")?;
    server.freeze().await?;
    let began = monotonic();
    let error = Store::open(&settings).await.err().context("no answer")?;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let fault = is(&error, "timeout", World, World);
    assert!(fault.passes(), "waited for at start");
    server.thaw()?;
    Store::open(&settings).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_empty() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.store().await?.close().await;
    let mut settings = base.settings();
    settings.max_connections = 1;
    let store = Store::open(&settings).await?;
    let only = store.session().await?;
    let error = store.session().await.err().context("there is only one")?;
    is(&error, "pool_timed_out", World, World);
    drop(only);
    store.session().await?;
    store.close().await;
    let error = store.session().await.err().context("closed")?;
    is(&error, "pool_closed", World, World);
    Ok(())
}
