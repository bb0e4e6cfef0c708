//! Passwords, tokens and addresses that may contain them. None of the types here shows its content in `Debug` or
//! `Display`; only `expose` does, and it is easy to search for.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Longest file that can be named for a secret, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// Why a file gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read, or is no text.
    #[error("cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is empty, or longer than any secret.
    #[error("is empty or longer than 64 KiB")]
    NoSecret,
}

/// The content of a file that holds a secret, without the newline at its end.
///
/// # Errors
/// There is none to be had.
pub fn secret_file(path: &Path) -> Result<SecretString, SecretFileError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_LIMIT + 1).read_to_string(&mut text));
    read.map_err(SecretFileError::Unreadable)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() as u64 > SECRET_LIMIT {
        return Err(SecretFileError::NoSecret);
    }
    Ok(SecretString::from(secret))
}

/// A secret text of the low form.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Hidden(String);

impl Hidden {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn into_secret(self) -> SecretString {
        SecretString::from(self.0)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// An address that may contain a password. `Debug` and `Display` show it without.
#[derive(Clone)]
pub struct SecretUrl {
    secret: SecretString,
    redacted: String,
}

impl SecretUrl {
    /// Keeps `url`, showing only `redacted`.
    pub(super) fn new(url: &str, redacted: String) -> Self {
        Self {
            secret: SecretString::from(url),
            redacted,
        }
    }

    /// The address as configured, password and all: for the driver that connects, for nobody else.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The address for messages: scheme, user name (PostgreSQL only), host, port and database or file.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted, f)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted)
    }
}
