//! The demo of deploy/run.sh: makes a company's year with its books, plays it to the broker, and checks that the tables
//! say what the books say. It shares no code with Rollcall.

mod ada;
mod book;
mod books;
mod check;
mod event;
mod found;
mod names;
mod person;
mod play;
mod post;
mod rng;
mod scenes;
mod story;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod year;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use serde::de::DeserializeOwned;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::books::Books;
use crate::event::Message;
use crate::found::{Found, Places};
use crate::summary::Paint;

/// A small company's year for Rollcall, with books of what must come out.
#[derive(Parser)]
#[command(name = "demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the messages of a year, one JSON object a line, and the books that go with them.
    Generate {
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long)]
        out: PathBuf,
        #[arg(long)]
        books: PathBuf,
    },
    /// Publishes the messages and waits until the worker has settled them all.
    Play {
        #[arg(long)]
        messages: PathBuf,
        /// Where to write what the broker said.
        #[arg(long)]
        played: PathBuf,
        #[command(flatten)]
        broker: Broker,
    },
    /// Compares the books with the tables and streams; exit code 1 if they differ.
    Check(Check),
}

#[derive(Args)]
struct Broker {
    #[arg(long)]
    nats: String,
    #[arg(long, default_value = "USERS")]
    stream: String,
}

#[derive(Args)]
struct Check {
    #[arg(long)]
    books: PathBuf,
    #[arg(long)]
    played: PathBuf,
    #[command(flatten)]
    broker: Broker,
    #[arg(long, default_value = "DEAD_LETTERS")]
    dead_stream: String,
    /// sqlite://… or postgres://…
    #[arg(long)]
    store: String,
    /// The program to ask for dead letters and stories.
    #[arg(long)]
    rollcall: String,
    #[arg(long, default_value = "config.toml")]
    config: String,
    /// Prints one JSON object on stdout, and the page on stderr.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Generate { seed, out, books } => generate(seed, &out, &books),
        Command::Play {
            messages,
            played,
            broker,
        } => {
            let messages: Vec<Message> = lines(&messages)?;
            let result = play::play(&broker.nats, &broker.stream, &messages).await?;
            std::fs::write(&played, serde_json::to_vec(&result)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(check) => compare(check).await,
    }
}

fn generate(seed: u64, out: &Path, books_file: &Path) -> Result<ExitCode> {
    let (books, post) = Books::of(seed);
    let mut file = BufWriter::new(std::fs::File::create(out)?);
    for message in &post.messages {
        writeln!(file, "{}", serde_json::to_string(message)?)?;
    }
    file.flush()?;
    std::fs::write(books_file, serde_json::to_vec_pretty(&books)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn compare(check: Check) -> Result<ExitCode> {
    let books: Books = document(&check.books)?;
    let places = Places {
        rollcall: check.rollcall,
        config: check.config,
        nats: check.broker.nats,
        store: check.store,
        stream: check.broker.stream,
        dead_stream: check.dead_stream,
    };
    let found = Found::read(&places, document(&check.played)?, books.dead.values().sum()).await?;
    let differences = check::differences(&books, &found);
    let stream: &mut dyn std::io::Write = if check.json {
        &mut std::io::stderr()
    } else {
        &mut std::io::stdout()
    };
    let terminal = if check.json {
        std::io::stderr().is_terminal()
    } else {
        std::io::stdout().is_terminal()
    };
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let paint = if terminal && !refused {
        Paint::Colour
    } else {
        Paint::Plain
    };
    write!(stream, "{}", summary::page(&books, &found, &differences, paint)?)?;
    if check.json {
        writeln!(std::io::stdout(), "{}", summary::object(&books, &found, &differences))?;
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn document<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not what the demo wrote", path.display()))
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let parse =
        |line| serde_json::from_str(line).with_context(|| format!("{} is not what the demo wrote", path.display()));
    text.lines().map(parse).collect()
}
