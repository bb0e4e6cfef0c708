//! A batch is one transaction and a constant number of statements.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use anyhow::{Context, Result};
use rollcall::announcements::Announcer;
use rollcall::apply::Applier;
use rollcall::failure::{Class, class};
use rollcall::store::StoreError;
use serde_json::json;

use crate::world::{Base, Stream, Tables, Which, apply, on_both, said};

on_both!(
    a_failure_in_any_table_leaves_nothing_and_the_next_try_everything,
    a_failing_row_takes_its_batch_with_it,
    the_number_of_statements_does_not_depend_on_the_size,
    an_empty_batch_is_nothing,
    an_event_that_another_stored_meanwhile_is_no_error_of_the_event,
);

/// Everything a batch can do, about `n` users whose keys begin with `name`.
fn first(name: &str, n: i64) -> Stream {
    let mut stream = Stream::new();
    for i in 0..n {
        let user = format!("{name}{i}");
        stream.say(
            "created",
            &user,
            i,
            json!({"user_id": user, "email": format!("{user}@x.org")}),
        );
        let joined = json!({"user_id": user, "organization_id": "o"});
        stream.say("joined", &format!("{user}-join"), i, joined);
    }
    stream
}

fn second(name: &str, n: i64) -> Stream {
    let mut stream = Stream::new();
    let later = 10_000;
    for i in 0..n {
        let user = format!("{name}{i}");
        let id = |what: &str| format!("{user}-{what}");
        match i % 5 {
            // Two of five swap their keys through a third one.
            0 => {
                let (other, free) = (format!("{name}{}", i + 1), format!("{name}{i}-free"));
                stream
                    .say(
                        "renamed",
                        &id("r1"),
                        later,
                        json!({"user_id": user, "new_user_id": free}),
                    )
                    .say(
                        "renamed",
                        &id("r2"),
                        later + 1,
                        json!({"user_id": other, "new_user_id": user}),
                    )
                    .say(
                        "renamed",
                        &id("r3"),
                        later + 2,
                        json!({"user_id": free, "new_user_id": other}),
                    );
            }
            1 => {
                stream.say(
                    "left",
                    &id("left"),
                    later,
                    json!({"user_id": user, "organization_id": "o"}),
                );
            }
            2 => {
                stream
                    .say("deleted", &id("deleted"), later, json!({"user_id": user}))
                    .say("created", &id("again"), later + 1, json!({"user_id": user}))
                    .say(
                        "joined",
                        &id("rejoin"),
                        later + 2,
                        json!({"user_id": user, "organization_id": "p"}),
                    );
            }
            3 => {
                stream
                    .say(
                        "activated",
                        &id("odd"),
                        later,
                        json!({"user_id": user, "profile_type": "none"}),
                    )
                    .message("user.created", Vec::new(), b"not JSON");
            }
            _ => {
                // Late.
                stream.say("updated", &id("late"), -1, json!({"user_id": user, "phone": "1"}));
            }
        }
    }
    stream
}

async fn a_failure_in_any_table_leaves_nothing_and_the_next_try_everything(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &first("u", 10).messages).await?;
    let before = Tables::read(&base).await?;
    let batch = second("u", 10).messages;
    for table in ["keys", "ledger", "customers", "profiles", "dead_letters", "outbox"] {
        let hidden = base.table("hidden");
        let name = base.table(table);
        base.execute(&format!("ALTER TABLE {name} RENAME TO hidden")).await?;
        let error = apply(&applier, &batch).await.expect_err("a table is missing");
        assert_eq!(class(&error), Class::World, "{table}: {error}");
        base.execute(&format!("ALTER TABLE {hidden} RENAME TO {table}")).await?;
        Tables::read(&base)
            .await?
            .assert_same(&before, &format!("after the failure in {table}"));
        assert_eq!(base.number("count(*)", "@outbox").await?, 0);
    }
    let settled = said(&apply(&applier, &batch).await?);
    assert!(!settled.iter().any(|outcome| outcome == "duplicate"), "{settled:?}");
    assert_eq!(base.number("count(*)", "@outbox").await?, 4, "{settled:?}");
    let after = Tables::read(&base).await?;
    assert!(after != before, "the batch changes something");
    apply(&applier, &batch).await?;
    Tables::read(&base).await?.assert_same(&after, "the same batch again");
    Ok(())
}

