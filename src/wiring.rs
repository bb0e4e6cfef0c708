//! From the configuration to what each part wants to know.

mod cascades;
mod partitions;

use std::time::Duration;

use secrecy::SecretString;

use crate::announcements::Announcer;
use crate::config::{self, Config, Login, MailTls, WelcomeOn, WelcomeTo};
use crate::dead_letters::Undertaker;
use crate::domain::{self, CustomerPlace, LookupRule, Policy, ProfileRule, SourceRule};
use crate::envelope::Intake;
use crate::ingress::provider::Provider;
use crate::ingress::signature::{Credentials, Jwks};
use crate::ingress::{Endpoint, EndpointSettings, IngressError};
use crate::jetstream::{ConnectSettings, Manage, Removal, StreamSettings, TlsMode, WhenFull};
use crate::mail::{Orders, PostSettings, Security, Welcome};
use crate::store::{Backend, CustomerSource, StoreSettings};
use crate::worker::{Until, WorkerSettings};

pub use cascades::{audits, steps};
pub use partitions::{consumers, leftovers, subjects};

/// How to reach the broker.
pub fn broker(config: &Config) -> ConnectSettings {
    let nats = &config.nats;
    let urls: Vec<&str> = nats.servers.iter().map(config::SecretUrl::expose).collect();
    let mut settings = ConnectSettings {
        url: urls.join(","),
        name: format!("rollcall {}", config.consumer.durable),
        user: None,
        password: None,
        token: None,
        nkey_seed: None,
        credentials: None,
        tls: match (nats.tls.first, nats.tls.required) {
            (true, _) => TlsMode::First,
            (false, true) => TlsMode::Required,
            (false, false) => TlsMode::IfOffered,
        },
        ca_file: nats.tls.authority.clone(),
        cert_file: nats.tls.client.as_ref().map(|client| client.certificate.clone()),
        key_file: nats.tls.client.as_ref().map(|client| client.key.clone()),
        inbox_prefix: nats.inbox_prefix.clone(),
    };
    match &nats.login {
        Login::None => {}
        Login::Password { user, password } => {
            settings.user = Some(user.clone());
            settings.password = Some(password.clone());
        }
        Login::Token(token) => settings.token = Some(token.clone()),
        Login::Nkey(seed) => settings.nkey_seed = Some(seed.clone()),
        Login::Credentials(text) => settings.credentials = Some(text.clone()),
    }
    settings
}

/// Whether missing streams and consumers are ours to make.
pub fn manage(config: &Config) -> Manage {
    if config.nats.manage {
        Manage::Create
    } else {
        Manage::Never
    }
}

/// The stream of events. Its removal is denied: the audit relies on every sequence number.
pub fn events(config: &Config) -> StreamSettings {
    let consumer = &config.consumer;
    StreamSettings {
        name: consumer.stream.clone(),
        subjects: consumer.subjects.clone(),
        max_age: consumer.max_age,
        max_bytes: consumer.max_bytes,
        max_msg_size: consumer.max_msg_size,
        duplicate_window: consumer.duplicate_window,
        description: "events about users, for Rollcall".to_owned(),
        when_full: WhenFull::RefuseNew,
        removal: Removal::Denied,
        transform: partitions::transform(config),
        former_subjects: config.consumer.former_subjects.clone(),
    }
}

/// The stream of dead letters.
pub fn dead_letters(config: &Config) -> StreamSettings {
    let dead = &config.dead_letters;
    let window = config.consumer.duplicate_window;
    StreamSettings {
        name: dead.stream.clone(),
        subjects: vec![format!("{}.>", dead.subject_prefix)],
        max_age: dead.max_age,
        max_bytes: dead.max_bytes,
        max_msg_size: -1,
        duplicate_window: if dead.max_age.is_zero() {
            window
        } else {
            window.min(dead.max_age)
        },
        description: "what Rollcall could not apply, and why".to_owned(),
        when_full: WhenFull::RefuseNew,
        removal: Removal::Allowed,
        transform: None,
        former_subjects: Vec::new(),
    }
}

/// The stream of announcements, where they are configured. Whoever listens may miss what is older than it holds.
pub fn announcements(config: &Config) -> Option<StreamSettings> {
    let outbox = config.outbox.events.then_some(&config.outbox)?;
    let window = config.consumer.duplicate_window;
    Some(StreamSettings {
        name: outbox.stream.clone(),
        subjects: vec!["profile.>".to_owned()],
        max_age: outbox.max_age,
        max_bytes: outbox.max_bytes,
        max_msg_size: -1,
        duplicate_window: if outbox.max_age.is_zero() {
            window
        } else {
            window.min(outbox.max_age)
        },
        description: "what Rollcall did to profiles".to_owned(),
        when_full: WhenFull::DropOldest,
        removal: Removal::Allowed,
        transform: None,
        former_subjects: Vec::new(),
    })
}

