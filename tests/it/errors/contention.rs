//! Others hold what we need: locks, deadlocks, serialization, cancels, and a schema that changes under prepared
//! statements. Whatever it was, the same batch is applied when they are gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::apply::Applier;
use rollcall::failure::Class::{Contended, Event, World};
use rollcall::store::{Store, StoreError, StoreSettings};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::task::JoinHandle;

use super::{applied, change, creation, is, refused};
use crate::harness::wait::wait_for;
use crate::world::{Base, Which};

const PATIENCE: Duration = Duration::from_secs(20);

/// A user who is there, somebody who holds the lock on them, and a batch that waits for it.
struct Jam {
    base: Base,
    applier: Arc<Applier>,
    holder: PgConnection,
    waiting: JoinHandle<StoreError>,
}

impl Jam {
    /// `hold` is what the holder does within its transaction.
    async fn new(hold: &str, settle: impl FnOnce(&mut StoreSettings), before: &str) -> Result<Self> {
        let base = Base::fresh(Which::Postgres).await?;
        base.store().await?.close().await;
        base.script(before).await?;
        let mut settings = base.settings();
        settle(&mut settings);
        let applier = Arc::new(base.applier_on(&settings).await?);
        applied(&applier, &creation(1)).await?;
        let mut holder = PgConnection::connect(&base.url).await?;
        holder.execute(AssertSqlSafe(format!("BEGIN; {hold}"))).await?;
        let waiting = tokio::spawn({
            let applier = Arc::clone(&applier);
            async move { refused(&applier, &[change(1, "a")]).await }
        });
        let jam = Self {
            base,
            applier,
            holder,
            waiting,
        };
        Ok(jam)
    }

    /// The process that serves the waiting batch.
    async fn backend(&self) -> Result<i32> {
        waiting_backend(&self.base).await
    }

    /// The way is free again: the batch is applied, once.
    async fn ends(mut self) -> Result<()> {
        self.holder.execute("ROLLBACK").await?;
        applied(&self.applier, &change(1, "a")).await?;
        assert_eq!(
            self.base.line(&["version", "full_name"], "@profiles").await?,
            "2 Lovelace a"
        );
        Ok(())
    }
}

/// The process of the worker that waits for a lock.
pub(crate) async fn waiting_backend(base: &Base) -> Result<i32> {
    const WAITING: &str = "pg_stat_activity WHERE application_name = 'rollcall' AND wait_event_type = 'Lock'";
    let pid = wait_for("a batch that waits", PATIENCE, async || {
        base.number("pid", WAITING).await.ok()
    });
    Ok(i32::try_from(pid.await?)?)
}

const HELD: &str = "SELECT FROM rollcall.keys FOR UPDATE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_not_had_in_time() -> Result<()> {
    let mut jam = Jam::new(HELD, |settings| settings.lock_timeout = Duration::from_millis(100), "").await?;
    let error = (&mut jam.waiting).await?;
    is(&error, "55P03", Contended, Contended);
    jam.ends().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_somebody_cancels() -> Result<()> {
    let mut jam = Jam::new(HELD, |_| {}, "").await?;
    let pid = jam.backend().await?;
    jam.base.execute(&format!("SELECT pg_cancel_backend({pid})")).await?;
    let error = (&mut jam.waiting).await?;
    is(&error, "57014", Contended, Event);
    jam.ends().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_an_administrator_ends() -> Result<()> {
    let mut jam = Jam::new(HELD, |_| {}, "").await?;
    let pid = jam.backend().await?;
    jam.base.execute(&format!("SELECT pg_terminate_backend({pid})")).await?;
    let error = (&mut jam.waiting).await?;
    is(&error, "57P01", World, World);
    jam.ends().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock() -> Result<()> {
    // Ours notices it: the other side would take a minute to look.
    let before = "CREATE TABLE once (id int); INSERT INTO once VALUES (1); \
        CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN PERFORM FROM once FOR UPDATE; RETURN NEW; END'; \
        CREATE TRIGGER app BEFORE UPDATE ON @profiles FOR EACH ROW EXECUTE FUNCTION app()";
    let hold = "SET LOCAL deadlock_timeout = '1min'; SELECT FROM once FOR UPDATE";
    let patient = |settings: &mut StoreSettings| settings.lock_timeout = settings.statement_timeout;
    let mut jam = Jam::new(hold, patient, before).await?;
    jam.backend().await?;
    jam.holder.execute("SELECT FROM rollcall.keys FOR UPDATE").await?;
    let error = (&mut jam.waiting).await?;
    is(&error, "40P01", Contended, Contended);
    jam.ends().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_cannot_be_serialized() -> Result<()> {
    let before = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', \
        current_database(), 'repeatable read'); END $$";
    let hold = "UPDATE rollcall.keys SET events = events";
    let mut jam = Jam::new(hold, |_| {}, before).await?;
    jam.backend().await?;
    jam.holder.execute("COMMIT").await?;
    let error = (&mut jam.waiting).await?;
    is(&error, "40001", Contended, Contended);
    jam.ends().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_changes_under_prepared_statements() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    let mut settings = base.settings();
    settings.max_connections = 1;
    let applier = base.applier_on(&settings).await?;
    applied(&applier, &creation(1)).await?;
    applied(&applier, &change(1, "a")).await?;
    base.script("ALTER TABLE @keys ALTER state TYPE varchar").await?;
    let error = refused(&applier, &[change(1, "b")]).await;
    is(&error, "0A000", Contended, World);
    // Not on the connection that knows the old type.
    applied(&applier, &change(1, "b")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_in_which_we_stall() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.store().await?.close().await;
    let mut settings = base.settings();
    settings.statement_timeout = Duration::from_millis(100);
    let store = Store::open(&settings).await?;
    let mut session = store.session().await?;
    let mut tx = session.begin().await?;
    let keys = ["key-of-ada".to_owned()];
    tx.lock(&keys).await?;
    let others = "pg_stat_activity WHERE application_name = 'rollcall' AND state LIKE 'idle in%'";
    wait_for("the server to lose patience", PATIENCE, async || {
        (base.number("count(*)", others).await.ok()? == 0).then_some(())
    })
    .await?;
    let error = tx.lock(&keys).await.err().context("a lost transaction")?;
    let fault = is(&error, "25P03", World, World);
    assert!(fault.page && fault.spoils_connection());
    Ok(())
}
