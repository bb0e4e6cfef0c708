//! The program at work on what waits in a stream, from the moment at which it begins to pull until everything is
//! acknowledged, which comes after the last commit. Its own start is not counted.

use anyhow::{Context as _, Result, bail, ensure};
use rollcall::clock;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::{Broker, STREAM};
use crate::harness::process::{Ending, Guarded};

/// How exactly the end is known; asking more often would cost what is measured.
const GLANCE: Duration = Duration::from_millis(20);
const START: Duration = Duration::from_mins(1);
/// How long nothing may move before the run is given up.
const STUCK: Duration = Duration::from_mins(2);
/// `/proc` counts processor time in hundredths of a second, on every Linux.
const TICKS: f64 = 100.0;

/// What a worker is to do.
pub(crate) struct Task<'a> {
    pub(crate) rollcall: &'a Path,
    /// For configuration and logs; has to be there.
    pub(crate) folder: PathBuf,
    pub(crate) broker: &'a Broker,
    pub(crate) durable: &'a str,
    pub(crate) store_url: &'a str,
    /// Other than the shipped one.
    pub(crate) batch_max: Option<usize>,
    /// Further sections of the configuration.
    pub(crate) sections: String,
}

/// What it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drained {
    /// Messages that were settled.
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    /// Processor time of the workers, user and system.
    pub(crate) cpu_seconds: f64,
    /// Most memory of the largest worker in KiB, when a tenth was done and at the end.
    pub(crate) early_peak_kib: u64,
    pub(crate) peak_kib: u64,
    /// Batches that met another and were tried again.
    pub(crate) conflicts: usize,
}

impl Drained {
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.messages as f64
    }
}

impl Task<'_> {
    /// Makes the tables.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let mut command = self.command(&["migrate"])?;
        command.stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(
            output.status.success(),
            "rollcall migrate: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts one worker and waits until it pulls.
    pub(crate) async fn worker(&self, name: &str) -> Result<Guarded> {
        let mut process = Guarded::start(&self.command(&["run"])?, &self.folder, name, Ending::Kill)?;
        begun(&mut process).await?;
        Ok(process)
    }

    /// Empties the stream, in which so many messages wait, with so many workers, and stops them.
    ///
    /// # Errors
    /// When it ends otherwise, or nothing moves any more.
    pub(crate) async fn drain(&self, workers: usize, messages: u64) -> Result<Drained> {
        let mut processes = Vec::new();
        for number in 1..=workers {
            let command = self.command(&["run"])?;
            processes.push(Guarded::start(
                &command,
                &self.folder,
                &format!("worker-{number}"),
                Ending::Kill,
            )?);
        }
        let first = processes.first_mut().context("at least one worker")?;
        begun(first).await?;
        let began = clock::monotonic();
        let cpu = |processes: &[Guarded]| -> f64 { processes.iter().map(|process| processor(process.pid())).sum() };
        let before = cpu(&processes);
        let mut drained = self.watch(&mut processes, messages, began).await?;
        drained.cpu_seconds = cpu(&processes) - before;
        drained.peak_kib = peak(&processes);
        for process in &mut processes {
            process.signal("TERM")?;
            let status = process.ended(START).await?;
            ensure!(status.success(), "a worker ended with {status}:\n{}", tail(process));
            drained.conflicts += process.stderr().matches("batch contended").count();
        }
        Ok(drained)
    }

    /// Waits until nothing is left.
    async fn watch(&self, processes: &mut [Guarded], messages: u64, began: Instant) -> Result<Drained> {
        let stream = self.broker.stream().await?;
        let mut drained = Drained {
            messages,
            ..Drained::default()
        };
        let (mut last, mut moved) = (u64::MAX, clock::monotonic());
        loop {
            let info = stream.consumer_info(self.durable).await?;
            let open = info.num_pending + info.num_ack_pending as u64;
            if open == 0 {
                drained.seconds = began.elapsed().as_secs_f64();
                return Ok(drained);
            }
            if drained.early_peak_kib == 0 && open < messages - messages / 10 {
                drained.early_peak_kib = peak(processes);
            }
            if open != last {
                (last, moved) = (open, clock::monotonic());
            }
            for process in &mut *processes {
                if let Some(status) = process.exited()? {
                    bail!("a worker ended with {status}:\n{}", tail(process));
                }
            }
            ensure!(
                moved.elapsed() < STUCK,
                "{open} messages are left and nothing moves:\n{}",
                tail(&processes[0])
            );
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Forgets how far the stream was read.
    pub(crate) async fn forget(&self) -> Result<()> {
        self.broker.stream().await?.delete_consumer(self.durable).await?;
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut text = format!(
            "[nats]\nurl = \"{}\"\n[consumer]\nstream = \"{STREAM}\"\ndurable = \"{}\"\n",
            self.broker.url(),
            self.durable
        );
        if let Some(batch) = self.batch_max {
            // Four batches for each of the two lanes.
            let pending = (8 * batch).max(8_000);
            let _ = write!(text, "max_ack_pending = {pending}\n[worker]\nbatch_max = {batch}\n");
        }
        let _ = write!(
            text,
            "[store]\nurl = \"{}\"\n{}\n[telemetry]\nformat = \"json\"\n",
            self.store_url, self.sections
        );
        std::fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("config.toml");
        // Once: a worker that is just starting may be reading it.
        if std::fs::read_to_string(&file).ok().as_deref() != Some(text.as_str()) {
            std::fs::write(&file, text)?;
        }
        let mut command = Command::new(self.rollcall);
        command
            .arg("--config")
            .arg(file)
            .args(arguments)
            .current_dir(&self.folder);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("ROLLCALL_")) {
            command.env_remove(key);
        }
        // What met another batch is said at this level only.
        command.env("RUST_LOG", "info,async_nats=warn,rollcall::worker::tools=debug");
        Ok(command)
    }
}

/// Waits until the worker says that it works.
async fn begun(process: &mut Guarded) -> Result<()> {
    let began = clock::monotonic();
    while !process.stderr().contains("\"message\":\"working\"") {
        if let Some(status) = process.exited()? {
            bail!("the worker ended with {status}:\n{}", tail(process));
        }
        ensure!(began.elapsed() < START, "the worker does not begin:\n{}", tail(process));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn tail(process: &Guarded) -> String {
    let log = process.stderr();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// User and system time of a process and of those of its children that have ended, in seconds.
pub(crate) fn processor(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name in parentheses; the four times are fields 14 to 17.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / TICKS
}

/// The most memory that any of these processes ever had, in KiB.
fn peak(processes: &[Guarded]) -> u64 {
    let peak = |process: &Guarded| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    processes.iter().filter_map(peak).max().unwrap_or_default()
}
