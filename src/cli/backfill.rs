//! `rollcall backfill`: the first fill from a table or a file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::start::tables_are_current;
use super::topology::{ensure_events, readers};
use super::{print_json, progress, say, wrong_usage};
use crate::backfill::{Backfill, BackfillError, Columns, Finding, Origin, Survey};
use crate::config::Config;
use crate::jetstream::{self, Broker, BrokerError, Tally};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::{clock, wiring};

/// Messages on their way at the same time: a nats-server that syncs every write times out on wide windows.
const IN_FLIGHT: usize = 256;
/// How long one message is tried.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the broker is asked how far the worker is.
const LOOK: Duration = Duration::from_millis(250);
/// How long nothing moves before it is said what is waited for.
const QUIET: Duration = Duration::from_secs(10);

/// Arguments of `rollcall backfill`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall backfill --from users.csv --column user_id=id   what would be done; writes nothing\n  rollcall backfill --from users.csv --exclude u7 --apply  make a profile for everybody who has none\n  rollcall backfill --query 'SELECT id AS user_id, email, raw_user_meta_data AS metadata FROM auth.users'\n\nColumns are the fields of user.created; others are not looked at. Whoever is to be left out has to be in the source: a\nname that nobody has is told, and --apply refuses to begin. Only users of whom nobody ever heard are made: by\nuser.created events with createdvia \"backfill\" whose time is that of the beginning, so that anything that happens\nmeanwhile is newer. A worker has to run: --apply waits until the events are applied, then compares once more. Beginning\nagain is safe.\n\nExit codes: 0 done; 1 failed, or with --apply somebody is still missing or a row cannot be a user; 2 wrong usage or set-up."
)]
#[command(group = clap::ArgGroup::new("source_of_users").required(true).args(["from", "query"]))]
pub(super) struct Args {
    /// File of users: .csv with the names of its columns in the first line, or .jsonl.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Query on the application's database, which is that of [store].
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// Leave out a user, by key or by address; may be repeated.
    #[arg(long, value_name = "USER")]
    exclude: Vec<String>,
    /// Leave out the users of this file, one key or address in each line.
    #[arg(long, value_name = "FILE")]
    exclude_file: Option<PathBuf>,
    /// Read a field from a column of another name; may be repeated.
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = column)]
    column: Vec<(String, String)>,
    /// What the CloudEvents source of the events begins with; "/backfill" is put behind it.
    #[arg(long, value_name = "URI", default_value = "rollcall")]
    source: String,
    /// Publish what is missing, wait until it is applied, and compare again; without it nothing is written.
    #[arg(long)]
    apply: bool,
    /// How many of each finding are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn column(text: &str) -> Result<(String, String), String> {
    use crate::domain::Kind;
    let (field, column) = text.split_once('=').ok_or("expected FIELD=COLUMN")?;
    let fields = crate::envelope::contract::fields(Kind::Created);
    if fields.iter().any(|known| known.name == field) && !column.is_empty() {
        return Ok((field.to_owned(), column.to_owned()));
    }
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    Err(format!("the fields are {}", known.join(", ")))
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let origin = match (&args.from, &args.query) {
        (Some(path), _) => match Origin::of_file(path) {
            Some(origin) => origin,
            None => return wrong_usage("backfill", "the file of --from has to end in .csv or .jsonl"),
        },
        (None, query) => Origin::Query(query.clone().unwrap_or_default()),
    };
    let exclude = excluded(args)?;
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let columns: Columns = args.column.iter().cloned().collect();
    let source = format!("{}/backfill", args.source.trim_end_matches('/'));
    let began = clock::now();
    let backfill = Backfill {
        store: &store,
        origin: &origin,
        columns: &columns,
        intake: &wiring::intake(config),
        source: &source,
        subjects: wiring::subjects(config),
        began,
        exclude: &exclude,
        shown: args.show,
        shutdown: &shutdown,
    };
    let done = if args.apply {
        apply(&backfill, config).await
    } else {
        look(&backfill, "reading").await.map(|before| Done {
            before,
            published: None,
        })
    };
    store.close().await;
    let done = match done {
        Ok(done) => done,
        Err(error) => return failed(error),
    };
    report(args, &source, began, &done)?;
    Ok(done.code())
}

