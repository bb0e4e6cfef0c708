//! One endpoint: whose requests it takes, how they are proved, what they become. The judgement is pure.

use std::time::Duration;

use time::UtcOffset;

use super::provider::{Provider, ProviderError};
use super::signature::{Credentials, Received, Rejection, Unusable, Verifier};
use super::translation::{Local, Translation, translate};

/// What an endpoint is made of.
#[derive(Debug, Clone)]
pub struct EndpointSettings {
    /// The last part of its path: `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// Whose webhooks they are.
    pub provider: Provider,
    /// Its secrets and keys.
    pub credentials: Credentials,
    /// Of times that have no offset.
    pub offset: UtcOffset,
    /// The source of its events, whatever their bodies say: so its secret vouches for one source only.
    pub source: Option<String>,
    /// Most bytes of a body.
    pub body_max: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Requests a second from one address.
    pub rate: u32,
}

/// Why endpoints cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// The provider cannot be used.
    #[error("endpoint {endpoint} cannot be made")]
    Provider {
        /// Its name.
        endpoint: String,
        /// Why not.
        source: ProviderError,
    },
    /// The file of a provider cannot be read.
    #[error("endpoint {endpoint}: the provider's file {file} cannot be read")]
    File {
        /// Its name.
        endpoint: String,
        /// As it is configured.
        file: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The secrets do not fit the provider.
    #[error("endpoint {endpoint}: {what}")]
    Unusable {
        /// Its name.
        endpoint: String,
        /// Why not.
        what: String,
    },
}

/// An endpoint, ready to judge.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) settings: EndpointSettings,
    verifier: Verifier,
}

impl Endpoint {
    /// An endpoint of these settings.
    ///
    /// # Errors
    /// The secrets do not fit the provider.
    pub fn new(settings: EndpointSettings) -> Result<Self, IngressError> {
        let verifier = Verifier::new(&settings.provider.schemes, &settings.credentials);
        let verifier = verifier.map_err(|Unusable(what)| IngressError::Unusable {
            endpoint: settings.name.clone(),
            what,
        })?;
        Ok(Self { settings, verifier })
    }

    /// What a request becomes; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// It is not from whom it claims to be.
    pub fn judge(&self, received: &Received<'_>, now: i64) -> Result<Translation, Rejection> {
        let verified = self.verifier.verify(received, now)?;
        let settings = &self.settings;
        Ok(translate(
            &settings.provider,
            &verified,
            received.headers,
            Local {
                offset: settings.offset,
                source: settings.source.as_deref(),
            },
        ))
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its keys.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}
