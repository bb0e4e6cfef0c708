//! `[[ingress]]`: the endpoints for webhooks. Their secrets are read here; whether they fit the provider is found out
//! when the endpoint is made.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use time::UtcOffset;

use super::check::Check;
use super::low::Interval;
use super::problem::At;

/// Longest name of an endpoint.
const NAME_MAX: usize = 64;
/// Most that a request may be allowed to hold.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// One of `[[ingress]]`
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The last part of its path: `a-z`, `0-9`, `-` and `_`; unique.
    pub name: String,
    /// Whose webhooks they are.
    pub provider: ProviderChoice,
    /// One secret, or two while they are exchanged.
    pub secrets: Vec<SecretString>,
    /// A JSON Web Key Set, as text.
    pub jwks: Option<String>,
    /// Which of the provider's schemes; `None` for what fits the secrets.
    pub scheme: Option<String>,
    /// The header of a static secret.
    pub header: Option<String>,
    /// Who has to have issued a token.
    pub issuer: Option<String>,
    /// For whom a token has to be meant.
    pub audience: Option<String>,
    /// The source of its events; `None` for what the provider's rules make of their bodies.
    pub source: Option<String>,
    /// Of times that have none.
    pub utc_offset: UtcOffset,
    /// Most bytes of a body.
    pub body_max: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Requests a second from one address.
    pub rate: u32,
}

/// Whose webhooks they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderChoice {
    /// One of the embedded ones.
    Embedded(String),
    /// A file of the same format.
    File(PathBuf),
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Low {
    pub name: Option<String>,
    pub provider: Option<String>,
    pub provider_file: Option<PathBuf>,
    pub secret_files: Vec<PathBuf>,
    pub jwks_file: Option<PathBuf>,
    pub jwks: Option<String>,
    pub scheme: Option<String>,
    pub header: Option<String>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub source: Option<String>,
    pub utc_offset: String,
    pub body_max: i64,
    pub body_timeout: Interval,
    pub rate: i64,
}

impl Default for Low {
    fn default() -> Self {
        Self {
            name: None,
            provider: None,
            provider_file: None,
            secret_files: Vec::new(),
            jwks_file: None,
            jwks: None,
            scheme: None,
            header: None,
            issuer: None,
            audience: None,
            source: None,
            utc_offset: "+00:00".into(),
            body_max: 262_144,
            body_timeout: Interval(Duration::from_secs(10)),
            rate: 500,
        }
    }
}

/// Checks `[[ingress]]`.
pub(super) fn endpoints(check: &mut Check<'_>, low: Vec<Low>) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (index, low) in low.into_iter().enumerate() {
        let at = move |key| At {
            section: "ingress",
            index,
            key,
        };
        let name = low.name.clone().unwrap_or_default();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if low.name.is_none() {
            if !check.given(at("name")) {
                check.report(
                    at("name"),
                    "is missing",
                    "give it: it is the last part of the endpoint's path",
                );
            }
        } else if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            let remedy = "give 1 to 64 of a-z, 0-9, - and _: it is the last part of the endpoint's path";
            check.report(at("name"), format_args!("is {name:?}"), remedy);
        } else if endpoints.iter().any(|other| other.name == name) {
            check.report(
                at("name"),
                format_args!("{name:?} is there more than once"),
                "give each endpoint a name of its own",
            );
        }
        endpoints.push(endpoint(check, at, name, low));
    }
    endpoints
}

fn endpoint(check: &mut Check<'_>, at: impl Fn(&'static str) -> At, name: String, low: Low) -> Endpoint {
    if !matches!(low.secret_files.len(), 0..=2) {
        let what = format!("names {} files", low.secret_files.len());
        check.report(at("secret_files"), what, "name one, or two while secrets are exchanged");
    }
    if low.secret_files.is_empty()
        && low.jwks.is_none()
        && low.jwks_file.is_none()
        && !["secret_files", "jwks", "jwks_file"]
            .iter()
            .any(|key| check.given(at(key)))
    {
        let remedy = "name a file that holds the secret, or give public keys with \"jwks_file\"";
        check.report(at("secret_files"), "is missing", remedy);
    }
    if low.jwks.is_some() && low.jwks_file.is_some() {
        check.report(at("jwks_file"), "and \"jwks\" are both given", "keep one of the two");
    }
    let secrets = low
        .secret_files
        .iter()
        .filter_map(|file| check.secret_file(at("secret_files"), file));
    let secrets: Vec<SecretString> = secrets.collect();
    // Public keys are no secret, but they are text in a file all the same.
    let jwks = low
        .jwks_file
        .as_deref()
        .and_then(|file| check.secret_file(at("jwks_file"), file));
    let jwks = jwks.map(|text| secrecy::ExposeSecret::expose_secret(&text).to_owned());
    if let Some(source) = &low.source {
        check.text(at("source"), source, 1..=255);
    }
    Endpoint {
        name,
        provider: provider(check, &at, low.provider, low.provider_file),
        secrets,
        jwks: jwks.or(low.jwks),
        scheme: low.scheme,
        header: header(check, at("header"), low.header),
        issuer: low.issuer,
        audience: low.audience,
        source: low.source,
        utc_offset: offset(check, at("utc_offset"), &low.utc_offset),
        body_max: check.number(at("body_max"), low.body_max, 1024..=BODY_MAX),
        body_timeout: check.duration(
            at("body_timeout"),
            low.body_timeout,
            Duration::from_millis(100)..=Duration::from_mins(5),
        ),
        rate: check.number(at("rate"), low.rate, 1..=1_000_000),
    }
}

fn provider(
    check: &mut Check<'_>,
    at: &impl Fn(&'static str) -> At,
    name: Option<String>,
    file: Option<PathBuf>,
) -> ProviderChoice {
    match (name, file) {
        (Some(name), None) => ProviderChoice::Embedded(name),
        (None, Some(file)) => ProviderChoice::File(check.readable(at("provider_file"), Some(file)).unwrap_or_default()),
        (Some(name), Some(_)) => {
            let remedy = "keep one of the two";
            check.report(at("provider_file"), "and \"provider\" are both given", remedy);
            ProviderChoice::Embedded(name)
        }
        (None, None) => {
            if !check.given(at("provider")) && !check.given(at("provider_file")) {
                let remedy = "give it, such as \"clerk\", or a file of your own with \"provider_file\"";
                check.report(at("provider"), "is missing", remedy);
            }
            ProviderChoice::Embedded(String::new())
        }
    }
}

fn header(check: &mut Check<'_>, at: At, header: Option<String>) -> Option<String> {
    let name = header?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(token) {
        check.report(
            at,
            format_args!("is {name:?}"),
            "give the name of a header, such as \"X-Hook-Token\"",
        );
    }
    Some(name)
}

fn offset(check: &mut Check<'_>, at: At, text: &str) -> UtcOffset {
    let format = time::macros::format_description!("[offset_hour sign:mandatory]:[offset_minute]");
    UtcOffset::parse(text, format).unwrap_or_else(|_| {
        check.report(
            at,
            format_args!("is {text:?}"),
            "give hours and minutes, such as \"+05:30\"",
        );
        UtcOffset::UTC
    })
}
