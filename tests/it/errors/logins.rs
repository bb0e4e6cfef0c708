//! Who may come in and what they may do: wrong at start it is ours, and it says so; wrong later the world is out of order.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::failure::Class::World;
use rollcall::failure::Fault;
use rollcall::store::{Backend, Store, StoreError, StoreSettings};
use secrecy::SecretString;

use super::{applied, creation, is, is_silent, refused};
use crate::harness::wait::wait_for;
use crate::world::{Base, Which, apply};

const PATIENCE: Duration = Duration::from_secs(10);

/// A database with the tables, and a role `worker` with what it needs.
async fn prepared() -> Result<Base> {
    let base = Base::fresh(Which::Postgres).await?;
    base.store().await?.close().await;
    base.script(
        "CREATE ROLE worker LOGIN PASSWORD 'key-of-ada'; GRANT USAGE ON SCHEMA rollcall TO worker; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO worker",
    )
    .await?;
    Ok(base)
}

/// Settings for this role (with its password) and database.
fn settings(base: &Base, login: &str, database: Option<&str>) -> StoreSettings {
    let mut url = base.url.replace("postgres@", &format!("{login}@"));
    if let Some(database) = database {
        url.truncate(url.rfind('/').unwrap_or_default() + 1);
        url.push_str(database);
    }
    StoreSettings {
        backend: Backend::Postgres {
            url: SecretString::from(url),
            schema: "rollcall".to_owned(),
        },
        ..base.settings()
    }
}

async fn not_opened(settings: &StoreSettings) -> Result<StoreError> {
    let error = Store::open(settings).await.err().context("refused")?;
    is_silent(&error);
    Ok(error)
}

fn is_ours(fault: &Fault) -> bool {
    fault.is_ours() && !fault.passes() && fault.page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_at_start() -> Result<()> {
    let base = prepared().await?;
    let server = base.server.as_ref().context("a server")?;
    server.require_password("worker")?;
    wait_for("the rule about passwords", PATIENCE, async || {
        Store::open(&settings(&base, "worker", None)).await.err()
    })
    .await?;
    let right = settings(&base, "worker:key-of-ada", None);
    assert!(Store::open(&right).await.is_ok());
    for (login, database, code) in [
        ("worker:key-of-ada-no", None, "28P01"),
        ("nobody:key-of-ada", None, "28000"),
        ("worker:key-of-ada", Some("nowhere"), "3D000"),
    ] {
        let error = not_opened(&settings(&base, login, database)).await?;
        let fault = is(&error, code, World, World);
        assert!(is_ours(&fault), "{error}");
    }
    base.script("ALTER ROLE worker CONNECTION LIMIT 0").await?;
    let fault = is(&not_opened(&right).await?, "53300", World, World);
    assert!(fault.passes() && fault.page, "{fault}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_shut_out_at_work() -> Result<()> {
    let base = prepared().await?;
    let server = base.server.as_ref().context("a server")?;
    let applier = base.applier_on(&settings(&base, "worker:key-of-ada", None)).await?;
    applied(&applier, &creation(1)).await?;
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'";

    // A password that is changed counts when a connection is made again.
    server.require_password("worker")?;
    base.script("ALTER ROLE worker PASSWORD 'another'").await?;
    base.script(ended).await?;
    is(&refused(&applier, &[creation(2)]).await, "28P01", World, World);
    base.script("ALTER ROLE worker PASSWORD 'key-of-ada'").await?;
    applied(&applier, &creation(2)).await?;

    // The pool tries for its whole time, and says nothing of why.
    base.script("ALTER ROLE worker CONNECTION LIMIT 0").await?;
    base.script(ended).await?;
    is(&refused(&applier, &[creation(3)]).await, "53300", World, World);
    base.script("ALTER ROLE worker CONNECTION LIMIT -1").await?;
    applied(&applier, &creation(3)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_are_taken_away() -> Result<()> {
    let base = prepared().await?;
    let applier = base.applier_on(&settings(&base, "worker:key-of-ada", None)).await?;
    applied(&applier, &creation(1)).await?;
    let mut n = 1;
    for table in ["profiles", "ledger", "keys"] {
        base.script(&format!("REVOKE INSERT ON @{table} FROM worker")).await?;
        n += 1;
        let fault = is(&refused(&applier, &[creation(n)]).await, "42501", World, World);
        assert!(is_ours(&fault), "at start it would be ours");
        base.script(&format!("GRANT INSERT ON @{table} TO worker")).await?;
        applied(&applier, &creation(n)).await?;
    }
    base.script("REVOKE USAGE ON SCHEMA rollcall FROM worker").await?;
    is(&refused(&applier, &[creation(99)]).await, "42501", World, World);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_read_only() -> Result<()> {
    let base = prepared().await?;
    let server = base.server.as_ref().context("a server")?;
    let applier = base.applier().await?;
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on")?;
    server.sql("postgres", "SELECT pg_reload_conf()")?;
    let mut n = 0;
    let error = wait_for("a refusal", PATIENCE, async || {
        n += 1;
        apply(&applier, &[creation(n)]).await.err()
    });
    let fault = is(&error.await?, "25006", World, World);
    assert!(
        fault.passes() && fault.spoils_connection(),
        "a new connection may find the primary"
    );
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only")?;
    server.sql("postgres", "SELECT pg_reload_conf()")?;
    wait_for("the same batch", PATIENCE, async || {
        apply(&applier, &[creation(n)]).await.ok()
    })
    .await?;
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}
