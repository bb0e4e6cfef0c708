//! The broker: streams, deliveries, publishing. The only user of async-nats; imports nothing of the crate.
//!
//! Acknowledgements are hints here, never proofs (a server that is killed forgets them): the ledger
//! decides what was done. Nothing that exists on the broker is ever changed silently, and nothing at all but for partitions.

mod answers;
mod connect;
mod consumer;
mod delivery;
mod difference;
mod error;
mod link;
mod partitions;
mod publisher;
mod reader;
mod topology;
mod unreadable;
mod version;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Config as ConsumerConfig, Info as ConsumerInfo};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use link::{Link, is_denial};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use answers::Answer;
pub use connect::{ConnectSettings, TlsMode, connect};
pub use consumer::{Deliveries, PullSettings};
pub use delivery::{Acker, Delivery, ack_all};
pub use difference::Difference;
pub use error::BrokerError;
pub use partitions::{REST, filter_of, transform_into};
pub use publisher::{Ack, Outgoing, PublishWindow, Publisher, Tally};
pub use reader::{Held, ReadSettings, StoredMessage, StoredMessages};
pub use topology::{ConsumerSettings, Manage, Removal, StreamSettings, Transform, WhenFull};
pub use version::{ADVISED, OLDEST, Version, judge_version};

/// What calls without parameters send; the server refuses `null`.
const NO_PARAMETERS: NoParameters = NoParameters {};
/// A server that is silent for longer is complained about again within this time.
const DISTURBANCE: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct NoParameters {}

/// A connection to the broker. Cheap to clone; reconnects by itself until it is dropped or closed.
#[derive(Clone)]
pub struct Broker {
    link: Arc<Link>,
    servers: String,
    version: String,
    version_warning: Option<String>,
}

/// What a durable consumer still has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages never delivered yet.
    pub pending: u64,
    /// Messages delivered and not yet acknowledged.
    pub ack_pending: u64,
    /// Of those, how many were delivered more than once.
    pub redelivered: u64,
}

impl Backlog {
    /// Nothing to deliver and nothing in hand.
    pub fn is_empty(&self) -> bool {
        self.pending == 0 && self.ack_pending == 0
    }
}

/// How far a durable consumer is, as the broker knows it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Every message up to this number is acknowledged.
    pub acknowledged: u64,
    /// No message after this number was ever delivered.
    pub delivered: u64,
    /// How many between these two are delivered and not acknowledged.
    pub in_hand: u64,
    /// How many were never delivered yet.
    pub waiting: u64,
}

/// Which messages a durable consumer reads, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The subjects that it reads; empty for all.
    pub filters: Vec<String>,
    /// How far it is.
    pub reached: Reached,
}

impl Reader {
    /// Whether all of its messages up to this number are acknowledged. One that reads only some subjects may never get to
    /// the number itself: where nothing waits it is past it, but what was stored a moment ago may not be counted yet.
    pub fn is_past(&self, sequence: u64) -> bool {
        let Reached {
            acknowledged,
            in_hand,
            waiting,
            ..
        } = self.reached;
        acknowledged >= sequence || (!self.filters.is_empty() && in_hand == 0 && waiting == 0)
    }

    /// Whether messages on this subject are its own.
    pub fn reads(&self, subject: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| partitions::matches(filter, subject))
    }
}

impl Broker {
    /// The server's version as it reports it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Why another server version is advised, for one line in the log; None where there is nothing to say.
    pub fn version_warning(&self) -> Option<&str> {
        self.version_warning.as_deref()
    }

    /// The configured addresses without credentials.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// True while the connection stands.
    pub fn is_connected(&self) -> bool {
        self.link.live().client.connection_state() == async_nats::connection::State::Connected
    }

    /// True while requests for messages meet silence: a frozen server is noticed so long before its connection is given up.
    pub fn is_disturbed(&self) -> bool {
        let disturbed = *self.link.signals.disturbed.borrow();
        disturbed.is_some_and(|last| last.elapsed() < DISTURBANCE)
    }

    /// The last complaint of server or client since the connection was made, for readiness and logs.
    pub fn trouble(&self) -> Option<String> {
        self.link.signals.trouble.borrow().clone()
    }

    /// The largest message (payload and headers) that the server takes, in bytes.
    pub fn max_payload(&self) -> usize {
        self.link.live().client.max_payload()
    }

    /// Asks the broker what a consumer still has to do.
    pub async fn backlog(&self, stream: &str, durable: &str) -> Result<Backlog, BrokerError> {
        let info = self.consumer_info(stream, durable).await?;
        Ok(Backlog {
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
        })
    }

