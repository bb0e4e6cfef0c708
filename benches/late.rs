//! What late events cost beside events in order, in the same run and on the same database; `cargo bench --bench late`.
//!
//! Twenty thousand events of one user; then a thousand more that come in order, or late by up to so many events, as one
//! batch or one by one; then a thousand renames that make a thousand keys one component.

#[path = "../tests/it/harness/mod.rs"]
mod harness;
#[allow(unused_imports, unused_macros, reason = "the tests use more of it")]
#[path = "../tests/it/world/mod.rs"]
mod world;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use rollcall::apply::Applier;
use rollcall::clock;
use serde_json::json;

use world::{Base, Message, Stream, Which, apply};

const LONG: usize = 20_000;
const BATCH: usize = 2_000;
const MORE: usize = 1_000;

/// How a thousand events are brought.
#[derive(Clone, Copy)]
enum Cut {
    OneBatch,
    OneByOne,
}

fn main() -> Result<()> {
    // Test runners ask every bench what tests it has.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    for which in [Which::Sqlite, Which::Postgres] {
        runtime.block_on(report(which))?;
    }
    Ok(())
}

async fn report(which: Which) -> Result<()> {
    say(&format!(
        "{which:?}: milliseconds per event, and the ratio to the same events in order"
    ))?;
    for cut in [Cut::OneBatch, Cut::OneByOne] {
        let in_order = long_history(which, 0, cut).await?;
        row(&in_words(cut, "in order"), in_order, in_order)?;
        for lateness in [100, 1_000, LONG] {
            let late = long_history(which, lateness, cut).await?;
            row(&in_words(cut, &format!("late by up to {lateness}")), late, in_order)?;
        }
    }
    for cut in [Cut::OneBatch, Cut::OneByOne] {
        let strangers = chain(which, cut, Links::None).await?;
        row(&in_words(cut, "renames of strangers"), strangers, strangers)?;
        let forward = chain(which, cut, Links::InOrder).await?;
        row(&in_words(cut, "renames in a chain"), forward, strangers)?;
        let backward = chain(which, cut, Links::Reversed).await?;
        row(
            &in_words(cut, "renames in a chain, the last first"),
            backward,
            strangers,
        )?;
    }
    Ok(())
}

fn in_words(cut: Cut, what: &str) -> String {
    match cut {
        Cut::OneBatch => format!("{what}, one batch"),
        Cut::OneByOne => format!("{what}, one by one"),
    }
}

/// How long a thousand more events of one user take; the last of the known ones is `lateness` events after the first.
async fn long_history(which: Which, lateness: usize, cut: Cut) -> Result<Duration> {
    let base = Base::fresh(which).await?;
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    // Ten minutes apart, so that there is room between them.
    for n in 0..LONG {
        let minute = 10 * n as i64;
        stream.say(
            "updated",
            &format!("e{n}"),
            minute,
            json!({"user_id": "ada", "phone": n.to_string()}),
        );
    }
    for batch in stream.messages.chunks(BATCH) {
        apply(&applier, batch).await?;
    }
    let mut more = Stream::new();
    // Late by anything, one by one, is the one that is slow: fewer of them say the same.
    let count = if lateness == LONG && size_of_cut(cut, MORE) == 1 {
        MORE / 10
    } else {
        MORE
    };
    for n in 0..count {
        // A stride that is prime to the range visits all of it.
        let minute = match lateness {
            0 => 10 * (LONG + n) as i64,
            _ => 10 * (LONG - 1 - (n * 7_919) % lateness) as i64 - 5,
        };
        more.say(
            "updated",
            &format!("l{n}"),
            minute,
            json!({"user_id": "ada", "username": n.to_string()}),
        );
    }
    timed(&applier, &more.messages, cut).await
}

/// What the renames have to do with each other.
#[derive(Clone, Copy)]
enum Links {
    None,
    InOrder,
    Reversed,
}

async fn chain(which: Which, cut: Cut, links: Links) -> Result<Duration> {
    let base = Base::fresh(which).await?;
    let applier = base.applier().await?;
    let mut order: Vec<usize> = (0..MORE).collect();
    if let Links::Reversed = links {
        order.reverse();
    }
    let mut stream = Stream::new();
    for n in order {
        let to = match links {
            Links::None => format!("v{n}"),
            Links::InOrder | Links::Reversed => format!("u{}", n + 1),
        };
        stream.say(
            "renamed",
            &format!("r{n}"),
            n as i64,
            json!({"user_id": format!("u{n}"), "new_user_id": to}),
        );
    }
    timed(&applier, &stream.messages, cut).await
}

/// How long an event takes.
async fn timed(applier: &Applier, messages: &[Message], cut: Cut) -> Result<Duration> {
    let size = size_of_cut(cut, messages.len());
    let began = clock::monotonic();
    for batch in messages.chunks(size) {
        apply(applier, batch).await?;
    }
    Ok(began.elapsed() / messages.len() as u32)
}

fn size_of_cut(cut: Cut, events: usize) -> usize {
    match cut {
        Cut::OneBatch => events,
        Cut::OneByOne => 1,
    }
}

fn row(what: &str, took: Duration, yardstick: Duration) -> Result<()> {
    let each = took.as_secs_f64() * 1_000.0;
    let ratio = took.as_secs_f64() / yardstick.as_secs_f64();
    say(&format!("  {what:<52} {each:>8.3} ms  {ratio:>6.1} ×"))
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
