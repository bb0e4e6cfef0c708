//! A private `PostgreSQL` cluster per test, copied from a template that is made once per build directory.
//!
//! A cluster of its own (a quarter of a second) rather than a shared one: a test may crash it, and no
//! process has to outlive the test that started it, which matters where every test is a process.

mod template;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::process::{Ending, Guarded};
use super::wait::wait_for;
use super::worker::rollcall;
use super::{HOW_TO_GET, on_path};

use template::{copy, run, template};

const START_DEADLINE: Duration = Duration::from_secs(30);
/// Another process may take the port between probing and binding.
const PORT_ATTEMPTS: usize = 5;
/// Who runs the cluster when the tests run as root, which `PostgreSQL` refuses.
const ACCOUNT: &str = "postgres";
const TEMPLATE: &str = "migrated";
const SUPERUSER: &str = "postgres";

/// Whether a crash of the machine may lose what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// No fsync: for every test that is not about durability.
    Off,
    /// As in production.
    On,
}

/// A running cluster; ended on drop.
pub struct Postgres {
    process: Option<Guarded>,
    folder: TempDir,
    tools: Tools,
    port: u16,
    databases: u32,
    has_template: bool,
    /// Size of the small file system, in MB.
    room: Option<u32>,
}

/// A small file system of the server's own.
pub struct Room {
    /// Where the server has it.
    pub inside: PathBuf,
    /// The same place from outside.
    pub outside: PathBuf,
}

impl Postgres {
    /// A cluster for tests that are not about durability.
    pub async fn start() -> Result<Self> {
        Self::start_with(Durability::Off).await
    }

    /// A cluster with the durability the test is about.
    pub async fn start_with(durability: Durability) -> Result<Self> {
        Self::start_as(durability, None).await
    }

    /// Whether this user may mount a file system that only one process sees.
    pub fn may_have_a_room() -> Result<bool> {
        let folder = tempfile::tempdir()?;
        let mut mount = Command::new("unshare");
        mount.args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none"]);
        Ok(mount
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success()))
    }

    /// A cluster with a small file system (MB), which ends with it: for tablespaces that fill up.
    pub async fn start_with_room(size: u32) -> Result<Self> {
        Self::start_as(Durability::Off, Some(size)).await
    }

    async fn start_as(durability: Durability, room: Option<u32>) -> Result<Self> {
        let tools = Tools::find()?;
        let template = template(&tools)?;
        let folder = private_folder(&tools)?;
        copy(&template, &folder.path().join("data"), &tools)?;
        let mut cluster = Self {
            process: None,
            folder,
            tools,
            port: 0,
            databases: 0,
            has_template: false,
            room,
        };
        cluster.configure(durability)?;
        for _ in 0..PORT_ATTEMPTS {
            cluster.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if cluster.launch().await? {
                return Ok(cluster);
            }
        }
        bail!(
            "no free port for PostgreSQL in {PORT_ATTEMPTS} attempts:\n{}",
            cluster.log()
        )
    }

    /// The small file system, if it was started with one.
    pub fn room(&self) -> Option<Room> {
        self.room?;
        let pid = self.process.as_ref()?.pid();
        let inside = self.folder.path().join("room");
        let outside = format!("/proc/{pid}/root{}", inside.display()).into();
        Some(Room { inside, outside })
    }

    /// Makes an empty database and returns its address.
    pub fn fresh_database(&mut self) -> Result<String> {
        self.databases += 1;
        let name = format!("test_{}", self.databases);
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Makes a database with Rollcall's tables and returns its address: migrated once per cluster, then copied.
    pub async fn migrated_database(&mut self) -> Result<String> {
        if !self.has_template {
            self.sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"))?;
            let store = [("ROLLCALL__STORE__URL", self.url(TEMPLATE))];
            let environment = store.each_ref().map(|(key, value)| (*key, value.as_str()));
            rollcall(self.folder.path(), &["migrate"], &environment, START_DEADLINE)
                .await?
                .success()?;
            self.has_template = true;
        }
        self.databases += 1;
        let name = format!("test_{}", self.databases);
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))?;
        Ok(self.url(&name))
    }

    /// The address of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL through psql and returns what it prints, unaligned and without headings.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.tools.file("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &self.url(database),
            "-c",
            sql,
        ]);
        run(&mut psql)
    }

    /// Ends it with SIGKILL, as a crash would; its backends notice and end too.
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
        if self.launch().await? {
            Ok(())
        } else {
            bail!("the port of PostgreSQL is taken")
        }
    }

    /// Sends the postmaster a signal by its name without SIG.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        self.process.as_mut().context("a running cluster")?.signal(name)
    }

    /// From now on this role has to give a password.
    pub fn require_password(&self, role: &str) -> Result<()> {
        let file = self.folder.path().join("data/pg_hba.conf");
        let rules = fs::read_to_string(&file)?;
        fs::write(&file, format!("host all {role} 127.0.0.1/32 scram-sha-256\n{rules}"))?;
        self.sql("postgres", "SELECT pg_reload_conf()").map(drop)
    }

    /// Freezes the postmaster: no new connection is answered.
    pub async fn freeze(&mut self) -> Result<()> {
        self.process.as_mut().context("a running cluster")?.freeze().await
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.process.as_mut().context("a running cluster")?.thaw()
    }

    /// What the cluster has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Guarded::stderr).unwrap_or_default()
    }

    fn configure(&self, durability: Durability) -> Result<()> {
        let fsync = if durability == Durability::On { "on" } else { "off" };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = {fsync}\n\
             shared_buffers = 32MB\nmax_connections = 60\nlog_min_messages = warning\n",
            self.folder.path().display()
        );
        let file = self.folder.path().join("data/postgresql.auto.conf");
        Ok(fs::write(file, settings)?)
    }

    /// False if the port was taken.
    async fn launch(&mut self) -> Result<bool> {
        let mut command = match self.room {
            None => self.tools.command("postgres"),
            Some(size) => self.tools.command_in_room(&self.folder.path().join("room"), size)?,
        };
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string()]);
        let mut process = Guarded::start(&command, self.folder.path(), "postgres", Ending::Quit)?;
        let ready = self.folder.path().join("data/postmaster.pid");
        let started = wait_for("PostgreSQL", START_DEADLINE, async || match process.exited() {
            Ok(None) => says_ready(&ready, process.pid()).then_some(Ok(true)),
            _ if process.stderr().contains("could not bind") => Some(Ok(false)),
            ended => Some(Err(format!(
                "PostgreSQL did not start: {ended:?}\n{}",
                process.stderr()
            ))),
        });
        let is_up = started.await?.map_err(anyhow::Error::msg)?;
        self.process = Some(process);
        Ok(is_up)
    }
}

