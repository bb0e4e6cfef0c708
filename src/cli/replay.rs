//! `rollcall replay`: the stream's events once more.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

use super::run::{empty_outbox, relay, say_counts};
use super::start::tables_are_current;
use super::tables::follow;
use super::topology::outgoing_streams;
use super::{print_json, progress, say, wrong_usage};
use crate::apply::Applier;
use crate::config::Config;
use crate::jetstream::{self, Broker, Held, PullSettings, ReadSettings};
use crate::reading::{End, Reading};
use crate::replay::{Replay, Replayed, Surveyed, Users, replay, survey};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::worker::Until;
use crate::{clock, wiring};

/// Without end of patience: the worker does not give up either.
const PATIENT: ReadSettings = ReadSettings {
    pull: PullSettings::STANDARD,
    patience: Duration::MAX,
};

/// Arguments of `rollcall replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall replay                                 everything the stream holds\n  rollcall replay --dry-run                       what that would meet; writes nothing\n  rollcall replay --from 1200 --until 1300\n  rollcall replay --since 2026-01-31T09:00:00Z    what the broker stored since then\n\nSafe at any time, also beside a running worker: an event that the ledger has is a duplicate, and a dead letter that was\nsent is not sent again. Outages of broker and database are waited out. Ctrl-C stops between two batches, with exit code 1\nand the sequence to continue from."
)]
pub(super) struct Args {
    /// Begin at this sequence of the stream.
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "since")]
    from: Option<u64>,
    /// Begin with what the broker stored at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<OffsetDateTime>,
    /// End with this sequence, or with what the broker stored at this time; without it, with what is last now.
    #[arg(long, value_name = "SEQ|TIME", value_parser = bound)]
    until: Option<Bound>,
    /// Only look: decode, and count what the ledger has and has not. Writes nothing, predicts no outcomes.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where a range ends.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Sequence(u64),
    Time(OffsetDateTime),
}

/// Sequences of the stream, both included.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u64,
    last: u64,
}

pub(super) fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "expected a time like 2026-01-31T09:00:00Z".to_owned())
}

fn bound(text: &str) -> Result<Bound, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(sequence) if sequence > 0 => Ok(Bound::Sequence(sequence)),
            _ => Err("sequences begin at 1".to_owned()),
        };
    }
    instant(text)
        .map(Bound::Time)
        .map_err(|_| "expected a sequence, or a time like 2026-01-31T09:00:00Z".to_owned())
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let backwards = match (args.from, args.since, args.until) {
        (Some(from), _, Some(Bound::Sequence(until))) => from > until,
        (_, Some(since), Some(Bound::Time(until))) => since > until,
        _ => false,
    };
    if backwards {
        return wrong_usage("replay", "the end that --until gives lies before the beginning");
    }
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let store = follow(store, config).await?;
    let held = broker.held(&config.consumer.stream).await?;
    let range = range(args, &broker, held, &config.consumer.stream).await?;
    let code = if args.dry_run {
        look(args, config, &broker, &store, range).await
    } else {
        play(args, config, &broker, &store, range).await
    };
    broker.close().await;
    store.close().await;
    code
}

/// The part that the stream holds of what was asked for.
async fn range(args: &Args, broker: &Broker, held: Held, stream: &str) -> anyhow::Result<Range> {
    let first = match (args.from, args.since) {
        (Some(from), _) => from.max(held.first),
        (None, Some(since)) => broker.first_stored_since(stream, since).await?,
        (None, None) => held.first,
    };
    let last = match args.until {
        None => held.last,
        Some(Bound::Sequence(until)) => until.min(held.last),
        Some(Bound::Time(until)) => {
            let after = until.saturating_add(time::Duration::NANOSECOND);
            broker.first_stored_since(stream, after).await? - 1
        }
    };
    Ok(Range { first, last })
}

/// A bar over the sequences of a range, and what moves it.
fn bar(doing: &str, range: Range) -> (ProgressBar, impl Fn(u64)) {
    let bar = progress::bar(doing, Some((range.last + 1).saturating_sub(range.first)));
    let moved = bar.clone();
    (bar, move |sequence| moved.set_position(sequence + 1 - range.first))
}

async fn play(args: &Args, config: &Config, broker: &Broker, store: &Store, range: Range) -> anyhow::Result<ExitCode> {
    outgoing_streams(config, broker).await?;
    let applier = Applier::new(
        store.clone(),
        wiring::policy(config),
        wiring::undertaker(config),
        config.worker.max_component_events as u64,
    )
    .await?
    .with_announcer(wiring::announcer(config))
    .with_orders(wiring::orders(config))
    .with_customers(wiring::customers(config));
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let told = Arc::new(Notify::new());
    let relaying = shutdown.soft.child_token();
    let relay_task = tokio::spawn(relay(config, broker, store).run(Arc::clone(&told), relaying.clone()));
    let with = Replay {
        applier: Arc::new(applier),
        reading: Reading {
            stream: &config.consumer.stream,
            intake: &wiring::intake(config),
            batch_max: config.worker.batch_max,
        },
        outbox: told,
        shutdown: shutdown.clone(),
    };
    let began = clock::monotonic();
    let messages = broker.stored_range(with.reading.stream, range.first..=range.last, PATIENT);
    let (bar, moved) = bar("replaying", range);
    let replayed = replay(&with, messages, range.first, moved).await;
    bar.finish_and_clear();
    relaying.cancel();
    tokio::select! {
        _ = relay_task => {}
        () = shutdown.hard.cancelled() => {}
    }
    let until = match replayed.end {
        End::Complete => Until::Drained,
        End::Stopped | End::Unreadable(_) | End::Unanswered(_) => Until::Stopped,
    };
    empty_outbox(&relay(config, broker, store), until, &shutdown).await;
    tell(args, &replayed, config, range, began.elapsed())?;
    ended(args, replayed.end, replayed.next, range)
}