/// Somebody is to be left out who is not there.
#[derive(Debug, thiserror::Error)]
#[error("--exclude names who is not in the source: {0}. Nothing was published; mend the name, or leave it out")]
struct Unmatched(String);

/// A query or a column that is none is what clap would complain about, if it could know.
fn failed(error: anyhow::Error) -> anyhow::Result<ExitCode> {
    if let Some(unmatched) = error.downcast_ref::<Unmatched>() {
        return wrong_usage("backfill", &unmatched.to_string());
    }
    match error.downcast_ref::<BackfillError>() {
        Some(wrong) if wrong.is_wrong_usage() => wrong_usage("backfill", &crate::failure::chain(wrong)),
        _ => Err(error),
    }
}

/// What was found before, and what was done about it.
struct Done {
    before: Survey,
    /// What was published, and what was found after it was applied.
    published: Option<(Tally, Survey)>,
}

impl Done {
    fn code(&self) -> ExitCode {
        let left = self.published.as_ref().map_or(0, |(_, after)| {
            after.count(Finding::Missing) + after.count(Finding::Invalid)
        });
        ExitCode::from(u8::from(left > 0))
    }
}

/// Keys as they are, addresses in lower case too.
fn excluded(args: &Args) -> anyhow::Result<BTreeSet<String>> {
    let mut all: BTreeSet<String> = args.exclude.iter().map(|user| user.trim().to_owned()).collect();
    if let Some(path) = &args.exclude_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        all.extend(text.lines().map(|user| user.trim().to_owned()));
    }
    let addresses: Vec<String> = all
        .iter()
        .filter(|user| user.contains('@'))
        .map(|user| user.to_lowercase())
        .collect();
    all.extend(addresses);
    all.remove("");
    Ok(all)
}

async fn look(backfill: &Backfill<'_>, doing: &str) -> anyhow::Result<Survey> {
    let bar = progress::bar(doing, None);
    let found = backfill.survey(None, |rows| bar.set_position(rows)).await;
    bar.finish_and_clear();
    Ok(found?)
}

async fn apply(backfill: &Backfill<'_>, config: &Config) -> anyhow::Result<Done> {
    if !backfill.exclude.is_empty() {
        // A user who was misspelt would be made, and what is published cannot be called back.
        let unmatched = look(backfill, "reading").await?.unmatched;
        if !unmatched.is_empty() {
            return Err(Unmatched(unmatched.into_iter().collect::<Vec<_>>().join(", ")).into());
        }
    }
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    ensure_events(config, &broker).await?;
    // What an earlier backfill published, and nobody applied yet, would look missing.
    caught_up(backfill.shutdown, &broker, config).await?;
    let mut window = broker.publisher().window(IN_FLIGHT, PATIENCE);
    let bar = progress::bar("reading and publishing", None);
    let before = backfill.survey(Some(&mut window), |rows| bar.set_position(rows)).await;
    bar.finish_and_clear();
    // What was sent before an error is on its way all the same.
    let published = window.finish().await;
    let before = before?;
    let published = published?;
    caught_up(backfill.shutdown, &broker, config).await?;
    let after = look(backfill, "comparing").await?;
    broker.close().await;
    Ok(Done {
        before,
        published: Some((published, after)),
    })
}

/// Up to where every consumer has acknowledged its messages, this number at most.
async fn done_until(config: &Config, broker: &Broker, target: u64) -> Result<u64, BrokerError> {
    let readers = readers(config, broker).await?;
    let behind = readers.iter().filter(|reader| !reader.is_past(target));
    let reached = behind.map(|reader| reader.reached.acknowledged);
    Ok(reached.min().unwrap_or(target))
}

