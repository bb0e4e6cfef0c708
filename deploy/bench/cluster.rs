//! A private PostgreSQL as production has it: what is committed is on the disk. One for the whole run, a database for each
//! measurement.

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::drain::processor;
use crate::harness::process::{Ending, Guarded};
use crate::harness::wait::wait_for;

const PATIENCE: Duration = Duration::from_mins(1);
/// Who runs it where we are root, which PostgreSQL refuses to be run by.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];
/// Durable, and with room for what is written, so that no checkpoint falls into one run and not into another.
pub(crate) const SETTINGS: [(&str, &str); 8] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "120"),
    ("listen_addresses", "127.0.0.1"),
];

pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    process: Guarded,
}

impl Cluster {
    /// Programs of the server in this folder; its data goes to the folder of temporary files, which its account may reach.
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        let account = if is_root { Some(account()?) } else { None };
        let folder = tempfile::Builder::new().prefix("rollcall-bench-pg-").tempdir()?;
        if let Some([uid, gid]) = account {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let data = folder.path().join("data");
        let output = command(&programs.join("initdb"), account)
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
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = command(&programs.join("postgres"), account);
        server
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "unix_socket_directories="]);
        for (name, value) in SETTINGS {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        let mut process = Guarded::start(&server, folder.path(), "postgres", Ending::Quit)?;
        let says = data.join("postmaster.pid");
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
        Ok(Self { folder, port, process })
    }

    /// Processor time of all sessions that have ended, in seconds.
    pub(crate) fn processor(&self) -> f64 {
        processor(self.process.pid())
    }

    /// Bytes of the write-ahead log so far.
    pub(crate) async fn written(&self) -> Result<i64> {
        self.number("postgres", "SELECT (pg_current_wal_lsn() - '0/0')::bigint")
            .await
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.url(database)).await.context("PostgreSQL")
    }

    /// Statements, one after the other on a connection of their own.
    pub(crate) async fn execute(&self, database: &str, statements: &[String]) -> Result<()> {
        let mut connection = self.connect(database).await?;
        for sql in statements {
            run(&mut connection, sql).await?;
        }
        Ok(())
    }

    /// One number, such as a count.
    pub(crate) async fn number(&self, database: &str, sql: &str) -> Result<i64> {
        let mut connection = self.connect(database).await?;
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection);
        number.await.with_context(|| sql.to_owned())
    }

    /// One word, such as a setting.
    pub(crate) async fn word(&self, sql: &str) -> Result<String> {
        let mut connection = self.connect("postgres").await?;
        let word = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection);
        word.await.with_context(|| sql.to_owned())
    }

    /// What the server has logged: deadlocks, among others.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("postgres.err")).unwrap_or_default()
    }
}

/// Runs one or more statements.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    done.with_context(|| sql.to_owned())?;
    Ok(())
}

fn command(program: &Path, account: Option<[u32; 2]>) -> Command {
    let Some([uid, gid]) = account else {
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

/// The postmaster writes its id into the first line and its state into the eighth.
fn says_ready(file: &PathBuf, pid: u32) -> bool {
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