    /// Asks the broker what a consumer reads and how far it is.
    pub async fn reader(&self, stream: &str, durable: &str) -> Result<Reader, BrokerError> {
        let info = self.consumer_info(stream, durable).await?;
        Ok(Reader {
            reached: Reached {
                acknowledged: info.ack_floor.stream_sequence,
                delivered: info.delivered.stream_sequence,
                in_hand: info.num_ack_pending as u64,
                waiting: info.num_pending,
            },
            filters: filters(&info.config),
        })
    }

    /// The names of all durable consumers of a stream.
    pub async fn consumer_names(&self, stream: &str) -> Result<Vec<String>, BrokerError> {
        #[derive(serde::Deserialize)]
        struct Names {
            total: usize,
            // Go writes an empty list as null.
            consumers: Option<Vec<String>>,
        }
        let doing = format!("asking for the consumers of stream {stream}");
        let mut names: Vec<String> = Vec::new();
        loop {
            let request = serde_json::json!({ "offset": names.len() });
            let answer = self
                .api::<Names>(&doing, format!("CONSUMER.NAMES.{stream}"), &request)
                .await?;
            let page = answer.map_err(|source| match source.error_code() {
                ErrorCode::STREAM_NOT_FOUND => topology::stream_missing(stream),
                _ => BrokerError::Api {
                    doing: doing.clone(),
                    source,
                },
            })?;
            let more = page.consumers.unwrap_or_default();
            let is_last = more.is_empty() || names.len() + more.len() >= page.total;
            names.extend(more);
            if is_last {
                return Ok(names);
            }
        }
    }

    /// Hands what was written to the server and ends the client, within two seconds in any case.
    pub async fn close(&self) {
        self.link.close();
        let client = self.link.live().client;
        let closing = async {
            // Without a round trip the acknowledgements may still sit in the socket buffer when we exit.
            if client.flush().await.is_ok() {
                let _ = client.drain().await;
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::warn!("the broker did not take the last acknowledgements, their events will be delivered again");
        }
    }

    /// One call of the `JetStream` API. The outer error is ours to map, the inner one the server's answer.
    async fn api<T: DeserializeOwned>(
        &self,
        doing: &str,
        subject: String,
        request: &impl Serialize,
    ) -> Result<Result<T, ApiError>, BrokerError> {
        let live = self.link.usable(doing)?;
        let mut trouble = self.link.signals.trouble.subscribe();
        // A missing permission is answered with an event, not with a reply: without this the call would just time out.
        let denied = async {
            while trouble.changed().await.is_ok() {
                match trouble.borrow_and_update().clone() {
                    Some(text) if is_denial(&text, &subject) => return text,
                    _ => {}
                }
            }
            std::future::pending().await
        };
        let answer = tokio::select! {
            biased;
            answer = live.context.request(subject.clone(), request) => answer,
            reason = denied => return Err(BrokerError::Denied { doing: doing.to_owned(), reason }),
        };
        match answer {
            Ok(Response::Ok(value)) => Ok(Ok(value)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => match BrokerError::from_request(doing, error) {
                BrokerError::Closed { doing } => Err(self.link.ended(&live, doing).await),
                error => Err(error),
            },
        }
    }

    /// Account information is the cheapest call that proves `JetStream`. A user without the right to it is fine:
    /// the streams it may see are asked for right afterwards.
    async fn prove_jetstream(&self) -> Result<(), BrokerError> {
        let off = || BrokerError::NoJetStream {
            servers: self.servers.clone(),
        };
        let doing = "asking for JetStream";
        match self
            .api::<serde_json::Value>(doing, "INFO".to_owned(), &NO_PARAMETERS)
            .await
        {
            Ok(Ok(_)) => Ok(()),
            Err(BrokerError::Denied { reason, .. }) if reason.contains(".API.INFO") => Ok(()),
            Err(BrokerError::NoResponders { .. }) => Err(off()),
            Ok(Err(error)) => match error.error_code() {
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Err(off()),
                _ => Err(BrokerError::Api {
                    doing: doing.to_owned(),
                    source: error,
                }),
            },
            Err(error) => Err(error),
        }
    }

    async fn consumer_info(&self, stream: &str, durable: &str) -> Result<ConsumerInfo, BrokerError> {
        let doing = format!("asking about consumer {durable} of stream {stream}");
        let subject = format!("CONSUMER.INFO.{stream}.{durable}");
        self.api(&doing, subject, &NO_PARAMETERS)
            .await?
            .map_err(|source| match source.error_code() {
                ErrorCode::STREAM_NOT_FOUND => topology::stream_missing(stream),
                ErrorCode::CONSUMER_NOT_FOUND => topology::consumer_missing(stream, durable),
                _ => BrokerError::Api { doing, source },
            })
    }
}

/// What a consumer reads, whichever of its two fields says so; empty for everything.
fn filters(config: &ConsumerConfig) -> Vec<String> {
    let one = Some(&config.filter_subject).filter(|filter| !filter.is_empty());
    one.into_iter().chain(&config.filter_subjects).cloned().collect()
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("servers", &self.servers)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