/// Waits until the worker has acknowledged everything that the stream holds now.
pub(super) async fn caught_up(shutdown: &Shutdown, broker: &Broker, config: &Config) -> anyhow::Result<()> {
    let target = broker.held(&config.consumer.stream).await?.last;
    let begun = done_until(config, broker, target).await?;
    let bar = progress::bar("waiting for the worker", Some(target.saturating_sub(begun)));
    let mut moved = (begun, clock::monotonic());
    let mut told = false;
    // With partitions "nothing waits" has to hold for a moment: what was stored just now may not be counted yet.
    let mut looks = if config.consumer.partitions.is_some() { 2 } else { 1 };
    loop {
        let reached = match done_until(config, broker, target).await {
            Ok(reached) => reached,
            Err(error) if error.is_transient() => moved.0,
            Err(error) => return Err(error.into()),
        };
        bar.set_position(reached.saturating_sub(begun));
        if reached >= target {
            looks -= 1;
        }
        if looks == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        if reached != moved.0 {
            moved = (reached, clock::monotonic());
        } else if !told && moved.1.elapsed() > QUIET {
            told = true;
            tracing::warn!(
                at = reached,
                until = target,
                "waiting for a worker to apply the events: is `rollcall run` at work?"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.soft.cancelled() => {
                bar.finish_and_clear();
                anyhow::bail!("stopped while the worker was applying events: what is published stays published");
            }
        }
    }
}

fn report(args: &Args, source: &str, began: OffsetDateTime, done: &Done) -> anyhow::Result<()> {
    if args.json {
        return print_json(&json!({
            "dry_run": !args.apply,
            "source": source,
            "time": began.format(&Rfc3339)?,
            "before": told(&done.before),
            "published": done.published.as_ref().map(|(tally, _)| tally.published),
            "after": done.published.as_ref().map(|(_, after)| told(after)),
        }));
    }
    say(if args.apply { "before:" } else { "found:" })?;
    tell(&done.before)?;
    match &done.published {
        None if done.before.count(Finding::Missing) > 0 => {
            say("Nothing was written. With --apply a user.created is published for everybody who is missing.")
        }
        None => say("Nothing was written, and there is nothing to do."),
        Some((tally, after)) => {
            say(&format!("published {} events of source {source}", tally.published))?;
            say("after:")?;
            tell(after)
        }
    }
}

/// A survey for scripts.
fn told(survey: &Survey) -> Value {
    let mut object = Map::new();
    object.insert("rows".to_owned(), survey.rows.into());
    for finding in Finding::ALL {
        object.insert(finding.name().to_owned(), survey.count(finding).into());
    }
    object.insert("repeated".to_owned(), survey.repeated.into());
    object.insert("degraded".to_owned(), survey.degraded.into());
    object.insert("fields".to_owned(), json!(survey.fields));
    object.insert("unused_columns".to_owned(), json!(survey.unused));
    object.insert("unmatched_excludes".to_owned(), json!(survey.unmatched));
    object.insert("examples".to_owned(), json!(survey.examples));
    Value::Object(object)
}

/// A survey for people.
fn tell(survey: &Survey) -> anyhow::Result<()> {
    say(&format!("  rows             {}", survey.rows))?;
    for finding in Finding::ALL {
        let count = survey.count(finding);
        let always = matches!(
            finding,
            Finding::Same | Finding::Different | Finding::Missing | Finding::Orphaned
        );
        if count == 0 && !always {
            continue;
        }
        say(&format!("  {:<16} {count}  {}", finding.name(), finding.meaning()))?;
        let examples = survey.examples.get(&finding).map(Vec::as_slice).unwrap_or_default();
        for example in examples {
            let note = if example.note.is_empty() {
                String::new()
            } else {
                format!("  ({})", example.note)
            };
            say(&format!("      {}{note}", example.user_id))?;
        }
        if count > examples.len() as u64 && finding != Finding::Same {
            say(&format!("      … and {} more", count - examples.len() as u64))?;
        }
    }
    for (count, what) in [
        (
            survey.repeated,
            "rows with the key of a row before; the first one counts",
        ),
        (survey.degraded, "rows with a bad field, which is dropped"),
    ] {
        if count > 0 {
            say(&format!("  {count} {what}"))?;
        }
    }
    if !survey.unmatched.is_empty() {
        let names: Vec<&str> = survey.unmatched.iter().map(String::as_str).collect();
        say(&format!("  to be left out, and not there: {}", names.join(", ")))?;
    }
    if !survey.unused.is_empty() {
        let columns: Vec<&str> = survey.unused.iter().map(String::as_str).collect();
        say(&format!("  columns not used: {}", columns.join(", ")))?;
    }
    Ok(())
}
