//! Traps of the driver: a commit that was a rollback and says nothing, a beginning that was cancelled and stays
//! open, a connection whose place in the pool is never given back, an end that counts as an answer.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::domain::{Difference, KeyRow, Reason};
use rollcall::failure::{Class, class, fault};
use rollcall::store::{Backend, Decided, Letter, Store, StoreSettings};
use secrecy::SecretString;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Line, PATIENCE, applying, creation};
use crate::errors::waiting_backend;
use crate::harness::process::send;
use crate::harness::proxy::Deed;
use crate::harness::wait::wait_for;
use crate::world::{Base, Which, apply, on_both, said};

on_both!(an_error_that_was_swallowed_commits_nothing);

const LIMIT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_takes_a_rollback_for_a_commit() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.execute("CREATE TABLE app (n int)").await?;
    let mut connection = PgConnection::connect(&base.url).await?;
    let mut tx = connection.begin().await?;
    tx.execute("INSERT INTO app VALUES (1)").await?;
    assert!(tx.execute("SELECT 1 / 0").await.is_err(), "and nobody cares");
    // If this begins to fail, the driver is mended and the guard in `Tx::commit` may go.
    tx.commit().await.context("the driver says that it is committed")?;
    assert_eq!(base.number("count(*)", "app").await?, 0, "and it is not");
    Ok(())
}

