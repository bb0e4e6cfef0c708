//! `rollcall migrate`

use std::process::ExitCode;

use anyhow::Context as _;

use super::tables::kinds;
use super::{print_json, say};
use crate::config::Config;
use crate::store::Store;
use crate::wiring;

/// Arguments of `rollcall migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ROLLCALL__STORE__URL=sqlite://rollcall.db rollcall migrate")]
pub(super) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let at = config.store.url.redacted();
    let (store, done) = Store::migrate(&wiring::store(config))
        .await
        .with_context(|| format!("the tables at {at} cannot be made"))?;
    for kind in kinds(config) {
        let made = store.index_holders(kind).await;
        made.with_context(|| format!("the index of {} cannot be made", kind.name()))?;
    }
    store.close().await;
    if args.json {
        print_json(&serde_json::json!({ "store": at, "migrations": done }))?;
    } else if done.is_empty() {
        say(&format!("{at}: nothing to do, the tables are current"))?;
    } else {
        say(&format!("{at}: done ({})", done.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
