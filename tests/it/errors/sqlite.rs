//! What SQLite says: rules of the application, locks, and files that are full, damaged, missing or no database.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::failure::Class::{self, Contended, Event, World};
use rollcall::failure::{Fault, Pace};
use rollcall::store::{Store, StoreError};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::{applied, change, creation, is, nothing_is_left, refused};
use crate::world::{Base, Which};

/// What a trigger of the application does when a profile is inserted, the code that follows, and its class.
const TRIGGERS: &[(&str, Class, &str)] = &[
    ("1811", Event, "SELECT RAISE(ABORT, 'no ada@secret.example here')"),
    ("275", Event, "INSERT INTO app (checked) VALUES (NEW.email)"),
    ("1299", Event, "INSERT INTO app (present) VALUES (NULL)"),
    (
        "2067",
        Event,
        "INSERT INTO app (single) VALUES (NEW.email), (NEW.email)",
    ),
    ("1555", Event, "INSERT INTO app (id) VALUES (7), (7)"),
    ("787", Event, "INSERT INTO app (parent) VALUES (NEW.email)"),
    // Raised by COMMIT.
    ("787", Event, "INSERT INTO app (late_parent) VALUES (NEW.email)"),
    ("20", Event, "INSERT INTO app (id) VALUES (NEW.email)"),
    ("3091", Event, "INSERT INTO strict (number) VALUES (NEW.email)"),
    ("18", Event, "INSERT INTO app (present) VALUES (zeroblob(2000000000))"),
    ("1", World, "INSERT INTO nothing_of_this_name VALUES (NEW.email)"),
];

const TABLES: &str = "CREATE TABLE parents (email TEXT PRIMARY KEY); \
    CREATE TABLE app (id INTEGER PRIMARY KEY, checked TEXT CONSTRAINT app_rule CHECK (checked NOT LIKE 'ada%'), \
    present TEXT NOT NULL DEFAULT '', single TEXT UNIQUE, parent TEXT REFERENCES parents, \
    late_parent TEXT REFERENCES parents DEFERRABLE INITIALLY DEFERRED); \
    CREATE TABLE strict (number INTEGER) STRICT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_application_refuse_an_event() -> Result<()> {
    for (code, class, body) in TRIGGERS {
        let base = Base::fresh(Which::Sqlite).await?;
        let applier = base.applier().await?;
        base.script(TABLES).await?;
        let made = format!("CREATE TRIGGER refuses AFTER INSERT ON @profiles BEGIN {body}; END");
        base.script(&made).await.context(*body)?;
        let error = refused(&applier, &[creation(1)]).await;
        let fault = is(&error, code, *class, *class);
        let place = (fault.table.as_deref(), fault.constraint.as_deref());
        let expected = match *code {
            "275" => (None, Some("app_rule")),
            "1299" => (Some("app"), Some("present")),
            "2067" => (Some("app"), Some("single")),
            "1555" => (Some("app"), Some("id")),
            _ => (None, None),
        };
        assert_eq!(place, expected, "{body}");
        let depends = ["787", "1555", "2067"].contains(code);
        assert_eq!(fault.pace == Pace::Slow, depends, "{body}");
        nothing_is_left(&base).await?;
        base.script("DROP TRIGGER refuses").await?;
        applied(&applier, &creation(1)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_columns_that_are_gone() -> Result<()> {
    for (made, undone) in [
        (
            "ALTER TABLE @ledger RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO ledger",
        ),
        (
            "ALTER TABLE @profiles RENAME email TO mail",
            "ALTER TABLE @profiles RENAME mail TO email",
        ),
    ] {
        let base = Base::fresh(Which::Sqlite).await?;
        let applier = base.applier().await?;
        base.script(made).await?;
        let fault = is(&refused(&applier, &[creation(1)]).await, "1", World, World);
        assert!(fault.is_ours(), "at start");
        base.script(undone).await?;
        nothing_is_left(&base).await?;
        applied(&applier, &creation(1)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_writes() -> Result<()> {
    let base = Base::fresh(Which::Sqlite).await?;
    let mut settings = base.settings();
    settings.lock_timeout = Duration::from_millis(50);
    let applier = base.applier_on(&settings).await?;
    applied(&applier, &creation(1)).await?;
    let mut writer = SqliteConnection::connect(&base.url).await?;
    writer.execute("BEGIN IMMEDIATE").await?;
    is(&refused(&applier, &[change(1, "a")]).await, "5", Contended, Contended);

    // A reader that becomes a writer is what we never do, because it fails at once, whatever the busy timeout says.
    writer.execute("ROLLBACK").await?;
    writer.execute("BEGIN; SELECT * FROM profiles").await?;
    applied(&applier, &change(1, "a")).await?;
    let error = StoreError::from(writer.execute("DELETE FROM profiles").await.err().context("busy")?);
    is(&error, "517", Contended, Contended);
    Ok(())
}

/// What a connection of its own says; the settings that lead to it belong to one connection.
async fn says(base: &Base, before: &str, statement: &'static str) -> Result<Fault> {
    let mut connection = SqliteConnection::connect(&base.url).await?;
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(before.to_owned())))
        .await?;
    let error = connection.execute(statement).await.err().context("refused")?;
    let error = StoreError::from(error);
    Ok(is(&error, error.code(), World, World))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_full_or_must_not_be_written() -> Result<()> {
    let base = Base::fresh(Which::Sqlite).await?;
    base.store().await?.close().await;
    let growing = "INSERT INTO policies (hash, body) SELECT randomblob(9), randomblob(100000) \
        FROM (VALUES (1), (2), (3), (4), (5), (6), (7))";
    let full = says(&base, "PRAGMA max_page_count = 1", growing).await?;
    assert_eq!((full.code.as_str(), full.passes(), full.page), ("13", true, true));
    let read_only = says(&base, "PRAGMA query_only = 1", growing).await?;
    assert_eq!(
        (read_only.code.as_str(), read_only.is_ours(), read_only.page),
        ("8", true, true)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_no_database() -> Result<()> {
    let base = Base::fresh(Which::Sqlite).await?;
    let path = base.folder.path().join("test.db");
    let ours = |error: &StoreError, code: &str| assert!(is(error, code, World, World).is_ours(), "{error}");
    let open = async || Store::open(&base.settings()).await.err().context("not opened");

    ours(&open().await?, "no_file");
    fs::create_dir(&path)?;
    ours(&open().await?, "14");
    fs::remove_dir(&path)?;
    fs::write(&path, "ada@secret.example ".repeat(1_000))?;
    ours(&open().await?, "26");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_damaged() -> Result<()> {
    let base = Base::fresh(Which::Sqlite).await?;
    let applier = base.applier().await?;
    applied(&applier, &creation(1)).await?;
    drop(applier);
    base.script("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    let page = base.number("rootpage", "sqlite_schema WHERE name = 'keys'").await?;
    let path = base.folder.path().join("test.db");
    let file = fs::File::options().write(true).open(&path)?;
    file.write_all_at(&[0xff; 4096], (page as u64 - 1) * 4096)?;
    let store = Store::open(&base.settings()).await?;
    let mut session = store.session().await?;
    let mut tx = session.begin().await?;
    let error = tx.lock(&["key-of-ada-1".to_owned()]).await.err().context("damaged")?;
    let fault = is(&error, "11", World, World);
    assert!(fault.is_ours() && fault.page, "{fault}");
    Ok(())
}