async fn a_failing_row_takes_its_batch_with_it(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let (forbid, allow) = match base.which {
        Which::Sqlite => (
            "CREATE TRIGGER forbid BEFORE INSERT ON @ledger WHEN NEW.event_id = 'u7' \
             BEGIN SELECT RAISE(ABORT, 'forbidden'); END",
            "DROP TRIGGER forbid",
        ),
        Which::Postgres => (
            "ALTER TABLE @ledger ADD CONSTRAINT forbid CHECK (event_id <> 'u7')",
            "ALTER TABLE @ledger DROP CONSTRAINT forbid",
        ),
    };
    base.execute(forbid).await?;
    let batch = first("u", 10).messages;
    let error = apply(&applier, &batch).await.expect_err("a row is refused").to_string();
    assert!(
        !error.contains("u7") && !error.contains("idp"),
        "errors quote no values: {error}"
    );
    for table in ["@keys", "@profiles", "@customers", "@ledger"] {
        assert_eq!(base.number("count(*)", table).await?, 0, "{table}");
    }
    base.execute(allow).await?;
    let settled = apply(&applier, &batch).await?;
    assert_eq!(said(&settled), ["applied"; 20]);
    assert_eq!(base.number("count(*)", "@ledger").await?, 20);
    Ok(())
}

async fn the_number_of_statements_does_not_depend_on_the_size(base: Base) -> Result<()> {
    let announcer = Announcer {
        source: "rollcall".to_owned(),
    };
    let applier = base.applier().await?.with_announcer(Some(announcer));
    apply(&applier, &first("warm", 5).messages).await?;
    listen();
    let mut counted = Vec::new();
    for (name, users) in [("small", 5), ("large", 500)] {
        let (begin, rest) = (first(name, users), second(name, users));
        let sizes = [begin.messages.len(), rest.messages.len()];
        let counts = [statements(&applier, &begin).await?, statements(&applier, &rest).await?];
        let again = statements(&applier, &begin).await?;
        counted.push((counts, again, sizes));
    }
    assert_eq!(counted[0].2, [10, 10]);
    assert_eq!(counted[1].2, [1000, 1000]);
    assert_eq!(
        (counted[0].0, counted[0].1),
        (counted[1].0, counted[1].1),
        "small and large batches: {counted:?}"
    );
    assert!(counted[0].0.iter().all(|count| *count < 30), "{counted:?}");
    Ok(())
}

/// Applies the stream as one batch and returns the statements that took, as the trace event of the batch says.
pub(super) async fn statements(applier: &Applier, stream: &Stream) -> Result<u32> {
    LOG.take();
    apply(applier, &stream.messages).await?;
    let log = String::from_utf8(LOG.take())?;
    let line = log
        .lines()
        .find(|line| line.contains("batch written"))
        .context("the batch is traced")?;
    let count = line
        .split("statements=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    Ok(count.context("a count")?.parse()?)
}

thread_local! {
    /// What was traced in this thread, which is the one of the test.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Listens for the whole process: listeners of single threads that come and go beside each other miss events.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("rollcall::apply=trace")
            .with_ansi(false)
            .with_writer(|| ThisThread)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    });
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn an_empty_batch_is_nothing(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    assert!(apply(&applier, &[]).await?.is_empty());
    Ok(())
}

/// Another event with the same id, of a user whose keys we do not hold: it comes between our look and our insertion.
async fn an_event_that_another_stored_meanwhile_is_no_error_of_the_event(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &first("other", 1).messages).await?;
    base.execute("CREATE TABLE another AS SELECT * FROM @ledger WHERE event_id = 'other0'")
        .await?;
    base.execute("UPDATE another SET event_id = 'u3'").await?;
    let (store, stop) = match base.which {
        Which::Sqlite => (
            "CREATE TRIGGER another BEFORE INSERT ON @profiles WHEN NEW.user_id = 'u3' \
             BEGIN INSERT INTO ledger SELECT * FROM another; END",
            "DROP TRIGGER another",
        ),
        Which::Postgres => (
            "CREATE FUNCTION store() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO @ledger SELECT * FROM another; RETURN NEW; END'; CREATE TRIGGER another BEFORE INSERT \
             ON @profiles FOR EACH ROW WHEN (NEW.user_id = 'u3') EXECUTE FUNCTION store()",
            "DROP TRIGGER another ON @profiles",
        ),
    };
    base.script(store).await?;
    let batch = first("u", 10).messages;
    let error = apply(&applier, &batch).await.expect_err("it is there");
    assert!(matches!(error, StoreError::Overtaken), "{error}");
    assert_eq!(class(&error), Class::Contended);
    assert_eq!(base.number("count(*)", "@ledger").await?, 2);
    base.execute(stop).await?;
    assert_eq!(said(&apply(&applier, &batch).await?), ["applied"; 20]);
    Ok(())
}
