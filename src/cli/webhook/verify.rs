//! `rollcall webhook verify`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Whose, read};
use crate::cli::{print_json, say};
use crate::clock;
use crate::config::Config;
use crate::ingress::signature::Received;
use crate::ingress::translation::{Canonical, Translation};

/// Arguments of `rollcall webhook verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "REQUEST.json holds what a sender sent: {\"headers\": {\"svix-id\": \"…\", …}, \"body\": \"the exact body as text\"}.\n\nExamples:\n  rollcall webhook verify --provider clerk --secret-file clerk.secret request.json\n  rollcall webhook verify --endpoint clerk request.json\n  rollcall webhook verify --provider clerk --secret-file clerk.secret --now 1767225600 --json request.json\n\nExit code 0 when the request is believed, 1 when it is not. Nothing is published."
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// The time to judge at, in seconds since 1970, instead of now.
    #[arg(long, value_name = "UNIX")]
    now: Option<i64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The request, or - for standard input.
    #[arg(value_name = "REQUEST.json")]
    request: PathBuf,
}

/// A request in a file. Other members are for whoever wrote it.
#[derive(Deserialize)]
pub(super) struct Recorded {
    #[serde(default)]
    headers: BTreeMap<String, HeaderValues>,
    pub(super) body: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValues {
    One(String),
    More(Vec<String>),
}

impl Recorded {
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            // The library's message quotes values.
            anyhow::anyhow!(
                "no request: a JSON object with \"headers\" and \"body\", the body as text, is needed ({:?} error in line {}, column {})",
                error.classify(),
                error.line(),
                error.column()
            )
        })
    }

    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (name, values) in &self.headers {
            let values = match values {
                HeaderValues::One(value) => std::slice::from_ref(value),
                HeaderValues::More(values) => values,
            };
            headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        headers
    }
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let endpoint = args.whose.endpoint(config)?;
    let request = Recorded::parse(&read(&args.request)?).with_context(|| args.request.display().to_string())?;
    let headers = request.headers();
    let received = Received {
        headers: &headers,
        body: request.body.as_bytes(),
    };
    let now = args
        .now
        .unwrap_or_else(|| clock::now().unix_timestamp())
        .saturating_mul(1000);
    let scheme = endpoint.verifier().scheme();
    match endpoint.judge(&received, now) {
        Ok(translation) => accepted(args, scheme, &translation)?,
        Err(rejection) => {
            let reason = rejection.to_string();
            if args.json {
                print_json(&json!({ "verdict": "rejected", "scheme": scheme, "reason": reason, "events": [] }))?;
            } else {
                say(&format!("rejected by {scheme}: {reason}"))?;
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn accepted(args: &Args, scheme: &str, translation: &Translation) -> anyhow::Result<()> {
    let events: Vec<Value> = translation.events.iter().map(Canonical::to_json).collect();
    if args.json {
        return print_json(&json!({
            "verdict": "accepted",
            "scheme": scheme,
            "events": events,
            "ignored": translation.ignored,
            "unknown": translation.unknown,
            "malformed": translation.malformed,
        }));
    }
    say(&format!("accepted by {scheme}"))?;
    for event in &events {
        say(&serde_json::to_string_pretty(event)?)?;
    }
    if translation.ignored > 0 {
        say(&format!(
            "ignored: {} events that are of no interest",
            translation.ignored
        ))?;
    }
    for name in &translation.unknown {
        say(&format!(
            "unknown: no rule is for {name}, it would be counted and not published"
        ))?;
    }
    for what in &translation.malformed {
        say(&format!("malformed: {what}; the body would go to the dead letters"))?;
    }
    Ok(())
}
