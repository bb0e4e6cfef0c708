//! A storm: real processes, faults by seed, a generator with its own journal, and a checker that knows what must be there.
//! It runs the program it is given and must never use the parts of Rollcall that it proves.

mod check;
mod cluster;
mod faults;
mod field;
mod generator;
mod journal;
mod message;
mod people;
mod plan;
mod read;
mod report;
#[allow(clippy::duplicate_mod, reason = "the tests play the demo, too")]
#[path = "../../demo/rng.rs"]
mod rng;
mod rows;
mod stories;
mod streams;
mod tables;

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use field::Field;
use generator::Generator;
pub(crate) use plan::{Database, Kind};
pub(crate) use report::Report;
use rng::Rng;
use tables::Tables;

/// Faults at the same time, at most.
const AT_A_TIME: usize = 3;
/// Rounds after the last fault has begun, so that it finds something to disturb.
const LAST_ROUNDS: usize = 2;
/// Unsettled messages beyond which the generator waits, so that faults keep finding work and not only a backlog.
const BACKLOG: u64 = 4_000;
/// How often a fault that found nothing is tried again.
const TRIES: usize = 20;
/// How often a little is published while the last faults are at work.
const TRICKLE: Duration = Duration::from_millis(100);
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// How long nothing may move before the workers are called stuck.
const STUCK: Duration = Duration::from_mins(1);

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) events: usize,
    pub(crate) faults: usize,
    pub(crate) seed: u64,
    pub(crate) database: Database,
    /// What `ROLLCALL_SABOTAGE` says to the workers.
    pub(crate) sabotage: Option<String>,
    /// The program.
    pub(crate) rollcall: PathBuf,
    /// Where `initdb` and `postgres` are.
    pub(crate) postgres: Option<PathBuf>,
    /// For configuration, logs and the journal.
    pub(crate) folder: PathBuf,
}

