//! What can go wrong between us and the broker, in words an operator can act on.
//!
//! Display never contains the source (the chain is printed once, at the edge) and never a secret:
//! addresses are kept without their user part, and the client library never sees one with it.

use std::borrow::Cow;

use async_nats::jetstream::Error as ApiError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind, RequestError, RequestErrorKind};

use super::answers::{self, Answer};
use super::difference::Difference;

/// Everything the broker side can answer with. [`BrokerError::is_transient`] says whether waiting helps.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The connection settings contradict each other or name a file that cannot be read.
    #[error("broker settings: {reason}")]
    Settings {
        /// Which setting, and what to do about it.
        reason: String,
    },
    /// No server of the list accepted a connection.
    #[error("no broker can be reached at {servers}: is nats-server running there, and is the address right?")]
    Unreachable {
        /// The addresses, without credentials.
        servers: String,
        /// What the client library said about the last attempt.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server refused the credentials.
    #[error("the broker at {servers} refused the credentials: check user and password, token, nkey or creds file")]
    CredentialsRefused {
        /// The addresses, without credentials.
        servers: String,
        /// What the client library said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No TLS session could be made.
    #[error(
        "no TLS session with the broker at {servers}: check the CA file, the host name in the certificate and the client certificate"
    )]
    Tls {
        /// The addresses, without credentials.
        servers: String,
        /// What the client library said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server lacks what the promises rest on.
    #[error(
        "nats-server {version} is too old: at least 2.10 is needed (older ones have no sync_interval and ignore filter_subjects), 2.12.8 or newer is advised"
    )]
    TooOld {
        /// As the server reports it.
        version: String,
    },
    /// The server or this account has no `JetStream`.
    #[error(
        "the broker at {servers} offers no JetStream to this account: enable it in the server's configuration (jetstream {{ store_dir: … }})"
    )]
    NoJetStream {
        /// The addresses, without credentials.
        servers: String,
    },
    /// No answer in time. For a publish this means unknown: it may be stored.
    #[error("{doing}: no answer from the broker in time")]
    Timeout {
        /// What was being done.
        doing: String,
    },
    /// Nobody listens on the subject: `JetStream` is away, or no stream takes the subject.
    #[error("{doing}: nobody answers (JetStream is away or starting, or no stream takes this subject)")]
    NoResponders {
        /// What was being done.
        doing: String,
    },
    /// The connection broke while waiting for the answer.
    #[error("{doing}: the connection broke before the answer")]
    Disconnected {
        /// What was being done.
        doing: String,
    },
    /// The client has ended; only a new [`super::connect`] helps.
    #[error("{doing}: the broker client has ended; connect again")]
    Closed {
        /// What was being done.
        doing: String,
    },
    /// The server says this identity may not do that.
    #[error("{doing}: not permitted ({reason}); grant this subject to the worker's user")]
    Denied {
        /// What was being done.
        doing: String,
        /// The server's own words; they name the subject.
        reason: String,
    },
    /// `JetStream` answered with an error.
    #[error("{doing}: JetStream refused{}", remedy(source))]
    Api {
        /// What was being done.
        doing: String,
        /// The server's answer with its code.
        #[source]
        source: ApiError,
    },
    /// The stream does not exist.
    #[error("stream {stream} does not exist; {remedy}")]
    StreamMissing {
        /// Its name.
        stream: String,
        /// What makes it.
        remedy: String,
    },
    /// The durable consumer does not exist. It is never made again silently: a new one starts from the first message.
    #[error("consumer {consumer} of stream {stream} does not exist; {remedy}")]
    ConsumerMissing {
        /// The stream it should read.
        stream: String,
        /// Its durable name.
        consumer: String,
        /// What makes it, and what that entails.
        remedy: String,
    },
    /// What exists differs from what is configured. Nothing was changed.
    #[error("{object} exists with other settings and was not changed:{}", listed(differences))]
    Mismatch {
        /// `stream USERS` or `consumer rollcall of stream USERS`.
        object: String,
        /// Every differing field.
        differences: Vec<Difference>,
    },
    /// A message larger than the server takes.
    #[error(
        "{doing}: {bytes} bytes with headers are more than the {limit} the server takes in one message (max_payload)"
    )]
    TooLarge {
        /// What was being done.
        doing: String,
        /// Payload and headers.
        bytes: usize,
        /// The server's `max_payload`.
        limit: usize,
    },
    /// A message that cannot be put on the wire: subject or header.
    #[error("message cannot be published: {reason}")]
    BadMessage {
        /// The rule it breaks.
        reason: String,
    },
    /// An answer that this version does not understand.
    #[error("{doing}: unexpected answer from the broker")]
    Unexpected {
        /// What was being done.
        doing: String,
        /// What the client library said.
        #[source]
        source: async_nats::Error,
    },
}

