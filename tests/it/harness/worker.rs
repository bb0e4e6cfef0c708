//! The built binary as a child process.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{Ending, Guarded};
use super::wait::wait_for;

/// A running `rollcall`; killed on drop.
pub struct Worker {
    process: Guarded,
}

/// What an ended `rollcall` left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; 128 + n after signal n.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails, with the output, unless the exit code is 0.
    pub fn success(self) -> Result<Self> {
        if self.code == 0 {
            Ok(self)
        } else {
            bail!("exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
        }
    }

    /// The last line of standard output as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        let line = self.stdout.lines().last().context("a line of output")?;
        serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
    }
}

impl Worker {
    /// Starts `rollcall` with these arguments and environment in the folder; `name` tells several of them apart.
    /// No `ROLLCALL__` variable of the surrounding environment gets through.
    pub fn start(folder: &Path, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(arguments).current_dir(folder);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("ROLLCALL__")) {
            command.env_remove(key);
        }
        command.envs(environment.iter().copied());
        Ok(Self {
            process: Guarded::start(&command, folder, name, Ending::Kill)?,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal by its name without SIG.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_memory(&self) -> Result<u64> {
        let file = format!("/proc/{}/status", self.process.pid());
        let status = fs::read_to_string(&file).with_context(|| file.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| format!("no VmHWM in {file}"))?.parse()?)
    }

    /// How long it has had a processor, all threads together.
    pub fn processor_time(&self) -> Result<Duration> {
        let file = format!("/proc/{}/stat", self.process.pid());
        let stat = fs::read_to_string(&file).with_context(|| file.clone())?;
        // The name, which may hold blanks, ends with the last parenthesis; then state and ten numbers come before.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|number| number.parse().unwrap_or(0_u64)).sum();
        // A tick is a hundredth of a second on every architecture that Linux has had for decades.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Stops it without ending it.
    pub async fn freeze(&mut self) -> Result<()> {
        self.process.freeze().await
    }

    /// Ends it with SIGKILL, as a crash would.
    pub async fn kill(&mut self, deadline: Duration) -> Result<()> {
        self.process.signal("KILL")?;
        self.process.ended(deadline).await?;
        Ok(())
    }

    /// Waits for its end.
    pub async fn finished(mut self, deadline: Duration) -> Result<Finished> {
        let status = self
            .process
            .ended(deadline)
            .await
            .with_context(|| self.process.stderr())?;
        Ok(Finished {
            code: status.code().unwrap_or(-1),
            stdout: self.process.stdout(),
            stderr: self.process.stderr(),
        })
    }

    /// Waits until a line of its log contains the text.
    pub async fn logged(&mut self, text: &str, deadline: Duration) -> Result<()> {
        let process = &self.process;
        let seen = wait_for(text, deadline, async || {
            (process.stderr().contains(text) || process.stdout().contains(text)).then_some(())
        });
        seen.await.with_context(|| process.stderr())
    }
}

/// Runs a command of `rollcall` to its end.
pub async fn rollcall(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    deadline: Duration,
) -> Result<Finished> {
    let name = arguments.first().copied().unwrap_or("rollcall").trim_start_matches('-');
    Worker::start(folder, name, arguments, environment)?
        .finished(deadline)
        .await
}
