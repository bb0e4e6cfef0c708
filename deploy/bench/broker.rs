//! A private nats-server for one workload. It is filled without syncing every write, which would take ten times as long,
//! and started again as production has it before anything is measured.

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream::Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rollcall::config::Config;
use rollcall::jetstream::{ConnectSettings, Manage};
use rollcall::wiring;
use std::future::IntoFuture as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::drain::processor;
use crate::harness::process::{Ending, Guarded};
use crate::harness::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(30);
/// Messages on their way while a stream is filled.
const IN_FLIGHT: usize = 512;
/// The stream of the shipped configuration.
pub(crate) const STREAM: &str = "USERS";

/// When the server writes to its disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Now and then: for filling.
    Lazily,
    /// At every message, as in production.
    Always,
}

pub(crate) struct Broker {
    program: PathBuf,
    folder: PathBuf,
    process: Option<Guarded>,
    starts: u32,
    port: u16,
    pub(crate) context: jetstream::Context,
    /// Messages in the stream.
    pub(crate) messages: u64,
}

/// An event as it is published.
pub(crate) struct Event {
    pub(crate) subject: &'static str,
    pub(crate) payload: Bytes,
}

impl Broker {
    /// With these events in its stream.
    pub(crate) async fn filled(program: &Path, folder: &Path, events: impl Iterator<Item = Event>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (process, port) = launch(program, folder, 1, 0, Sync::Lazily).await?;
        let context = jetstream::new(async_nats::connect(url(port)).await?);
        let mut broker = Self {
            program: program.to_path_buf(),
            folder: folder.to_path_buf(),
            process: Some(process),
            starts: 1,
            port,
            context,
            messages: 0,
        };
        let settings = ConnectSettings {
            url: broker.url(),
            name: "bench".to_owned(),
            ..ConnectSettings::default()
        };
        let connection = rollcall::jetstream::connect(&settings).await?;
        // Exactly the stream that the worker would make.
        let stream = wiring::events(&Config::default());
        connection.ensure_stream(&stream, Manage::Create).await?;
        connection.close().await;
        broker.publish(events).await?;
        broker.restart(Sync::Always).await?;
        Ok(broker)
    }

    /// Its processor time so far, in seconds.
    pub(crate) fn processor(&self) -> f64 {
        self.process.as_ref().map_or(0.0, |process| processor(process.pid()))
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// More events, with the server syncing as it does at the moment; in this order.
    pub(crate) async fn publish(&mut self, events: impl Iterator<Item = Event>) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        let mut waiting = FuturesUnordered::new();
        for event in events {
            let sent = self
                .context
                .publish_with_headers(event.subject, headers.clone(), event.payload);
            waiting.push(sent.await?.into_future());
            self.messages += 1;
            while waiting.len() >= IN_FLIGHT {
                waiting.next().await.transpose()?;
            }
        }
        while waiting.next().await.transpose()?.is_some() {}
        let held = self.context.get_stream(STREAM).await?.cached_info().state.messages;
        ensure!(
            held == self.messages,
            "the stream has {held} messages, not {}",
            self.messages
        );
        Ok(())
    }

    /// The number that the next message gets.
    pub(crate) async fn next_sequence(&self) -> Result<u64> {
        let state = self.context.get_stream(STREAM).await?.cached_info().state.clone();
        Ok(state.last_sequence + 1)
    }

    pub(crate) async fn stream(&self) -> Result<Stream<()>> {
        Ok(self.context.get_stream_no_info(STREAM).await?)
    }

    async fn restart(&mut self, sync: Sync) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM")?;
            process.ended(PATIENCE).await?;
        }
        self.starts += 1;
        let (process, port) = launch(&self.program, &self.folder, self.starts, self.port, sync).await?;
        self.process = Some(process);
        self.port = port;
        self.context = jetstream::new(async_nats::connect(self.url()).await?);
        Ok(())
    }
}

fn url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

/// A server on this port, or on a free one of its own choice for port 0.
async fn launch(program: &Path, folder: &Path, start: u32, port: u16, sync: Sync) -> Result<(Guarded, u16)> {
    let ports = folder.join(format!("ports-{start}"));
    std::fs::create_dir_all(&ports)?;
    let listen = if port == 0 { -1 } else { i32::from(port) };
    let interval = match sync {
        Sync::Lazily => "\"2m\"",
        Sync::Always => "always",
    };
    let config = folder.join("nats.conf");
    std::fs::write(
        &config,
        format!(
            "listen: \"127.0.0.1:{listen}\"\nports_file_dir: \"{}\"\njetstream {{ store_dir: \"{}\", \
             sync_interval: {interval}, max_file_store: 16GB, max_memory_store: 64MB }}\n",
            ports.display(),
            folder.join("store").display(),
        ),
    )?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&config);
    let mut process = Guarded::start(&command, folder, &format!("nats-{start}"), Ending::Kill)?;
    let name = program.file_name().context("a program")?.to_string_lossy();
    let file = ports.join(format!("{name}_{}.ports", process.pid()));
    let started = wait_for("nats-server", PATIENCE, async || match process.exited() {
        Ok(None) if process.stderr().contains("Server is ready") => port_in(&file).map(Ok),
        Ok(None) => None,
        ended => Some(Err(format!(
            "nats-server did not start: {ended:?}\n{}",
            process.stderr()
        ))),
    });
    match started.await? {
        Ok(port) => Ok((process, port)),
        Err(error) => bail!(error),
    }
}

fn port_in(file: &Path) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}
