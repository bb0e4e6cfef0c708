//! `rollcall run`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::beside::Beside;
use super::start::{patiently, ready};
use super::{ingress, print_json, say};
use crate::apply::Applier;
use crate::config::Config;
use crate::failure;
use crate::http::health::{self, Health};
use crate::ingress::{Connected, Counts as Webhooks, IngressError};
use crate::jetstream::Broker;
use crate::mail::{Post, SetupError};
use crate::outbox::Relay;
use crate::shutdown::Shutdown;
use crate::store::{Queue, Store};
use crate::worker::tally::Counts;
use crate::worker::{self, Gauges, Until};
use crate::{clock, wiring};

/// How long a stop publishes what is in the outbox.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Arguments of `rollcall run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall run                  work until SIGTERM or Ctrl-C\n  rollcall run --drain --json   work until nothing is left, then print the counts\n\nThe first SIGTERM finishes what is in hand within [worker] grace; a second one stops at once and loses nothing."
)]
pub(super) struct Args {
    /// Stop when nothing is left to be done; dead letters count as done.
    #[arg(long)]
    drain: bool,
    /// Print the counts as one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let health = listen(config, &shutdown).await?;
    let connected = Connected::default();
    let mut beside = Beside::default();
    let taking = webhooks(args, config, &connected, &mut beside, &shutdown).await?;
    let Some((broker, store, leftovers)) = ready(config, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let post = post(config, &store)?;
    if taking.is_some() {
        ingress::warn(config, &broker);
    }
    let _ = connected.set(broker.clone());
    let began = clock::monotonic();
    let Some(applier) = applier(config, &store, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let told = Arc::new(Notify::new());
    let relaying = shutdown.soft.child_token();
    let publishing = relay(config, &broker, &store);
    let (notified, stop) = (Arc::clone(&told), relaying.clone());
    let relay_task = beside.spawn("the relay", async move { publishing.run(notified, stop).await });
    let posting = post.clone().map(|post| {
        let stop = relaying.clone();
        beside.spawn("the post", async move { post.run(stop).await })
    });
    tracing::info!(
        stream = config.consumer.stream,
        consumer = config.consumer.durable,
        partitions = config.consumer.partitions,
        store = config.store.url.redacted(),
        lanes = config.worker.lanes,
        "working"
    );
    let until = if args.drain { Until::Drained } else { Until::Stopped };
    let settings = wiring::worker(config, leftovers, until);
    let gauges = Gauges::new(store.clone(), config.worker.kill_switch);
    health.at_work(broker.clone(), gauges.clone());
    let working = Box::pin(worker::run(
        &broker,
        Arc::new(applier),
        wiring::intake(config),
        settings,
        told,
        &gauges,
        &shutdown,
    ));
    let (counts, died) = beside.watch(working, &shutdown, config.worker.grace).await;
    let counts = counts?;
    if let Some(taking) = taking {
        taking.await.context("taking webhooks ended early")??;
    }
    relaying.cancel();
    tokio::select! {
        _ = relay_task => {}
        () = past(&shutdown.soft, LAST_WORDS) => {}
    }
    empty_outbox(&relay(config, &broker, &store), until, &shutdown).await;
    last_mails(post.as_deref(), posting, until, &shutdown).await;
    broker.close().await;
    // SQLite moves what is in the log into the file; a connection that hangs is not waited for.
    tokio::select! {
        () = store.close() => {}
        () = shutdown.hard.cancelled() => {}
    }
    report(args, &counts, began.elapsed())?;
    match died {
        None => Ok(ExitCode::SUCCESS),
        Some(task) => anyhow::bail!("{task} ended while there was work to do, which is a bug; nothing is lost"),
    }
}

/// What applies events, as it is configured; none when we are stopped before.
async fn applier(config: &Config, store: &Store, shutdown: &Shutdown) -> anyhow::Result<Option<Applier>> {
    let made = patiently("the database", shutdown, || async {
        Applier::new(
            store.clone(),
            wiring::policy(config),
            wiring::undertaker(config),
            config.worker.max_component_events as u64,
        )
        .await
        .map_err(|error| (failure::fault(&error).passes(), error.into()))
    });
    let applier = made.await?.map(|applier| {
        applier
            .with_announcer(wiring::announcer(config))
            .with_orders(wiring::orders(config))
            .with_customers(wiring::customers(config))
            .heeding_redrives()
    });
    Ok(applier)
}

/// Who sends mail, where it is configured.
pub(super) fn post(config: &Config, store: &Store) -> Result<Option<Arc<Post>>, SetupError> {
    let settings = wiring::post(config);
    let post = settings.map(|settings| Post::new(store.clone(), settings));
    Ok(post.transpose()?.map(Arc::new))
}

/// A mail on its way is seen through in the grace period; a drain tries once what is due. The rest waits for a start.
async fn last_mails(post: Option<&Post>, posting: Option<JoinHandle<()>>, until: Until, shutdown: &Shutdown) {
    let Some(post) = post else { return };
    let rest = async {
        if let Some(posting) = posting {
            let _ = posting.await;
        }
        if until == Until::Drained
            && let Err(error) = post.send_due(&shutdown.soft).await
        {
            tracing::warn!(error = failure::chain(&error), "mail waits for the database");
        }
    };
    tokio::select! {
        () = rest => {}
        () = shutdown.hard.cancelled() => {}
    }
}

/// What is taking webhooks, and what came of it.
type Taking = tokio::task::JoinHandle<Result<BTreeMap<String, Webhooks>, IngressError>>;

/// Takes webhooks from the start on, where it is configured: senders do not wait until we are ready, they come again.
async fn webhooks(
    args: &Args,
    config: &Config,
    connected: &Connected,
    beside: &mut Beside,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Taking>> {
    let Some(address) = config.http.ingress_listen.filter(|_| !args.drain) else {
        return Ok(None);
    };
    let bound = ingress::bind(config, address).await?;
    let serving = bound.serve(Arc::clone(connected), shutdown.soft.clone());
    Ok(Some(beside.spawn("taking webhooks", serving)))
}

/// What publishes the outbox.
pub(super) fn relay(config: &Config, broker: &Broker, store: &Store) -> Relay {
    Relay {
        store: store.clone(),
        publisher: broker.publisher(),
        max_payload: broker.max_payload(),
        batch: config.outbox.batch as u32,
        poll: config.outbox.poll,
        queues: if config.outbox.events {
            vec![Queue::Letters, Queue::Announcements]
        } else {
            vec![Queue::Letters]
        },
    }
}

/// Answers questions about health from the start on, where it is configured.
async fn listen(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Arc<Health>> {
    let health = Arc::new(Health::default());
    if let Some(address) = config.http.listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}, which is \"listen\" in [http]"))?;
        tracing::info!(address = %listener.local_addr()?, "answering questions about health");
        tokio::spawn(health::serve(listener, Arc::clone(&health), shutdown.hard.clone()));
    }
    Ok(health)
}

