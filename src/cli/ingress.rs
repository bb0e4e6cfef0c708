//! `rollcall ingress`, and the same listener inside of `rollcall run`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::start::patiently;
use super::topology::stream_for_publishing;
use super::{Setup, print_json, say};
use crate::config::Config;
use crate::ingress::{self, Connected, Counts, EdgeSettings, Endpoint, IngressError};
use crate::jetstream::{self, Broker, BrokerError, ConnectSettings};
use crate::shutdown::Shutdown;
use crate::wiring;

/// Arguments of `rollcall ingress`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall ingress                           take webhooks until SIGTERM\n  rollcall ingress --listen 127.0.0.1:8081   at this address, whatever the configuration says\n\nEach [[ingress]] of the configuration is an endpoint POST /webhooks/<name>. A request is answered 2xx when the stream has\nwhat it became, and 503 with Retry-After while the broker cannot take it. GET /readyz says whether it can.\n`rollcall run` takes webhooks too where [http] ingress_listen is set. Needs the broker, and no database."
)]
pub(super) struct Args {
    /// Where to listen, instead of `[http] ingress_listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Print the counts as one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

/// The address is ours and nothing is taken yet.
pub(super) struct Bound {
    listener: TcpListener,
    settings: EdgeSettings,
}

/// Makes the endpoints and takes the address, before anything else is begun.
pub(super) async fn bind(config: &Config, address: SocketAddr) -> anyhow::Result<Bound> {
    let endpoints: Vec<Endpoint> = wiring::endpoints(config)?;
    if endpoints.is_empty() {
        return Err(Setup("there is no [[ingress]] in the configuration: nobody would be believed".into()).into());
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for webhooks"))?;
    Ok(Bound {
        listener,
        settings: EdgeSettings {
            endpoints,
            connections: config.http.ingress_connections,
            trusted_proxies: config.http.trusted_proxies.clone(),
            dead_prefix: config.dead_letters.subject_prefix.clone(),
            subjects: wiring::subjects(config),
        },
    })
}

impl Bound {
    /// Takes webhooks until the stop.
    pub(super) async fn serve(
        self,
        broker: Connected,
        stop: CancellationToken,
    ) -> Result<BTreeMap<String, Counts>, IngressError> {
        let address = self.listener.local_addr().map(|address| address.to_string());
        tracing::info!(
            address = address.unwrap_or_default(),
            endpoints = self.settings.endpoints.len(),
            "taking webhooks"
        );
        ingress::serve(self.listener, self.settings, broker, stop).await
    }
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::on_signals(config.worker.grace).context("signals cannot be listened for")?;
    let address = args.listen.or(config.http.ingress_listen);
    let address = address.ok_or(Setup(
        "no address for webhooks: give --listen, or ingress_listen in [http]".into(),
    ))?;
    let bound = bind(config, address).await?;
    let connected = Connected::default();
    // Senders do not wait for the broker: they are told to come again.
    let taking = tokio::spawn(bound.serve(Arc::clone(&connected), shutdown.soft.clone()));
    let settings = wiring::broker(config);
    let connecting = patiently("the broker", &shutdown, || async {
        connect(config, &settings)
            .await
            .map_err(|error| (error.is_transient(), error.into()))
    });
    let broker = connecting.await?;
    if let Some(broker) = &broker {
        ready(config, broker, &connected);
    }
    let counts = taking.await.context("taking webhooks ended early")??;
    if let Some(broker) = broker {
        broker.close().await;
    }
    if args.json {
        print_json(&counts)?;
    } else {
        say_counts(&counts)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ready(config: &Config, broker: &Broker, connected: &Connected) {
    if let Some(warning) = broker.version_warning() {
        tracing::warn!("{warning}");
    }
    warn(config, broker);
    let _ = connected.set(broker.clone());
    tracing::info!("the broker is there");
}

/// What is not as it should be about the endpoints, at this broker.
pub(super) fn warn(config: &Config, broker: &Broker) {
    for warning in wiring::endpoint_warnings(config, broker.max_payload()) {
        tracing::warn!("{warning}");
    }
}

/// Without the streams nothing could be acknowledged.
async fn connect(config: &Config, settings: &ConnectSettings) -> Result<Broker, BrokerError> {
    let broker = jetstream::connect(settings).await?;
    stream_for_publishing(config, &broker).await?;
    broker
        .ensure_stream(&wiring::dead_letters(config), wiring::manage(config))
        .await?;
    Ok(broker)
}

fn say_counts(counts: &BTreeMap<String, Counts>) -> anyhow::Result<()> {
    for (name, counts) in counts {
        let name = if name.is_empty() { "(no endpoint)" } else { name };
        let requests: Vec<String> = counts
            .requests
            .iter()
            .map(|(outcome, number)| format!("{outcome:?} {number}").to_lowercase())
            .collect();
        let unknown: u64 = counts.unknown.values().sum();
        say(&format!(
            "{name}: {}; {} events published, {} ignored, {unknown} unknown, {} dead letters",
            requests.join(", "),
            counts.events,
            counts.ignored,
            counts.letters
        ))?;
    }
    Ok(())
}
