//! `rollcall audit`: the proof that nothing is lost.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::start::tables_are_current;
use super::topology::readers;
use super::{print_json, progress, say, wrong_usage};
use crate::audit::{Audit, Audited, Hole, audit};
use crate::config::Config;
use crate::envelope::Intake;
use crate::jetstream::{self, PullSettings, ReadSettings};
use crate::reading::{End, Reading};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::{clock, wiring};

/// A broker that is away for longer has to be looked at first.
const LOOKING: ReadSettings = ReadSettings {
    pull: PullSettings::STANDARD,
    patience: Duration::from_secs(30),
};
/// Messages that are judged with one look at the database.
const BATCH: usize = 1000;
/// Stretches of deleted sequences that are written out for people.
const STRETCHES_SHOWN: usize = 5;

/// Arguments of `rollcall audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall audit                        everything the stream holds\n  rollcall audit --from 1200 --to 1300\n  rollcall audit --json | jq '.holes[]'\n\nEvery stored message is applied, duplicate, ignored, rejected, dead, or pending: not delivered yet, or in the hands of\na worker. What is none of these is a hole. Reads only; the worker may run meanwhile. Exit code 1 when there is a hole or\nthe end was not reached; `rollcall replay --from SEQ --until SEQ` applies what is missing."
)]
pub(super) struct Args {
    /// Begin with this sequence of the stream instead of the first.
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// End with this sequence instead of the one that is last now.
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is told beside the standings.
struct Frame<'a> {
    stream: &'a str,
    first: u64,
    last: u64,
    /// Events of the ledger whose message the stream no longer holds; nothing where not all of the stream was read.
    outlived: Option<u64>,
    took: Duration,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return wrong_usage("audit", "--from lies behind --to");
    }
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let stream = config.consumer.stream.as_str();
    // First of all: what is acknowledged now is in the database before it is asked.
    let readers = readers(config, &broker).await?;
    let held = broker.held(stream).await?;
    let first = args.from.unwrap_or(1);
    let last = args.to.unwrap_or(held.last).min(held.last);
    let everything = args.from.is_none() && last == held.last;
    // Where this takes too long for the database it is left out.
    let recorded = if everything {
        store.entered_between(first, last).await.ok()
    } else {
        None
    };
    let shutdown = Shutdown::on_signals(Duration::from_secs(1)).context("signals cannot be listened for")?;
    let intake = Intake {
        max_future: Duration::MAX,
        ..wiring::intake(config)
    };
    let with = Audit {
        store: &store,
        undertaker: &wiring::undertaker(config),
        reading: Reading {
            stream,
            intake: &intake,
            batch_max: BATCH,
        },
        readers,
        shutdown,
    };
    let began = clock::monotonic();
    let bar = progress::bar("auditing", Some((last + 1).saturating_sub(first)));
    let messages = broker.stored_range(stream, first..=last, LOOKING);
    let audited = audit(&with, messages, first..=last, |sequence| {
        bar.set_position(sequence + 1 - first);
    })
    .await;
    bar.finish_and_clear();
    broker.close().await;
    store.close().await;
    let frame = Frame {
        stream,
        first,
        last,
        outlived: recorded.map(|recorded| recorded.saturating_sub(audited.origins)),
        took: began.elapsed(),
    };
    if args.json {
        tell_json(&audited, &frame)?;
    } else {
        tell(&audited, &frame)?;
    }
    ended(audited)
}

fn ended(audited: Audited) -> anyhow::Result<ExitCode> {
    let failed = audited.has_holes();
    let onwards = format!("continue with --from {}", audited.next);
    match audited.end {
        End::Complete => Ok(ExitCode::from(u8::from(failed))),
        End::Stopped => Ok(ExitCode::FAILURE),
        End::Unreadable(error) => Err(anyhow::Error::new(error)).context(onwards),
        End::Unanswered(error) => Err(anyhow::Error::new(error)).context(onwards),
    }
}

