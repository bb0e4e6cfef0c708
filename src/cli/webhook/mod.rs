//! `rollcall webhook`: what it takes to set up a provider without guessing.

mod send;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use time::UtcOffset;

use super::Setup;
use crate::config::{Config, secret_file};
use crate::failure;
use crate::ingress::provider::Provider;
use crate::ingress::signature::{Credentials, Jwks};
use crate::ingress::{Endpoint, EndpointSettings, IngressError};
use crate::wiring;

/// Commands about webhooks.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  rollcall webhook verify --provider clerk --secret-file clerk.secret request.json")]
pub(super) enum Command {
    /// Say whether a request would be believed, and what it would become.
    Verify(verify::Args),
    /// Sign a sample and post it to a running ingress.
    Send(send::Args),
}

/// Whose requests: an endpoint of the configuration, or a provider with its secret.
#[derive(Debug, clap::Args)]
struct Whose {
    /// An endpoint of the configuration: provider, secrets and everything else.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["provider", "secret_file"])]
    endpoint: Option<String>,
    /// The provider: one of the embedded ones, or a file of the same format.
    #[arg(long, required_unless_present = "endpoint")]
    provider: Option<String>,
    /// A file that holds the secret, or a set of public keys (JWKS); twice while secrets are exchanged.
    #[arg(long, value_name = "FILE", required_unless_present = "endpoint")]
    secret_file: Vec<PathBuf>,
    /// Which of the provider's schemes; by default what fits the secret.
    #[arg(long, conflicts_with = "endpoint")]
    scheme: Option<String>,
    /// The header of a static secret.
    #[arg(long, conflicts_with = "endpoint")]
    header: Option<String>,
    /// Who has to have issued a token.
    #[arg(long, conflicts_with = "endpoint")]
    issuer: Option<String>,
    /// For whom a token has to be meant.
    #[arg(long, conflicts_with = "endpoint")]
    audience: Option<String>,
}

pub(super) async fn run(command: &Command, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(args) => verify::run(args, config),
        Command::Send(args) => send::run(args, config).await,
    }
}

impl Whose {
    fn endpoint(&self, config: &Config) -> anyhow::Result<Endpoint> {
        if let Some(name) = &self.endpoint {
            let found = wiring::endpoints(config)?
                .into_iter()
                .find(|endpoint| endpoint.name() == name);
            return Ok(found.ok_or(Setup(
                "there is no [[ingress]] of this name in the configuration".into(),
            ))?);
        }
        let name = self.provider.clone().unwrap_or_default();
        let provider = provider(&name)?;
        let mut credentials = Credentials {
            scheme: self.scheme.clone(),
            header: self.header.clone(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            ..Credentials::default()
        };
        for file in &self.secret_file {
            let secret = secret(file)?;
            let text = secret.expose_secret();
            if Jwks::is_one(text) {
                let jwks = Jwks::parse(text).map_err(|error| unusable(&name, error.0))?;
                credentials.jwks = Some(jwks);
            } else {
                credentials.secrets.push(secret);
            }
        }
        Ok(Endpoint::new(EndpointSettings {
            name,
            provider,
            credentials,
            offset: UtcOffset::UTC,
            source: None,
            body_max: usize::MAX,
            body_timeout: Duration::MAX,
            rate: u32::MAX,
        })?)
    }
}

fn unusable(endpoint: &str, what: String) -> IngressError {
    IngressError::Unusable {
        endpoint: endpoint.to_owned(),
        what,
    }
}

/// An embedded provider by its name, any other by its file.
fn provider(name: &str) -> Result<Provider, IngressError> {
    let trouble = |source| IngressError::Provider {
        endpoint: name.to_owned(),
        source,
    };
    if !name.contains(['/', '.']) {
        return Provider::embedded(name).map_err(trouble);
    }
    let text = std::fs::read_to_string(name).map_err(|source| IngressError::File {
        endpoint: name.to_owned(),
        file: name.to_owned(),
        source,
    })?;
    Provider::parse(name, &text).map_err(trouble)
}

fn secret(file: &Path) -> Result<SecretString, IngressError> {
    secret_file(file).map_err(|error| {
        let what = format!("the secret's file {} {}", file.display(), failure::chain(&error));
        unusable("", what)
    })
}

/// A file, or standard input.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
