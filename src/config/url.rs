//! Addresses of brokers and databases: what is accepted, and how they look without their secrets. No message repeats
//! any part of the address.

use std::path::PathBuf;

use super::Backend;
use super::secret::SecretUrl;
use super::section::nearest;

/// What sqlx understands after the `?`; it would ignore anything else with a line in the log.
const PARAMETERS: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[",
];

/// What is wrong with an address, and what to do.
pub(super) type Complaint = (String, String);

/// One NATS server.
pub(super) struct NatsServer {
    pub url: SecretUrl,
    pub has_login: bool,
    pub is_tls: bool,
}

/// Reads the address of one NATS server.
pub(super) fn nats(url: &str) -> Result<NatsServer, Complaint> {
    let parts = split(url, &["nats", "tls"], "nats://127.0.0.1:4222")?;
    if parts.host.is_empty() || !matches!(parts.path, "" | "/") || !parts.query.is_empty() {
        return Err(complaint(
            "is not the address of a NATS server",
            "write it like nats://127.0.0.1:4222",
        ));
    }
    Ok(NatsServer {
        url: SecretUrl::new(url, format!("{}://{}", parts.scheme, parts.host)),
        has_login: parts.userinfo.is_some(),
        is_tls: parts.scheme == "tls",
    })
}

/// Reads the address of a database.
pub(super) fn store(url: &str) -> Result<(Backend, SecretUrl), Complaint> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        return sqlite(path).map(|path| (Backend::Sqlite(path), SecretUrl::new(url, url.to_owned())));
    }
    let example = "sqlite://rollcall.db or postgres://user@host:5432/database";
    let schemes = ["postgres", "postgresql"];
    if !schemes.iter().any(|scheme| url.starts_with(&format!("{scheme}://"))) {
        return Err(complaint(
            "does not begin with sqlite:// or postgres://",
            &format!("write it like {example}"),
        ));
    }
    let parts = split(url, &schemes, example)?;
    for name in parts
        .query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .filter(|name| !name.is_empty())
    {
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") && !name.starts_with("options%5B") {
            let known = nearest(name, PARAMETERS).unwrap_or_default();
            let what = "has a parameter that the PostgreSQL driver does not know";
            return Err((
                what.to_owned(),
                format!("leave it out; the nearest known one is \"{known}\""),
            ));
        }
    }
    let user = parts
        .userinfo
        .and_then(|userinfo| userinfo.split(':').next())
        .filter(|user| !user.is_empty());
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let redacted = format!("{}://{user}{}{}", parts.scheme, parts.host, parts.path);
    Ok((Backend::Postgres, SecretUrl::new(url, redacted)))
}

fn sqlite(path: &str) -> Result<PathBuf, Complaint> {
    if path.contains(":memory:") {
        return Err(complaint(
            "keeps everything in memory, where a restart loses it",
            "name a file",
        ));
    }
    if path.is_empty() || path.ends_with('/') || path.contains(['?', '#', '\0']) {
        return Err(complaint(
            "does not name a SQLite file",
            "write sqlite:// and the path of the file, without parameters: sqlite://rollcall.db",
        ));
    }
    Ok(PathBuf::from(path))
}

struct Parts<'a> {
    scheme: &'a str,
    userinfo: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    query: &'a str,
}

/// Cuts an address up. Stricter than the drivers: whatever could be a misplaced piece of a password is refused, so that
/// the redacted form cannot contain one.
fn split<'a>(url: &'a str, schemes: &[&str], example: &str) -> Result<Parts<'a>, Complaint> {
    let form = || format!("write it like {example}");
    let (scheme, rest) = url
        .split_once("://")
        .filter(|(scheme, _)| schemes.contains(scheme))
        .ok_or_else(|| (format!("does not begin with {}://", schemes.join(":// or ")), form()))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.contains(['@', '#']) || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(complaint(
            "contains a character that has a meaning in addresses",
            "percent-encode it in user name and password: @ is %40, / is %2F, # is %23, ? is %3F",
        ));
    }
    let (userinfo, host) = authority
        .rsplit_once('@')
        .map_or((None, authority), |(user, host)| (Some(user), host));
    let after_name = if host.starts_with('[') {
        host.split_once(']').map(|(_, port)| port)
    } else {
        host.find(':').map(|at| &host[at..])
    };
    let good_port = match after_name {
        None => !host.starts_with('['),
        Some("") => true,
        Some(port) => port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
    };
    if !good_port {
        return Err(("has a port that is not a number".to_owned(), form()));
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    Ok(Parts {
        scheme,
        userinfo,
        host,
        path,
        query,
    })
}

fn complaint(what: &str, remedy: &str) -> Complaint {
    (what.to_owned(), remedy.to_owned())
}