/// A drain ends with an empty outbox; a stop publishes what it can at once and leaves the rest for the next start.
pub(super) async fn empty_outbox(relay: &Relay, until: Until, shutdown: &Shutdown) {
    loop {
        let drained = tokio::select! {
            drained = relay.drain() => drained,
            () = shutdown.hard.cancelled() => return,
            // A broker that is away must not use up the grace period; what is left is published after the next start.
            () = past(&shutdown.soft, LAST_WORDS) => return,
        };
        match drained {
            Ok(_) => return,
            Err(error) => tracing::warn!(error = failure::chain(&error), "the outbox waits"),
        }
        if until == Until::Stopped || shutdown.soft.is_cancelled() {
            return;
        }
        tokio::select! {
            () = shutdown.soft.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Ends so long after the stop began.
async fn past(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
}

fn report(args: &Args, counts: &Counts, took: Duration) -> anyhow::Result<()> {
    if args.json {
        let mut report = serde_json::to_value(counts)?;
        report["seconds"] = took.as_secs_f64().into();
        return print_json(&report);
    }
    say_counts(counts)
}

/// The counts by outcome and reason, a line each.
pub(super) fn say_counts(counts: &Counts) -> anyhow::Result<()> {
    let outcomes = &counts.outcomes;
    say(&format!("applied    {}", outcomes.applied))?;
    say(&format!("duplicate  {}", outcomes.duplicate))?;
    for (name, reasons) in [
        ("ignored", &outcomes.ignored),
        ("rejected", &outcomes.rejected),
        ("dead", &counts.dead),
    ] {
        let total: u64 = reasons.values().sum();
        let listed: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        let listed = if listed.is_empty() {
            String::new()
        } else {
            format!("  ({})", listed.join(", "))
        };
        say(&format!("{name:<10} {total}{listed}"))?;
    }
    Ok(())
}