async fn an_error_that_was_swallowed_commits_nothing(base: Base) -> Result<()> {
    let store = base.store().await?;
    let refusing = match base.which {
        Which::Sqlite => "CREATE TRIGGER refuses BEFORE INSERT ON @outbox BEGIN SELECT RAISE(ABORT, 'no'); END",
        Which::Postgres => "ALTER TABLE @outbox ADD CONSTRAINT refuses CHECK (subject = '')",
    };
    base.script(refusing).await?;
    let letter = Letter {
        message_id: "m".to_owned(),
        reason: Reason::Undecodable,
        stream_sequence: 1,
        identity: None,
        error: "no event".to_owned(),
        subject: "dead.user.created".to_owned(),
        headers: Vec::new(),
        payload: Vec::new(),
    };
    let decided = Decided {
        letters: vec![letter],
        ..Decided::default()
    };
    let key = Decided {
        difference: Difference {
            keys: vec![KeyRow::unknown("u1".to_owned())],
            ..Difference::default()
        },
        ..Decided::default()
    };
    let mut session = store.session().await?;
    let mut tx = session.begin().await?;
    tx.lock(&["u1".to_owned()]).await?;
    tx.save(&key).await?;
    assert!(tx.save(&decided).await.is_err(), "and nobody cares");
    let error = tx.commit().await.err().context("a commit that was none")?;
    assert_eq!(class(&error), Class::Event, "{error}");
    drop(session);
    assert_eq!(base.number("count(*)", "@keys").await?, 0);

    // The connection is as good as new.
    let mut session = store.session().await?;
    let mut tx = session.begin().await?;
    tx.lock(&["u1".to_owned()]).await?;
    tx.save(&key).await?;
    tx.commit().await?;
    assert_eq!(base.number("count(*)", "@keys").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_leaves_the_transaction_of_a_cancelled_beginning_open() -> Result<()> {
    let line = Line::new().await?;
    line.base.execute("CREATE TABLE app (n int)").await?;
    let pool = line.pool().await?;
    line.proxy.plan("BEGIN", Deed::HoldReply);
    let beginning = tokio::spawn({
        let pool = pool.clone();
        async move { pool.begin().await.map(drop) }
    });
    line.done(1).await?;
    beginning.abort();
    assert!(beginning.await.is_err_and(|error| error.is_cancelled()));
    line.proxy.release();
    // If this begins to fail, the driver is mended (sqlx#4393), and the look at what comes back to our pool may go.
    pool.execute("INSERT INTO app VALUES (1)")
        .await
        .context("the driver says that it is written")?;
    assert_eq!(line.base.number("count(*)", "app").await?, 0, "and it is not");
    Ok(())
}

/// Nothing of ours is cancelled but by the end of the program; if it were, this is what would become of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_is_cancelled_leaves_nothing_open() -> Result<()> {
    let line = Line::new().await?;
    let applier = line.applier(1, Duration::from_secs(10)).await?;
    for n in 0..3 {
        line.proxy.plan("BEGIN", Deed::HoldReply);
        let beginning = applying(&applier, creation(n));
        line.done(n + 1).await?;
        beginning.abort();
        assert!(beginning.await.is_err_and(|error| error.is_cancelled()));
        line.proxy.release();
        // On the one connection of the pool, or on its successor.
        assert_eq!(said(&apply(&applier, &[creation(n)]).await?), ["applied"]);
        assert_eq!(
            line.base.number("count(*)", "@ledger").await?,
            n as i64 + 1,
            "it is there"
        );
    }
    line.nothing_is_open().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_without_an_answer_is_given_up_and_leaves_nothing_open() -> Result<()> {
    let line = Line::new().await?;
    let applier = line.applier(1, LIMIT).await?;
    line.proxy.plan("BEGIN", Deed::HoldReply);
    let error = apply(&applier, &[creation(1)]).await.err().context("no answer")?;
    assert_eq!((error.code(), class(&error)), ("timeout", Class::World));
    line.nothing_is_open().await?;
    assert_eq!(said(&apply(&applier, &[creation(1)]).await?), ["applied"]);
    assert_eq!(line.base.number("count(*)", "@ledger").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_never_gives_up_a_connection_that_went_mute() -> Result<()> {
    let line = Line::new().await?;
    let pool = line.pool().await?;
    let connection = pool.acquire().await?;
    line.proxy.freeze();
    // Given back, it is asked whether it is alive, and that is waited for without end.
    drop(connection);
    // If this begins to fail, the driver is mended (sqlx#4349), and the time limit at our pool may go.
    for _ in 0..3 {
        let error = pool.acquire().await.map(drop).err().context("no connection")?;
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}");
    }
    Ok(())
}

/// A backend that stands still in the middle of a transaction: its connection is given up, its place in the pool is
/// free again, and what the frozen one holds ends with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_freezes_costs_one_batch_and_no_place_in_the_pool() -> Result<()> {
    let line = Line::new().await?;
    let applier = line.applier(1, LIMIT * 4).await?;
    assert_eq!(said(&apply(&applier, &[creation(1)]).await?), ["applied"]);
    let mut holder = PgConnection::connect(&line.base.url).await?;
    holder.execute("BEGIN; SELECT FROM rollcall.keys FOR UPDATE").await?;
    let waiting = applying(&applier, creation(1));
    let backend = waiting_backend(&line.base).await?;
    send("STOP", backend)?;
    holder.execute("ROLLBACK").await?;
    let error = waiting.await?.err().context("no answer")?;
    let frozen = wait_for("another connection", PATIENCE, async || {
        apply(&applier, &[creation(2)]).await.ok()
    })
    .await;
    send("CONT", backend)?;
    assert_eq!((error.code(), class(&error)), ("timeout", Class::World));
    assert_eq!(said(&frozen?), ["applied"], "while the backend stood still");
    line.nothing_is_open().await?;
    assert_eq!(said(&apply(&applier, &[creation(1)]).await?), ["duplicate"]);
    Ok(())
}

/// A storm found it: a balancer without a database behind it, or one that is just going down, takes a connection and
/// closes it. The driver calls that a breach of the protocol, and a worker that was just beginning ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_while_it_is_made_is_waited_for() -> Result<()> {
    let line = Line::new().await?;
    line.proxy.refuse();
    let error = Store::open(&line.settings(1, LIMIT))
        .await
        .err()
        .context("nobody there")?;
    assert!(fault(&error).passes(), "{error}");
    line.proxy.welcome();
    Store::open(&line.settings(1, LIMIT)).await?.close().await;
    Ok(())
}

/// A storm found it: a PostgreSQL whose postmaster has just died says so before it is asked anything, where the driver
/// expects to hear whether it encrypts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_dies_while_it_is_connected_to_is_waited_for() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("postgres://postgres@{}/postgres", listener.local_addr()?);
    let dying = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 8];
            let _ = client.read_exact(&mut request).await;
            let _ = client.write_all(b"E\0\0\0\x1dSFATAL\0C57P01\0Mgoing down\0\0").await;
        }
    });
    let settings = StoreSettings {
        backend: Backend::Postgres {
            url: SecretString::from(url),
            schema: "rollcall".to_owned(),
        },
        max_connections: 1,
        statement_timeout: LIMIT,
        lock_timeout: LIMIT,
    };
    let error = Store::open(&settings).await.err().context("no database")?;
    assert!(fault(&error).passes(), "{error}");
    dying.abort();
    Ok(())
}
