//! The configuration as it is written: plain values with their defaults, unknown keys denied. Nothing here is checked
//! beyond its kind; `validate` turns it into the high form. The field names are the keys of `config.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Table;

use super::duration;
use super::secret::Hidden;
use super::{CascadeKey, CreateOn, DisplayNameOwner, LogFormat, OnDelete, OnLeave, OnRename, Status};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub nats: Nats,
    pub consumer: Consumer,
    pub store: Store,
    pub worker: Worker,
    pub profiles: Vec<Profile>,
    pub customers: super::customers::Low,
    pub source: Vec<Source>,
    pub cascade: Vec<Cascade>,
    pub audit: Vec<Audit>,
    pub dead_letters: DeadLetters,
    pub outbox: Outbox,
    pub mail: super::mail::Low,
    pub ingress: Vec<super::ingress::Low>,
    pub http: Http,
    pub telemetry: Telemetry,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nats {
    pub url: Hidden,
    pub url_file: Option<PathBuf>,
    pub user: Option<String>,
    pub password: Option<Hidden>,
    pub password_file: Option<PathBuf>,
    pub token: Option<Hidden>,
    pub token_file: Option<PathBuf>,
    pub nkey_file: Option<PathBuf>,
    pub creds_file: Option<PathBuf>,
    pub tls_required: bool,
    pub tls_first: bool,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub inbox_prefix: Option<String>,
    pub manage: bool,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: Hidden::new("nats://127.0.0.1:4222"),
            url_file: None,
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey_file: None,
            creds_file: None,
            tls_required: false,
            tls_first: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            inbox_prefix: None,
            manage: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Consumer {
    pub stream: String,
    pub subjects: Vec<String>,
    pub durable: String,
    pub ack_wait: Interval,
    pub max_ack_pending: i64,
    pub partitions: i64,
    pub duplicate_window: Interval,
    pub max_age: Interval,
    pub max_bytes: i64,
    pub max_msg_size: i64,
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            stream: "USERS".into(),
            subjects: vec!["user.>".into()],
            durable: "rollcall".into(),
            ack_wait: Interval::seconds(30),
            max_ack_pending: 8000,
            partitions: 0,
            duplicate_window: Interval::seconds(120),
            max_age: Interval::seconds(0),
            max_bytes: -1,
            max_msg_size: -1,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub url: Hidden,
    pub url_file: Option<PathBuf>,
    pub schema: String,
    pub table_prefix: String,
    pub max_connections: i64,
    pub statement_timeout: Interval,
    pub lock_timeout: Interval,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: Hidden::new("sqlite://rollcall.db"),
            url_file: None,
            schema: "rollcall".into(),
            table_prefix: String::new(),
            max_connections: 8,
            statement_timeout: Interval::seconds(10),
            lock_timeout: Interval::seconds(3),
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Worker {
    pub lanes: i64,
    pub batch_max: i64,
    pub linger: Interval,
    pub max_attempts: i64,
    pub kill_switch: f64,
    pub grace: Interval,
    pub max_future: Interval,
    pub max_component_events: i64,
    pub max_rows_per_step: i64,
    pub ignored_columns: Vec<String>,
    pub protected: Vec<String>,
    pub user_id_is_email: bool,
    pub on_delete: OnDelete,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            lanes: 2,
            batch_max: 1000,
            linger: Interval(Duration::from_millis(5)),
            max_attempts: 5,
            kill_switch: 0.15,
            grace: Interval::seconds(20),
            max_future: Interval::seconds(300),
            max_component_events: 100_000,
            max_rows_per_step: 10_000,
            ignored_columns: Vec::new(),
            protected: vec!["Administrator".into()],
            user_id_is_email: false,
            on_delete: OnDelete::Delete,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Profile {
    #[serde(rename = "type")]
    pub name: Option<String>,
    pub initial_status: Status,
    pub create_on: CreateOn,
    pub activation_creates: Vec<String>,
    pub requires: Vec<String>,
    pub attributes: Table,
    pub synchronised: Vec<String>,
    pub display_name: Vec<String>,
    pub display_name_owner: DisplayNameOwner,
}

impl Default for Profile {
    fn default() -> Self {
        let sources = [
            "full_name",
            "first_name + last_name",
            "metadata.display_name",
            "username",
            "email",
            "user_id",
        ];
        Self {
            name: None,
            initial_status: Status::Draft,
            create_on: CreateOn::Creation,
            activation_creates: Vec::new(),
            requires: Vec::new(),
            attributes: Table::new(),
            synchronised: Vec::new(),
            display_name: sources.map(String::from).to_vec(),
            display_name_owner: DisplayNameOwner::Worker,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Source {
    #[serde(rename = "source")]
    pub name: Option<String>,
    pub key_prefix: String,
    pub allow: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cascade {
    pub table: Option<String>,
    pub column: Option<String>,
    pub key: CascadeKey,
    pub on_rename: OnRename,
    pub on_delete: OnLeave,
    pub required: bool,
    pub expect_rows: bool,
}

impl Default for Cascade {
    fn default() -> Self {
        Self {
            table: None,
            column: None,
            key: CascadeKey::UserId,
            on_rename: OnRename::Rewrite,
            on_delete: OnLeave::Keep,
            required: true,
            expect_rows: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub table: Option<String>,
    pub columns: BTreeMap<String, String>,
    pub required: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            table: None,
            columns: BTreeMap::new(),
            required: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeadLetters {
    pub stream: String,
    pub subject_prefix: String,
    pub max_age: Interval,
    pub max_bytes: i64,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self {
            stream: "DEAD_LETTERS".into(),
            subject_prefix: "dead".into(),
            max_age: Interval::seconds(0),
            max_bytes: -1,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Outbox {
    pub poll: Interval,
    pub batch: i64,
    pub events: bool,
    pub source: String,
    pub stream: String,
    pub max_age: Interval,
    pub max_bytes: i64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            poll: Interval::seconds(1),
            batch: 100,
            events: false,
            source: "rollcall".into(),
            stream: "PROFILES".into(),
            max_age: Interval::seconds(0),
            max_bytes: -1,
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    pub listen: Option<String>,
    pub ingress_listen: Option<String>,
    pub ingress_connections: i64,
    pub trusted_proxies: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: None,
            ingress_listen: None,
            ingress_connections: 512,
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    pub log: String,
    pub format: LogFormat,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log: "info".into(),
            format: LogFormat::Auto,
        }
    }
}

/// A length of time, written `"30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval(pub Duration);

impl Interval {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IntervalVisitor)
    }
}

struct IntervalVisitor;

impl Visitor<'_> for IntervalVisitor {
    type Value = Interval;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes: a whole number and ms, s, m, h or d, such as \"30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
        duration::parse(text)
            .map(Interval)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