/// The postmaster writes its id into the first line and its state into the eighth.
fn says_ready(file: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// The folder of the server's programs.
pub fn programs() -> Result<PathBuf> {
    Ok(Tools::find()?.folder)
}

/// Where the programs are and under which account they run.
#[derive(Debug, Clone)]
struct Tools {
    folder: PathBuf,
    is_root: bool,
}

impl Tools {
    fn find() -> Result<Self> {
        let newest = || {
            let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
            let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            versions.sort_by_key(version);
            versions.pop().map(|folder| folder.join("bin"))
        };
        let on_path = on_path("initdb").and_then(|file| Some(fs::canonicalize(file).ok()?.parent()?.to_path_buf()));
        let folder = on_path
            .into_iter()
            .chain(newest())
            .find(|folder| {
                ["initdb", "postgres", "psql"]
                    .iter()
                    .all(|name| folder.join(name).is_file())
            })
            .with_context(|| {
                format!("no PostgreSQL server (initdb, postgres, psql) on PATH or in /usr/lib/postgresql: {HOW_TO_GET}")
            })?;
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        Ok(Self { folder, is_root })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A command under an account that `PostgreSQL` accepts.
    fn command(&self, name: &str) -> Command {
        if !self.is_root {
            return Command::new(self.file(name));
        }
        // setpriv replaces itself by the server, so that signals reach it; runuser would stay between.
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={ACCOUNT}"),
            format!("--regid={ACCOUNT}"),
            "--init-groups".to_owned(),
            "--".to_owned(),
        ]);
        command.arg(self.file(name));
        command
    }
}

impl Tools {
    /// The server in a name space of its own, in which the folder is a small file system.
    fn command_in_room(&self, folder: &Path, size: u32) -> Result<Command> {
        const MOUNT: &str = r#"mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@""#;
        fs::create_dir_all(folder)?;
        let [uid, gid] = account()?;
        let options = format!("size={size}m,mode=0700,uid={uid},gid={gid}");
        let server = self.command("postgres");
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            MOUNT,
            "room",
            &options,
        ]);
        command.arg(folder).arg(server.get_program()).args(server.get_args());
        Ok(command)
    }
}

/// A folder that the account may use; outside the build directory, which it may not even reach.
fn private_folder(tools: &Tools) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("rollcall-pg-").tempdir()?;
    give(folder.path(), tools)?;
    Ok(folder)
}

fn give(path: &Path, tools: &Tools) -> Result<()> {
    if tools.is_root {
        let [uid, gid] = account()?;
        chown(path, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// User and group id from `postgres:x:101:104:…`.
fn account() -> Result<[u32; 2]> {
    let file = fs::read_to_string("/etc/passwd")?;
    let line = file.lines().find(|line| line.split(':').next() == Some(ACCOUNT));
    let mut ids = line
        .with_context(|| format!("running as root, and there is no account {ACCOUNT} to run PostgreSQL: {HOW_TO_GET}"))?
        .split(':')
        .skip(2)
        .map_while(|part| part.parse().ok());
    Ok([ids.next().context("a user id")?, ids.next().context("a group id")?])
}
