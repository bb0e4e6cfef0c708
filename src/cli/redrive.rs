//! `rollcall dead redrive`: the events of dead letters once more.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use time::OffsetDateTime;

use super::backfill::caught_up;
use super::replay::instant;
use super::start::tables_are_current;
use super::topology::ensure_events;
use super::{print_json, progress, say};
use crate::config::Config;
use crate::domain::{Kind, Outcome, Reason};
use crate::jetstream::{self, Broker, PullSettings, ReadSettings};
use crate::redrive::{Choice, Chosen, Fate, Letter, Redrive, Unfit, first_ones, hopeless};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::{clock, wiring};

/// How long one message is tried.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many letters of each kind are shown.
const SHOWN: usize = 10;

/// Arguments of `rollcall dead redrive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall dead redrive --all --dry-run                   what would be published; writes nothing\n  rollcall dead redrive 17                                one letter, by its number in `rollcall dead list`\n  rollcall dead redrive --reason requirements_missing --type user.activated\n  rollcall dead redrive --event https://idp.example.com 42\n\nPut right first what was wrong. Each event is published again under its original source, id and time and a new message\nid; of an event with several letters once. What the ledger has as rejected is judged anew, at its old place in the\nhistory of its user; an event that was applied meanwhile has no effect a second time. A worker has to run: the first\nthree of those that died of the same thing go first, and when they die of it again the others stay where they are.\n\nExit codes: 0 done; 1 failed, or something is still dead; 2 wrong usage or set-up."
)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["letter", "event", "reason", "kind", "user", "since", "all"]))]
pub(super) struct Args {
    /// Dead letters, by their number in the list or by message id.
    #[arg(value_name = "LETTER")]
    letter: Vec<String>,
    /// The letters of one event, by its source and id.
    #[arg(long, num_args = 2, value_names = ["SOURCE", "ID"])]
    event: Option<Vec<String>>,
    /// Only what died for this reason; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<Reason>,
    /// Only events of this type; may be repeated.
    #[arg(long = "type", id = "kind", value_name = "TYPE", value_parser = kind)]
    kind: Vec<Kind>,
    /// Only events about this user, by the key that they name; may be repeated.
    #[arg(long, value_name = "USER_ID")]
    user: Vec<String>,
    /// Only what was buried at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<OffsetDateTime>,
    /// Everything that is not resolved.
    #[arg(long, conflicts_with_all = ["letter", "event", "reason", "kind", "user", "since"])]
    all: bool,
    /// How many are published in a second.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Only look: say what would be published, and what cannot be. Writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn reason(text: &str) -> Result<Reason, String> {
    let fits = |reason: &&Reason| reason.name() == text;
    Reason::LETTERS.iter().find(fits).copied().ok_or_else(|| {
        let known: Vec<&str> = Reason::LETTERS.iter().map(|reason| reason.name()).collect();
        format!("the reasons are {}", known.join(", "))
    })
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("the types are {}", known.join(", "))
    })
}

fn choice(args: &Args) -> Choice {
    Choice {
        letters: args.letter.iter().cloned().collect(),
        event: args.event.as_deref().and_then(|pair| match pair {
            [source, id] => Some((source.clone(), id.clone())),
            _ => None,
        }),
        reasons: args.reason.clone(),
        kinds: args.kind.clone(),
        users: args.user.clone(),
        since: args.since,
    }
}

