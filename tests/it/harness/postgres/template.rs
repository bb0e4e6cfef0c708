//! One initialised cluster that all tests copy: making it takes longer than most of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::super::shared_folder;
use super::{SUPERUSER, Tools, give, private_folder};

/// The template of this version of `PostgreSQL`; the first test to need it makes it, the others wait.
pub(super) fn template(tools: &Tools) -> Result<PathBuf> {
    let version = run(Command::new(tools.file("postgres")).arg("--version"))?;
    let version = version.split_whitespace().nth(2).context("a version")?.to_owned();
    let shared = shared_folder()?;
    let done = shared.join(format!("postgres-{version}"));
    let lock = File::create(shared.join("postgres.lock"))?;
    lock.lock()?;
    if !done.is_dir() {
        let folder = private_folder(tools)?;
        let data = folder.path().join("data");
        let mut initdb = tools.command("initdb");
        initdb.arg("-D").arg(&data).current_dir(folder.path());
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--wal-segsize=1",
        ]);
        initdb.arg(format!("--username={SUPERUSER}"));
        run(&mut initdb)?;
        // Copied beside its place and renamed: a test that is killed half way leaves no half template.
        let half = shared.join(format!("postgres-{version}.half"));
        let _ = fs::remove_dir_all(&half);
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&data).arg(&half))?;
        fs::rename(&half, &done)?;
    }
    Ok(done)
}

pub(super) fn copy(template: &Path, data: &Path, tools: &Tools) -> Result<()> {
    run(Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(template)
        .arg(data))?;
    give(data, tools)
}

pub(super) fn run(command: &mut Command) -> Result<String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
