//! Whether a commit happened can be unknown; the ledger decides it at the next delivery. And the traps of the driver on
//! the way there: each is shown with the driver alone, so that it is known when it is mended, and then with our guard.

mod black_hole;
mod commits;
mod traps;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::apply::{Applier, Settled};
use rollcall::store::{Backend, StoreError, StoreSettings};
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinHandle;

use crate::harness::proxy::Proxy;
use crate::harness::wait::wait_for;
use crate::world::{Base, Message, Stream, Which, apply};

const PATIENCE: Duration = Duration::from_secs(20);

/// A database with the tables, behind a proxy.
struct Line {
    base: Base,
    proxy: Proxy,
}

impl Line {
    async fn new() -> Result<Self> {
        let base = Base::fresh(Which::Postgres).await?;
        base.store().await?.close().await;
        let proxy = Proxy::before(&base.url).await?;
        Ok(Self { base, proxy })
    }

    /// Settings that lead through the proxy; the limit is that of the server for one statement.
    fn settings(&self, connections: u32, limit: Duration) -> StoreSettings {
        StoreSettings {
            backend: Backend::Postgres {
                url: SecretString::from(self.proxy.url()),
                schema: "rollcall".to_owned(),
            },
            max_connections: connections,
            statement_timeout: limit,
            lock_timeout: limit,
        }
    }

    async fn applier(&self, connections: u32, limit: Duration) -> Result<Arc<Applier>> {
        let applier = self.base.applier_on(&self.settings(connections, limit)).await?;
        Ok(Arc::new(applier))
    }

    /// The driver's own pool of one connection through the proxy.
    async fn pool(&self) -> Result<PgPool> {
        let options = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(1));
        options.connect(self.proxy.url()).await.context("a pool")
    }

    /// Waits until the next deed is done.
    async fn done(&self, count: usize) -> Result<()> {
        wait_for("a deed of the proxy", PATIENCE, async || {
            (self.proxy.done().len() >= count).then_some(())
        })
        .await
    }

    /// No session is left within a transaction.
    async fn nothing_is_open(&self) -> Result<()> {
        wait_for("the end of every transaction", PATIENCE, async || {
            let open = "pg_stat_activity WHERE state LIKE 'idle in transaction%'";
            (self.base.number("count(*)", open).await.ok()? == 0).then_some(())
        })
        .await
    }
}

/// The creation of user number n.
fn creation(n: usize) -> Message {
    let mut stream = Stream::new();
    stream.say(
        "created",
        &format!("{n}"),
        n as i64,
        json!({"user_id": format!("u{n}")}),
    );
    stream.messages.remove(0)
}

/// A batch in a task of its own.
fn applying(applier: &Arc<Applier>, message: Message) -> JoinHandle<Result<Vec<Settled>, StoreError>> {
    let applier = Arc::clone(applier);
    tokio::spawn(async move { apply(&applier, &[message]).await })
}
