//! Streams and consumers as the configuration wants them, for the commands that need them.

use crate::config::Config;
use crate::jetstream::{Broker, BrokerError, Difference, Reader};
use crate::wiring;

/// Makes the stream of events and its consumers, and partitions them, as far as that is ours to do.
pub(super) async fn ensure_events(config: &Config, broker: &Broker) -> Result<(), BrokerError> {
    let (stream, manage) = (wiring::events(config), wiring::manage(config));
    let consumers = wiring::consumers(config);
    if config.consumer.partitions.is_some() {
        return broker.ensure_partitioned(&stream, &consumers, manage).await;
    }
    broker.ensure_stream(&stream, manage).await?;
    for consumer in consumers {
        broker.ensure_consumer(&consumer, manage).await?;
    }
    Ok(())
}

/// Makes the stream of events where it is missing. One that is still to be partitioned takes what is published all the same,
/// and the first worker does it: only that looks after the consumers.
pub(super) async fn stream_for_publishing(config: &Config, broker: &Broker) -> Result<(), BrokerError> {
    match broker
        .ensure_stream(&wiring::events(config), wiring::manage(config))
        .await
    {
        Err(BrokerError::Mismatch { differences, .. }) if are_of_partitions(config, &differences) => {
            tracing::warn!("the stream has other partitions than are configured: `rollcall run` changes that");
            Ok(())
        }
        ensured => ensured,
    }
}

/// Whether a worker with this configuration would set about changing all of that.
pub(super) fn are_of_partitions(config: &Config, differences: &[Difference]) -> bool {
    config.nats.manage && differences.iter().all(|difference| difference.lacks_partitions)
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

/// The consumers of partitions that there are no more. They are read to their end, so that nothing that waits there is lost.
/// Without partitions nobody is asked.
pub(super) async fn leftovers(config: &Config, broker: &Broker) -> Result<Vec<String>, BrokerError> {
    if config.consumer.partitions.is_none() {
        return Ok(Vec::new());
    }
    match leftover_readers(config, broker).await {
        Ok(found) => Ok(found.into_iter().map(|(durable, _)| durable).collect()),
        Err(BrokerError::Denied { reason, .. }) => {
            tracing::warn!(reason, "consumers of former partitions cannot be looked for");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// The same, whether there are partitions or not, with how far each is.
pub(super) async fn leftover_readers(config: &Config, broker: &Broker) -> Result<Vec<(String, Reader)>, BrokerError> {
    let stream = config.consumer.stream.as_str();
    let names = broker.consumer_names(stream).await?;
    let mut found = Vec::new();
    for (durable, filter) in wiring::leftovers(config, names) {
        match broker.reader(stream, &durable).await {
            Ok(reader) if reader.filters == [filter] => found.push((durable, reader)),
            // Another application's, or gone meanwhile.
            Ok(_) | Err(BrokerError::ConsumerMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What each consumer reads, and how far it is.
pub(super) async fn readers(config: &Config, broker: &Broker) -> Result<Vec<Reader>, BrokerError> {
    let stream = config.consumer.stream.as_str();
    let mut readers = Vec::new();
    for consumer in wiring::consumers(config) {
        readers.push(broker.reader(stream, &consumer.durable).await?);
    }
    for durable in leftovers(config, broker).await? {
        match broker.reader(stream, &durable).await {
            Ok(reader) => readers.push(reader),
            Err(BrokerError::ConsumerMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(readers)
}
