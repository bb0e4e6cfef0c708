//! What each command says and how it ends, as a person or a script meets it.

mod explain;
mod help;
mod publish;
mod rebuild;
mod setup;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt as _;

use crate::deployment::PATIENCE;
use crate::harness::worker::Finished;

/// Runs the program in a folder without anything of Rollcall in its environment but what is given.
async fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<Finished> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROLLCALL")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").envs(environment.iter().copied());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    // A program that does not read its input is free to end before it is written.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    Ok(Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}
