//! The task that sends: takes what is due, hands it to a server, writes down what became of it.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use super::SetupError;
use super::letter::{Letter, values};
use crate::clock;
use crate::failure;
use crate::store::{DueMail, MailEnd, MailKind, Store, StoreError};

/// The longest pause between two tries at a mail.
const LONGEST: Duration = Duration::from_hours(1);
/// Most characters of an error that are kept.
const ERROR_MAX: usize = 300;
/// How long to wait for a database that is away.
const AWAY: Duration = Duration::from_secs(5);

/// Whether the connection to the server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From the first byte.
    Implicit,
    /// After STARTTLS, or not at all.
    StartTls,
    /// Not: for a server on this machine.
    None,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct PostSettings {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// A PEM file of authorities to trust; `None` for those of the system.
    pub authority: Option<PathBuf>,
    /// The sender: an address, or a name and an address.
    pub from: String,
    /// A folder with templates of one's own.
    pub templates: Option<PathBuf>,
    /// How long a server may take for one step.
    pub timeout: Duration,
    /// The pause after the first try; every further one is twice as long, up to an hour.
    pub retry: Duration,
    /// How long a mail is tried.
    pub give_up: Duration,
    /// How often to look for mails that are due.
    pub poll: Duration,
}

/// Sends mail.
pub struct Post {
    store: Store,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    welcome: Letter,
    password_reset: Letter,
    settings: PostSettings,
}

impl Post {
    /// Gets ready; talks to nobody.
    ///
    /// # Errors
    /// What is wrong with templates or settings.
    pub fn new(store: Store, settings: PostSettings) -> Result<Self, SetupError> {
        let folder = settings.templates.as_deref();
        Ok(Self {
            transport: transport(&settings)?,
            from: settings.from.parse()?,
            welcome: Letter::load(MailKind::Welcome, folder)?,
            password_reset: Letter::load(MailKind::PasswordReset, folder)?,
            store,
            settings,
        })
    }

    /// Sends what is due until it is stopped. Failures are waited out: what is not sent is tried again.
    pub async fn run(&self, stop: CancellationToken) {
        let mut away = false;
        loop {
            let pause = match self.send_due(&stop).await {
                Ok(()) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("mail is being sent again");
                    }
                    self.settings.poll
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(error = failure::chain(&error), "mail waits for the database");
                    }
                    AWAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries once what is due, one after the other, until nothing is or it is stopped.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn send_due(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        while !stop.is_cancelled() {
            let now = clock::now();
            // A worker that dies with it leaves it to the others then.
            let until = now + 4 * self.settings.timeout;
            let Some(due) = self.store.due_mails(now, until, 1).await?.pop() else {
                return Ok(());
            };
            let end = self.try_once(&due).await?;
            tell(&due, &end);
            self.store.mail_ended(&due.order, &end, clock::now()).await?;
        }
        Ok(())
    }

    /// Whether a server answers.
    ///
    /// # Errors
    /// What it says instead, or why there is none.
    pub async fn test(&self) -> Result<(), SmtpError> {
        self.transport.test_connection().await.map(drop)
    }

    async fn try_once(&self, due: &DueMail) -> Result<MailEnd, StoreError> {
        let order = &due.order;
        let Some(person) = self.store.person_at(&order.key).await? else {
            return Ok(self.later(due, "nobody is known by this key"));
        };
        // The place for another address, such as that of a customer who is linked to the user.
        let Some(to) = person.fields.email.clone() else {
            return Ok(self.later(due, "the user has no address"));
        };
        let letter = match order.kind {
            MailKind::Welcome => &self.welcome,
            MailKind::PasswordReset => &self.password_reset,
        };
        let values = values(&person, order.secret.as_deref());
        let message = match letter.message(order, &self.from, &to, &values, clock::now()) {
            Ok(message) => message,
            Err(error) => return Ok(MailEnd::GivenUp(error.to_string())),
        };
        let sent = tokio::time::timeout(3 * self.settings.timeout, self.transport.send(message)).await;
        Ok(match sent {
            Ok(Ok(_)) => MailEnd::Sent,
            Ok(Err(error)) => {
                let mut said = failure::chain(&error);
                for name in ["link", "code"] {
                    if let Some(secret) = values.get(name) {
                        said = said.replace(secret.as_str(), "…");
                    }
                }
                if is_final(&error) {
                    MailEnd::GivenUp(plain(&said))
                } else {
                    self.later(due, &said)
                }
            }
            Err(_) => self.later(due, "the server did not answer in time"),
        })
    }

    /// Not yet, or not any more.
    fn later(&self, due: &DueMail, error: &str) -> MailEnd {
        let now = clock::now();
        if now - due.ordered > self.settings.give_up {
            return MailEnd::GivenUp(plain(error));
        }
        let doublings = due.attempts.saturating_sub(1).min(20);
        let pause = self.settings.retry.saturating_mul(1 << doublings).min(LONGEST);
        MailEnd::Later(plain(error), now + pause)
    }
}

/// Errors name addresses; the log gets the kind of mail and how it ended, `rollcall explain` the rest.
fn tell(due: &DueMail, end: &MailEnd) {
    let (kind, attempt) = (due.order.kind.name(), due.attempts);
    match end {
        MailEnd::Sent => tracing::debug!(kind, attempt, "mail sent"),
        MailEnd::Later(_, next) => {
            let wait_s = (*next - clock::now()).whole_seconds();
            tracing::warn!(
                kind,
                attempt,
                wait_s,
                event_id = due.order.event_id,
                "mail not sent yet"
            );
        }
        MailEnd::GivenUp(_) => tracing::warn!(kind, attempt, event_id = due.order.event_id, "mail given up"),
    }
}

/// Whether the server will never take this mail. That it does not take us is no fault of the mail.
fn is_final(error: &SmtpError) -> bool {
    let code = error.status().map(|code| code.to_string());
    error.is_permanent() && !code.is_some_and(|code| code.starts_with("53") || code == "502" || code == "504")
}

/// One line of bounded length.
fn plain(text: &str) -> String {
    text.chars()
        .take(ERROR_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn transport(settings: &PostSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, SetupError> {
    let parameters = || -> Result<TlsParameters, SetupError> {
        let mut builder = TlsParameters::builder(settings.host.clone());
        if let Some(path) = &settings.authority {
            let pem = std::fs::read(path).map_err(SetupError::CaFile)?;
            let certificate = Certificate::from_pem(&pem).map_err(SetupError::Certificates)?;
            builder = builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(certificate);
        }
        builder.build().map_err(SetupError::Certificates)
    };
    let tls = match settings.security {
        Security::Implicit => Tls::Wrapper(parameters()?),
        Security::StartTls => Tls::Required(parameters()?),
        Security::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
        .port(settings.port)
        .tls(tls)
        .timeout(Some(settings.timeout));
    if let Some((user, password)) = &settings.login {
        let password = password.expose_secret().to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}
