//! The client library's connection, and its replacement when the library's task has died.
//!
//! A header with a carriage return in a value makes that task panic; every call on the old client then
//! fails for ever, so that only a new one helps. Ordinary outages never come here: the client reconnects.

use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, Event, ServerError};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::connect::{ConnectSettings, open_client};
use super::error::{BrokerError, chain};

/// How long a `JetStream` call or a publish acknowledgement is waited for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the client reports between calls.
#[derive(Clone)]
pub(super) struct Signals {
    /// The last complaint of server or client since the connection was made.
    pub(super) trouble: watch::Sender<Option<String>>,
    /// Counts lost connections.
    pub(super) losses: watch::Sender<u64>,
    /// When a request for messages last met silence or an error.
    pub(super) disturbed: watch::Sender<Option<Instant>>,
}

/// One client, alive or dead.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) context: Context,
    generation: u64,
}

impl Live {
    fn new(client: Client, generation: u64) -> Self {
        let context = ContextBuilder::new().timeout(ANSWER_TIMEOUT).build(client.clone());
        Self {
            client,
            context,
            generation,
        }
    }
}

/// The current client and what it takes to make another.
pub(super) struct Link {
    settings: ConnectSettings,
    pub(super) signals: Signals,
    live: RwLock<Live>,
    /// Held while a dead client is being replaced, so that it is replaced once.
    replacing: Mutex<()>,
    closed: OnceLock<()>,
}

impl Link {
    pub(super) async fn open(settings: &ConnectSettings) -> Result<Self, BrokerError> {
        let signals = Signals {
            trouble: watch::Sender::new(None),
            losses: watch::Sender::new(0),
            disturbed: watch::Sender::new(None),
        };
        let client = open_client(settings, &signals).await?;
        Ok(Self {
            settings: settings.clone(),
            signals,
            live: RwLock::new(Live::new(client, 0)),
            replacing: Mutex::new(()),
            closed: OnceLock::new(),
        })
    }

    /// The current client, for a call; error after [`Self::close`].
    pub(super) fn usable(&self, doing: &str) -> Result<Live, BrokerError> {
        match self.closed.get() {
            None => Ok(self.live()),
            Some(()) => Err(BrokerError::Closed {
                doing: doing.to_owned(),
            }),
        }
    }

    pub(super) fn live(&self) -> Live {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on a client that has ended was meant to end.
    pub(super) fn close(&self) {
        let _ = self.closed.set(());
    }

    /// What a call on a client that has ended comes to: after the replacement it is worth repeating.
    pub(super) async fn ended(&self, dead: &Live, doing: String) -> BrokerError {
        if self.closed.get().is_some() {
            return BrokerError::Closed { doing };
        }
        let _one = self.replacing.lock().await;
        if self.live().generation == dead.generation {
            match open_client(&self.settings, &self.signals).await {
                Ok(client) => {
                    tracing::error!("the broker client had died and was replaced");
                    let next = Live::new(client, dead.generation + 1);
                    *self.live.write().unwrap_or_else(PoisonError::into_inner) = next;
                }
                Err(error) => tracing::warn!(error = chain(&error), "a dead broker client cannot be replaced yet"),
            }
        }
        BrokerError::Disconnected { doing }
    }
}

impl Signals {
    /// Logs an event and keeps what others want to know.
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.trouble.send_replace(None);
                tracing::info!("connected to the broker");
            }
            Event::Disconnected => {
                self.losses.send_modify(|count| *count += 1);
                tracing::warn!("lost the connection to the broker, reconnecting");
            }
            Event::LameDuckMode => tracing::warn!("the broker is about to stop, moving to another server"),
            Event::SlowConsumer(subscription) => {
                tracing::warn!(
                    subscription,
                    "messages were dropped on the way in, they will be delivered again"
                );
            }
            Event::ServerError(error) => {
                let text = match error {
                    ServerError::AuthorizationViolation => "authorization violation".to_owned(),
                    ServerError::SlowConsumer(id) => format!("slow consumer {id}"),
                    ServerError::Other(text) => text.clone(),
                };
                tracing::error!(error = text, "the broker complained");
                self.keep(text);
            }
            Event::ClientError(error) => {
                let text = error.to_string();
                tracing::warn!(error = text, "connection attempt failed");
                self.keep(text);
            }
            Event::Draining | Event::Closed => tracing::debug!(%event, "broker client is closing"),
        }
    }

    /// Without the right to its own replies nothing works: that must not be hidden by what follows from it.
    fn keep(&self, text: String) {
        self.trouble.send_if_modified(|held| {
            let keeps = held.as_deref().is_some_and(is_reply_denial);
            if !keeps {
                *held = Some(text);
            }
            !keeps
        });
    }
}

/// The server names the subject, or the reply subject that may not be subscribed to.
pub(super) fn is_denial(text: &str, api_subject: &str) -> bool {
    let violation = text.to_ascii_lowercase().contains("permissions violation");
    violation && (text.contains(&format!(".{api_subject}\"")) || is_reply_denial(text))
}

/// We subscribe to nothing but replies.
fn is_reply_denial(text: &str) -> bool {
    text.to_ascii_lowercase()
        .contains("permissions violation for subscription to")
}
