//! The applications whose presets are shipped, each proved by a test that bears its name and reads like its story.
//!
//! A preset is taken as it is: its configuration, its SQL, its history, and what must have come of it. The tests read
//! through the old names.

mod auth_profiles;
mod client_profile;
mod crew_users;
mod crm_customers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::deployment::{Deployment, PATIENCE};
use crate::harness::postgres;
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::world::{Base, Which};

#[test]
fn every_preset_has_a_page_with_its_command_and_a_test_of_its_name() -> Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(top.join("README.md"))?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(top.join("deploy/presets"))? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = std::fs::read_to_string(folder.join("README.md")).with_context(|| name.clone())?;
        let command = format!("\n./deploy/run.sh --preset {name} --once --json\n");
        assert!(page.contains(&command), "the page of {name} has no{command}");
        assert!(page.lines().count() <= 80, "{name}: one page");
        let link = format!("(deploy/presets/{name}/README.md)");
        assert!(readme.contains(&link), "the README has no {link}");
        let function = name.replace('-', "_");
        let place = format!("tests/it/presets/{function}.rs");
        let code = std::fs::read_to_string(top.join(&place)).with_context(|| place.clone())?;
        let is_there = code.contains(&format!("async fn {function}()"));
        assert!(is_there, "{place} has no {function}");
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        ["auth-profiles", "client-profile", "crew-users", "crm-customers"]
    );
    Ok(())
}

/// An application with its preset on PostgreSQL.
struct Preset {
    folder: PathBuf,
    deployment: Deployment,
}

impl Preset {
    /// With its tables, and nothing played.
    async fn set_up(name: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/presets").join(name);
        let deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
        let preset = Self { folder, deployment };
        preset.base().script(&preset.text("schema.sql")?).await?;
        let checked = preset.rollcall(&["check", "--json"]).await?;
        let customers = checked.success()?.json()?["findings"].to_string();
        let looks = preset.text("config.toml")?.contains("\nlookup = ");
        assert_eq!(customers.contains("can be looked for"), looks, "{customers}");
        Ok(preset)
    }

    fn base(&self) -> &Base {
        &self.deployment.base
    }

    fn text(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.folder.join(name)).with_context(|| format!("{name} of {}", self.folder.display()))
    }

    fn arguments<'a>(config: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        ["--config", config]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect()
    }

    fn config(&self) -> String {
        self.folder.join("config.toml").display().to_string()
    }

    /// Runs the program to its end with the preset's configuration.
    async fn rollcall(&self, arguments: &[&str]) -> Result<crate::harness::worker::Finished> {
        self.deployment.run(&Self::arguments(&self.config(), arguments)).await
    }

    /// Starts a worker.
    async fn worker(&self) -> Result<Worker> {
        let mut worker = self.deployment.start(&Self::arguments(&self.config(), &["run"]))?;
        worker.logged("working", PATIENCE).await?;
        Ok(worker)
    }

    /// Publishes events and works until nothing is left; the outcomes.
    async fn play(&self, events: &[Value]) -> Result<Value> {
        self.deployment.publish(events).await?;
        let counts = self.rollcall(&["run", "--drain", "--json"]).await?.success()?.json()?;
        Ok(counts["outcomes"].clone())
    }

    /// Runs a program that is shipped with the preset, as `deploy/run.sh` does.
    async fn program(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let mut command = tokio::process::Command::new(self.folder.join(name));
        command
            .args(arguments)
            .envs(self.deployment.environment.iter().cloned())
            .env("rollcall", env!("CARGO_BIN_EXE_rollcall"))
            .env("psql", postgres::programs()?.join("psql"))
            .env("config", self.config())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {said}");
        Ok(())
    }

    /// The history that is shipped, and what is not as it must be afterwards.
    async fn demo(&self) -> Result<Vec<String>> {
        let history = self.folder.join("history.jsonl").display().to_string();
        self.rollcall(&["publish", &history, "--json"]).await?.success()?;
        self.rollcall(&["run", "--drain"]).await?.success()?;
        self.script().await?;
        let expect = self.text("expect.sql")?;
        let server = self.base().server.as_ref().context("a server")?;
        let database = self.base().url.rsplit('/').next().context("a database")?;
        let wrong = server.sql(database, &expect)?;
        Ok(wrong
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// What `play.sh` of the preset does after its history, if there is one.
    async fn script(&self) -> Result<()> {
        let script = self.folder.join("play.sh");
        if !script.is_file() {
            return Ok(());
        }
        let mut command = Command::new(&script);
        command
            .env("rollcall", env!("CARGO_BIN_EXE_rollcall"))
            .env("psql", crate::harness::postgres::programs()?.join("psql"))
            .env("config", self.config())
            .envs(self.deployment.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.base().folder.path())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await??;
        assert!(ended.status.success(), "{ended:?}");
        Ok(())
    }

    /// Waits until the ledger has so many events.
    async fn entered(&self, events: i64) -> Result<()> {
        wait_for("every event", Duration::from_mins(2), async || {
            let count = self.base().number("count(*)", "@ledger").await.ok()?;
            (count >= events).then_some(())
        })
        .await
    }
}
