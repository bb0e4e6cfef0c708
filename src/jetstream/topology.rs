//! Streams and durable consumers: made where they are missing and allowed, compared where they exist.
//!
//! Never changed: two versions of the worker in a rolling upgrade would fight, and some changes lose events. What
//! partitions need is the one exception, and stands in `partitions`.

use std::time::Duration;

use async_nats::jetstream::stream::Info as StreamInfo;
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use serde_json::json;

use super::difference::{Difference, consumer_config, consumer_differences, stream_config, stream_differences};
use super::error::BrokerError;
use super::{Broker, NO_PARAMETERS};

/// A stream as the configuration wants it: file storage and limits retention always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Its name: no dots, spaces or wildcards.
    pub name: String,
    /// What it takes, such as `user.>`.
    pub subjects: Vec<String>,
    /// How long messages are kept; zero = for ever.
    pub max_age: Duration,
    /// How many bytes it may hold; zero or less = as many as the server has room for.
    pub max_bytes: i64,
    /// The largest message in bytes; zero or less = what the server's `max_payload` allows.
    pub max_msg_size: i32,
    /// How long a message id is remembered; at most [`Self::max_age`].
    pub duplicate_window: Duration,
    /// Shown to operators; not compared.
    pub description: String,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// Whether messages can be taken out before their time.
    pub removal: Removal,
    /// Under which other subjects messages are stored than they were published on; None for the same ones.
    pub transform: Option<Transform>,
    /// The subjects that it has as long as it is not partitioned; empty where it never will be.
    pub former_subjects: Vec<String>,
}

/// How a stream changes the subjects of what it takes, in the server's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// The subjects that are changed, such as `user.*.*`; others stay as they are.
    pub source: String,
    /// What they become, such as `user.{{wildcard(1)}}.{{partition(8,2)}}.{{wildcard(2)}}`.
    pub destination: String,
}

impl std::fmt::Display for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}", self.source, self.destination)
    }
}

/// What a stream does at `max_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Publishers get an error and keep their message: nothing is lost. Right for what comes in and for dead letters.
    RefuseNew,
    /// The oldest messages go. Right for announcements that others may miss.
    DropOldest,
}

/// Whether single messages can be deleted and the stream purged. The server never lets go of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// For dead letters: one that is dealt with can be deleted.
    Allowed,
    /// For incoming events: the audit can rely on every sequence number.
    Denied,
}

/// A durable pull consumer as the configuration wants it: explicit acknowledgements, everything from the
/// start, no limit of deliveries and no backoff list (both would lose or double events).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// The stream it reads.
    pub stream: String,
    /// Its durable name.
    pub durable: String,
    /// Which subjects of the stream; empty = all.
    pub filter_subjects: Vec<String>,
    /// After this time without acknowledgement or progress a message is delivered again.
    pub ack_wait: Duration,
    /// How many messages may be delivered and not yet acknowledged.
    pub max_ack_pending: i64,
}

/// Whether missing streams and consumers are ours to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manage {
    /// Make what is missing.
    Create,
    /// Make nothing; what is missing is an error.
    Never,
}

impl Broker {
    /// Makes the stream if it is missing and allowed, then compares it with the settings.
    ///
    /// Errors: [`BrokerError::StreamMissing`], [`BrokerError::Mismatch`], or what the broker answers.
    pub async fn ensure_stream(&self, settings: &StreamSettings, manage: Manage) -> Result<(), BrokerError> {
        let name = &settings.name;
        let found = match self.stream_differences(settings).await {
            Err(BrokerError::StreamMissing { .. }) if manage == Manage::Create => {
                let doing = format!("creating stream {name}");
                let made = self
                    .api::<StreamInfo>(&doing, format!("STREAM.CREATE.{name}"), &stream_config(settings))
                    .await?;
                // Another process may have made it meanwhile; whatever is there now is read back and compared.
                accept_existing(&doing, made, &[ErrorCode::STREAM_NAME_EXIST])?;
                tracing::info!(stream = name, "stream created");
                self.stream_differences(settings).await?
            }
            other => other?,
        };
        equal_or_mismatch(stream_object(settings), found)
    }

    /// Makes the consumer if it is missing and allowed, then compares it with the settings.
    ///
    /// Errors: [`BrokerError::StreamMissing`], [`BrokerError::ConsumerMissing`], [`BrokerError::Mismatch`],
    /// or what the broker answers.
    pub async fn ensure_consumer(&self, settings: &ConsumerSettings, manage: Manage) -> Result<(), BrokerError> {
        let (stream, durable) = (&settings.stream, &settings.durable);
        let found = match self.consumer_differences(settings).await {
            Err(BrokerError::ConsumerMissing { .. }) if manage == Manage::Create => {
                let doing = format!("creating consumer {durable} of stream {stream}");
                let config = consumer_config(settings);
                let subject = match config.filter_subject.as_str() {
                    "" => format!("CONSUMER.CREATE.{stream}.{durable}"),
                    filter => format!("CONSUMER.CREATE.{stream}.{durable}.{filter}"),
                };
                // Action "create" never changes an existing consumer; plain creation would.
                let request = json!({ "stream_name": stream, "config": config, "action": "create" });
                let made = self.api::<serde_json::Value>(&doing, subject, &request).await?;
                accept_existing(
                    &doing,
                    made,
                    &[ErrorCode::CONSUMER_ALREADY_EXISTS, ErrorCode::CONSUMER_NAME_EXIST],
                )?;
                tracing::info!(stream, consumer = durable, "consumer created");
                self.consumer_differences(settings).await?
            }
            other => other?,
        };
        equal_or_mismatch(consumer_object(settings), found)
    }

