//! `rollcall run`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use backoff::{BackoffBuilder as _, ExponentialBuilder};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tables::follow;
use super::{Setup, ingress, print_json, say};
use crate::apply::Applier;
use crate::config::Config;
use crate::failure;
use crate::http::health::{self, Health};
use crate::ingress::{Connected, Counts as Webhooks, IngressError};
use crate::jetstream::{self, Broker, BrokerError};
use crate::mail::{Post, SetupError};
use crate::outbox::Relay;
use crate::shutdown::Shutdown;
use crate::store::{Queue, Remark, SchemaState, Store, StoreError};
use crate::worker::tally::Counts;
use crate::worker::{self, Gauges, Until};
use crate::{clock, wiring};

const LONGEST: Duration = Duration::from_secs(5);
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
    let taking = webhooks(args, config, &connected, &shutdown).await?;
    let Some((broker, store)) = ready(config, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let post = post(config, &store)?;
    let _ = connected.set(broker.clone());
    let began = clock::monotonic();
    let Some(applier) = patiently("the database", &shutdown, || async {
        Applier::new(
            store.clone(),
            wiring::policy(config),
            wiring::undertaker(config),
            config.worker.max_component_events as u64,
        )
        .await
        .map(|applier| {
            let announcer = wiring::announcer(config);
            applier
                .with_announcer(announcer)
                .with_orders(wiring::orders(config))
                .with_customers(wiring::customers(config))
        })
        .map_err(|error| (failure::fault(&error).passes(), error.into()))
    })
    .await?
    else {
        return Ok(ExitCode::SUCCESS);
    };
    let told = Arc::new(Notify::new());
    let relaying = shutdown.soft.child_token();
    let relay_task = tokio::spawn(relay(config, &broker, &store).run(Arc::clone(&told), relaying.clone()));
    let posting = post.clone().map(|post| {
        let stop = relaying.clone();
        tokio::spawn(async move { post.run(stop).await })
    });
    tracing::info!(
        stream = config.consumer.stream,
        consumer = config.consumer.durable,
        store = config.store.url.redacted(),
        lanes = config.worker.lanes,
        "working"
    );
    let until = if args.drain { Until::Drained } else { Until::Stopped };
    let settings = wiring::worker(config, until);
    let gauges = Gauges::new(store.clone(), config.worker.kill_switch);
    health.at_work(broker.clone(), gauges.clone());
    let counts = worker::run(
        &broker,
        Arc::new(applier),
        wiring::intake(config),
        settings,
        told,
        &gauges,
        &shutdown,
    )
    .await?;
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
    Ok(ExitCode::SUCCESS)
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
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Taking>> {
    let Some(address) = config.http.ingress_listen.filter(|_| !args.drain) else {
        return Ok(None);
    };
    let bound = ingress::bind(config, address).await?;
    let serving = bound.serve(Arc::clone(connected), shutdown.soft.clone());
    Ok(Some(tokio::spawn(serving)))
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

/// Connects to both sides, waiting for what is merely away. None when we are stopped before.
async fn ready(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Option<(Broker, Store)>> {
    let settings = wiring::broker(config);
    let Some(broker) = patiently("the broker", shutdown, || async {
        jetstream::connect(&settings)
            .await
            .map_err(|error| (error.is_transient(), error.into()))
    })
    .await?
    else {
        return Ok(None);
    };
    if let Some(warning) = broker.version_warning() {
        tracing::warn!("{warning}");
    }
    let settings = wiring::store(config);
    let Some(store) = patiently("the database", shutdown, || async {
        Store::open(&settings)
            .await
            .map_err(|error| (failure::fault(&error).passes(), error.into()))
    })
    .await?
    else {
        return Ok(None);
    };
    let prepared = patiently("broker and database", shutdown, || async {
        prepare(config, &broker, &store)
            .await
            .map_err(|error| (is_away(&error), error))
    });
    if prepared.await?.is_none() {
        return Ok(None);
    }
    let following = patiently("the database", shutdown, || async {
        follow(store.clone(), config)
            .await
            .map_err(|error| (is_away(&error), error))
    });
    Ok(following.await?.map(|store| (broker, store)))
}

/// Makes the topology, once the tables are known to be there: nothing is made for a worker that cannot work.
async fn prepare(config: &Config, broker: &Broker, store: &Store) -> anyhow::Result<()> {
    tables_are_current(store).await?;
    customers_can_be_found(config, store).await?;
    let manage = wiring::manage(config);
    broker.ensure_stream(&wiring::events(config), manage).await?;
    outgoing_streams(config, broker).await?;
    broker.ensure_consumer(&wiring::consumer(config), manage).await?;
    for warning in store.durability_warnings().await? {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Makes the streams that the relay publishes to.
pub(super) async fn outgoing_streams(config: &Config, broker: &Broker) -> Result<(), BrokerError> {
    let manage = wiring::manage(config);
    broker.ensure_stream(&wiring::dead_letters(config), manage).await?;
    if let Some(announcements) = wiring::announcements(config) {
        broker.ensure_stream(&announcements, manage).await?;
    }
    Ok(())
}

/// Fails with the remedy where the tables are not those of this version.
pub(super) async fn tables_are_current(store: &Store) -> anyhow::Result<()> {
    match store.schema_state().await? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind => {
            Err(Setup("the tables are missing or older than this version: run `rollcall migrate`".into()).into())
        }
        SchemaState::Ahead => {
            Err(Setup("the tables were made by a newer version of Rollcall: run that version".into()).into())
        }
    }
}

/// Fails where customers are looked for and cannot be; warns where that would be slow.
async fn customers_can_be_found(config: &Config, store: &Store) -> anyhow::Result<()> {
    let Some(source) = wiring::customers(config) else {
        return Ok(());
    };
    for remark in store.check_customers(&source).await? {
        match remark {
            Remark::Problem(problem) => return Err(Setup(problem.into()).into()),
            Remark::Warning(warning) => tracing::warn!("{warning}"),
        }
    }
    Ok(())
}

/// Whether broker or database is merely away at the moment.
fn is_away(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<BrokerError>()
        .is_some_and(BrokerError::is_transient)
        || error
            .downcast_ref::<StoreError>()
            .is_some_and(|error| failure::fault(error).passes())
}

/// Tries until it succeeds, the error is final (the flag says whether waiting helps), or we are stopped.
pub(super) async fn patiently<T, F>(
    what: &str,
    shutdown: &Shutdown,
    connect: impl Fn() -> F,
) -> anyhow::Result<Option<T>>
where
    F: Future<Output = Result<T, (bool, anyhow::Error)>>,
{
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
        .build();
    let mut waiting = false;
    loop {
        let tried = tokio::select! {
            tried = connect() => tried,
            () = shutdown.soft.cancelled() => return Ok(None),
        };
        match tried {
            Ok(done) => return Ok(Some(done)),
            Err((true, error)) => {
                if !waiting {
                    tracing::warn!(error = failure::chain(error.as_ref()), "waiting for {what}");
                    waiting = true;
                }
            }
            Err((false, error)) => return Err(error),
        }
        tokio::select! {
            () = shutdown.soft.cancelled() => return Ok(None),
            () = tokio::time::sleep(pauses.next().unwrap_or(LONGEST)) => {}
        }
    }
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
