//! One connection to the broker: settings, credentials, TLS, and the proof that `JetStream` answers.
//!
//! Credentials never reach an error, a log line or the client library's addresses: a user part in a
//! URL is taken off before anything else sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use secrecy::{ExposeSecret, SecretString};

use super::Broker;
use super::error::BrokerError;
use super::link::{Link, Signals};
use super::version::judge_version;

/// A frozen server is noticed after two missed pings instead of after three minutes.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const INBOX_PREFIX: &str = "_INBOX";

/// How the connection is made. At most one kind of credentials; secrets are not in Debug.
#[derive(Clone, Default)]
pub struct ConnectSettings {
    /// `nats://host:4222` or `tls://…`; several separated by commas. May carry `user:password@`.
    pub url: String,
    /// Shown in the server's connection list.
    pub name: String,
    /// With [`Self::password`].
    pub user: Option<String>,
    /// With [`Self::user`].
    pub password: Option<SecretString>,
    /// A token instead of a user.
    pub token: Option<SecretString>,
    /// The seed of a user nkey (`SU…`).
    pub nkey_seed: Option<SecretString>,
    /// The text of a creds file with JWT and seed, as `nsc` makes it.
    pub credentials: Option<SecretString>,
    /// Whether the connection is encrypted.
    pub tls: TlsMode,
    /// PEM with the certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM with the client certificate; needs [`Self::key_file`].
    pub cert_file: Option<PathBuf>,
    /// PEM with the client key.
    pub key_file: Option<PathBuf>,
    /// Prefix of reply subjects (default `_INBOX`): a user that may only subscribe to its own cannot read others' replies.
    pub inbox_prefix: Option<String>,
}

impl fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The url may hold a password.
        f.debug_struct("ConnectSettings")
            .field("servers", &shown(&self.url))
            .field("name", &self.name)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Encrypted if the server demands it or the URL says `tls://`.
    #[default]
    IfOffered,
    /// Never unencrypted.
    Required,
    /// TLS before the first protocol line; the server needs `handshake_first`.
    First,
}

/// Connects, and returns only after a real `JetStream` call has been answered.
///
/// Afterwards the client reconnects by itself for ever. Errors: see [`BrokerError`]; transient where
/// the broker is merely away.
pub async fn connect(settings: &ConnectSettings) -> Result<Broker, BrokerError> {
    let link = Link::open(settings).await?;
    let version = link.live().client.server_info().version;
    let version_warning = judge_version(&version)?;
    let servers = shown(&settings.url);
    let broker = Broker {
        link: Arc::new(link),
        servers,
        version,
        version_warning,
    };
    broker.prove_jetstream().await?;
    Ok(broker)
}

/// One client with these settings; it reports to the signals.
pub(super) async fn open_client(settings: &ConnectSettings, signals: &Signals) -> Result<Client, BrokerError> {
    let (addresses, user_part) = addresses(&settings.url)?;
    let signals = signals.clone();
    let options = encrypted(authenticated(ConnectOptions::new(), settings, user_part)?, settings)?
        .name(&settings.name)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .custom_inbox_prefix(settings.inbox_prefix.as_deref().unwrap_or(INBOX_PREFIX))
        .event_callback(move |event| {
            signals.note(&event);
            std::future::ready(())
        });
    options
        .connect(addresses.as_slice())
        .await
        .map_err(|error| refused(shown(&settings.url), error))
}

/// User and password of a URL.
type UserPart = (String, SecretString);

/// The addresses without credentials; nothing of an invalid list is shown.
fn shown(list: &str) -> String {
    let Ok((addresses, _)) = addresses(list) else {
        return "invalid addresses".to_owned();
    };
    let urls = addresses.into_iter().map(|address| address.into_inner().to_string());
    urls.collect::<Vec<_>>().join(", ")
}

