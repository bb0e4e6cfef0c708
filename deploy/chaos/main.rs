//! The driver of deploy/chaos.sh: one storm, and what is left of it.

mod harness;
mod storm;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

use crate::storm::{Database, Order, storm};

/// Real processes, random faults, and a checker that knows what must be there.
#[derive(Parser)]
#[command(name = "chaos")]
struct Cli {
    #[arg(long)]
    events: usize,
    #[arg(long)]
    faults: usize,
    #[arg(long)]
    seed: u64,
    #[arg(long, value_enum)]
    store: Store,
    /// The program under test.
    #[arg(long)]
    rollcall: PathBuf,
    /// Where initdb and postgres are.
    #[arg(long)]
    postgres: Option<PathBuf>,
    /// For configuration, logs and the journal.
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    sabotage: Option<String>,
    /// Prints one JSON object on stdout, and the page on stderr.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Store {
    Postgres,
    Sqlite,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let folder = std::fs::canonicalize(&cli.folder).with_context(|| cli.folder.display().to_string())?;
    let order = Order {
        events: cli.events,
        faults: cli.faults,
        seed: cli.seed,
        database: match cli.store {
            Store::Postgres => Database::Postgres,
            Store::Sqlite => Database::Sqlite,
        },
        sabotage: cli.sabotage,
        rollcall: cli.rollcall,
        postgres: cli.postgres,
        folder,
    };
    // What is dropped takes its processes and their folders with it.
    let mut terminated = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        report = storm(order) => report?,
        _ = tokio::signal::ctrl_c() => bail!("stopped"),
        _ = terminated.recv() => bail!("stopped"),
    };
    if cli.json {
        write!(std::io::stderr(), "{}", report.page())?;
        writeln!(std::io::stdout(), "{}", report.object())?;
    } else {
        write!(std::io::stdout(), "{}", report.page())?;
    }
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
