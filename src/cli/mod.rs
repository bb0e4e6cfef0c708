//! The commands: what people and scripts say to Rollcall, and what it answers.
//!
//! Standard output belongs to the answers, standard error to logs, progress and errors.

mod audit;
mod backfill;
mod beside;
mod cascade;
mod check;
mod dead;
mod explain;
mod ingress;
mod migrate;
mod progress;
mod publish;
mod rebuild;
mod redrive;
mod replay;
mod run;
mod schema;
mod start;
mod tables;
mod topology;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, ConfigError, Telemetry};
use crate::ingress::IngressError;
use crate::jetstream::BrokerError;
use crate::store::StoreError;

/// Keeps application profiles in step with the identity provider.
#[derive(Debug, Parser)]
#[command(
    name = "rollcall",
    version,
    about,
    after_help = "Examples:\n  rollcall migrate                      make the tables\n  rollcall check                        find every problem of the set-up\n  rollcall run                          work until SIGTERM\n  rollcall publish events.jsonl         publish events\n  rollcall explain u1                   tell the whole history of a user\n\nEvery key of the configuration can be overridden by a variable, for example\n  ROLLCALL__STORE__URL=postgres://rollcall@db/app rollcall run\n\nExit codes: 0 done; 1 failed; 2 wrong usage, configuration or set-up."
)]
pub struct Cli {
    /// Configuration file; without it ./config.toml if there is one, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work: read events, keep the profiles right.
    Run(run::Args),
    /// Make the tables, and the file if it is SQLite.
    Migrate(migrate::Args),
    /// Look for problems of configuration, broker and database, all in one pass.
    Check(check::Args),
    /// Publish events from JSON lines.
    Publish(publish::Args),
    /// Fold ledgers again and put the tables right.
    Rebuild(rebuild::Args),
    /// Tell the whole history of a user, in order.
    Explain(explain::Args),
    /// Print what events may hold, for those who send them.
    Schema(schema::Args),
    /// Apply events once more that the stream still holds.
    Replay(replay::Args),
    /// Make a profile for every user of a table or file who has none.
    Backfill(backfill::Args),
    /// Prove that no message is lost, one by one.
    Audit(audit::Args),
    /// Take webhooks and publish what they say.
    Ingress(ingress::Args),
    /// Try out a provider of webhooks.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Look at dead letters, and bring them back.
    #[command(subcommand)]
    Dead(dead::Command),
    /// Look for tables of the application that hold keys of users.
    #[command(subcommand)]
    Cascade(cascade::Command),
}

/// Runs one command to its end; the returned code is the process's.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("the runtime cannot be started")),
    };
    let result = runtime.block_on(command(cli));
    // Whatever is still at work is not waited for: it is not committed, or not acknowledged.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn command(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Check(args) = &cli.command {
        return Box::pin(check::run(args, cli.config.as_deref())).await;
    }
    let config = Config::load(cli.config.as_deref(), environment())?;
    let worker = matches!(cli.command, Command::Run(_) | Command::Ingress(_));
    // The log of a command is what went wrong; that of the worker is what it does.
    let log = if worker {
        config.telemetry.log.clone()
    } else {
        "warn".to_owned()
    };
    crate::telemetry::init(&Telemetry {
        log,
        ..config.telemetry.clone()
    })?;
    match cli.command {
        Command::Run(args) => run::run(&args, &config).await,
        Command::Migrate(args) => migrate::run(&args, &config).await,
        Command::Publish(args) => publish::run(&args, &config).await,
        Command::Rebuild(args) => rebuild::run(&args, &config).await,
        Command::Explain(args) => explain::run(&args, &config).await,
        Command::Schema(args) => schema::run(&args, &config),
        Command::Replay(args) => replay::run(&args, &config).await,
        Command::Backfill(args) => backfill::run(&args, &config).await,
        Command::Audit(args) => audit::run(&args, &config).await,
        Command::Ingress(args) => ingress::run(&args, &config).await,
        Command::Webhook(command) => webhook::run(&command, &config).await,
        Command::Dead(dead::Command::List(args)) => dead::list(&args, &config).await,
        Command::Dead(dead::Command::Redrive(args)) => redrive::run(&args, &config).await,
        Command::Cascade(cascade::Command::Discover(args)) => cascade::discover(&args, &config).await,
        Command::Cascade(cascade::Command::Check(args)) => cascade::check(&args, &config).await,
        Command::Check(args) => Box::pin(check::run(&args, cli.config.as_deref())).await,
    }
}

/// Prints the chain of an error once.
#[expect(clippy::print_stderr, reason = "the one place that tells a person what went wrong")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("rollcall: {}", crate::failure::chain(error.as_ref()));
    ExitCode::from(if is_ours(error) { 2 } else { 1 })
}

/// Whether configuration or set-up has to be changed before another try can succeed.
fn is_ours(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<Setup>()
            || cause.is::<tables::Unfit>()
            || cause.is::<crate::mail::SetupError>()
            || cause.is::<IngressError>()
            || cause
                .downcast_ref::<BrokerError>()
                .is_some_and(|error| !error.is_transient())
            || cause
                .downcast_ref::<StoreError>()
                .is_some_and(|error| crate::failure::fault(error).is_ours())
    })
}

/// Something that has to be set up first.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Setup(std::borrow::Cow<'static, str>);

/// What clap itself would say and answer, for rules about several arguments.
fn wrong_usage(command: &str, message: &str) -> anyhow::Result<ExitCode> {
    let mut cli = Cli::command();
    cli.build();
    let kind = clap::error::ErrorKind::ValueValidation;
    let error = match cli.find_subcommand_mut(command) {
        Some(command) => command.error(kind, message),
        None => cli.error(kind, message),
    };
    error.print()?;
    Ok(ExitCode::from(2))
}

/// One line of JSON on standard output.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string(value)?)
}

/// One line on standard output. `println!` would panic when the reader has gone.
fn say(line: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Whether whoever reads our output has read enough, as `head` does.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The variables that are text; others cannot be meant for us, and asking for all of them as text would panic.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