/// Splits the list and takes `user:password@` off; what remains can be logged.
fn addresses(list: &str) -> Result<(Vec<ServerAddr>, Option<UserPart>), BrokerError> {
    let mut user_part = None;
    let mut addresses = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        // The entry itself stays out of the message: it may hold a password.
        let invalid = || BrokerError::Settings {
            reason: "nats url: every entry must look like nats://host:4222 or tls://host:4222".to_owned(),
        };
        let mut url = entry.parse::<ServerAddr>().map_err(|_| invalid())?.into_inner();
        if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        if !url.username().is_empty() || url.password().is_some() {
            let user = percent_decoded(url.username()).ok_or_else(invalid)?;
            let password = percent_decoded(url.password().unwrap_or_default()).ok_or_else(invalid)?;
            user_part.get_or_insert((user, SecretString::from(password)));
            url.set_username("").map_err(|()| invalid())?;
            url.set_password(None).map_err(|()| invalid())?;
        }
        addresses.push(ServerAddr::from_url(url).map_err(|_| invalid())?);
    }
    if addresses.is_empty() {
        return Err(BrokerError::Settings {
            reason: "nats url is empty".to_owned(),
        });
    }
    Ok((addresses, user_part))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn authenticated(
    options: ConnectOptions,
    settings: &ConnectSettings,
    user_part: Option<UserPart>,
) -> Result<ConnectOptions, BrokerError> {
    let in_settings = settings.user.is_some() || settings.password.is_some();
    let kinds = [
        in_settings,
        user_part.is_some(),
        settings.token.is_some(),
        settings.nkey_seed.is_some(),
        settings.credentials.is_some(),
    ];
    if kinds.into_iter().filter(|given| *given).count() > 1 {
        return Err(BrokerError::Settings {
            reason: "give one kind of nats credentials: user and password (in the url or beside it), token, nkey or creds file".to_owned(),
        });
    }
    if let Some((user, password)) = user_part {
        // `nats://token@host` is how tokens are written in a URL.
        return Ok(if password.expose_secret().is_empty() {
            options.token(user)
        } else {
            options.user_and_password(user, password.expose_secret().to_owned())
        });
    }
    if in_settings {
        let (Some(user), Some(password)) = (&settings.user, &settings.password) else {
            return Err(BrokerError::Settings {
                reason: "nats user and password belong together".to_owned(),
            });
        };
        return Ok(options.user_and_password(user.clone(), password.expose_secret().to_owned()));
    }
    if let Some(token) = &settings.token {
        return Ok(options.token(token.expose_secret().to_owned()));
    }
    if let Some(seed) = &settings.nkey_seed {
        return Ok(options.nkey(seed.expose_secret().trim().to_owned()));
    }
    if let Some(text) = &settings.credentials {
        // The library's error would quote what it could not read.
        return options
            .credentials(text.expose_secret())
            .map_err(|_| BrokerError::Settings {
                reason: "the nats creds file holds no JWT and seed: write it again with nsc".to_owned(),
            });
    }
    Ok(options)
}

fn encrypted(options: ConnectOptions, settings: &ConnectSettings) -> Result<ConnectOptions, BrokerError> {
    let files = [
        ("ca_file", &settings.ca_file),
        ("cert_file", &settings.cert_file),
        ("key_file", &settings.key_file),
    ];
    for (key, file) in files.iter().filter_map(|(key, file)| Some((key, file.as_deref()?))) {
        std::fs::File::open(file).map_err(|error| unreadable(key, file, &error))?;
    }
    let mut options = match settings.tls {
        TlsMode::IfOffered => options,
        TlsMode::Required => options.require_tls(true),
        TlsMode::First => options.tls_first(),
    };
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    match (&settings.cert_file, &settings.key_file) {
        (Some(cert), Some(key)) => Ok(options.add_client_certificate(cert.clone(), key.clone())),
        (None, None) => Ok(options),
        (Some(_), None) | (None, Some(_)) => Err(BrokerError::Settings {
            reason: "nats cert_file and key_file belong together".to_owned(),
        }),
    }
}

fn unreadable(key: &str, file: &Path, error: &std::io::Error) -> BrokerError {
    BrokerError::Settings {
        reason: format!("nats {key} {} cannot be used: {error}", file.display()),
    }
}

fn refused(servers: String, source: async_nats::ConnectError) -> BrokerError {
    match source.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            BrokerError::CredentialsRefused { servers, source }
        }
        ConnectErrorKind::Tls => BrokerError::Tls { servers, source },
        ConnectErrorKind::Io if is_tls(&source) => BrokerError::Tls { servers, source },
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => BrokerError::Unreachable { servers, source },
    }
}

/// A failed handshake arrives as an I/O error with the TLS library's error inside.
fn is_tls(error: &async_nats::ConnectError) -> bool {
    std::error::Error::source(error)
        .and_then(|inner| inner.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<async_nats::rustls::Error>())
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_off_the_addresses() {
        let (list, user) = addresses("nats://ada:s%40crt@one:4222, tls://two").expect("valid");
        let shown = format!("{list:?}");
        assert!(!shown.contains("ada") && !shown.contains("crt"), "{shown}");
        assert_eq!(list.len(), 2);
        let (name, password) = user.expect("a user part");
        assert_eq!((name.as_str(), password.expose_secret()), ("ada", "s@crt"));
    }

    #[test]
    fn bad_addresses_are_refused_without_being_quoted() {
        for bad in [
            "",
            " , ",
            "http://x",
            "ws://x",
            "nats://a:secret@",
            "nats://a:sec%zzret@host",
            "nats://u:secret@host:99999",
        ] {
            let error = addresses(bad).expect_err(bad).to_string();
            assert!(!error.contains("sec") && error.contains("nats url"), "{error}");
        }
    }

    #[tokio::test]
    async fn two_kinds_of_credentials_are_refused() {
        let settings = ConnectSettings {
            url: "nats://ada:secret@localhost".to_owned(),
            token: Some(SecretString::from("hidden")),
            ..ConnectSettings::default()
        };
        let error = connect(&settings).await.expect_err("two kinds");
        assert!(matches!(error, BrokerError::Settings { .. }), "{error}");
        assert!(!format!("{error} {error:?} {settings:?}").contains("hidden"));
    }
}