/// Says how it goes.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs a storm to its end and looks at what is left.
pub(crate) async fn storm(order: Order) -> Result<Report> {
    ensure!(order.events > 0, "a storm without events proves nothing");
    let began = Instant::now();
    let field = Arc::new(Field::prepare(&order).await?);
    let migrated = field::rollcall(&order.rollcall, &order.folder, &["migrate"]).await?;
    ensure!(
        migrated.status.success(),
        "rollcall migrate: {}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    Tables::open(&field.store_url).await?.furnish().await?;
    field.look_after()?;
    let context = jetstream::new(async_nats::connect(&field.broker_url).await?);
    until_ready(&context).await?;
    let journal = order.folder.join("journal.jsonl");
    let mut generator = Generator::new(&field.broker_url, order.seed, order.events, &journal).await?;
    let stormed = Instant::now();
    let supervisor = {
        let field = Arc::clone(&field);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_AFTER);
            loop {
                ticks.tick().await;
                if let Err(error) = field.look_after() {
                    return error;
                }
            }
        })
    };
    let here = LocalSet::new();
    let faults = here.run_until(rage(&order, &field, &mut generator, &context)).await?;
    let storm_seconds = stormed.elapsed().as_secs_f64();
    calm(&field);
    let is_stuck = !settled(&field, &context).await;
    supervisor.abort();
    ensure!(supervisor.await.is_err(), "the workers could not be looked after");
    let deliveries = streams::progress(&context).await?.deliveries;
    field.dismiss().await?;
    tell("chaos: comparing what is there with what must be there");
    let mut tables = Tables::open(&field.store_url).await?;
    let worlds = &generator.stories.worlds;
    let (mut findings, messages) = read::compare(&context, &mut tables, &generator.journal, worlds).await?;
    let audit = read::audit(&order, &mut findings).await?;
    let (commits_cut, commits_cut_committed) = commits(&field);
    Ok(Report {
        order,
        messages,
        deliveries,
        faults,
        commits_cut,
        commits_cut_committed,
        findings,
        ended: field.ended.load(Ordering::Relaxed),
        is_stuck,
        audit,
        storm_seconds,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Rounds: some events and one fault each, the fault at some moment while the events are on their way.
async fn rage(
    order: &Order,
    field: &Arc<Field>,
    generator: &mut Generator,
    context: &jetstream::Context,
) -> Result<BTreeMap<Kind, usize>> {
    let mut rng = Rng::new(order.seed ^ 0xfa17);
    let plan = plan::plan(&mut rng, order.faults, order.database);
    let share = order.events.div_ceil(plan.len() + LAST_ROUNDS);
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let mut at_work: JoinSet<Result<Option<Kind>>> = JoinSet::new();
    let mut done = Vec::new();
    let began = Instant::now();
    for (round, kind) in plan.iter().copied().enumerate() {
        room(context).await;
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let (field, mut dice) = (Arc::clone(field), Rng::new(rng.next()));
        at_work.spawn_local(async move {
            faults::pause(&mut dice, 0, 150).await;
            let inflicted = inflict(kind, &field, &mut dice).await;
            drop(slot);
            inflicted
        });
        generator.round(share, Some(kind)).await?;
        while let Some(ended) = at_work.try_join_next() {
            done.extend(ended??);
        }
        if (round + 1) % order.faults.div_ceil(20).max(1) == 0 {
            let (events, faults, seconds) = (generator.published, done.len(), began.elapsed().as_secs());
            tell(&format!(
                "chaos: {events} events published, {faults} faults over, {seconds} s"
            ));
        }
    }
    // The last faults, too, have to find somebody at work.
    while !at_work.is_empty() {
        tokio::select! {
            Some(ended) = at_work.join_next() => done.extend(ended??),
            () = tokio::time::sleep(TRICKLE) => generator.trickle(share.div_ceil(20)).await?,
        }
    }
    generator.finish().await?;
    let mut faults = BTreeMap::new();
    for kind in done {
        *faults.entry(kind).or_insert(0) += 1;
    }
    Ok(faults)
}

/// Tries until there is something to do the fault to.
async fn inflict(kind: Kind, field: &Field, rng: &mut Rng) -> Result<Option<Kind>> {
    for _ in 0..TRIES {
        let inflicted = faults::inflict(kind, field, rng).await;
        if inflicted.with_context(|| kind.name())? {
            return Ok(Some(kind));
        }
        faults::pause(rng, 50, 150).await;
    }
    Ok(None)
}

/// Waits until the workers have caught up a little; a broker that does not answer is no reason to wait.
async fn room(context: &jetstream::Context) {
    loop {
        let asked = tokio::time::timeout(Duration::from_millis(500), streams::progress(context)).await;
        if !matches!(asked, Ok(Ok(progress)) if progress.open > BACKLOG) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first worker makes streams and consumer.
async fn until_ready(context: &jetstream::Context) -> Result<()> {
    for _ in 0..300 {
        if streams::progress(context).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("no worker has begun to work within 30 s; its log is beside the journal")
}

/// No more faults: what was planned or is in the way is taken back.
fn calm(field: &Field) {
    for road in [Some(&field.broker_road), field.store_road.as_ref()]
        .into_iter()
        .flatten()
    {
        road.unplan();
        road.thaw();
        road.welcome();
    }
}

/// Waits until nothing is left to be done; false when nothing moves any more.
async fn settled(field: &Field, context: &jetstream::Context) -> bool {
    tell("chaos: the storm is over, the workers do the rest");
    let (mut last, mut moved, mut quiet) = (None, Instant::now(), 0);
    while moved.elapsed() < STUCK {
        // Both may still be recovering.
        let now = (streams::progress(context).await.ok(), rows(&field.store_url).await.ok());
        let is_done = matches!(now, (Some(progress), Some([_, 0, 0])) if progress.open == 0);
        let now = Some(now);
        quiet = if is_done && now == last { quiet + 1 } else { 0 };
        if quiet == 3 {
            return true;
        }
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// Events of the ledger, events that wait for another try, dead letters that wait to be published.
async fn rows(url: &str) -> Result<[u64; 3]> {
    let mut tables = Tables::open(url).await?;
    Ok([
        tables.count("@ledger").await?,
        tables.count("@retries").await?,
        tables.count("@outbox").await?,
    ])
}

/// COMMITs that were cut, and how many of them the server has answered with COMMIT.
fn commits(field: &Field) -> (usize, usize) {
    let Some(road) = &field.store_road else { return (0, 0) };
    // The tag of a finished command, behind its letter and its length.
    let committed = |answer: &&Vec<u8>| answer.starts_with(b"C") && answer.get(5..11) == Some(b"COMMIT".as_slice());
    (road.done().len(), road.kept().iter().filter(committed).count())
}

#[cfg(test)]
mod tests;
