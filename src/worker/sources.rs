//! Where events come from: a puller for each durable consumer, and room in memory that they share. What comes from which
//! of them never matters to what is done with it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::message::InHand;
use super::puller::{Pulled, Puller, Room};
use super::tools::Tools;
use super::{Until, WorkerError, WorkerSettings};
use crate::jetstream::{Broker, BrokerError, Deliveries, PullSettings};

/// Most messages of a request.
const MOST: usize = 1024;
/// Fewer than this at a time are not worth a request, where there is a choice.
const FEW: usize = 16;

/// One consumer, open.
pub(super) struct Source {
    deliveries: Deliveries,
    kind: Kind,
}

/// What the end of a consumer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The end of the worker.
    Ours,
    /// Somebody tidied up.
    Leftover,
}

/// Opens all consumers. What they have in the client's memory at a time is as much together as one alone would have.
pub(super) async fn open(broker: &Broker, settings: &WorkerSettings) -> Result<Vec<Source>, BrokerError> {
    let count = settings.durables.len() + settings.leftovers.len();
    let pull = settings_for(count, settings.batch_max);
    let mut sources = Vec::new();
    for durable in &settings.durables {
        sources.push(Source {
            deliveries: broker.deliveries(&settings.stream, durable, pull).await?,
            kind: Kind::Ours,
        });
    }
    for durable in &settings.leftovers {
        match broker.deliveries(&settings.stream, durable, pull).await {
            Ok(deliveries) => sources.push(Source {
                deliveries,
                kind: Kind::Leftover,
            }),
            Err(BrokerError::ConsumerMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sources)
}

/// What each of so many consumers is asked for at a time.
fn settings_for(count: usize, batch_max: usize) -> PullSettings {
    let whole = PullSettings::default();
    let batch = batch_max.clamp(1, MOST);
    PullSettings {
        batch: (batch / count.max(1)).max(batch.min(FEW)),
        max_bytes: whole.max_bytes / count.max(1),
        ..whole
    }
}

/// Pulls from all of them until the worker is stopped or nothing is left anywhere.
pub(super) async fn pull(
    broker: &Broker,
    tools: &Arc<Tools>,
    queues: Vec<mpsc::Sender<InHand>>,
    sources: Vec<Source>,
) -> Result<(), WorkerError> {
    let enough = tools.shutdown.soft.child_token();
    let room = Room::new(&tools.settings, sources.len());
    let mut pullers = JoinSet::new();
    for (number, Source { deliveries, kind }) in sources.into_iter().enumerate() {
        // One of them decides for all: whoever stopped on their own would leave what comes after.
        let until = if number == 0 {
            tools.settings.until
        } else {
            Until::Stopped
        };
        let puller = Puller::new(
            broker.clone(),
            Arc::clone(tools),
            queues.clone(),
            room.clone(),
            until,
            enough.clone(),
        );
        pullers.spawn(run(puller, deliveries, kind));
    }
    // Ours is the last hold on the queues: no lane may end before we do, or it would seem to have died.
    let _open = queues;
    let mut result = Ok(());
    while let Some(ended) = pullers.join_next().await {
        match ended {
            Ok(Ok(Pulled::Gone)) => continue,
            Ok(Ok(Pulled::Stopped | Pulled::Drained)) => {}
            Ok(Err(error)) => result = result.and(Err(error)),
            Err(died) => result = result.and(Err(super::died(Err(died)))),
        }
        enough.cancel();
    }
    result
}

async fn run(puller: Puller, deliveries: Deliveries, kind: Kind) -> Result<Pulled, WorkerError> {
    match puller.run(deliveries).await {
        Err(WorkerError::Broker(error @ BrokerError::ConsumerMissing { .. })) if kind == Kind::Leftover => {
            tracing::info!(%error, "a consumer of a former partition was removed");
            Ok(Pulled::Gone)
        }
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_consumers_are_asked_for_what_one_would_be() {
        for (count, batch_max, expected) in [
            (1, 1000, 1000),
            (1, 5000, 1024),
            (1, 1, 1),
            (9, 1000, 111),
            (65, 1000, 16),
            (9, 10, 10),
        ] {
            assert_eq!(settings_for(count, batch_max).batch, expected, "{count} {batch_max}");
        }
        assert_eq!(settings_for(1, 1000).max_bytes, PullSettings::default().max_bytes);
    }
}
