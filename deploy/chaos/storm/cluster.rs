//! A private PostgreSQL, made for one run, whose processes are killed and frozen.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::process::{Ending, Guarded, send};
use crate::harness::wait::wait_for;

/// Recovery after a crash included.
const PATIENCE: Duration = Duration::from_mins(1);
/// Who runs it where we are root, which PostgreSQL refuses to be run by.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

pub(super) struct Cluster {
    programs: PathBuf,
    folder: tempfile::TempDir,
    account: Option<[u32; 2]>,
    port: u16,
    process: Option<Guarded>,
    starts: u32,
}

impl Cluster {
    /// Programs of the server in this folder; its data goes to the folder of temporary files, which its account may reach.
    pub(super) async fn start(programs: &Path) -> Result<Self> {
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        let account = if is_root { Some(account()?) } else { None };
        let folder = tempfile::Builder::new().prefix("rollcall-chaos-pg-").tempdir()?;
        if let Some([uid, gid]) = account {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut cluster = Self {
            programs: programs.to_path_buf(),
            folder,
            account,
            port: TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
            process: None,
            starts: 0,
        };
        let data = cluster.data();
        let output = cluster
            .command("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir("/")
            .output()
            .context("initdb cannot be started")?;
        ensure!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        cluster.launch().await?;
        Ok(cluster)
    }

    /// Leads straight to it.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// SIGKILL to the postmaster; its children notice.
    pub(super) async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let children = children(process.pid());
        process.signal("KILL")?;
        process.ended(PATIENCE).await?;
        // While one of them is left a new postmaster refuses to start.
        wait_for("the end of PostgreSQL's processes", PATIENCE, async || {
            children.iter().all(|pid| !is_alive(*pid)).then_some(())
        })
        .await
    }

    /// Starts it again on the same port with the same data, and waits until it has recovered.
    pub(super) async fn launch(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=60",
            "fsync=on",
            "restart_after_crash=on",
        ] {
            command.args(["-c", setting]);
        }
        let name = format!("postgres-{}", self.starts);
        let mut process = Guarded::start(&command, self.folder.path(), &name, Ending::Quit)?;
        let says = self.data().join("postmaster.pid");
        let ready = wait_for("PostgreSQL", PATIENCE, async || match process.exited() {
            Ok(None) => says_ready(&says, process.pid()).then_some(Ok(())),
            ended => Some(Err(format!(
                "PostgreSQL did not start: {ended:?}\n{}",
                process.stderr()
            ))),
        });
        if let Err(error) = ready.await? {
            bail!(error);
        }
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL to a process that serves a client; the postmaster then ends all others and recovers. False if there is none.
    pub(super) fn kill_backend(&self, choose: impl FnOnce(usize) -> usize) -> bool {
        let backends = self.backends();
        if backends.is_empty() {
            return false;
        }
        // It may have ended by itself meanwhile.
        send("KILL", backends[choose(backends.len())]).is_ok()
    }

    /// All its processes, or one that serves a client.
    pub(super) fn processes(&self) -> Vec<i32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let mut all = vec![process.pid() as i32];
        all.extend(children(process.pid()));
        all
    }

    pub(super) fn backends(&self) -> Vec<i32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let serves = |pid: &i32| {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&title).contains(" 127.0.0.1(")
        };
        children(process.pid()).into_iter().filter(serves).collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let Some([uid, gid]) = self.account else {
            return Command::new(program);
        };
        // It replaces itself by the server, so that signals reach that.
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--clear-groups",
            "--",
        ]);
        command.arg(program);
        command
    }
}

/// Signals processes of which some may have ended.
pub(super) fn signal(name: &str, processes: &[i32]) {
    for pid in processes {
        let _ = send(name, *pid);
    }
}

fn children(pid: u32) -> BTreeSet<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A process that nobody has waited for is as good as gone.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// The postmaster writes its id into the first line and its state into the eighth.
fn says_ready(file: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

fn account() -> Result<[u32; 2]> {
    let file = fs::read_to_string("/etc/passwd")?;
    for name in ACCOUNTS {
        let Some(line) = file.lines().find(|line| line.split(':').next() == Some(name)) else {
            continue;
        };
        let ids: Vec<u32> = line.split(':').skip(2).map_while(|part| part.parse().ok()).collect();
        if let [uid, gid, ..] = ids[..] {
            return Ok([uid, gid]);
        }
    }
    bail!("PostgreSQL does not run as root, and there is no other account for it")
}
