//! `[nats]` and `[store]`: addresses, credentials, certificates.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::check::Check;
use super::problem::At;
use super::secret::{Hidden, SecretUrl};
use super::{Backend, ClientCertificate, Login, Nats, Store, Tls, low, names, url};

/// A secret given in place or in a file, but not in both. `None`: not given, or wrong and reported.
fn secret(
    check: &mut Check<'_>,
    at: At,
    file_at: At,
    here: Option<Hidden>,
    file: Option<PathBuf>,
) -> Option<SecretString> {
    match (here, file) {
        (Some(_), Some(_)) if check.given(at) => {
            check.report(
                file_at,
                format_args!("and \"{}\" are both given", at.key),
                "keep one of the two",
            );
            None
        }
        (_, Some(file)) => check.secret_file(file_at, &file),
        (here, None) => here.map(Hidden::into_secret),
    }
}

/// The address in force and the key that it came from.
fn address(
    check: &mut Check<'_>,
    section: &'static str,
    here: Hidden,
    file: Option<PathBuf>,
) -> Option<(At, SecretString)> {
    let (at, file_at) = (At::new(section, "url"), At::new(section, "url_file"));
    let from = if file.is_some() { file_at } else { at };
    secret(check, at, file_at, Some(here), file).map(|secret| (from, secret))
}

/// Checks `[nats]`.
pub(super) fn nats(check: &mut Check<'_>, mut low: low::Nats) -> Nats {
    let at = |key| At::new("nats", key);
    let mut servers: Vec<SecretUrl> = Vec::new();
    let (mut has_login, mut is_tls) = (None, false);
    let here = std::mem::replace(&mut low.url, Hidden::new(""));
    if let Some((from, urls)) = address(check, "nats", here, low.url_file.take()) {
        for one in urls.expose_secret().split(',') {
            match url::nats(one.trim()) {
                Ok(server) => {
                    has_login = has_login.or(server.has_login.then_some(from));
                    is_tls |= server.is_tls;
                    servers.push(server.url);
                }
                Err((what, remedy)) => check.report(from, what, remedy),
            }
        }
    }
    let login = login(check, &mut low);
    if let (Some(from), true) = (has_login, !matches!(login, Login::None)) {
        let remedy = "take the credentials out of the address, or leave the other keys away";
        check.report(from, "contains credentials, and others are configured", remedy);
    }
    let authority = check.readable(at("ca_file"), low.ca_file);
    let client = match (low.cert_file, low.key_file) {
        (Some(certificate), Some(key)) => {
            let certificate = check.readable(at("cert_file"), Some(certificate));
            let key = check.readable(at("key_file"), Some(key));
            certificate
                .zip(key)
                .map(|(certificate, key)| ClientCertificate { certificate, key })
        }
        (None, None) => None,
        (Some(_), None) => {
            check.report(at("cert_file"), "is given without \"key_file\"", "give both or neither");
            None
        }
        (None, Some(_)) => {
            check.report(at("key_file"), "is given without \"cert_file\"", "give both or neither");
            None
        }
    };
    if let Some(prefix) = low
        .inbox_prefix
        .as_deref()
        .filter(|prefix| !names::is_plain_subject(prefix))
    {
        check.report(
            at("inbox_prefix"),
            format_args!("is {prefix:?}"),
            "give a subject without wildcards, such as \"_INBOX_rollcall\"",
        );
    }
    // A certificate that is configured and then not looked at would be worse than none.
    let required = low.tls_required || low.tls_first || is_tls || authority.is_some() || client.is_some();
    let tls = Tls {
        required,
        first: low.tls_first,
        authority,
        client,
    };
    Nats {
        servers,
        login,
        tls,
        inbox_prefix: low.inbox_prefix,
        manage: low.manage,
    }
}

fn login(check: &mut Check<'_>, low: &mut low::Nats) -> Login {
    let at = |key| At::new("nats", key);
    let password = secret(
        check,
        at("password"),
        at("password_file"),
        low.password.take(),
        low.password_file.take(),
    );
    let token = secret(
        check,
        at("token"),
        at("token_file"),
        low.token.take(),
        low.token_file.take(),
    );
    let nkey = low
        .nkey_file
        .take()
        .map(|path| check.secret_file(at("nkey_file"), &path));
    let credentials = low
        .creds_file
        .take()
        .map(|path| check.secret_file(at("creds_file"), &path));

    let ways = [
        &["user", "password", "password_file"][..],
        &["token", "token_file"],
        &["nkey_file"],
        &["creds_file"],
    ];
    let given: Vec<&'static str> = ways
        .iter()
        .filter_map(|keys| keys.iter().copied().find(|key| check.given(at(key))))
        .collect();
    if let [first, .., last] = given.as_slice() {
        check.report(
            at(last),
            format_args!("and \"{first}\" are both given"),
            "keep one way to log in",
        );
        return Login::None;
    }
    let has_password = check.given(at("password")) || check.given(at("password_file"));
    match (check.given(at("user")), has_password) {
        (true, false) => check.report(at("user"), "is given without a password", "give \"password_file\" too"),
        (false, true) => check.report(
            at(given.first().copied().unwrap_or("password")),
            "is given without \"user\"",
            "give \"user\" too",
        ),
        _ => {}
    }
    match (
        low.user.take().zip(password),
        token,
        nkey.flatten(),
        credentials.flatten(),
    ) {
        (Some((user, password)), ..) => Login::Password { user, password },
        (None, Some(token), ..) => Login::Token(token),
        (None, None, Some(seed), _) => Login::Nkey(seed),
        (None, None, None, Some(credentials)) => Login::Credentials(credentials),
        (None, None, None, None) => Login::None,
    }
}

/// Checks `[store]`.
pub(super) fn store(check: &mut Check<'_>, low: low::Store) -> Store {
    let at = |key| At::new("store", key);
    let fallback = || (Backend::Postgres, SecretUrl::new("", String::new()));
    let (backend, url) = address(check, "store", low.url, low.url_file)
        .and_then(|(from, text)| {
            url::store(text.expose_secret())
                .map_err(|(what, remedy)| check.report(from, what, remedy))
                .ok()
        })
        .unwrap_or_else(fallback);
    if !names::is_identifier(&low.schema, 63) || low.schema.starts_with("pg_") || low.schema == "information_schema" {
        let remedy = "give up to 63 lower-case letters, digits and _, not beginning with a digit or pg_";
        check.report(at("schema"), format_args!("is {:?}", low.schema), remedy);
    }
    let prefix = low.table_prefix.as_str();
    if !prefix.is_empty() && (!names::is_identifier(prefix, 31) || prefix.starts_with("sqlite_")) {
        let remedy = "give up to 31 lower-case letters, digits and _, not beginning with a digit or sqlite_, or \"\"";
        check.report(at("table_prefix"), format_args!("is {prefix:?}"), remedy);
    }
    let statement_timeout = check.duration(
        at("statement_timeout"),
        low.statement_timeout,
        Duration::from_millis(100)..=Duration::from_hours(1),
    );
    let lock_timeout = check.duration(
        at("lock_timeout"),
        low.lock_timeout,
        Duration::from_millis(1)..=Duration::from_hours(1),
    );
    if lock_timeout > statement_timeout {
        check.report(
            at("lock_timeout"),
            "is longer than \"statement_timeout\"",
            "give a shorter one, or it never counts",
        );
    }
    Store {
        url,
        backend,
        schema: low.schema,
        table_prefix: low.table_prefix,
        max_connections: check.number(at("max_connections"), low.max_connections, 1..=1000),
        statement_timeout,
        lock_timeout,
    }
}
