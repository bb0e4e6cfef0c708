//! Getting ready: broker and database are waited for where they are merely away, and looked at before anything is begun.

use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};

use super::Setup;
use super::tables::follow;
use super::topology::{ensure_events, leftovers, outgoing_streams};
use crate::config::Config;
use crate::failure;
use crate::jetstream::{self, Broker, BrokerError};
use crate::shutdown::Shutdown;
use crate::store::{Remark, SchemaState, Store, StoreError};
use crate::wiring;

const LONGEST: Duration = Duration::from_secs(5);

/// Connects to both sides, waiting for what is merely away; with consumers that are left over. None when we are stopped
/// before.
pub(super) async fn ready(
    config: &Config,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<(Broker, Store, Vec<String>)>> {
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
    let Some(leftovers) = prepared.await? else {
        return Ok(None);
    };
    let following = patiently("the database", shutdown, || async {
        follow(store.clone(), config)
            .await
            .map_err(|error| (is_away(&error), error))
    });
    Ok(following.await?.map(|store| (broker, store, leftovers)))
}

/// Makes the topology, once the tables are known to be there: nothing is made for a worker that cannot work. Returns the
/// consumers of former partitions.
async fn prepare(config: &Config, broker: &Broker, store: &Store) -> anyhow::Result<Vec<String>> {
    tables_are_current(store).await?;
    customers_can_be_found(config, store).await?;
    ensure_events(config, broker).await?;
    outgoing_streams(config, broker).await?;
    for warning in store.durability_warnings().await? {
        tracing::warn!("{warning}");
    }
    Ok(leftovers(config, broker).await?)
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
