//! Is a request from whom it claims to be? Pure: the clock is an argument, and every byte is looked at as it came.
//!
//! A verdict says for people why it is a refusal; none of it ever goes back to the sender. Nothing of a request is
//! read as JSON here, except the claims of a token whose signature is good.

mod digest;
mod fixed;
mod jwks;
mod jws;
mod listed;
mod sign;
mod stamped;
mod standard;

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use digest::Digest;
use fixed::Fixed;
pub use jwks::Jwks;
use jws::Jws;
pub use sign::Signed;
use stamped::Stamped;
use standard::Standard;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Names and values; names compare ignoring case.
    pub headers: &'a [(String, String)],
    /// Byte for byte.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The value of a header that must be there, once.
    fn header(&self, name: &str) -> Result<&'a str, Rejection> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (Some(_), Some(_)) => Err(Rejection::Malformed(format!("header {name} is there more than once"))),
            (None, _) => Err(Rejection::Missing(name.to_owned())),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// How text stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits a byte, in either case.
    Hex,
    /// The standard alphabet, padded or not.
    Base64,
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => unbase64(text),
        }
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => crate::domain::hex(bytes),
            Self::Base64 => base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes),
        }
    }
}

/// A scheme as a provider's file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scheme {
    /// Standard Webhooks 1.0: HMAC (`v1`) or Ed25519 (`v1a`) over id, timestamp and body.
    StandardWebhooks {
        /// How far the timestamp may lie from now, either way, in seconds.
        #[serde(default = "five_minutes")]
        tolerance: i64,
    },
    /// HMAC of the body.
    Hmac {
        /// The header that holds it.
        header: String,
        /// How it is written.
        encoding: Encoding,
        /// Hash functions that are accepted; which one it is follows from the length.
        #[serde(default = "only_sha256")]
        algorithms: Vec<digest::Hash>,
        /// What stands before it, such as `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// `t=…,v1=…`: HMAC of timestamp and body.
    TimestampedHmac {
        /// The header that holds both.
        header: String,
        /// What the timestamp counts.
        unit: stamped::Unit,
        /// How far it may lie from now, either way, in seconds.
        tolerance: i64,
    },
    /// A header that is always the same: a bearer token, name and password, or a value of one's own.
    Static {
        /// The header, unless the endpoint names another.
        #[serde(default = "authorization")]
        header: String,
    },
    /// A token in a header, with a claim that holds the SHA-256 of the body.
    Jws {
        /// The header; `Bearer` before the token is skipped.
        header: String,
        /// The claim with the hash of the body.
        claim: String,
        /// How the hash is written.
        encoding: Encoding,
    },
    /// A security event token (RFC 8417): the body is the token, its claims are what is translated.
    Set {
        /// What the header of the token has to say as `typ`.
        typ: Option<String>,
    },
}

fn five_minutes() -> i64 {
    300
}

fn only_sha256() -> Vec<digest::Hash> {
    vec![digest::Hash::Sha256]
}

fn authorization() -> String {
    "authorization".to_owned()
}

impl Scheme {
    /// As it is written in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StandardWebhooks { .. } => "standard-webhooks",
            Self::Hmac { .. } => "hmac",
            Self::TimestampedHmac { .. } => "timestamped-hmac",
            Self::Static { .. } => "static",
            Self::Jws { .. } => "jws",
            Self::Set { .. } => "set",
        }
    }

    /// Whether its keys may be a set of public ones.
    fn takes_jwks(&self) -> bool {
        matches!(self, Self::Jws { .. } | Self::Set { .. })
    }
}

/// What an endpoint is configured with.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// One secret, or two while they are exchanged.
    pub secrets: Vec<SecretString>,
    /// Public keys, where the sender signs with a private one.
    pub jwks: Option<Jwks>,
    /// Which of the provider's schemes; without it, what fits the secrets.
    pub scheme: Option<String>,
    /// The header of a static secret, instead of the provider's.
    pub header: Option<String>,
    /// Who has to have issued a token.
    pub issuer: Option<String>,
    /// For whom a token has to be meant.
    pub audience: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header is not there.
    #[error("header {0} is missing")]
    Missing(String),
    /// Something is not written as it has to be.
    #[error("{0}")]
    Malformed(String),
    /// The timestamp lies too far back.
    #[error("the timestamp is {0} s old, which is too old: a replay, or a clock that is wrong")]
    TooOld(i64),
    /// The timestamp lies too far ahead.
    #[error("the timestamp lies {0} s in the future: a clock that is wrong")]
    InFuture(i64),
    /// No signature is one of ours.
    #[error("no signature fits: another secret, or another body than the one that was signed")]
    WrongSignature,
    /// The static header has another value.
    #[error("header {0} has another value than the secret")]
    WrongValue(String),
    /// A claim of a token is not what it has to be.
    #[error("claim {0} {1}")]
    Claim(&'static str, &'static str),
    /// The header of a token is not what it has to be.
    #[error("the token's {0}")]
    Token(&'static str),
}

