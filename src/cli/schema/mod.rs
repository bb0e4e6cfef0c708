//! `rollcall schema`: what events may hold, as JSON Schema and AsyncAPI, made from what the decoder reads by.

mod asyncapi;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::{say, wrong_usage};
use crate::announcements::{self, Happening};
use crate::config::Config;
use crate::domain::Kind;
use crate::envelope::schema;

/// Arguments of `rollcall schema`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rollcall schema user.created            the data of one type, as JSON Schema\n  rollcall schema user.created --event    the whole CloudEvent\n  rollcall schema --asyncapi              all channels and messages, as AsyncAPI 3\n  rollcall schema --write docs            docs/schemas/<type>.json and docs/asyncapi.json\n\nThe schemas describe good events: what the worker would drop as a bad optional field is invalid, too."
)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["kind", "asyncapi", "write"]))]
pub(super) struct Args {
    /// Type of event, such as user.created, or of announcement, such as profile.created.
    #[arg(value_name = "TYPE", value_parser = kind)]
    kind: Option<Told>,
    /// The whole CloudEvent in structured form instead of its data.
    #[arg(long, requires = "kind")]
    event: bool,
    /// The AsyncAPI document: subjects as configured, and what goes over them.
    #[arg(long)]
    asyncapi: bool,
    /// Write every schema and the AsyncAPI document into this folder.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

/// What comes in and what goes out.
#[derive(Debug, Clone, Copy)]
enum Told {
    Event(Kind),
    Announcement(Happening),
}

fn kind(name: &str) -> Result<Told, String> {
    let event = Kind::from_name(name).map(Told::Event);
    let known = || [&Kind::ALL.map(Kind::name)[..], &Happening::ALL.map(Happening::name)].concat();
    event
        .or_else(|| Happening::from_name(name).map(Told::Announcement))
        .ok_or_else(|| format!("the types are {}", known().join(", ")))
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.write {
        write(folder, config)?;
    } else if let Some(kind) = args.kind {
        let document = match kind {
            Told::Event(kind) if args.event => schema::event_document(kind),
            Told::Event(kind) => schema::data_document(kind),
            Told::Announcement(_) if args.event => {
                let message = "announcements go in binary form: their attributes are headers, see --asyncapi";
                return wrong_usage("schema", message);
            }
            Told::Announcement(kind) => announcements::schema::data_document(kind),
        };
        say(&pretty(&document)?)?;
    } else {
        say(&pretty(&asyncapi::document(config))?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn pretty(document: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(document)?)
}

fn write(folder: &Path, config: &Config) -> anyhow::Result<()> {
    let schemas = folder.join("schemas");
    std::fs::create_dir_all(&schemas).with_context(|| format!("{} cannot be made", schemas.display()))?;
    let mut files: Vec<(PathBuf, Value)> = Kind::ALL
        .into_iter()
        .map(|kind| {
            (
                schemas.join(format!("{}.json", kind.name())),
                schema::data_document(kind),
            )
        })
        .collect();
    files.extend(Happening::ALL.map(|kind| {
        let path = schemas.join(format!("{}.json", kind.name()));
        (path, announcements::schema::data_document(kind))
    }));
    files.push((folder.join("asyncapi.json"), asyncapi::document(config)));
    for (path, document) in files {
        let text = format!("{}\n", pretty(&document)?);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        say(&path.display().to_string())?;
    }
    Ok(())
}
