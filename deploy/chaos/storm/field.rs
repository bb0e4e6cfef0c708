//! The field: broker, database, a proxy before each, and workers that are started again whenever they die.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

use super::Order;
use super::cluster::Cluster;
use super::plan::Database;
use crate::harness::nats::Nats;
use crate::harness::process::{Ending, Guarded};
use crate::harness::proxy::Proxy;

/// Workers at the same time where the database can be shared.
const WORKERS: usize = 3;
/// How long the broker waits for an acknowledgement; some freezes take longer.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(4);
/// A stop takes at most its grace period and a few seconds.
const END: Duration = Duration::from_secs(30);

/// What a worker works by, beside the addresses. Small batches make many commits; a database that is silent is noticed
/// sooner than by default.
const CONFIGURATION: &str = r#"
[consumer]
ack_wait = "4s"
max_ack_pending = 2000

[worker]
batch_max = 200
grace = "10s"

[[profiles]]
type = "client"
activation_creates = ["player"]

[[profiles]]
type = "player"
create_on = "activation"

[[source]]
source = "https://few.example.com"
allow = ["user.updated"]

[telemetry]
log = "info"
format = "json"
"#;

pub(super) struct Field {
    pub(super) nats: Mutex<Nats>,
    pub(super) broker_url: String,
    pub(super) broker_road: Proxy,
    pub(super) cluster: Option<Mutex<Cluster>>,
    /// Leads straight to the database.
    pub(super) store_url: String,
    pub(super) store_road: Option<Proxy>,
    pub(super) seats: Vec<Mutex<Seat>>,
    /// Workers that ended without having been killed.
    pub(super) ended: AtomicUsize,
}

/// The place of one worker.
pub(super) struct Seat {
    name: String,
    process: Option<Guarded>,
    lives: u32,
    place: Place,
}

#[derive(Clone)]
struct Place {
    program: PathBuf,
    folder: PathBuf,
    sabotage: Option<String>,
}

impl Field {
    pub(super) async fn prepare(order: &Order) -> Result<Self> {
        let nats = Nats::start().await?;
        let broker_url = nats.url();
        let broker_road = Proxy::before(&broker_url).await?;
        let (cluster, store_url, store_road) = match order.database {
            Database::Postgres => {
                let programs = order
                    .postgres
                    .as_deref()
                    .context("the programs of a PostgreSQL server")?;
                let cluster = Cluster::start(programs).await?;
                let url = cluster.url();
                let road = Proxy::before(&url).await?;
                (Some(Mutex::new(cluster)), url, Some(road))
            }
            Database::Sqlite => {
                let file = order.folder.join("rollcall.db");
                (None, format!("sqlite://{}", file.display()), None)
            }
        };
        let configuration = format!(
            "[nats]\nurl = \"{}\"\n[store]\nurl = \"{}\"\nstatement_timeout = \"3s\"\nlock_timeout = \"1s\"\n{CONFIGURATION}",
            broker_road.url(),
            store_road.as_ref().map_or(store_url.as_str(), Proxy::url),
        );
        std::fs::write(order.folder.join("config.toml"), configuration)?;
        let place = Place {
            program: order.rollcall.clone(),
            folder: order.folder.clone(),
            sabotage: order.sabotage.clone(),
        };
        let workers = if order.database == Database::Postgres {
            WORKERS
        } else {
            1
        };
        let seat = |number| {
            Mutex::new(Seat {
                name: format!("worker-{number}"),
                process: None,
                lives: 0,
                place: place.clone(),
            })
        };
        Ok(Self {
            nats: Mutex::new(nats),
            broker_url,
            broker_road,
            cluster,
            store_url,
            store_road,
            seats: (1..=workers).map(seat).collect(),
            ended: AtomicUsize::new(0),
        })
    }

    /// Starts whoever is not there, and counts who has left by itself.
    pub(super) fn look_after(&self) -> Result<()> {
        for seat in &self.seats {
            // Whoever has a seat in hand looks after it.
            let Ok(mut seat) = seat.try_lock() else { continue };
            if let Some(process) = &mut seat.process
                && let Some(status) = process.exited()?
            {
                self.ended.fetch_add(1, Ordering::Relaxed);
                super::tell(&format!("{} ended by itself with {status}", seat.name));
                seat.process = None;
            }
            if seat.process.is_none() {
                seat.sit()?;
            }
        }
        Ok(())
    }

    /// Stops all workers as an operator would; those that do not end well are counted.
    pub(super) async fn dismiss(&self) -> Result<()> {
        for seat in &self.seats {
            let mut seat = seat.lock().await;
            let Some(mut process) = seat.process.take() else {
                continue;
            };
            process.signal("TERM")?;
            let status = process.ended(END).await?;
            if !status.success() {
                self.ended.fetch_add(1, Ordering::Relaxed);
                super::tell(&format!("{} was stopped and ended with {status}", seat.name));
            }
        }
        Ok(())
    }
}

impl Seat {
    fn sit(&mut self) -> Result<()> {
        self.lives += 1;
        let mut command = self.place.command(&["run"]);
        if let Some(sabotage) = &self.place.sabotage {
            command.env("ROLLCALL_SABOTAGE", sabotage);
        }
        let name = format!("{}-{}", self.name, self.lives);
        self.process = Some(Guarded::start(&command, &self.place.folder, &name, Ending::Kill)?);
        Ok(())
    }

    pub(super) async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        if process.exited()?.is_none() {
            process.signal("KILL")?;
        }
        process.ended(END).await?;
        Ok(())
    }

    pub(super) async fn freeze(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.freeze().await,
            None => Ok(()),
        }
    }

    pub(super) fn thaw(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Guarded::thaw)
    }
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(self.folder.join("config.toml"))
            .args(arguments);
        command.current_dir(&self.folder);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("ROLLCALL_")) {
            command.env_remove(key);
        }
        command
    }
}

/// Runs a command of Rollcall's on this folder's configuration.
pub(super) async fn rollcall(program: &Path, folder: &Path, arguments: &[&str]) -> Result<Output> {
    let place = Place {
        program: program.to_path_buf(),
        folder: folder.to_path_buf(),
        sabotage: None,
    };
    let mut command = place.command(arguments);
    command.stdin(Stdio::null());
    let shown = arguments.join(" ");
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(
        output.status.code().is_some(),
        "`rollcall {shown}` was ended by a signal"
    );
    Ok(output)
}
