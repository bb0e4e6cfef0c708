//! The application's tables follow the users.

mod audits;
mod cuts;
mod found;
mod late;
mod optional;
mod parts;
mod setup;
mod size;
mod steps;
mod worker;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use rollcall::apply::Applier;
use rollcall::config::Config;
use rollcall::dead_letters::Undertaker;
use rollcall::store::cascade::Inspection;
use rollcall::wiring;

use crate::world::Base;

/// The configuration with these lines.
fn config(base: &Base, lines: &str) -> Result<Config> {
    let path: PathBuf = base.folder.path().join("cascades.toml");
    std::fs::write(&path, lines)?;
    let url = ("ROLLCALL__STORE__URL".to_owned(), base.url.clone());
    Ok(Config::load(Some(&path), std::iter::once(url))?)
}

/// What a look at the configured tables comes to.
async fn inspected(base: &Base, lines: &str) -> Result<Inspection> {
    let config = config(base, lines)?;
    let store = base.store().await?;
    let (steps, audits) = (wiring::steps(&config), wiring::audits(&config));
    Ok(store.inspect(&steps, &audits, config.worker.max_rows_per_step).await?)
}

/// Ready to apply batches with these lines of configuration.
async fn applier(base: &Base, lines: &str) -> Result<Applier> {
    let config = config(base, lines)?;
    let found = inspected(base, lines).await?;
    ensure!(found.problems.is_empty(), "{:?}", found.problems);
    let undertaker = Undertaker {
        subject_prefix: "dead".to_owned(),
        stream: "USERS".to_owned(),
    };
    let store = base.store().await?.with_cascades(found.cascades);
    Ok(Applier::new(store, wiring::policy(&config), undertaker, 100_000).await?)
}

/// Makes a table `name (id, "user", note)` with an index, and rows with these values in its column `user`.
async fn table(base: &Base, name: &str, values: &[&str]) -> Result<()> {
    base.script(&format!(
        "CREATE TABLE {name} (id integer, \"user\" text, note text); CREATE INDEX {name}_user ON {name} (\"user\")"
    ))
    .await?;
    fill(base, name, values).await
}

/// Adds rows with these values.
async fn fill(base: &Base, name: &str, values: &[&str]) -> Result<()> {
    for (value, n) in values.iter().zip(1..) {
        base.execute(&format!("INSERT INTO {name} (id, \"user\") VALUES ({n}, '{value}')"))
            .await?;
    }
    Ok(())
}

/// The values of a table's column `user`, with the ids of their rows: `1 ada / 2 bob`.
async fn users(base: &Base, name: &str) -> Result<String> {
    base.line(&["id", "\"user\""], name).await
}

/// What the ledger says of the steps of an event.
async fn noted(base: &Base, event: &str) -> Result<serde_json::Value> {
    let text = base
        .line(&["cascades"], &format!("@ledger WHERE event_id = '{event}'"))
        .await?;
    Ok(if text == "-" {
        serde_json::Value::Null
    } else {
        serde_json::from_str(&text)?
    })
}

/// One `[[cascade]]`, with more lines.
fn cascade(table: &str, more: &str) -> String {
    format!("[[cascade]]\ntable = \"{table}\"\ncolumn = \"user\"\n{more}\n")
}
