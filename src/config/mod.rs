//! The configuration: read from a file and the environment, checked as a whole, then only values.
//!
//! The *low* form is what people write; the *high* form, here, is what the rest of the program gets: validated and
//! ready to use, before any port opens. It must never reach out to a broker or a database, never show a secret in
//! `Debug`, `Display` or an error, and never stop at the first problem when there are more.

mod cascades;
mod check;
mod choices;
mod connect;
mod customers;
mod document;
mod duration;
mod env;
mod ingress;
mod low;
mod mail;
mod names;
mod partitions;
mod problem;
mod profiles;
mod secret;
mod section;
mod streams;
mod url;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

pub use cascades::{Audit, AuditColumn, Cascade, Piece};
pub use choices::{
    CascadeKey, CreateOn, DisplayNameOwner, LogFormat, Lookup, OnDelete, OnLeave, OnRename, Status, WelcomeOn,
    WelcomeTo,
};
pub use customers::Customers;
pub use ingress::{Endpoint, ProviderChoice};
pub use mail::{Mail, MailTls};
pub use problem::{ConfigError, Origin, Problem};
pub use profiles::Source;
pub use secret::{SecretFileError, SecretUrl, secret_file};
pub use streams::{Consumer, log_filter};

use check::Check;
use document::Document;
use problem::Origins;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker.
    pub nats: Nats,
    /// The stream of events and how it is read.
    pub consumer: Consumer,
    /// The database.
    pub store: Store,
    /// The worker loop and the rules that apply to every user.
    pub worker: Worker,
    /// The profile types, the default one first; never empty.
    pub profiles: Vec<ProfileType>,
    /// Memberships.
    pub customers: Customers,
    /// Rules for single sources of events; a source without one may send everything.
    pub sources: Vec<Source>,
    /// The application's tables that hold a key of users, in order.
    pub cascades: Vec<Cascade>,
    /// The application's tables that get a row for every rename and deletion, in order.
    pub audits: Vec<Audit>,
    /// Where events go that could not be applied.
    pub dead_letters: DeadLetters,
    /// The relay of outgoing messages.
    pub outbox: Outbox,
    /// Mail to users; `None` where none is sent.
    pub mail: Option<Mail>,
    /// What the worker says over HTTP.
    /// The endpoints for webhooks.
    pub ingress: Vec<Endpoint>,
    /// What is said and heard over HTTP.
    pub http: Http,
    /// Logs.
    pub telemetry: Telemetry,
}

/// `[nats]`
#[derive(Debug, Clone)]
pub struct Nats {
    /// At least one address, `nats://` or `tls://`, all of one cluster; may contain credentials.
    pub servers: Vec<SecretUrl>,
    /// How to log in, beside what the addresses contain.
    pub login: Login,
    /// Encryption.
    pub tls: Tls,
    /// Subject prefix of replies to this client; `None` for the client's default.
    pub inbox_prefix: Option<String>,
    /// Whether missing streams and consumers are created.
    pub manage: bool,
}

/// How to log in at the broker. The content of the files is read when the configuration is.
#[derive(Debug, Clone)]
pub enum Login {
    /// Nothing, or what the address contains.
    None,
    /// User name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A token.
    Token(SecretString),
    /// The seed of an nkey.
    Nkey(SecretString),
    /// The text of a `.creds` file: token and seed.
    Credentials(SecretString),
}

/// Encryption of the connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether an unencrypted connection is refused; true whenever anything else of TLS is configured.
    pub required: bool,
    /// Whether the handshake comes before the server's greeting (`handshake_first` at the server).
    pub first: bool,
    /// A PEM file of authorities to trust; `None` for those of the system.
    pub authority: Option<PathBuf>,
    /// The certificate to show.
    pub client: Option<ClientCertificate>,
}

/// A certificate of this client and its key, as PEM files that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct Store {
    /// Address of the database.
    pub url: SecretUrl,
    /// What kind of database that is.
    pub backend: Backend,
    /// PostgreSQL schema of the tables, a plain identifier.
    pub schema: String,
    /// Prefix of the table names in SQLite, a plain identifier or empty.
    pub table_prefix: String,
    /// Most connections to PostgreSQL.
    pub max_connections: u32,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest wait for a lock (the busy timeout of SQLite); at most `statement_timeout`.
    pub lock_timeout: Duration,
}

/// The two databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// PostgreSQL; everything else is in the address.
    Postgres,
    /// SQLite: the file, relative to the working directory, taken literally.
    Sqlite(PathBuf),
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Batches applied at the same time.
    pub lanes: usize,
    /// Most events in a batch.
    pub batch_max: usize,
    /// How long an unfinished batch waits for more.
    pub linger: Duration,
    /// Judged failures of one event before it is buried.
    pub max_attempts: u32,
    /// The share of failing events above which a type is held back; above 0, at most 1.
    pub kill_switch: f64,
    /// How long a stop may take.
    pub grace: Duration,
    /// How far an event's time may be ahead of the broker's.
    pub max_future: Duration,
    /// Components of more events are not folded again.
    pub max_component_events: usize,
    /// Most rows of one step in the application's tables that change in one transaction; 0 for no limit.
    pub max_rows_per_step: u64,
    /// Tables and columns (`table.column`) that hold no key of users, whatever they look like.
    pub ignored_columns: Vec<String>,
    /// Keys that are neither deleted nor renamed, compared ignoring case.
    pub protected: Vec<String>,
    /// Whether the key of a user is the address.
    pub user_id_is_email: bool,
    /// What becomes of the rows of a deleted person.
    pub on_delete: OnDelete,
}