/// Who writes the announcements, where they are configured.
pub fn announcer(config: &Config) -> Option<Announcer> {
    config.outbox.events.then(|| Announcer {
        source: config.outbox.source.clone(),
    })
}

/// How mail is sent, where it is.
pub fn post(config: &Config) -> Option<PostSettings> {
    let mail = config.mail.as_ref()?;
    Some(PostSettings {
        host: mail.host.clone(),
        port: mail.port,
        security: match mail.tls {
            MailTls::Implicit => Security::Implicit,
            MailTls::StartTls => Security::StartTls,
            MailTls::None => Security::None,
        },
        login: mail.login.clone(),
        authority: mail.authority.clone(),
        from: mail.from.clone(),
        templates: mail.templates.clone(),
        timeout: mail.timeout,
        retry: mail.retry,
        give_up: mail.give_up,
        poll: config.outbox.poll,
        customers: customers(config).filter(|_| mail.welcome_to == WelcomeTo::Customer),
    })
}

/// Which events ask for a mail, where mail is sent.
pub fn orders(config: &Config) -> Option<Orders> {
    let mail = config.mail.as_ref()?;
    Some(Orders {
        welcome: match mail.welcome {
            WelcomeOn::Never => Welcome::Never,
            WelcomeOn::Creation => Welcome::Creation,
            WelcomeOn::Activation => Welcome::Activation,
        },
        max_age: mail.max_age,
    })
}

/// How to reach the database.
pub fn store(config: &Config) -> StoreSettings {
    let store = &config.store;
    let backend = match &store.backend {
        config::Backend::Postgres => Backend::Postgres {
            url: SecretString::from(store.url.expose()),
            schema: store.schema.clone(),
        },
        config::Backend::Sqlite(path) => Backend::Sqlite {
            path: path.clone(),
            prefix: store.table_prefix.clone(),
        },
    };
    StoreSettings {
        backend,
        max_connections: store.max_connections,
        statement_timeout: store.statement_timeout,
        lock_timeout: store.lock_timeout,
    }
}

/// How events are read.
pub fn intake(config: &Config) -> Intake {
    Intake {
        max_future: config.worker.max_future,
        user_id_is_email: config.worker.user_id_is_email,
        key_prefixes: config
            .sources
            .iter()
            .map(|rule| (rule.source.clone(), rule.key_prefix.clone()))
            .collect(),
    }
}

/// Who writes the dead letters.
pub fn undertaker(config: &Config) -> Undertaker {
    Undertaker {
        subject_prefix: config.dead_letters.subject_prefix.clone(),
        stream: config.consumer.stream.clone(),
    }
}

/// The endpoints for webhooks.
///
/// # Errors
/// A provider that is unknown or wrong, or secrets that do not fit it.
pub fn endpoints(config: &Config) -> Result<Vec<Endpoint>, IngressError> {
    config.ingress.iter().map(endpoint).collect()
}

/// What is worth a warning about the endpoints together: secrets that vouch for more than their own source, and bodies
/// that are taken although what they become may not fit into a message of a server that takes `max_payload` bytes.
pub fn endpoint_warnings(config: &Config, max_payload: usize) -> Vec<String> {
    let all = &config.ingress;
    let unbound = all.iter().filter(|endpoint| {
        let shares = |other: &config::Endpoint| other.name != endpoint.name && other.provider == endpoint.provider;
        endpoint.source.is_none() && all.iter().any(shares)
    });
    let unbound: Vec<&str> = unbound.map(|endpoint| endpoint.name.as_str()).collect();
    let mut warnings = Vec::new();
    if !unbound.is_empty() {
        warnings.push(format!(
            "{} share a provider with another endpoint: whoever has the secret of one can speak for the source of the \
             other, which stands in the body; give each a \"source\" in [[ingress]]",
            unbound.join(", ")
        ));
    }
    let large = all.iter().filter(|endpoint| endpoint.body_max > max_payload);
    let large: Vec<&str> = large.map(|endpoint| endpoint.name.as_str()).collect();
    if !large.is_empty() {
        warnings.push(format!(
            "\"body_max\" of {} is more than the {} bytes of the server's max_payload: an event that is larger becomes a \
             dead letter that says only its length and hash",
            large.join(", "),
            max_payload
        ));
    }
    warnings
}

