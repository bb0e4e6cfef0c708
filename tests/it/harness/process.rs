//! A child process that cannot outlive the test.
//!
//! A shell stands between: it starts the child and waits on a pipe that only the test process holds.
//! When the test ends, or is killed with SIGKILL, the pipe closes and the shell ends the child.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::wait::wait_for;

/// `$1` and `$2` take the output, `$3` is the signal that ends the child. It is continued too, in case it was frozen.
const GUARD: &str = r#"
exec 3<&0
out=$1 err=$2 signal=$3
shift 3
"$@" </dev/null >"$out" 2>"$err" 3<&- &
child=$!
(read -r _ <&3; kill -s "$signal" "$child"; kill -s CONT "$child") >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$child"
wait "$child"
code=$?
kill -s KILL "$watcher" 2>/dev/null
exit "$code"
"#;

/// How a child is ended when the test no longer needs it.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// At once; for what keeps nothing outside its folder.
    Kill,
    /// At once, but with the chance to free shared memory (`PostgreSQL`'s immediate shutdown).
    Quit,
}

/// A running child.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    lifeline: Option<ChildStdin>,
    pid: u32,
    out: PathBuf,
    err: PathBuf,
}

impl Guarded {
    /// Starts what the command describes (program, arguments, environment, folder); its output goes to
    /// `<name>.out` and `<name>.err` in the folder.
    pub fn start(command: &Command, folder: &Path, name: &str, ending: Ending) -> Result<Self> {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let signal = match ending {
            Ending::Kill => "KILL",
            Ending::Quit => "QUIT",
        };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", GUARD, "guard"]).arg(&out).arg(&err).arg(signal);
        shell.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        shell.current_dir(command.get_current_dir().unwrap_or(folder));
        let mut guard = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let lifeline = guard.stdin.take();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().context("a pipe from the guard")?).read_line(&mut line)?;
        let pid = line
            .trim()
            .parse()
            .with_context(|| format!("the process id of {name} from {line:?}"))?;
        Ok(Self {
            guard,
            lifeline,
            pid,
            out,
            err,
        })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by its name without SIG (`TERM`, `KILL`, `STOP`, `CONT`).
    pub fn signal(&mut self, name: &str) -> Result<()> {
        if let Some(status) = self.exited()? {
            bail!("no SIG{name} for process {}: it has ended with {status}", self.pid);
        }
        send(name, i32::try_from(self.pid)?)
    }

    /// Stops it without ending it, and returns only when every thread of it stands still.
    pub async fn freeze(&mut self) -> Result<()> {
        self.signal("STOP")?;
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid));
        wait_for("a frozen process", Duration::from_secs(5), async || {
            is_still(&tasks).then_some(())
        })
        .await
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.signal("CONT")
    }

    /// Its exit status, if it has ended. A death by signal n shows as code 128 + n.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.guard.try_wait()?)
    }

    /// Waits for its end.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of process {}", self.pid);
        wait_for(&what, deadline, async || self.guard.try_wait().ok().flatten()).await
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.guard.wait();
    }
}

/// Sends a signal by its name without SIG to any process.
pub fn send(name: &str, pid: i32) -> Result<()> {
    let sent = Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$1" "$2""#, "kill", name, &pid.to_string()])
        .status()?;
    if sent.success() {
        Ok(())
    } else {
        bail!("sending SIG{name} to process {pid}")
    }
}

fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// The state is the first word after the name in parentheses: `T` for stopped.
fn is_still(tasks: &Path) -> bool {
    let Ok(entries) = fs::read_dir(tasks) else { return false };
    entries.flatten().all(|task| {
        let stat = text(&task.path().join("stat"));
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}
