//! `[mail]`: the server, the login, when to write.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::check::Check;
use super::low::Interval;
use super::problem::At;
use super::{Lookup, WelcomeOn, WelcomeTo};

/// `[mail]` with a server.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// A PEM file of authorities to trust; `None` for those of the system.
    pub authority: Option<PathBuf>,
    /// The sender: an address, or a name and an address in angle brackets.
    pub from: String,
    /// A folder with templates of one's own.
    pub templates: Option<PathBuf>,
    /// When a user is welcomed.
    pub welcome: WelcomeOn,
    /// To whose address the welcome goes.
    pub welcome_to: WelcomeTo,
    /// How long the server may take for one step.
    pub timeout: Duration,
    /// The pause after the first try.
    pub retry: Duration,
    /// How long a mail is tried.
    pub give_up: Duration,
    /// Events that are older ask for no mail.
    pub max_age: Duration,
}

/// Encryption of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte: `smtps://`.
    Implicit,
    /// After STARTTLS, or there is no connection: `smtp://`.
    StartTls,
    /// None: `smtp://` with `encrypt = false`.
    None,
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Low {
    pub server: Option<String>,
    pub encrypt: bool,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub from: Option<String>,
    pub templates: Option<PathBuf>,
    pub welcome: WelcomeOn,
    pub welcome_to: WelcomeTo,
    pub timeout: Interval,
    pub retry: Interval,
    pub give_up: Interval,
    pub max_age: Interval,
}

impl Default for Low {
    fn default() -> Self {
        Self {
            server: None,
            encrypt: true,
            user: None,
            password_file: None,
            ca_file: None,
            from: None,
            templates: None,
            welcome: WelcomeOn::Creation,
            welcome_to: WelcomeTo::User,
            timeout: Interval::seconds(30),
            retry: Interval::seconds(30),
            give_up: Interval::seconds(86_400),
            max_age: Interval::seconds(3_600),
        }
    }
}

/// Checks `[mail]`; `lookup` says where customers are looked for.
pub(super) fn mail(check: &mut Check<'_>, low: Low, lookup: Lookup) -> Option<Mail> {
    let at = |key| At::new("mail", key);
    let password = low
        .password_file
        .and_then(|path| check.secret_file(at("password_file"), &path));
    let login = match (low.user, check.given(at("password_file"))) {
        (Some(user), true) => password.map(|password| (user, password)),
        (Some(_), false) => {
            check.report(at("user"), "is given without a password", "give \"password_file\" too");
            None
        }
        (None, true) => {
            check.report(at("password_file"), "is given without \"user\"", "give \"user\" too");
            None
        }
        (None, false) => None,
    };
    let authority = check.readable(at("ca_file"), low.ca_file);
    let second = Duration::from_secs(1);
    let (hour, week) = (Duration::from_hours(1), Duration::from_hours(24 * 7));
    let timeout = check.duration(at("timeout"), low.timeout, second..=Duration::from_mins(10));
    let retry = check.duration(at("retry"), low.retry, Duration::from_millis(100)..=hour);
    let give_up = check.duration(at("give_up"), low.give_up, second..=week);
    let max_age = check.duration(at("max_age"), low.max_age, second..=week);
    if low.welcome_to == WelcomeTo::Customer && lookup == Lookup::None {
        check.report(
            at("welcome_to"),
            "is \"customer\", and no user is ever linked to a customer",
            "give lookup in [customers]",
        );
    }
    let Some(text) = low.server else {
        for key in ["from", "user", "templates"] {
            if check.given(at(key)) {
                check.report(
                    at(key),
                    "is given without \"server\"",
                    "give \"server\" too, or leave it away",
                );
            }
        }
        return None;
    };
    let Some((host, port, implicit)) = server(&text) else {
        let remedy = "give smtp://host:port, or smtps://host:port where the server encrypts from the first byte; the login \
                      goes into \"user\" and \"password_file\"";
        check.report(at("server"), "is no address of a mail server", remedy);
        return None;
    };
    let tls = match (implicit, low.encrypt) {
        (true, _) => MailTls::Implicit,
        (false, true) => MailTls::StartTls,
        (false, false) => MailTls::None,
    };
    if tls == MailTls::None && login.is_some() {
        check.report(
            at("encrypt"),
            "is false, and there is a password",
            "leave it away: it would go over the line as it is",
        );
    }
    let from = low.from.unwrap_or_default();
    if from.parse::<lettre::message::Mailbox>().is_err() {
        let remedy = "give the sender, such as \"Example <no-reply@example.com>\"";
        check.report(at("from"), format_args!("is {from:?}"), remedy);
    }
    Some(Mail {
        host,
        port,
        tls,
        login,
        authority,
        from,
        templates: low.templates,
        welcome: low.welcome,
        welcome_to: low.welcome_to,
        timeout,
        retry,
        give_up,
        max_age,
    })
}

/// Host, port, and whether it encrypts from the first byte.
fn server(text: &str) -> Option<(String, u16, bool)> {
    let (scheme, rest) = text.split_once("://")?;
    let (implicit, usual) = match scheme {
        "smtp" => (false, 587),
        "smtps" => (true, 465),
        _ => return None,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (rest, usual),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port, implicit))
}

#[cfg(test)]
mod tests {
    use super::server;

    #[test]
    fn servers_are_addresses_without_a_login() {
        for (text, expected) in [
            ("smtp://mail.example.com", Some(("mail.example.com", 587, false))),
            ("smtps://mail.example.com", Some(("mail.example.com", 465, true))),
            ("smtp://127.0.0.1:2525", Some(("127.0.0.1", 2525, false))),
            ("smtp://user:password@mail.example.com", None),
            ("smtp://mail.example.com:many", None),
            ("mail.example.com", None),
            ("smtp://", None),
        ] {
            let expected = expected.map(|(host, port, implicit)| (host.to_owned(), port, implicit));
            assert_eq!(server(text), expected, "{text}");
        }
    }
}