impl BrokerError {
    /// True where waiting and trying again can help without anybody changing anything (class *world*).
    /// A publish that failed this way may have been stored: repeat it under the same message id.
    pub fn is_transient(&self) -> bool {
        match self.answer() {
            Answer::Passing | Answer::Full => true,
            Answer::SetUp | Answer::Missing | Answer::Overtaken | Answer::Message | Answer::Unknown => false,
        }
    }

    /// What it means that the broker answered so.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::NoResponders { .. } | Self::Disconnected { .. } => {
                Answer::Passing
            }
            Self::Api { source, .. } => answers::of(source.error_code()),
            Self::StreamMissing { .. } | Self::ConsumerMissing { .. } | Self::NoJetStream { .. } => Answer::Missing,
            Self::Settings { .. }
            | Self::CredentialsRefused { .. }
            | Self::Tls { .. }
            | Self::TooOld { .. }
            | Self::Denied { .. }
            | Self::Closed { .. }
            | Self::Mismatch { .. } => Answer::SetUp,
            Self::TooLarge { .. } | Self::BadMessage { .. } => Answer::Message,
            Self::Unexpected { .. } => Answer::Unknown,
        }
    }

    /// The code of JetStream's answer, or our own word for what has none.
    pub fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Api { source, .. } => return Cow::Owned(source.error_code().0.to_string()),
            Self::Settings { .. } => "settings",
            Self::Unreachable { .. } => "unreachable",
            Self::CredentialsRefused { .. } => "credentials",
            Self::Tls { .. } => "tls",
            Self::TooOld { .. } => "too_old",
            Self::NoJetStream { .. } => "no_jetstream",
            Self::Timeout { .. } => "timeout",
            Self::NoResponders { .. } => "no_responders",
            Self::Disconnected { .. } => "disconnected",
            Self::Closed { .. } => "closed",
            Self::Denied { .. } => "denied",
            Self::StreamMissing { .. } => "stream_missing",
            Self::ConsumerMissing { .. } => "consumer_missing",
            Self::Mismatch { .. } => "mismatch",
            Self::TooLarge { .. } => "too_large",
            Self::BadMessage { .. } => "bad_message",
            Self::Unexpected { .. } => "unexpected",
        })
    }

    pub(super) fn from_request(doing: &str, error: RequestError) -> Self {
        let doing = doing.to_owned();
        match error.kind() {
            RequestErrorKind::TimedOut => Self::Timeout { doing },
            RequestErrorKind::NoResponders => Self::NoResponders { doing },
            RequestErrorKind::InvalidSubject => Self::Settings {
                reason: format!("{doing}: the name contains a character that subjects do not allow"),
            },
            RequestErrorKind::Other if is_json(&error) => Self::Unexpected {
                doing,
                source: Box::new(error),
            },
            RequestErrorKind::Other => Self::Closed { doing },
        }
    }

    /// `bytes` and `limit` serve only the message about size.
    pub(super) fn from_publish(doing: &str, error: PublishError, bytes: usize, limit: usize) -> Self {
        let doing = doing.to_owned();
        match error.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::MaxAckPending => Self::Timeout { doing },
            PublishErrorKind::StreamNotFound => Self::NoResponders { doing },
            PublishErrorKind::BrokenPipe => Self::Disconnected { doing },
            PublishErrorKind::MaxPayloadExceeded => Self::TooLarge { doing, bytes, limit },
            PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence | PublishErrorKind::Other => {
                match api_error_in(&error) {
                    Some(source) => Self::Api { doing, source },
                    None if is_json(&error) => Self::Unexpected {
                        doing,
                        source: Box::new(error),
                    },
                    None => Self::Closed { doing },
                }
            }
        }
    }
}

/// An error with its causes in one line, for logs; Display alone never contains them.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |inner| inner.source());
    links.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The only other cause of "other" is that the client's task has ended and its channel is closed.
fn is_json(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |inner| inner.source()).any(<dyn std::error::Error>::is::<serde_json::Error>)
}

fn api_error_in(error: &PublishError) -> Option<ApiError> {
    std::error::Error::source(error)?.downcast_ref::<ApiError>().cloned()
}

/// What to do about the answers an operator is most likely to meet.
fn remedy(error: &ApiError) -> &'static str {
    match error.error_code() {
        ErrorCode::STREAM_SUBJECT_OVERLAP => {
            ": another stream already takes these subjects (`nats stream ls` shows it); name that stream in the configuration or change its subjects"
        }
        ErrorCode::INSUFFICIENT_RESOURCES | ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
            ": its disk limit is reached; raise max_file_store or free space, then restart nats-server"
        }
        ErrorCode::STREAM_STORE_FAILED => {
            ": the stream is full (max_bytes) or the disk is; look at `nats stream info` and the server's log"
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => ": the message is larger than the stream's max_msg_size",
        _ => "",
    }
}

fn listed(differences: &[Difference]) -> String {
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("\n  {difference}"))
        .collect();
    lines.concat()
}