/// One of `[[profiles]]`
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileType {
    /// The key `type`: unique, 1 to 255 characters.
    pub name: String,
    /// The status of a new profile.
    pub initial_status: Status,
    /// When it is made.
    pub create_on: CreateOn,
    /// Configured types that a legal activation of this one makes where they are missing.
    pub activation_creates: Vec<String>,
    /// Columns of the linked customer that have to be filled before it is activated; empty unless customers are looked for.
    pub requires: Vec<String>,
    /// The attributes of a new profile, without `backfill`.
    pub attributes: Map<String, Value>,
    /// Laid over them for users that a backfill made: the table `attributes.backfill`.
    pub backfill_attributes: Map<String, Value>,
    /// Keys of the metadata that are kept in step in the attributes.
    pub synchronised: Vec<String>,
    /// Where the display name comes from: `full_name`, `first_name`, `last_name`, `first_name + last_name`, `username`,
    /// `email`, `user_id` or `metadata.` and a key; the first present one wins. Never empty.
    pub display_name: Vec<String>,
    /// Who has the last word on it.
    pub display_name_owner: DisplayNameOwner,
}

/// `[dead_letters]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// Name of the stream.
    pub stream: String,
    /// Put before the subject of the event, with a dot; no wildcards, not below `user`.
    pub subject_prefix: String,
    /// How long the stream keeps a message; zero for ever.
    pub max_age: Duration,
    /// How many bytes the stream keeps; -1 for no limit.
    pub max_bytes: i64,
}

/// `[outbox]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// How often the relay looks when nothing woke it.
    pub poll: Duration,
    /// Most messages at a time.
    pub batch: usize,
    /// Whether changes of profiles are announced.
    pub events: bool,
    /// The CloudEvents source of the announcements.
    pub source: String,
    /// Name of their stream.
    pub stream: String,
    /// How long the stream keeps a message; zero for ever.
    pub max_age: Duration,
    /// How many bytes the stream keeps; -1 for no limit.
    pub max_bytes: i64,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where health is asked for; `None` for nowhere.
    pub listen: Option<std::net::SocketAddr>,
    /// Where webhooks are taken; `None` for nowhere.
    pub ingress_listen: Option<std::net::SocketAddr>,
    /// Most connections at a time.
    pub ingress_connections: usize,
    /// Who may say in `X-Forwarded-For` for whom they speak.
    pub trusted_proxies: Vec<std::net::IpAddr>,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// What is logged, in the syntax of `RUST_LOG`, which wins.
    pub log: String,
    /// How it looks.
    pub format: LogFormat,
}

impl Config {
    /// Reads `path`, which must exist; without one `./config.toml` if it exists, else the built-in defaults. Then the
    /// variables `ROLLCALL__SECTION__KEY` of `env` override single keys. The files named by keys `…_file` are read.
    ///
    /// # Errors
    /// All problems at once, each with its place and its remedy, unless the file is missing or is no text.
    pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let default = Path::new("config.toml");
        match path.or_else(|| default.exists().then_some(default)) {
            Some(path) => Self::parse(&path.display().to_string(), &read(path)?, env),
            None => finish(Document::default(), env),
        }
    }

    /// Reads a text as [`Self::load`] reads the file of this name.
    ///
    /// # Errors
    /// All problems at once, each with its place and its remedy.
    pub fn parse(name: &str, text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let document = Document::read(name, text).map_err(|problem| ConfigError::Invalid(vec![problem]))?;
        finish(document, env)
    }
}

impl Default for Config {
    /// The built-in defaults, which are those of the shipped `config.toml`.
    fn default() -> Self {
        high(
            low::Config::default(),
            &mut Check {
                origins: &Origins::default(),
                problems: Vec::new(),
            },
        )
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { path: path.to_owned() },
        _ => ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })
}

fn finish(mut document: Document, env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    env::apply(&mut document, env);
    let mut problems = std::mem::take(&mut document.problems);
    let low = document
        .to_low()
        .map_err(|problem| ConfigError::Invalid(vec![problem]))?;
    let mut check = Check {
        origins: &document.origins,
        problems: Vec::new(),
    };
    let config = high(low, &mut check);
    problems.append(&mut check.problems);
    problems.sort_by_key(|problem| problem.origin.rank());
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Invalid(problems))
    }
}

fn high(low: low::Config, check: &mut Check<'_>) -> Config {
    let worker = streams::worker(check, low.worker);
    let consumer = streams::consumer(check, low.consumer, worker.batch_max);
    let dead_letters = streams::dead_letters(check, low.dead_letters, &consumer);
    let profiles = profiles::profiles(check, low.profiles);
    let store = connect::store(check, low.store);
    Config {
        nats: connect::nats(check, low.nats),
        cascades: cascades::cascades(check, low.cascade, &store),
        audits: cascades::audits(check, low.audit, &store),
        mail: mail::mail(check, low.mail, low.customers.lookup),
        customers: customers::customers(check, low.customers, &profiles, &store),
        store,
        sources: profiles::sources(check, low.source, &worker),
        outbox: streams::outbox(check, low.outbox, [&consumer.stream, &dead_letters.stream]),
        dead_letters,
        http: streams::http(check, &low.http, low.ingress.len()),
        ingress: ingress::endpoints(check, low.ingress),
        telemetry: streams::telemetry(check, low.telemetry),
        consumer,
        worker,
        profiles,
    }
}