/// Why a set of credentials cannot be used with a scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// A good request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'a> {
    /// What is to be translated: the body, or the claims of a token that was the body.
    pub content: Cow<'a, [u8]>,
    /// The id of the message that the signature covers, where the scheme has one.
    pub delivery: Option<String>,
}

impl<'a> Verified<'a> {
    fn body(received: &Received<'a>) -> Self {
        Self {
            content: Cow::Borrowed(received.body),
            delivery: None,
        }
    }
}

/// One scheme with its keys, ready to judge.
#[derive(Debug, Clone)]
pub struct Verifier {
    scheme: Scheme,
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    Standard(Standard),
    Digest(Digest),
    Stamped(Stamped),
    Fixed(Fixed),
    Jws(Jws),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Verifier {
    /// One of the provider's schemes with the keys of an endpoint.
    ///
    /// # Errors
    /// The credentials do not fit any, or not the one that is asked for.
    pub fn new(schemes: &[Scheme], credentials: &Credentials) -> Result<Self, Unusable> {
        let scheme = chosen(schemes, credentials)?.clone();
        if credentials.secrets.is_empty() && !(scheme.takes_jwks() && credentials.jwks.is_some()) {
            let what = if scheme.takes_jwks() {
                "a secret or a set of public keys (JWKS)"
            } else {
                "a secret"
            };
            return Err(Unusable(format!("{} needs {what}", scheme.name())));
        }
        let secrets = credentials.secrets.iter().map(ExposeSecret::expose_secret);
        let keys = match &scheme {
            Scheme::StandardWebhooks { tolerance } => Keys::Standard(Standard::new(secrets, *tolerance)?),
            Scheme::Hmac {
                header,
                encoding,
                algorithms,
                prefix,
            } => Keys::Digest(Digest::new(secrets, header, *encoding, algorithms, prefix)),
            Scheme::TimestampedHmac {
                header,
                unit,
                tolerance,
            } => Keys::Stamped(Stamped::new(secrets, header, *unit, *tolerance)),
            Scheme::Static { header } => {
                let header = credentials.header.as_ref().unwrap_or(header);
                Keys::Fixed(Fixed::new(secrets, header))
            }
            Scheme::Jws {
                header,
                claim,
                encoding,
            } => Keys::Jws(Jws::over_body(secrets, credentials, header, claim, *encoding)),
            Scheme::Set { typ } => Keys::Jws(Jws::as_body(secrets, credentials, typ.as_deref())?),
        };
        Ok(Self { scheme, keys })
    }

    /// The name of the scheme.
    pub fn scheme(&self) -> &'static str {
        self.scheme.name()
    }

    /// Judges a request; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// Why it is refused, for the operator.
    pub fn verify<'a>(&self, received: &Received<'a>, now: i64) -> Result<Verified<'a>, Rejection> {
        match &self.keys {
            Keys::Standard(keys) => keys.verify(received, now),
            Keys::Digest(keys) => keys.verify(received),
            Keys::Stamped(keys) => keys.verify(received, now),
            Keys::Fixed(keys) => keys.verify(received),
            Keys::Jws(keys) => keys.verify(received, now),
        }
    }
}

/// The scheme that is asked for; else the first that fits what is configured: public keys are for tokens, what begins
/// with `whsec_` or `whpk_` is a key of Standard Webhooks, and anything else is not.
fn chosen<'a>(schemes: &'a [Scheme], credentials: &Credentials) -> Result<&'a Scheme, Unusable> {
    let known = || schemes.iter().map(Scheme::name).collect::<Vec<_>>().join(", ");
    if let Some(name) = &credentials.scheme {
        let found = schemes.iter().find(|scheme| scheme.name() == name);
        return found.ok_or_else(|| Unusable(format!("the provider has no scheme {name:?}, only {}", known())));
    }
    if credentials.jwks.is_some() {
        let found = schemes.iter().find(|scheme| scheme.takes_jwks());
        return found.ok_or_else(|| Unusable(format!("public keys are of no use to {}", known())));
    }
    let standard = |scheme: &&Scheme| matches!(scheme, Scheme::StandardWebhooks { .. });
    let marked = |secret: &SecretString| standard::is_marked(secret.expose_secret());
    let found = if !credentials.secrets.is_empty() && !credentials.secrets.iter().all(marked) {
        schemes.iter().find(|scheme| !standard(scheme))
    } else {
        schemes.iter().find(standard)
    };
    found
        .or(schemes.first())
        .ok_or_else(|| Unusable("the provider has no [[signature]]".to_owned()))
}

/// Judges a timestamp; all three in seconds.
fn within(stamp: i64, now: i64, tolerance: i64) -> Result<(), Rejection> {
    let age = now.saturating_sub(stamp);
    if age > tolerance {
        return Err(Rejection::TooOld(age));
    }
    if age < -tolerance {
        return Err(Rejection::InFuture(-age));
    }
    Ok(())
}

/// Digits and nothing else, as no sender writes a sign or a blank.
fn timestamp(text: &str) -> Result<i64, Rejection> {
    let digits = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| Rejection::Malformed("the timestamp is not a number".to_owned()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    base64::Engine::decode(&ENGINE, text).ok()
}

fn unbase64_url(text: &str) -> Option<Vec<u8>> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).ok()
}
