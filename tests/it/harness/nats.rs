//! A private nats-server with `JetStream`, syncing every write, on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall::jetstream::{Broker, ConnectSettings, OLDEST, Version, connect};
use tempfile::TempDir;

use super::process::{Ending, Guarded};
use super::wait::wait_for;
use super::{HOW_TO_GET, on_path};

const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running server; killed on drop.
pub struct Nats {
    process: Option<Guarded>,
    folder: TempDir,
    binary: PathBuf,
    extra: String,
    port: u16,
    starts: u32,
}

impl Nats {
    /// The server found by `ROLLCALL_NATS_SERVER`, on PATH, or where `deploy/test.sh` puts it.
    pub async fn start() -> Result<Self> {
        Self::start_with(found()?, "").await
    }

    /// The same with further lines of configuration (users, TLS …).
    pub async fn configured(extra: &str) -> Result<Self> {
        Self::start_with(found()?, extra).await
    }

    /// A certain version, from `target/tools/nats-server-<version>/nats-server`.
    pub async fn of_version(version: &str) -> Result<Self> {
        let binary = tools().join(format!("nats-server-{version}/nats-server"));
        if !binary.is_file() {
            bail!("nats-server {version} is not at {}: {HOW_TO_GET}", binary.display());
        }
        Self::start_with(binary, "").await
    }

    async fn start_with(binary: PathBuf, extra: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rollcall-nats-").tempdir()?;
        let extra = extra.to_owned();
        let mut nats = Self {
            process: None,
            folder,
            binary,
            extra,
            port: 0,
            starts: 0,
        };
        nats.launch().await?;
        Ok(nats)
    }

    /// A folder of this server for further files; removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Without credentials.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Settings that connect to it, for a server without users.
    pub fn settings(&self) -> ConnectSettings {
        ConnectSettings {
            url: self.url(),
            name: "test".to_owned(),
            ..ConnectSettings::default()
        }
    }

    /// A connection without credentials.
    pub async fn connect(&self) -> Result<Broker> {
        connect(&self.settings()).await.with_context(|| self.log())
    }

    /// Ends it with SIGKILL, as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal("KILL")?;
        process.ended(START_DEADLINE).await?;
        Ok(())
    }

    /// Starts it again after [`Self::kill`]: same port, same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.launch().await
    }

    /// Freezes it: connections stay open, nothing answers.
    pub async fn freeze(&mut self) -> Result<()> {
        self.process.as_mut().context("a running server")?.freeze().await
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.process.as_mut().context("a running server")?.thaw()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Guarded::stderr).unwrap_or_default()
    }

    async fn launch(&mut self) -> Result<()> {
        self.starts += 1;
        let root = self.folder.path().to_path_buf();
        let ports = root.join(format!("ports-{}", self.starts));
        fs::create_dir_all(&ports)?;
        let listen = if self.port == 0 { -1 } else { i32::from(self.port) };
        let config = root.join("nats.conf");
        fs::write(
            &config,
            format!(
                "listen: \"127.0.0.1:{listen}\"\nports_file_dir: \"{}\"\n\
                 jetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 1GB, max_memory_store: 64MB }}\n{}\n",
                ports.display(),
                root.join("store").display(),
                self.extra
            ),
        )?;
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(&config);
        let mut process = Guarded::start(&command, &root, &format!("nats-{}", self.starts), Ending::Kill)?;
        let ports = ports.join(format!("{}_{}.ports", self.binary_name(), process.pid()));
        let started = wait_for("nats-server", START_DEADLINE, async || match process.exited() {
            Ok(None) => port_in(&ports).map(Ok),
            ended => Some(Err(format!(
                "nats-server did not start: {ended:?}\n{}",
                process.stderr()
            ))),
        });
        self.port = started.await?.map_err(anyhow::Error::msg)?;
        self.process = Some(process);
        Ok(())
    }

    fn binary_name(&self) -> String {
        self.binary
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

fn port_in(file: &Path) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

fn found() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("ROLLCALL_NATS_SERVER") {
        let given = PathBuf::from(given);
        match version(&given) {
            Some(version) if version >= OLDEST => return Ok(given),
            other => bail!(
                "ROLLCALL_NATS_SERVER={} is no nats-server from 2.10 on ({other:?})",
                given.display()
            ),
        }
    }
    let candidates = on_path("nats-server")
        .into_iter()
        .chain([tools().join("bin/nats-server")]);
    candidates
        .into_iter()
        .find(|binary| version(binary).is_some_and(|version| version >= OLDEST))
        .with_context(|| format!("no nats-server from 2.10 on, neither on PATH nor in target/tools/bin: {HOW_TO_GET}"))
}

/// From `nats-server: v2.12.8`.
fn version(binary: &Path) -> Option<Version> {
    let output = Command::new(binary).arg("--version").output().ok()?;
    Version::parse(String::from_utf8(output.stdout).ok()?.rsplit(' ').next()?)
}