fn endpoint(low: &config::Endpoint) -> Result<Endpoint, IngressError> {
    let provider = match &low.provider {
        config::ProviderChoice::Embedded(name) => Provider::embedded(name),
        config::ProviderChoice::File(file) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|source| IngressError::File {
                endpoint: low.name.clone(),
                file: name.clone(),
                source,
            })?;
            Provider::parse(&name, &text)
        }
    };
    let jwks = low.jwks.as_deref().map(Jwks::parse).transpose();
    Endpoint::new(EndpointSettings {
        name: low.name.clone(),
        provider: provider.map_err(|source| IngressError::Provider {
            endpoint: low.name.clone(),
            source,
        })?,
        credentials: Credentials {
            secrets: low.secrets.clone(),
            jwks: jwks.map_err(|error| IngressError::Unusable {
                endpoint: low.name.clone(),
                what: error.0,
            })?,
            scheme: low.scheme.clone(),
            header: low.header.clone(),
            issuer: low.issuer.clone(),
            audience: low.audience.clone(),
        },
        offset: low.utc_offset,
        source: low.source.clone(),
        body_max: low.body_max,
        body_timeout: low.body_timeout,
        rate: low.rate,
    })
}

/// How the worker works; `leftovers` are consumers of former partitions.
pub fn worker(config: &Config, leftovers: Vec<String>, until: Until) -> WorkerSettings {
    WorkerSettings {
        stream: config.consumer.stream.clone(),
        durables: consumers(config).into_iter().map(|consumer| consumer.durable).collect(),
        leftovers,
        ack_wait: config.consumer.ack_wait.max(Duration::from_secs(1)),
        lanes: config.worker.lanes,
        batch_max: config.worker.batch_max,
        linger: config.worker.linger,
        max_attempts: config.worker.max_attempts,
        until,
    }
}

/// What the fold is told.
pub fn policy(config: &Config) -> Policy {
    Policy {
        protected: config.worker.protected.clone(),
        profiles: config.profiles.iter().map(profile_rule).collect(),
        customer_type: config.customers.profile_type.clone(),
        on_delete: match config.worker.on_delete {
            config::OnDelete::Delete => domain::OnDelete::Delete,
            config::OnDelete::Archive => domain::OnDelete::Archive,
        },
        key_is_email: config.worker.user_id_is_email,
        sources: config
            .sources
            .iter()
            .map(|rule| SourceRule {
                source: rule.source.clone(),
                allow: rule.allow.clone(),
            })
            .collect(),
        lookup: customer_place(config).map(|place| LookupRule {
            place,
            require_verified: config.customers.require_verified_email,
        }),
    }
}

/// Where customers are looked for, if anywhere.
pub fn customers(config: &Config) -> Option<CustomerSource> {
    let customers = &config.customers;
    let mut required: Vec<String> = Vec::new();
    for column in config.profiles.iter().flat_map(|profile| &profile.requires) {
        if !required.contains(column) {
            required.push(column.clone());
        }
    }
    let place = customer_place(config)?;
    let source = match place {
        CustomerPlace::Own => CustomerSource::own(),
        CustomerPlace::Application => CustomerSource {
            place,
            table: customers.table.clone(),
            id_column: customers.id_column.clone(),
            email_column: customers.email_column.clone(),
            ..CustomerSource::own()
        },
    };
    Some(CustomerSource {
        make: customers.create.clone(),
        required,
        ..source
    })
}

fn customer_place(config: &Config) -> Option<CustomerPlace> {
    match config.customers.lookup {
        config::Lookup::None => None,
        config::Lookup::Own => Some(CustomerPlace::Own),
        config::Lookup::Table => Some(CustomerPlace::Application),
    }
}

fn profile_rule(profile: &config::ProfileType) -> ProfileRule {
    ProfileRule {
        name: profile.name.clone(),
        initial: match profile.initial_status {
            config::Status::Draft => domain::Status::Draft,
            config::Status::Active => domain::Status::Active,
            config::Status::Archived => domain::Status::Archived,
        },
        create_on: match profile.create_on {
            config::CreateOn::Creation => domain::CreateOn::Creation,
            config::CreateOn::Activation => domain::CreateOn::Activation,
        },
        activation_creates: profile.activation_creates.clone(),
        requires: profile.requires.clone(),
        attributes: profile.attributes.clone(),
        backfill_attributes: profile.backfill_attributes.clone(),
        synchronised: profile.synchronised.clone(),
        display_name: profile.display_name.clone(),
        display_owner: match profile.display_name_owner {
            config::DisplayNameOwner::Worker => domain::DisplayOwner::Worker,
            config::DisplayNameOwner::Application => domain::DisplayOwner::Application,
        },
    }
}
