//! A real mail server on a free port, which keeps what it is sent and refuses what it is told to refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::HOW_TO_GET;
use super::process::{Ending, Guarded};
use super::tls::Certificates;
use super::wait::wait_for;

const DEADLINE: Duration = Duration::from_secs(20);

/// How its connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte.
    Implicit,
    /// After STARTTLS, which it asks for.
    StartTls,
    /// Not; then it takes mail from everybody.
    Plain,
}

/// A running server; killed on drop.
pub struct Smtp {
    process: Option<Guarded>,
    folder: TempDir,
    pub certificates: Certificates,
    encryption: Encryption,
    port: u16,
}

/// A mail as it was received.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Sender, recipients, whether the connection was encrypted, who had logged in.
    pub envelope: Value,
    /// Every byte of it.
    pub bytes: Vec<u8>,
}

impl Smtp {
    /// Takes mail for anybody from user `rollcall` with password `open sesame`.
    pub async fn start(encryption: Encryption) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rollcall-smtp-").tempdir()?;
        let certificates = Certificates::make(folder.path())?;
        let mut smtp = Self {
            process: None,
            certificates,
            folder,
            encryption,
            port: 0,
        };
        smtp.restart().await?;
        Ok(smtp)
    }

    /// As `[mail] server` has it.
    pub fn url(&self) -> String {
        let scheme = if self.encryption == Encryption::Implicit {
            "smtps"
        } else {
            "smtp"
        };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Where files of the test may be.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it; nobody listens on its port then.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal("KILL")?;
            process.ended(DEADLINE).await?;
        }
        Ok(())
    }

    /// Starts it, on the port that it had.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/smtp/bin/python");
        ensure!(python.is_file(), "no {}: {HOW_TO_GET}", python.display());
        let port = self.folder.path().join("port");
        let _ = fs::remove_file(&port);
        let mode = match self.encryption {
            Encryption::Implicit => "IMPLICIT",
            Encryption::StartTls => "STARTTLS",
            Encryption::Plain => "PLAIN",
        };
        let mut command = Command::new(python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness/smtp_server.py"))
            .arg(self.folder.path())
            .arg(self.port.to_string())
            .arg(mode)
            .arg(&self.certificates.server_cert)
            .arg(&self.certificates.server_key);
        let process = Guarded::start(&command, self.folder.path(), "smtp", Ending::Kill)?;
        let started = wait_for("the mail server", DEADLINE, async || {
            fs::read_to_string(&port).ok()?.parse().ok()
        });
        self.port = started.await.with_context(|| process.stderr())?;
        self.process = Some(process);
        Ok(())
    }

    /// Answers every mail with this from now on; `None`: takes them.
    pub fn refuse(&self, answer: Option<&str>) -> Result<()> {
        let file = self.folder.path().join("refuse");
        match answer {
            Some(answer) => fs::write(file, answer)?,
            None => fs::remove_file(file)?,
        }
        Ok(())
    }

    /// The mails that it took, in their order.
    pub fn mails(&self) -> Result<Vec<Mail>> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.path())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files
            .iter()
            .map(|file| {
                Ok(Mail {
                    envelope: serde_json::from_str(&fs::read_to_string(file.with_extension("json"))?)?,
                    bytes: fs::read(file)?,
                })
            })
            .collect()
    }

    /// Waits until it has so many.
    pub async fn has(&self, count: usize) -> Result<Vec<Mail>> {
        let what = format!("{count} mails");
        let all = wait_for(&what, DEADLINE, async || {
            self.mails().ok().filter(|mails| mails.len() >= count)
        })
        .await?;
        ensure!(all.len() == count, "{} mails instead of {count}", all.len());
        Ok(all)
    }
}