/// What was done, in the end.
#[derive(Default)]
struct Done {
    /// What became of each that was published.
    fates: BTreeMap<u64, Fate>,
    /// Letters that were not published, because the first ones of their kind failed again.
    held_back: BTreeSet<u64>,
    stopped: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let run = clock::new_row_id().to_string();
    let redrive = Redrive {
        broker: &broker,
        store: &store,
        stream: &config.dead_letters.stream,
        run: &run,
        subjects: wiring::subjects(config),
        rate: args.rate,
        patience: PATIENCE,
        reading: ReadSettings {
            pull: PullSettings::STANDARD,
            patience: PATIENCE,
        },
        shutdown: &shutdown,
    };
    let bar = progress::bar("reading dead letters", None);
    let chosen = redrive
        .choose(&choice(args), |sequence| bar.set_position(sequence))
        .await;
    bar.finish_and_clear();
    let chosen = chosen?;
    let done = if args.dry_run || chosen.letters.is_empty() {
        Ok(Done::default())
    } else {
        bring_back(&redrive, &chosen, &broker, config).await
    };
    broker.close().await;
    store.close().await;
    let done = done?;
    if args.json {
        print_json(&report(args, &chosen, &done))?;
    } else {
        tell(args, &chosen, &done)?;
    }
    Ok(code(args, &chosen, &done))
}

/// The first ones of each kind, and the others where the first ones did not fail as before.
async fn bring_back(redrive: &Redrive<'_>, chosen: &Chosen, broker: &Broker, config: &Config) -> anyhow::Result<Done> {
    ensure_events(config, broker).await?;
    let bar = progress::bar("publishing", Some(chosen.letters.len() as u64));
    let first = first_ones(&chosen.letters);
    let mut done = Done::default();
    let tried = attempt(redrive, chosen, &first, broker, config, || bar.inc(1)).await?;
    let hopeless = hopeless(tried.iter().copied());
    done.fates
        .extend(tried.iter().map(|(letter, fate)| (letter.sequence, *fate)));
    let others = chosen.letters.iter().filter(|letter| !first.contains(&letter.sequence));
    let (held_back, rest): (Vec<&Letter>, Vec<&Letter>) =
        others.partition(|letter| hopeless.contains(&letter.fingerprint));
    done.held_back = held_back.iter().map(|letter| letter.sequence).collect();
    let rest: BTreeSet<u64> = rest.iter().map(|letter| letter.sequence).collect();
    let tried = attempt(redrive, chosen, &rest, broker, config, || bar.inc(1)).await?;
    done.fates
        .extend(tried.iter().map(|(letter, fate)| (letter.sequence, *fate)));
    bar.finish_and_clear();
    done.stopped = redrive.shutdown.soft.is_cancelled();
    Ok(done)
}

/// Publishes some and waits until the worker has had all of them in hand.
async fn attempt<'a>(
    redrive: &Redrive<'_>,
    chosen: &'a Chosen,
    wanted: &BTreeSet<u64>,
    broker: &Broker,
    config: &Config,
    sent: impl Fn(),
) -> anyhow::Result<Vec<(&'a Letter, Fate)>> {
    if wanted.is_empty() || redrive.shutdown.soft.is_cancelled() {
        return Ok(Vec::new());
    }
    let published = redrive.publish(wanted, sent).await?;
    if !redrive.shutdown.soft.is_cancelled() {
        caught_up(redrive.shutdown, broker, config).await?;
    }
    let letters = chosen.letters.iter();
    let letters: Vec<&Letter> = letters.filter(|letter| published.contains(&letter.sequence)).collect();
    let fates = redrive.fates(&letters).await?;
    Ok(letters.into_iter().zip(fates).collect())
}

impl Done {
    fn count(&self, is_one: impl Fn(Fate) -> bool) -> usize {
        self.fates.values().filter(|fate| is_one(**fate)).count()
    }

    fn settled(&self, outcome: Outcome) -> usize {
        self.count(|fate| fate == Fate::Settled(outcome))
    }

    /// How many are still dead, by why.
    fn failed(&self) -> BTreeMap<&'static str, usize> {
        let mut failed = BTreeMap::new();
        for fate in self.fates.values() {
            let why = match fate {
                Fate::Settled(_) => continue,
                Fate::Rejected(reason) => reason.map_or("rejected", Reason::name),
                Fate::Absent => "not_in_the_ledger",
            };
            *failed.entry(why).or_default() += 1;
        }
        failed
    }
}