    /// Every field in which the existing stream differs. Error if it is missing or cannot be asked about.
    pub async fn stream_differences(&self, settings: &StreamSettings) -> Result<Vec<Difference>, BrokerError> {
        let doing = format!("asking about stream {}", settings.name);
        match self
            .api::<StreamInfo>(&doing, format!("STREAM.INFO.{}", settings.name), &NO_PARAMETERS)
            .await?
        {
            Ok(info) => Ok(stream_differences(settings, &info.config)),
            Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Err(BrokerError::StreamMissing {
                stream: settings.name.clone(),
                remedy: format!("set manage = true in [nats], or run: {}", stream_command(settings)),
            }),
            Err(source) => Err(BrokerError::Api { doing, source }),
        }
    }

    /// Every field in which the existing consumer differs. Error if it or its stream is missing or cannot be asked about.
    pub async fn consumer_differences(&self, settings: &ConsumerSettings) -> Result<Vec<Difference>, BrokerError> {
        match self.consumer_info(&settings.stream, &settings.durable).await {
            Ok(info) => Ok(consumer_differences(settings, &info.config)),
            Err(BrokerError::ConsumerMissing { stream, consumer, .. }) => Err(BrokerError::ConsumerMissing {
                stream,
                consumer,
                remedy: format!("set manage = true in [nats], or run: {}", consumer_command(settings)),
            }),
            Err(error) => Err(error),
        }
    }
}

/// Used where only the name is known.
pub(super) fn stream_missing(stream: &str) -> BrokerError {
    BrokerError::StreamMissing {
        stream: stream.to_owned(),
        remedy: "start the worker with manage = true in [nats], or create it with the nats command line tool"
            .to_owned(),
    }
}

/// For a consumer that was there before: making it anew replays the stream, which must be somebody's decision.
pub(super) fn consumer_missing(stream: &str, consumer: &str) -> BrokerError {
    BrokerError::ConsumerMissing {
        stream: stream.to_owned(),
        consumer: consumer.to_owned(),
        remedy:
            "somebody deleted it, or it was never made; started again with manage = true in [nats] the worker makes it \
                 and reads the whole stream once more (what was applied before counts as duplicate)"
                .to_owned(),
    }
}

fn accept_existing<T>(doing: &str, made: Result<T, ApiError>, existing: &[ErrorCode]) -> Result<(), BrokerError> {
    match made {
        Ok(_) => Ok(()),
        Err(error) if existing.contains(&error.error_code()) => Ok(()),
        Err(source) => Err(BrokerError::Api {
            doing: doing.to_owned(),
            source,
        }),
    }
}

/// How a stream is called in errors.
pub(super) fn stream_object(settings: &StreamSettings) -> String {
    format!("stream {}", settings.name)
}

/// How a consumer is called in errors.
pub(super) fn consumer_object(settings: &ConsumerSettings) -> String {
    format!("consumer {} of stream {}", settings.durable, settings.stream)
}

pub(super) fn equal_or_mismatch(object: String, differences: Vec<Difference>) -> Result<(), BrokerError> {
    if differences.is_empty() {
        Ok(())
    } else {
        Err(BrokerError::Mismatch { object, differences })
    }
}

fn stream_command(settings: &StreamSettings) -> String {
    let StreamSettings {
        name,
        subjects,
        max_age,
        max_bytes,
        max_msg_size,
        duplicate_window,
        ..
    } = settings;
    let discard = match settings.when_full {
        WhenFull::RefuseNew => "new",
        WhenFull::DropOldest => "old",
    };
    let removal = match settings.removal {
        Removal::Allowed => "",
        Removal::Denied => " --deny-delete --deny-purge",
    };
    let age = if max_age.is_zero() {
        "-1".to_owned()
    } else {
        format!("{}s", max_age.as_secs())
    };
    let transform = settings.transform.as_ref().map_or_else(String::new, |transform| {
        let Transform { source, destination } = transform;
        format!(" --transform-source '{source}' --transform-destination '{destination}'")
    });
    format!(
        "nats stream add {name} --subjects '{}' --storage file --retention limits --discard {discard} --max-age {age} \
         --max-bytes {} --max-msg-size {} --dupe-window {}s{removal}{transform} --defaults",
        subjects.join(","),
        if *max_bytes <= 0 { -1 } else { *max_bytes },
        if *max_msg_size <= 0 { -1 } else { *max_msg_size },
        duplicate_window.as_secs(),
    )
}

fn consumer_command(settings: &ConsumerSettings) -> String {
    let ConsumerSettings {
        stream,
        durable,
        filter_subjects,
        ack_wait,
        max_ack_pending,
    } = settings;
    let filters: Vec<String> = filter_subjects
        .iter()
        .map(|filter| format!(" --filter '{filter}'"))
        .collect();
    format!(
        "nats consumer add {stream} {durable} --pull --ack explicit --deliver all --replay instant --wait {}s \
         --max-deliver -1 --max-pending {max_ack_pending}{} --defaults",
        ack_wait.as_secs(),
        filters.concat(),
    )
}