async fn look(args: &Args, config: &Config, broker: &Broker, store: &Store, range: Range) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let stream = config.consumer.stream.as_str();
    let began = clock::monotonic();
    let messages = broker.stored_range(stream, range.first..=range.last, PATIENT);
    let (bar, moved) = bar("reading", range);
    let reading = Reading {
        stream,
        intake: &wiring::intake(config),
        batch_max: config.worker.batch_max,
    };
    let surveyed = survey(store, reading, messages, range.first, &shutdown, moved).await;
    bar.finish_and_clear();
    tell_survey(args, &surveyed, config, range, began.elapsed())?;
    ended(args, surveyed.end, surveyed.next, range)
}

/// What every report has.
fn frame(config: &Config, range: Range, messages: u64, users: &Users, end: &End, next: u64, took: Duration) -> Value {
    let complete = matches!(end, End::Complete);
    json!({
        "stream": config.consumer.stream,
        "first": range.first,
        "last": range.last,
        "messages": messages,
        "users": users.count(),
        "users_at_least": users.is_lower_bound(),
        "complete": complete,
        "continue_from": if complete { None } else { Some(next) },
        "seconds": took.as_secs_f64(),
    })
}

fn tell(args: &Args, replayed: &Replayed, config: &Config, range: Range, took: Duration) -> anyhow::Result<()> {
    if args.json {
        let mut report = frame(
            config,
            range,
            replayed.messages,
            &replayed.users,
            &replayed.end,
            replayed.next,
            took,
        );
        report["outcomes"] = serde_json::to_value(&replayed.counts.outcomes)?;
        report["dead"] = serde_json::to_value(&replayed.counts.dead)?;
        report["parked"] = replayed.parked.into();
        return print_json(&report);
    }
    say(&headline("replayed", replayed.messages, config, range))?;
    say_counts(&replayed.counts)?;
    if replayed.parked > 0 {
        say(&format!(
            "{} more are refused by the database; they wait to be judged by the worker",
            replayed.parked
        ))?;
    }
    say(&format!("users      {} touched", told(&replayed.users)))
}

fn tell_survey(args: &Args, surveyed: &Surveyed, config: &Config, range: Range, took: Duration) -> anyhow::Result<()> {
    let new: u64 = surveyed.new.values().sum();
    if args.json {
        let mut report = frame(
            config,
            range,
            surveyed.messages,
            &surveyed.users,
            &surveyed.end,
            surveyed.next,
            took,
        );
        report["dry_run"] = true.into();
        report["new"] = new.into();
        report["new_by_type"] = serde_json::to_value(&surveyed.new)?;
        report["known"] = surveyed.known.into();
        report["id_conflicts"] = surveyed.id_conflicts.into();
        report["undecodable"] = surveyed.undecodable.into();
        report["time_in_future"] = surveyed.in_future.into();
        report["unknown_type"] = surveyed.unknown_type.into();
        return print_json(&report);
    }
    say(&headline("looked at", surveyed.messages, config, range))?;
    let types: Vec<String> = surveyed.new.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let types = if types.is_empty() {
        String::new()
    } else {
        format!("  ({})", types.join(", "))
    };
    say(&format!("new              {new}{types}"))?;
    for (name, count) in [
        ("known", surveyed.known),
        ("id conflicts", surveyed.id_conflicts),
        ("undecodable", surveyed.undecodable),
        ("time in future", surveyed.in_future),
        ("unknown type", surveyed.unknown_type),
    ] {
        say(&format!("{name:<16} {count}"))?;
    }
    say(&format!("users            {} have new events", told(&surveyed.users)))?;
    say(
        "Nothing was written. This does not predict outcomes: what becomes of a new event depends on every other event of \
         its user.",
    )
}

fn headline(done: &str, messages: u64, config: &Config, range: Range) -> String {
    let stream = &config.consumer.stream;
    if range.first > range.last {
        return format!("stream {stream} holds nothing of that");
    }
    format!(
        "{done} {messages} messages of stream {stream}, sequences {} to {}",
        range.first, range.last
    )
}

fn told(users: &Users) -> String {
    let least = if users.is_lower_bound() { "at least " } else { "" };
    format!("{least}{}", users.count())
}

/// The exit code, and for people how to go on.
fn ended(args: &Args, end: End, next: u64, range: Range) -> anyhow::Result<ExitCode> {
    let onwards = || {
        let dry = if args.dry_run { " --dry-run" } else { "" };
        format!("rollcall replay --from {next} --until {}{dry}", range.last)
    };
    match end {
        // Stopped when everything was done already.
        End::Stopped if next > range.last => Ok(ExitCode::SUCCESS),
        End::Complete => Ok(ExitCode::SUCCESS),
        End::Stopped => {
            if !args.json {
                say(&format!("stopped before the end; continue with: {}", onwards()))?;
            }
            Ok(ExitCode::FAILURE)
        }
        End::Unreadable(error) => Err(anyhow::Error::new(error)).context(format!("continue later with {}", onwards())),
        End::Unanswered(error) => Err(anyhow::Error::new(error)).context(format!("continue later with {}", onwards())),
    }
}
