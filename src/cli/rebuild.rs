//! `rollcall rebuild`: ledgers folded again with today's configuration, tables put right.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::start::tables_are_current;
use super::tables::follow;
use super::{print_json, progress, say};
use crate::apply::Applier;
use crate::apply::rebuild::{Mode, Repaired};
use crate::config::Config;
use crate::domain::Reason;
use crate::jetstream;
use crate::reading::Reading;
use crate::rebuild::{self, Refused, Summary, TakeIn, TakenIn};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::wiring;

/// Arguments of `rollcall rebuild`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every event of the ledger is evaluated anew by today's configuration, so that this is also how a changed\nconfiguration reaches the users who are there. Columns of the worker are set right; attributes and what else\nbelongs to the application stay. Late events that were\nrefused as component_too_large are applied first. Safe at any time, also beside a running worker.\n\nExamples:\n  rollcall rebuild --all --dry-run      tell what is not as the ledger says\n  rollcall rebuild --user u1            put one user right, and whoever shared a key with them\n  rollcall rebuild --all --json         put everything right; one JSON object per wrong history, then the counts\n\nExit code 1 when a dry run finds something wrong, or nothing is known of the user."
)]
pub(super) struct Args {
    #[command(flatten)]
    whom: Whom,
    /// Change nothing, tell what would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// A key of the user, also one they had before.
    #[arg(long, value_name = "USER_ID")]
    user: Option<String>,
    /// Everybody.
    #[arg(long)]
    all: bool,
}

/// The last line of `--json`.
#[derive(serde::Serialize)]
struct Total {
    #[serde(flatten)]
    summary: Summary,
    dry_run: bool,
    #[serde(flatten)]
    late: Late,
    /// Public rows whose user no event speaks of; they are left alone.
    strangers: u64,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    tokio::select! {
        biased;
        // What is at work is committed or it is not.
        () = shutdown.hard.cancelled() => Ok(ExitCode::FAILURE),
        code = rebuild(args, config, &shutdown) => code,
    }
}

async fn rebuild(args: &Args, config: &Config, shutdown: &Shutdown) -> anyhow::Result<ExitCode> {
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let store = follow(store, config).await?;
    let applier = Applier::new(
        store.clone(),
        wiring::policy(config),
        wiring::undertaker(config),
        u64::MAX,
    )
    .await?
    .with_announcer(wiring::announcer(config))
    .with_customers(wiring::customers(config));
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Repair };
    let applier = Arc::new(applier);
    let late = take_in(args, config, &applier, &store, shutdown).await?;
    let summary = match &args.whom.user {
        Some(user) => one(args, config, &applier, &store, user, mode).await?,
        None => Some(all(args, &applier, &store, mode, shutdown).await?),
    };
    let strangers = if args.whom.all {
        store.count_strangers().await?
    } else {
        0
    };
    store.close().await;
    let Some(summary) = summary else {
        return Ok(ExitCode::from(1));
    };
    if args.json {
        print_json(&Total {
            summary,
            dry_run: args.dry_run,
            late,
            strangers,
        })?;
    } else {
        late.told()?;
        say(&in_words(summary, args.dry_run))?;
        if strangers > 0 {
            say(&format!(
                "{strangers} public rows belong to users whom no event speaks of; they are left alone"
            ))?;
        }
    }
    let failed = summary.stopped || summary.unreadable > 0 || (args.dry_run && summary.wrong > 0);
    Ok(ExitCode::from(u8::from(failed)))
}

/// Late events that were refused because a history was too long to be folded in passing.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
struct Late {
    /// Applied now.
    #[serde(rename = "late_taken_in")]
    taken_in: u64,
    /// Not applied: it is a dry run, the event is another user's, or it was refused for another reason now.
    #[serde(rename = "late_waiting")]
    waiting: u64,
    /// Not applied, because the stream does not hold their messages any more.
    #[serde(rename = "late_lost")]
    lost: u64,
}

impl Late {
    fn told(self) -> anyhow::Result<()> {
        if self.taken_in > 0 {
            say(&format!(
                "{} late events of long histories are applied now",
                self.taken_in
            ))?;
        }
        if self.waiting > 0 {
            say(&format!(
                "{} late events of long histories wait for a rebuild",
                self.waiting
            ))?;
        }
        if self.lost > 0 {
            say(&format!(
                "{} late events of long histories are not in the stream any more: publish them again from their dead letters",
                self.lost
            ))?;
        }
        Ok(())
    }
}

