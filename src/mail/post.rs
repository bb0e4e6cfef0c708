//! The task that sends: takes what is due, hands it to a server, writes down what became of it.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::SetupError;
use super::letter::{Letter, values};
use crate::clock;
use crate::domain::Person;
use crate::failure;
use crate::store::{Addressee, CustomerSource, DueMail, MailEnd, MailKind, MailOrder, Store, StoreError};

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
    /// Whose customers are welcomed in place of the users that are linked to them; `None`: users are.
    pub customers: Option<CustomerSource>,
}

/// Sends mail.
pub struct Post {
    store: Store,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    welcome: Letter,
    password_reset: Letter,
    settings: PostSettings,
    /// How a try ended that the database did not take down yet: before anything else is tried it has to.
    unwritten: Mutex<Option<(MailOrder, MailEnd)>>,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Nothing is due any more, or it was stopped.
    Done,
    /// The server takes nothing from us: what is due waits.
    Refused,
}

/// Whom a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// The recipient, or this one message.
    Mail,
    /// Us: the next mail would be refused as well.
    Us,
    /// Nobody: another time it may be taken.
    Moment,
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
            unwritten: Mutex::default(),
        })
    }

    /// Sends what is due until it is stopped. Failures are waited out: what is not sent is tried again.
    pub async fn run(&self, stop: CancellationToken) {
        let mut away = false;
        loop {
            let pause = match self.send_due(&stop).await {
                Ok(round) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("mail is being sent again");
                    }
                    match round {
                        Round::Done => self.settings.poll,
                        Round::Refused => self.settings.retry,
                    }
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

    /// Tries once what is due, one after the other, until nothing is, the server takes nothing from us, or it is stopped.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn send_due(&self, stop: &CancellationToken) -> Result<Round, StoreError> {
        self.write_down().await?;
        while !stop.is_cancelled() {
            let now = clock::now();
            // A worker that dies with it leaves it to the others then.
            let until = now + 4 * self.settings.timeout;
            let Some(due) = self.store.due_mails(now, until, 1).await?.pop() else {
                return Ok(Round::Done);
            };
            let (end, blame) = self.try_once(&due).await?;
            tell(&due, &end);
            *self.unwritten.lock().await = Some((due.order, end));
            self.write_down().await?;
            if blame == Blame::Us {
                return Ok(Round::Refused);
            }
        }
        Ok(Round::Done)
    }

    /// Until it is written down that the server has a mail, it would be sent again.
    async fn write_down(&self) -> Result<(), StoreError> {
        let mut unwritten = self.unwritten.lock().await;
        if let Some((order, end)) = &*unwritten {
            self.store.mail_ended(order, end, clock::now()).await?;
        }
        *unwritten = None;
        Ok(())
    }

    /// Whether a server answers.
    ///
    /// # Errors
    /// What it says instead, or why there is none.
    pub async fn test(&self) -> Result<(), SmtpError> {
        self.transport.test_connection().await.map(drop)
    }

    async fn try_once(&self, due: &DueMail) -> Result<(MailEnd, Blame), StoreError> {
        let order = &due.order;
        let person = match self.store.addressee(order).await? {
            Addressee::Known(person) => person,
            Addressee::Unknown => return Ok((self.later(due, "nobody is known by this key"), Blame::Moment)),
            // Whoever has the key now is a stranger to this mail.
            Addressee::Gone => {
                let error = "the user is not there any more".to_owned();
                return Ok((MailEnd::GivenUp(error), Blame::Mail));
            }
        };
        let Some(to) = self.address(order.kind, &person).await? else {
            return Ok((self.later(due, "the user has no address"), Blame::Moment));
        };
        let letter = match order.kind {
            MailKind::Welcome => &self.welcome,
            MailKind::PasswordReset => &self.password_reset,
        };
        let values = values(&person, order.secret.as_deref());
        let message = match letter.message(order, &self.from, &to, &values, clock::now()) {
            Ok(message) => message,
            Err(error) => return Ok((MailEnd::GivenUp(error.to_string()), Blame::Mail)),
        };
        let sent = tokio::time::timeout(3 * self.settings.timeout, self.transport.send(message)).await;
        Ok(match sent {
            Ok(Ok(_)) => (MailEnd::Sent, Blame::Moment),
            Ok(Err(error)) => {
                let mut said = failure::chain(&error);
                for name in ["link", "code"] {
                    if let Some(secret) = values.get(name) {
                        said = said.replace(secret.as_str(), "…");
                    }
                }
                let code = error.status().map(|code| code.to_string());
                let permanent = code.filter(|_| error.is_permanent());
                let blame = permanent.map_or(Blame::Moment, |code| blame(&code, &said));
                if blame == Blame::Mail {
                    (MailEnd::GivenUp(plain(&said)), blame)
                } else {
                    (self.later(due, &said), blame)
                }
            }
            Err(_) => (self.later(due, "the server did not answer in time"), Blame::Moment),
        })
    }

    /// Where a mail goes: a welcome to the customer if that is wanted, there is one and it can be written to; what is
    /// secret only ever to the user.
    async fn address(&self, kind: MailKind, person: &Person) -> Result<Option<String>, StoreError> {
        let customers = self.settings.customers.as_ref().filter(|_| kind == MailKind::Welcome);
        if let (Some(source), Some(customer)) = (customers, person.linked_customer()) {
            let address = self.store.customer_address(source, customer).await?;
            if let Some(address) = address.filter(|address| address.parse::<Address>().is_ok()) {
                return Ok(Some(address));
            }
        }
        Ok(person.fields.email.clone())
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

/// Whom a permanent refusal is about. Only what names the recipient or the message is the mail's own; a server that
/// blocks us, or is set up wrongly, says 5xx too, and giving up on that would lose everything that waits.
fn blame(code: &str, said: &str) -> Blame {
    match (enhanced(said), code) {
        (Some((1, 7 | 8)), _) => Blame::Us,
        // The recipient, their mailbox, the size and the content of the message.
        (Some((1 | 2 | 6, _) | (3, 4)), _) | (None, "551" | "552" | "553") => Blame::Mail,
        // Without more words it is said to unknown recipients and to blocked senders alike.
        (None, "550") => Blame::Moment,
        (Some(_) | None, _) => Blame::Us,
    }
}

/// Subject and detail of an enhanced status (RFC 3463) of class 5, wherever it stands in what the server said.
fn enhanced(said: &str) -> Option<(u16, u16)> {
    said.split([' ', '-', ':', '(', ')', '#']).find_map(|word| {
        let (subject, detail) = word.strip_prefix("5.")?.split_once('.')?;
        // An address such as 5.6.7.8 is none: its last part is no number.
        Some((subject.parse().ok()?, detail.parse().ok()?))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_the_recipient_or_the_message_is_given_up() {
        for (code, said, expected) in [
            (
                "550",
                "permanent error (550): 5.1.1 <no@example.com>: no such user",
                Blame::Mail,
            ),
            ("550", "permanent error (550): 5.2.1 mailbox disabled", Blame::Mail),
            ("552", "permanent error (552): 5.2.2 mailbox full", Blame::Mail),
            ("552", "permanent error (552): 5.3.4 message too big", Blame::Mail),
            ("554", "permanent error (554): 5.6.0 not a message", Blame::Mail),
            ("551", "permanent error (551): user not local", Blame::Mail),
            ("553", "permanent error (553): mailbox name not allowed", Blame::Mail),
            ("550", "permanent error (550): no", Blame::Moment),
            (
                "550",
                "permanent error (550): 5.7.1 blocked, see https://b.example/1.2.3.4",
                Blame::Us,
            ),
            ("550", "permanent error (550): 5.1.8 bad sender", Blame::Us),
            ("553", "permanent error (553): 5.1.7 bad sender", Blame::Us),
            ("521", "permanent error (521): no mail here", Blame::Us),
            ("554", "permanent error (554): service unavailable", Blame::Us),
            ("554", "permanent error (554): 5.7.1 Client host rejected", Blame::Us),
            ("530", "permanent error (530): 5.7.0 authentication required", Blame::Us),
            ("535", "permanent error (535): 5.7.8 wrong password", Blame::Us),
            ("502", "permanent error (502): what?", Blame::Us),
            ("554", "permanent error (554): mail from 5.6.7.8 refused", Blame::Us),
        ] {
            assert_eq!(blame(code, said), expected, "{said}");
        }
    }
}