fn by_reason(letters: &[Letter]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for letter in letters {
        *counts.entry(letter.reason.name()).or_default() += 1;
    }
    counts
}

fn by_defect(chosen: &Chosen) -> BTreeMap<Unfit, Vec<u64>> {
    let mut unfit: BTreeMap<Unfit, Vec<u64>> = BTreeMap::new();
    for (sequence, defect) in &chosen.unfit {
        unfit.entry(*defect).or_default().push(*sequence);
    }
    unfit
}

fn report(args: &Args, chosen: &Chosen, done: &Done) -> serde_json::Value {
    let unfit: BTreeMap<Unfit, usize> = by_defect(chosen)
        .into_iter()
        .map(|(unfit, letters)| (unfit, letters.len()))
        .collect();
    json!({
        "dry_run": args.dry_run,
        "chosen": chosen.letters.len(),
        "reasons": by_reason(&chosen.letters),
        "resolved_before": chosen.resolved,
        "unfit": unfit,
        "redriven": done.fates.len(),
        "applied": done.settled(Outcome::Applied),
        "ignored": done.settled(Outcome::Ignored),
        "failed": done.failed(),
        "held_back": done.held_back.len(),
        "stopped": done.stopped,
    })
}

fn tell(args: &Args, chosen: &Chosen, done: &Done) -> anyhow::Result<()> {
    for (reason, count) in by_reason(&chosen.letters) {
        say(&format!("{count} events died of {reason}"))?;
        let of_it = chosen.letters.iter().filter(|letter| letter.reason.name() == reason);
        for letter in of_it.take(SHOWN) {
            let Letter {
                sequence,
                kind,
                user_id,
                error,
                ..
            } = letter;
            say(&format!("    #{sequence}  {}  {user_id}: {error}", kind.name()))?;
        }
        if count > SHOWN {
            say(&format!("    … and {} more", count - SHOWN))?;
        }
    }
    for (unfit, letters) in by_defect(chosen) {
        let shown: Vec<String> = letters
            .iter()
            .take(SHOWN)
            .map(|sequence| format!("#{sequence}"))
            .collect();
        let more = if letters.len() > SHOWN { ", …" } else { "" };
        say(&format!(
            "{} cannot be brought back ({}{more}): {}",
            letters.len(),
            shown.join(", "),
            unfit.remedy()
        ))?;
    }
    if chosen.resolved > 0 {
        say(&format!(
            "{} are resolved: their events are applied since",
            chosen.resolved
        ))?;
    }
    if chosen.letters.is_empty() {
        return say("Nothing was published: there is nothing to bring back.");
    }
    if args.dry_run {
        return say("Nothing was published. Without --dry-run these are published again.");
    }
    say(&format!("redriven   {}", done.fates.len()))?;
    say(&format!("applied    {}", done.settled(Outcome::Applied)))?;
    say(&format!("ignored    {}", done.settled(Outcome::Ignored)))?;
    for (why, count) in done.failed() {
        say(&format!("{why:<10} {count}  still"))?;
    }
    if !done.held_back.is_empty() {
        say(&format!(
            "{} were held back: the first ones that died of the same thing died of it again. What was wrong still is.",
            done.held_back.len()
        ))?;
    }
    if done.stopped {
        say("stopped before the end; what is published stays published")?;
    }
    Ok(())
}

/// Success means that nothing which was asked for is still dead; of many, those that are no events do not count.
fn code(args: &Args, chosen: &Chosen, done: &Done) -> ExitCode {
    let by_name = !args.letter.is_empty() || args.event.is_some();
    let nothing = chosen.letters.is_empty() && chosen.resolved == 0;
    let is_missing = by_name && (nothing || !chosen.unfit.is_empty());
    let is_dead = !done.failed().is_empty() || !done.held_back.is_empty() || done.stopped;
    ExitCode::from(u8::from(is_missing || is_dead))
}