/// Applies what was refused as too large; the broker is asked only when there is such a thing.
async fn take_in(
    args: &Args,
    config: &Config,
    applier: &Arc<Applier>,
    store: &Store,
    shutdown: &Shutdown,
) -> anyhow::Result<Late> {
    let letters = store.open_letters(Reason::ComponentTooLarge).await?;
    if letters.is_empty() || args.dry_run {
        return Ok(Late {
            waiting: letters.len() as u64,
            ..Late::default()
        });
    }
    let keys: Option<BTreeSet<String>> = match &args.whom.user {
        Some(user) => {
            let (keys, _) = store.component(&key_of(config, user)).await?;
            Some(keys.into_iter().map(|row| row.key).collect())
        }
        None => None,
    };
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    let with = TakeIn {
        applier,
        store,
        broker: &broker,
        reading: Reading {
            stream: &config.consumer.stream,
            intake: &wiring::intake(config),
            batch_max: 1,
        },
        shutdown,
    };
    let wanted = |refused: &Refused| {
        let keys = keys.as_ref();
        keys.is_none_or(|keys| refused.keys().any(|key| keys.contains(key)))
    };
    let TakenIn { taken, left, lost } = with.run(letters, wanted).await?;
    broker.close().await;
    Ok(Late {
        taken_in: taken,
        waiting: left,
        lost,
    })
}

/// Keys are stored as they are folded on entry.
fn key_of(config: &Config, user: &str) -> String {
    if config.worker.user_id_is_email {
        user.to_lowercase()
    } else {
        user.to_owned()
    }
}

async fn one(
    args: &Args,
    config: &Config,
    applier: &Arc<Applier>,
    store: &Store,
    user: &str,
    mode: Mode,
) -> anyhow::Result<Option<Summary>> {
    let Some(wrong) = rebuild::one(applier, store, &key_of(config, user), mode).await? else {
        say_unless(args.json, &format!("{user}: nobody is known by this key"))?;
        return Ok(None);
    };
    tell(args, &wrong)?;
    Ok(Some(Summary {
        histories: 1,
        wrong: wrong.len() as u64,
        ..Summary::default()
    }))
}

async fn all(
    args: &Args,
    applier: &Arc<Applier>,
    store: &Store,
    mode: Mode,
    shutdown: &Shutdown,
) -> anyhow::Result<Summary> {
    let bar = progress::bar("folding histories", Some(store.count_components().await?));
    let mut told = Ok(());
    let summary = rebuild::all(applier, store, mode, shutdown, |histories, wrong| {
        bar.inc(histories);
        if told.is_ok() {
            told = bar.suspend(|| tell(args, wrong));
        }
    })
    .await;
    bar.finish_and_clear();
    told?;
    Ok(summary?)
}

fn tell(args: &Args, wrong: &[Repaired]) -> anyhow::Result<()> {
    for repaired in wrong {
        if args.json {
            print_json(repaired)?;
        } else {
            say(&line(repaired))?;
        }
    }
    Ok(())
}

fn say_unless(json: bool, line: &str) -> anyhow::Result<()> {
    if json { Ok(()) } else { say(line) }
}

/// `u1: 1 profile changed; 2 events evaluated otherwise (display_name, phone)`
fn line(repaired: &Repaired) -> String {
    let counts = [
        (repaired.profiles_made, "missing from profiles"),
        (repaired.profiles_changed, "wrong in profiles"),
        (repaired.profiles_removed, "too many in profiles"),
        (repaired.customers_made, "missing from customers"),
        (repaired.customers_changed, "wrong in customers"),
        (repaired.customers_removed, "too many in customers"),
        (repaired.internal, "wrong in internal tables"),
        (repaired.events, "events evaluated otherwise"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let columns: Vec<&str> = repaired.columns.iter().copied().collect();
    let columns = if columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", columns.join(", "))
    };
    format!("{}: {}{columns}", repaired.users.join(", "), counts.join(", "))
}

fn in_words(summary: Summary, dry_run: bool) -> String {
    let Summary {
        histories,
        wrong,
        unreadable,
        stopped,
    } = summary;
    let found = match (wrong, dry_run) {
        (0, _) => "nothing was wrong".to_owned(),
        (_, true) => format!("{wrong} not as the ledger says; nothing was changed"),
        (_, false) => format!("{wrong} were not as the ledger says and are put right"),
    };
    let odd = match unreadable {
        0 => String::new(),
        some => format!("; {some} cannot be read and are left as they are"),
    };
    let end = if stopped {
        "; stopped before the end, run it again"
    } else {
        ""
    };
    format!("{histories} histories folded again: {found}{odd}{end}")
}
