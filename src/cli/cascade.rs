//! `rollcall cascade discover` and `rollcall cascade check`

use std::process::ExitCode;

use super::start::tables_are_current;
use super::{print_json, say};
use crate::config::{self, Config};
use crate::store::Store;
use crate::store::cascade::Candidate;
use crate::wiring;

/// What can be asked about the application's tables.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Look for columns that hold keys of users, and propose configuration for them.
    Discover(Discover),
    /// Fail when a column that holds keys of users is in neither the configuration nor its list of ignored ones.
    Check(Check),
}

/// Arguments of `rollcall cascade discover`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rollcall cascade discover >> config.toml    then read it, and correct what it proposes\n\nLooks at names, foreign keys, and at how many of up to 1,000 values of each column are known users. Columns that are\nconfigured or ignored are left out. Changes nothing."
)]
pub(super) struct Discover {
    /// Print one JSON object per column.
    #[arg(long)]
    json: bool,
}

/// Arguments of `rollcall cascade check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rollcall cascade check || rollcall cascade discover\n\nExit code 0 when there is no such column, else 1. Columns that are none are listed in [worker] ignored_columns."
)]
pub(super) struct Check {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn discover(args: &Discover, config: &Config) -> anyhow::Result<ExitCode> {
    let found = missing(config).await?;
    for candidate in &found {
        if args.json {
            print_json(candidate)?;
        } else {
            say(&proposal(candidate))?;
        }
    }
    if found.is_empty() && !args.json {
        say("# no further column looks like a key of users")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(args: &Check, config: &Config) -> anyhow::Result<ExitCode> {
    let found = missing(config).await?;
    if args.json {
        print_json(&serde_json::json!({ "ok": found.is_empty(), "missing": found }))?;
    } else if found.is_empty() {
        say("every column that looks like a key of users is configured or ignored")?;
    } else {
        for candidate in &found {
            say(&format!(
                "{}.{}: {}",
                candidate.table,
                candidate.column,
                reasons(candidate)
            ))?;
        }
        say(
            "add a [[cascade]] for each (`rollcall cascade discover` proposes one), or list it in [worker] ignored_columns",
        )?;
    }
    Ok(ExitCode::from(u8::from(!found.is_empty())))
}

/// Columns that look like keys of users and of which the configuration says nothing.
async fn missing(config: &Config) -> anyhow::Result<Vec<Candidate>> {
    let store = Store::open(&wiring::store(config)).await?;
    tables_are_current(&store).await?;
    let mut found = store.candidates().await?;
    store.close().await;
    found.retain(|candidate| !is_known(candidate, config));
    Ok(found)
}

fn is_known(candidate: &Candidate, config: &Config) -> bool {
    let table = candidate.table.rsplit('.').next().unwrap_or_default();
    let is_configured = config.cascades.iter().any(|cascade: &config::Cascade| {
        cascade.table.eq_ignore_ascii_case(table) && cascade.column.eq_ignore_ascii_case(&candidate.column)
    });
    let full = format!("{}.{}", candidate.table, candidate.column);
    let is_ignored = config
        .worker
        .ignored_columns
        .iter()
        .any(|ignored| *ignored == full || *ignored == candidate.table);
    let is_audit = config
        .audits
        .iter()
        .any(|audit| audit.table.eq_ignore_ascii_case(table));
    is_configured || is_ignored || is_audit
}

/// Why it looks like one.
fn reasons(candidate: &Candidate) -> String {
    let mut reasons = Vec::new();
    if candidate.sampled > 0 {
        let (known, sampled, key) = (candidate.known, candidate.sampled, candidate.key);
        reasons.push(format!("{known} of {sampled} values are the {key} of known users"));
    }
    if candidate.by_name {
        reasons.push("its name is one that keys of users have".to_owned());
    }
    reasons.extend(
        candidate
            .refers_to
            .as_ref()
            .map(|to| format!("a foreign key refers to {to}")),
    );
    reasons.join("; ")
}

/// The configuration for a column; what is proposed is what the name of the table suggests.
fn proposal(candidate: &Candidate) -> String {
    let table = candidate.table.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| table.contains(word));
    let (on_rename, on_delete) = if has(&["session", "token", "device"]) {
        ("delete", "delete")
    } else if has(&[
        "permission",
        "role",
        "notification",
        "setting",
        "preference",
        "member",
        "subscription",
    ]) {
        ("rewrite", "delete")
    } else {
        ("rewrite", "keep")
    };
    format!(
        "# {}\n[[cascade]]\ntable = \"{}\"\ncolumn = \"{}\"\nkey = \"{}\"\non_rename = \"{on_rename}\"\non_delete = \"{on_delete}\"\n",
        reasons(candidate),
        candidate.table,
        candidate.column,
        candidate.key
    )
}
