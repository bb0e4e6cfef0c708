//! Every command that the README and the documents show is run, in order, between real servers.
//!
//! The convention: what a reader may type stands in a block marked `sh`, with output in one marked `console` (`$` before
//! the command, `…` for what varies), or `sql`. A command in the text is looked up in the help of the program.

mod blocks;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::deployment::{Deployment, PATIENCE};
use crate::harness::worker::Worker;
use crate::world::{Base, Which, cloud_event, on_both};

use blocks::{Block, commands, inline, loose, matches, read};

/// Commands that are not run here: too heavy, or meant for another machine. Each with the file that runs it, and what of
/// that file does.
const ELSEWHERE: [(&str, &str, &str); 8] = [
    ("./deploy/run.sh", "deploy/test.sh", "/deploy/run.sh\" --once"),
    ("./deploy/chaos.sh", "deploy/test.sh", "/deploy/chaos.sh\" --dev"),
    ("./deploy/bench.sh", "deploy/test.sh", "/deploy/bench.sh\" --dev"),
    (
        "./deploy/bench.sh --scenario created --json",
        "deploy/test.sh",
        "/deploy/bench.sh\" --dev --smoke --json",
    ),
    (
        "cargo bench --bench fold",
        "deploy/test.sh",
        "nextest run --locked --all-targets",
    ),
    ("./deploy/test.sh", ".ci/run", "../deploy/test.sh\""),
    ("cargo build --release", "deploy/run.sh", "cargo build "),
    (
        "ROLLCALL__NATS__URL=nats://broker:4222 ROLLCALL__STORE__URL=postgres://rollcall@db/app rollcall run",
        "tests/it/commands/setup.rs",
        "fn the_environment_overrides_the_file",
    ),
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents with their paths from the top: the README and everything below `docs/`.
fn documents() -> Result<Vec<(String, String)>> {
    let mut found = vec![(
        "README.md".to_owned(),
        std::fs::read_to_string(top().join("README.md"))?,
    )];
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(top().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(top())?.to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

on_both!(every_command_does_what_the_document_says);

async fn every_command_does_what_the_document_says(base: Base) -> Result<()> {
    let mut base = base;
    let mut run = 0;
    for (path, text) in documents()? {
        let blocks = read(&text);
        if blocks.is_empty() {
            continue;
        }
        let mut reader = Reader::new(base.another()?).await?;
        if path == "docs/RUNBOOK.md" {
            reader.has_been_at_work().await?;
        }
        for block in blocks {
            let place = format!("{path}, line {}", block.line);
            run += reader.follow(&block).await.with_context(|| place)?;
        }
        reader.finish().await.with_context(|| path)?;
    }
    ensure!(run >= 10, "only {run} commands are run");
    Ok(())
}

/// Somebody who does what a document says.
struct Reader {
    deployment: Deployment,
    worker: Option<Worker>,
}

impl Reader {
    async fn new(base: Base) -> Result<Self> {
        Ok(Self {
            deployment: Deployment::around(base).await?,
            worker: None,
        })
    }

    /// A runbook is for what is in use.
    async fn has_been_at_work(&self) -> Result<()> {
        let user = cloud_event("created", "1", 1, &json!({"user_id": "u1"}));
        self.deployment.publish(&[user]).await?;
        self.deployment.drain().await?;
        Ok(())
    }

    /// Does what a block says; how many commands that were.
    async fn follow(&mut self, block: &Block) -> Result<usize> {
        if block.language == "sql" {
            return self.query(&block.body).await;
        }
        let mut run = 0;
        for (command, expected) in commands(block) {
            if ELSEWHERE.iter().any(|(listed, ..)| *listed == command) {
                continue;
            }
            run += 1;
            if command == "rollcall run" {
                let mut worker = self.deployment.start(&["run"])?;
                worker.logged("working", PATIENCE).await?;
                self.worker = Some(worker);
                continue;
            }
            let printed = self.shell(&command).await.with_context(|| command.clone())?;
            if block.language == "console" {
                ensure!(
                    matches(&expected, &printed),
                    "{command} prints\n{printed}not\n{expected}"
                );
            }
            if command.contains("rollcall publish") {
                // The reader looks on when the worker is done; one that drains knows when that is.
                self.deployment.drain().await?;
            }
        }
        Ok(run)
    }

    async fn shell(&self, command: &str) -> Result<String> {
        let program = Path::new(env!("CARGO_BIN_EXE_rollcall"));
        let folder = program.parent().context("the program is in a folder")?;
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", command])
            .current_dir(self.deployment.base.folder.path())
            .env("PATH", path)
            .envs(self.deployment.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, shell.output()).await??;
        ensure!(
            output.status.success(),
            "{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Statements are shown with the schema of PostgreSQL; what they find is somebody.
    async fn query(&self, sql: &str) -> Result<usize> {
        let base = &self.deployment.base;
        if base.which == Which::Sqlite {
            return Ok(0);
        }
        let counted = format!("rollcall.keys WHERE EXISTS ({})", sql.trim().trim_end_matches(';'));
        ensure!(
            base.number("count(*)", &counted).await? > 0,
            "nothing is found by\n{sql}"
        );
        Ok(1)
    }

    async fn finish(self) -> Result<()> {
        let Some(mut worker) = self.worker else {
            return Ok(());
        };
        worker.signal("TERM")?;
        worker.finished(PATIENCE).await?.success().map(|_| ())
    }
}

#[test]
fn what_is_not_run_here_is_shown_and_is_run_elsewhere() -> Result<()> {
    let mut shown = BTreeSet::new();
    for (_, text) in documents()? {
        for block in read(&text).iter().filter(|block| block.language != "sql") {
            shown.extend(commands(block).into_iter().map(|(command, _)| command));
        }
    }
    for (command, file, text) in ELSEWHERE {
        ensure!(shown.contains(command), "no document shows {command} any more");
        let runs = std::fs::read_to_string(top().join(file))?;
        ensure!(
            runs.contains(text),
            "{file} does not run {command}: {text} is not in it"
        );
    }
    Ok(())
}

#[test]
fn no_command_stands_where_it_is_not_run() -> Result<()> {
    for (path, text) in documents()? {
        let found = loose(&text);
        ensure!(found.is_empty(), "{path}: in no block that is run: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_command_in_the_text_is_one() -> Result<()> {
    let reader = Reader::new(Base::fresh(Which::Sqlite).await?).await?;
    let mut looked_up = 0;
    for (path, text) in documents()? {
        for command in inline(&text) {
            let (words, options) = command;
            let help = reader
                .shell(&format!("rollcall {} --help", words.join(" ")))
                .await
                .with_context(|| format!("{path}: there is no rollcall {}", words.join(" ")))?;
            for option in options {
                let known = help
                    .split(|c: char| c.is_whitespace() || c == ',')
                    .any(|word| word == option);
                ensure!(known, "{path}: rollcall {} has no {option}", words.join(" "));
            }
            looked_up += 1;
        }
    }
    ensure!(looked_up >= 10, "only {looked_up} commands are found in the texts");
    Ok(())
}
