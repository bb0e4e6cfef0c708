//! `rollcall dead`

use std::process::ExitCode;

use time::format_description::well_known::Rfc3339;

use super::{print_json, say};
use crate::config::Config;
use crate::dead_letters::{message_id_of, our_header};
use crate::domain::Reason;
use crate::jetstream::{self, StoredMessage};
use crate::store::Store;
use crate::wiring;

/// Letters whose state is looked up at a time.
const CHUNK: usize = 256;

/// Commands about dead letters.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:\n  rollcall dead list\n  rollcall dead redrive --all --dry-run")]
pub(super) enum Command {
    /// List what could not be applied, why, and what to do about it.
    List(ListArgs),
    /// Publish the events of dead letters once more, when what was wrong is put right.
    Redrive(super::redrive::Args),
}

/// Arguments of `rollcall dead list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rollcall dead list\n  rollcall dead list --json | jq -r .reason | sort | uniq -c")]
pub(super) struct ListArgs {
    /// Print one JSON object per dead letter.
    #[arg(long)]
    json: bool,
}

/// A dead letter as it is shown.
#[derive(Debug, serde::Serialize)]
struct Letter {
    /// Sequence in the stream of dead letters.
    sequence: u64,
    reason: String,
    remedy: String,
    /// Where the event was published.
    subject: Option<String>,
    /// The stream it came from.
    stream: Option<String>,
    /// Its sequence there.
    stream_sequence: Option<u64>,
    source: Option<String>,
    event_id: Option<String>,
    user_id: Option<String>,
    attempts: u64,
    error: Option<String>,
    /// When it was buried.
    time: String,
    /// Whether its event was applied after all; nothing when the database cannot be asked.
    resolved: Option<bool>,
    message_id: Option<String>,
}

pub(super) async fn list(args: &ListArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    let store = match Store::open(&wiring::store(config)).await {
        Ok(store) => Some(store),
        Err(error) => {
            tracing::warn!(%error, "cannot tell which dead letters are resolved");
            None
        }
    };
    let mut messages = broker.stored_messages(&config.dead_letters.stream).await?;
    let mut chunk = Vec::new();
    let mut shown = 0_u64;
    loop {
        let message = messages.next().await?;
        let at_end = message.is_none();
        chunk.extend(message.map(|message| letter(&message)));
        if at_end || chunk.len() >= CHUNK {
            resolve(store.as_ref(), &mut chunk).await;
            for letter in chunk.drain(..) {
                show(args, &letter)?;
                shown += 1;
            }
        }
        if at_end {
            break;
        }
    }
    if shown == 0 && !args.json {
        say("no dead letters")?;
    }
    broker.close().await;
    Ok(ExitCode::SUCCESS)
}

fn letter(message: &StoredMessage) -> Letter {
    let ours = |name: &str| our_header(&message.headers, name).map(str::to_owned);
    let reason = ours("reason").unwrap_or_else(|| "unknown".to_owned());
    // The remedies of this version, not of the one that buried it.
    let remedy = Reason::from_name(&reason)
        .map(|reason| reason.remedy().to_owned())
        .or_else(|| ours("remedy"));
    Letter {
        sequence: message.sequence,
        remedy: remedy.unwrap_or_default(),
        subject: ours("subject"),
        stream: ours("stream"),
        stream_sequence: ours("sequence").and_then(|sequence| sequence.parse().ok()),
        source: ours("source"),
        event_id: ours("event-id"),
        user_id: user_id(&message.payload),
        attempts: ours("attempts")
            .and_then(|attempts| attempts.parse().ok())
            .unwrap_or_default(),
        error: ours("error"),
        time: ours("last-attempt").unwrap_or_else(|| message.published.format(&Rfc3339).unwrap_or_default()),
        resolved: None,
        message_id: message_id_of(&message.headers).map(str::to_owned),
        reason,
    }
}

/// The user an event is about, where the payload says so in either form.
fn user_id(payload: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let data = if value.get("specversion").is_some() {
        value.get("data")?
    } else {
        &value
    };
    data.get("user_id")?.as_str().map(str::to_owned)
}

async fn resolve(store: Option<&Store>, letters: &mut [Letter]) {
    let Some(store) = store else { return };
    let ids: Vec<String> = letters.iter().filter_map(|letter| letter.message_id.clone()).collect();
    match store.resolved(&ids).await {
        Ok(resolved) => {
            for letter in letters {
                letter.resolved = Some(letter.message_id.as_ref().is_some_and(|id| resolved.contains(id)));
            }
        }
        Err(error) => tracing::warn!(%error, "cannot tell which dead letters are resolved"),
    }
}

fn show(args: &ListArgs, letter: &Letter) -> anyhow::Result<()> {
    if args.json {
        return print_json(letter);
    }
    let resolved = if letter.resolved == Some(true) {
        "  (resolved: applied after all)"
    } else {
        ""
    };
    say(&format!(
        "#{}  {}  {}{resolved}",
        letter.sequence, letter.time, letter.reason
    ))?;
    let subject = letter.subject.as_deref().unwrap_or("?");
    let stream = letter.stream.as_deref().unwrap_or("?");
    let sequence = letter
        .stream_sequence
        .map_or_else(|| "?".to_owned(), |sequence| sequence.to_string());
    say(&format!(
        "    event    {subject}, {stream} {sequence}, attempts {}",
        letter.attempts
    ))?;
    if let (Some(source), Some(id)) = (&letter.source, &letter.event_id) {
        say(&format!("    identity {source} {id}"))?;
    }
    if let Some(user_id) = &letter.user_id {
        say(&format!("    user     {user_id}"))?;
    }
    say(&format!("    error    {}", letter.error.as_deref().unwrap_or("?")))?;
    say(&format!("    remedy   {}", letter.remedy))?;
    Ok(())
}
