//! The driver of deploy/bench.sh: scenarios one after the other, each beside its yardstick, and a report.

mod broker;
mod chart;
mod cluster;
mod drain;
mod field;
mod harness;
mod history;
mod limit;
#[path = "../../benches/naive/mod.rs"]
mod naive;
mod people;
mod report;
mod scenarios;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, ValueEnum as _};
use rollcall::clock;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use field::{Field, Order};
use report::Judge;
use scenarios::Scenario;

/// The median of so many counts.
const REPETITIONS: usize = 3;

/// Figures of the worker beside their yardsticks, in one run on one machine.
#[derive(Parser)]
#[command(name = "bench")]
enum Cli {
    /// Takes the figures.
    Measure(Measure),
    /// Draws a report.
    Chart { report: PathBuf, svg: PathBuf },
}

#[derive(clap::Args)]
struct Measure {
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    #[arg(long)]
    events: u64,
    /// Each figure once, and no goal is judged.
    #[arg(long)]
    smoke: bool,
    /// The program under test.
    #[arg(long)]
    rollcall: PathBuf,
    #[arg(long)]
    nats: PathBuf,
    /// Where initdb and postgres are.
    #[arg(long)]
    postgres: PathBuf,
    /// For configuration, logs, streams and the report.
    #[arg(long)]
    folder: PathBuf,
    /// Prints one JSON object on stdout, and the table on stderr.
    #[arg(long)]
    json: bool,
}

fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let measure = match Cli::parse() {
        Cli::Measure(measure) => measure,
        Cli::Chart { report, svg } => return draw(&report, &svg),
    };
    // What is dropped takes its processes and their folders with it.
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        done = bench(measure) => done,
        _ = tokio::signal::ctrl_c() => bail!("stopped"),
        _ = terminated.recv() => bail!("stopped"),
    }
}

fn draw(report: &Path, svg: &Path) -> Result<()> {
    let text = std::fs::read_to_string(report).with_context(|| report.display().to_string())?;
    let drawn = chart::svg(&serde_json::from_str(&text)?).context("the report has no figures that are drawn")?;
    std::fs::write(svg, drawn).with_context(|| svg.display().to_string())
}

async fn bench(cli: Measure) -> Result<()> {
    let folder = there(&cli.folder)?;
    let judge = if cli.smoke { Judge::Nothing } else { Judge::Goals };
    ensure!(
        cli.smoke || disk(&std::env::temp_dir()) != "tmpfs",
        "the folder for temporary files is in memory, and PostgreSQL would commit to no disk: set TMPDIR to one on a disk"
    );
    let began = clock::monotonic();
    let field = Field::prepare(Order {
        events: cli.events,
        repetitions: if cli.smoke { 1 } else { REPETITIONS },
        judge,
        rollcall: there(&cli.rollcall)?,
        nats: there(&cli.nats)?,
        postgres: cli.postgres,
        folder: folder.clone(),
    })
    .await?;
    let scenarios = if cli.scenarios.is_empty() {
        Scenario::value_variants()
    } else {
        &cli.scenarios
    };
    let (mut rows, mut report) = (Vec::new(), Value::Null);
    for scenario in scenarios {
        let name = scenario.to_possible_value().map(|value| value.get_name().to_owned());
        let name = name.unwrap_or_default();
        tell(&format!(
            "bench: {name} ({:.0} s so far)",
            began.elapsed().as_secs_f64()
        ));
        rows.extend(scenario.measure(&field).await.with_context(|| name)?);
        // After each, so that whoever stops it, or is stopped by an error, keeps what was measured.
        let circumstances = circumstances(&field, cli.smoke, began.elapsed().as_secs()).await?;
        report = report::object(&rows, judge, &circumstances);
        std::fs::write(folder.join("report.json"), format!("{report:#}\n"))?;
    }
    if cli.json {
        write!(std::io::stderr(), "{}", report::page(&report))?;
        writeln!(std::io::stdout(), "{report}")?;
    } else {
        write!(std::io::stdout(), "{}", report::page(&report))?;
    }
    Ok(())
}

/// The whole path, for processes that work in folders of their own.
fn there(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| path.display().to_string())
}

/// On what the figures were taken: without that they say nothing.
async fn circumstances(field: &Field, smoke: bool, seconds: u64) -> Result<Value> {
    let order = &field.order;
    let mut settings = serde_json::Map::new();
    for (name, _) in cluster::SETTINGS {
        let value = field.cluster.word(&format!("SHOW {name}")).await?;
        settings.insert(name.to_owned(), value.into());
    }
    Ok(json!({
        "events": order.events,
        "repetitions": order.repetitions,
        "seed": people::SEED,
        "smoke": smoke,
        "seconds": seconds,
        "rollcall": said(&order.rollcall, "--version"),
        "nats_server": said(&order.nats, "--version"),
        "nats_settings": {"sync_interval": "always"},
        "postgresql": field.cluster.word("SHOW server_version").await?,
        "postgresql_settings": settings,
        "postgresql_disk": disk(&std::env::temp_dir()),
        "processors": std::thread::available_parallelism()?.get(),
        "processor": line_of("/proc/cpuinfo", "model name"),
        "memory": line_of("/proc/meminfo", "MemTotal"),
        "kernel": said(Path::new("uname"), "-sr"),
    }))
}

/// The kind of file system that a folder is on.
fn disk(folder: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn said(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn line_of(file: &str, begin: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
}