fn tell_json(audited: &Audited, frame: &Frame<'_>) -> anyhow::Result<()> {
    let holes: Vec<_> = audited.listed.iter().map(hole_json).collect();
    let complete = matches!(audited.end, End::Complete);
    print_json(&json!({
        "stream": frame.stream,
        "first": frame.first,
        "last": frame.last,
        "messages": audited.messages,
        "applied": audited.applied,
        "duplicate": audited.duplicate,
        "ignored": audited.ignored,
        "unknown_type": audited.unknown_type,
        "rejected": audited.rejected,
        "dead": audited.dead,
        "pending": { "not_delivered": audited.waiting, "in_hand": audited.in_hand, "to_be_judged": audited.parked },
        "deleted": audited.deleted,
        "deleted_sequences": audited.stretches,
        "outlived": frame.outlived,
        "hole_count": audited.holes,
        "unlocated": audited.unlocated,
        "holes": holes,
        "complete": complete,
        "continue_from": if complete { None } else { Some(audited.next) },
        "seconds": frame.took.as_secs_f64(),
    }))
}

fn hole_json(hole: &Hole) -> serde_json::Value {
    json!({
        "sequence": hole.sequence,
        "subject": hole.subject,
        "time": time_text(hole.published),
        "missing": hole.missing.name(),
    })
}

fn time_text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

fn tell(audited: &Audited, frame: &Frame<'_>) -> anyhow::Result<()> {
    if frame.first > frame.last {
        return say(&format!("stream {} holds nothing of that", frame.stream));
    }
    say(&format!(
        "audited {} messages of stream {}, sequences {} to {}",
        audited.messages, frame.stream, frame.first, frame.last
    ))?;
    for (name, count) in [("applied", audited.applied), ("duplicate", audited.duplicate)] {
        say(&format!("{name:<10} {count}"))?;
    }
    say(&format!(
        "{:<10} {}{}",
        "ignored",
        audited.ignored + audited.unknown_type,
        listed(&[("unknown_type", audited.unknown_type)])
    ))?;
    say(&format!("{:<10} {}", "rejected", audited.rejected))?;
    let dead: Vec<(&str, u64)> = audited.dead.iter().map(|(name, count)| (*name, *count)).collect();
    let total: u64 = audited.dead.values().sum();
    say(&format!("{:<10} {total}{}", "dead", listed(&dead)))?;
    say(&format!(
        "{:<10} {}{}",
        "pending",
        audited.waiting + audited.in_hand + audited.parked,
        listed(&[
            ("not delivered", audited.waiting),
            ("in hand", audited.in_hand),
            ("refused, to be judged again", audited.parked),
        ])
    ))?;
    if audited.deleted > 0 {
        say(&format!(
            "{:<10} {}  (sequences {})",
            "deleted",
            audited.deleted,
            stretches(&audited.stretches)
        ))?;
    }
    if let Some(outlived) = frame.outlived.filter(|outlived| *outlived > 0) {
        say(&format!(
            "{:<10} {outlived}  (events of the ledger whose message the stream no longer holds)",
            "outlived"
        ))?;
    }
    tell_holes(audited)
}

fn tell_holes(audited: &Audited) -> anyhow::Result<()> {
    say(&format!("{:<10} {}", "holes", audited.holes))?;
    for hole in &audited.listed {
        say(&format!(
            "  {}  {}  {}: {}",
            hole.sequence,
            time_text(hole.published),
            hole.subject,
            hole.missing.meaning()
        ))?;
    }
    let more = audited.holes - audited.listed.len() as u64;
    if more > 0 {
        say(&format!("  and {more} more behind these"))?;
    }
    if audited.unlocated > 0 {
        say(&format!(
            "  {} of the messages that could be in hand are lost: the broker knows of fewer in hand; stop the worker and \
             audit again to see which",
            audited.unlocated
        ))?;
    }
    if !matches!(audited.end, End::Complete) {
        say(&format!(
            "stopped before the end; continue with: rollcall audit --from {}",
            audited.next
        ))?;
    }
    Ok(())
}

/// The counts that are not 0, in parentheses.
fn listed(counts: &[(&str, u64)]) -> String {
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!("  ({})", counts.join(", "))
    }
}

fn stretches(stretches: &[(u64, u64)]) -> String {
    let shown: Vec<String> = stretches
        .iter()
        .take(STRETCHES_SHOWN)
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    let more = if stretches.len() > STRETCHES_SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
