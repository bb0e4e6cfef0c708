//! `rollcall publish`: JSON lines to the stream, every one acknowledged.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::topology::stream_for_publishing;
use super::{print_json, progress, say};
use crate::config::Config;
use crate::domain::hex;
use crate::envelope::Subjects;
use crate::ingress::message_id;
use crate::jetstream::{self, Outgoing, Tally};
use crate::{clock, wiring};

/// Messages on their way at the same time: a nats-server that syncs every write times out on wide windows.
const IN_FLIGHT: usize = 256;
/// How long one message is tried.
const PATIENCE: Duration = Duration::from_mins(1);

/// Arguments of `rollcall publish`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line is a CloudEvent in structured form, or {\"subject\": …, \"data\": …} for a bare event.\n\nExamples:\n  rollcall publish events.jsonl\n  echo '{\"subject\":\"user.created\",\"data\":{\"user_id\":\"u1\",\"email\":\"ada@example.com\"}}' | rollcall publish -\n\nPublishing a file again is safe: every message has an id made from its event."
)]
pub(super) struct Args {
    /// File of JSON lines, or - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the counts as one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    // A pipe can be read once only.
    let from_pipe = args.file == Path::new("-") || std::fs::metadata(&args.file).is_ok_and(|file| !file.is_file());
    // A bad line of a file is found before the first event is on its way.
    let subjects = wiring::subjects(config);
    let total = if from_pipe {
        None
    } else {
        Some(validate(&args.file, subjects)?)
    };
    let broker = jetstream::connect(&wiring::broker(config)).await?;
    stream_for_publishing(config, &broker).await?;
    let began = clock::monotonic();
    let bar = progress::bar("publishing", total);
    let mut window = broker.publisher().window(IN_FLIGHT, PATIENCE);
    let mut result = Ok(());
    for line in lines(&args.file, subjects)? {
        let pushed = match line {
            Ok(message) => window.push(message).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = pushed {
            result = Err(error);
            break;
        }
        bar.inc(1);
    }
    let tally = match &result {
        Ok(()) => window.finish().await?,
        Err(_) => window.finish().await.unwrap_or_default(),
    };
    bar.finish_and_clear();
    broker.close().await;
    result.with_context(|| {
        format!(
            "{} events were published before this; publishing them again is safe",
            tally.published
        )
    })?;
    report(args, &tally, began.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, tally: &Tally, took: Duration) -> anyhow::Result<()> {
    if args.json {
        return print_json(&serde_json::json!({
            "published": tally.published,
            "duplicates": tally.duplicates,
            "seconds": took.as_secs_f64(),
        }));
    }
    say(&format!(
        "published {} events, {} of them were there before",
        tally.published, tally.duplicates
    ))?;
    Ok(())
}

/// The number of events in a file, all of which are good.
fn validate(file: &Path, subjects: Subjects) -> anyhow::Result<u64> {
    let mut total = 0;
    for line in lines(file, subjects)? {
        line?;
        total += 1;
    }
    Ok(total)
}

/// The messages of a file or of standard input; blank lines are skipped.
fn lines(file: &Path, subjects: Subjects) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Outgoing>>> {
    let name = file.display().to_string();
    let reader: Box<dyn BufRead + Send> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(
            std::fs::File::open(file).with_context(|| format!("{name} cannot be read"))?,
        ))
    };
    Ok((1..)
        .zip(reader.lines())
        .filter(|(_, line)| !matches!(line, Ok(line) if line.trim().is_empty()))
        .map(move |(number, line)| {
            let place = || format!("{name}, line {number}");
            message(line.with_context(place)?.trim(), subjects).with_context(place)
        }))
}

/// The message that a line stands for.
fn message(line: &str, subjects: Subjects) -> anyhow::Result<Outgoing> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        specversion: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
        source: Option<String>,
        id: Option<String>,
        subject: Option<String>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let parsed: Line<'_> = serde_json::from_str(line).map_err(|error| {
        // The library's message quotes values.
        anyhow::anyhow!(
            "neither a CloudEvent nor {{\"subject\", \"data\"}}: {:?} error in column {}",
            error.classify(),
            error.column()
        )
    })?;
    if parsed.specversion.is_some() {
        let (Some(kind), Some(source), Some(id)) = (parsed.kind, parsed.source, parsed.id) else {
            bail!("a CloudEvent needs type, source and id");
        };
        return Ok(Outgoing {
            subject: subject(&kind, "type", parsed.data, subjects)?,
            headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
            payload: Bytes::copy_from_slice(line.as_bytes()),
            message_id: message_id(&source, &id),
        });
    }
    let (Some(name), Some(data)) = (parsed.subject, parsed.data) else {
        bail!("neither a CloudEvent (no specversion) nor {{\"subject\", \"data\"}}");
    };
    let hash = Sha256::digest(line.as_bytes());
    Ok(Outgoing {
        subject: subject(&name, "subject", Some(data), subjects)?,
        headers: Vec::new(),
        payload: Bytes::copy_from_slice(data.get().as_bytes()),
        message_id: hex(&hash),
    })
}

fn subject(name: &str, field: &str, data: Option<&RawValue>, subjects: Subjects) -> anyhow::Result<String> {
    let token =
        |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>'));
    if !name.starts_with("user.") || !name.split('.').all(token) {
        bail!("{field} must begin with \"user.\" and have no blanks or wildcards");
    }
    if subjects == Subjects::ByType {
        return Ok(name.to_owned());
    }
    // The broker would only be silent.
    if name.split('.').count() > 3 {
        bail!("{field} has more than three words, which the stream does not take with partitions");
    }
    let user_id = data.and_then(user_of);
    Ok(subjects.of(name, user_id.as_deref()))
}

/// Whose event it is, where its data says so.
fn user_of(data: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Data {
        user_id: String,
    }
    Some(serde_json::from_str::<Data>(data.get()).ok()?.user_id)
}

#[cfg(test)]
mod tests {
    use super::Subjects;
    use crate::jetstream::Outgoing;

    fn message(line: &str) -> anyhow::Result<Outgoing> {
        super::message(line, Subjects::ByType)
    }

    #[test]
    fn with_partitions_the_subject_says_whose_event_it_is() {
        let event = r#"{"specversion":"1.0","type":"user.renamed","source":"s","id":"1","data":{"user_id":"ada"}}"#;
        let odd = r#"{"specversion":"1.0","type":"user.renamed","source":"s","id":"1","data":{"user_id":7}}"#;
        for (line, expected) in [
            (event, "user.renamed.ADA"),
            (odd, "user.renamed"),
            (
                r#"{"subject":"user.created","data":{"user_id":"ada"}}"#,
                "user.created.ADA",
            ),
            (
                r#"{"subject":"user.created.eu","data":{"user_id":"ada"}}"#,
                "user.created.eu",
            ),
            (r#"{"subject":"user.created","data":[]}"#, "user.created"),
        ] {
            let expected = expected.replace("ADA", &crate::envelope::word_of("ada"));
            let message = super::message(line, Subjects::ByUser).expect("a good line");
            assert_eq!(message.subject, expected, "{line}");
        }
        let line = r#"{"subject":"user.created.eu.west","data":{"user_id":"ada"}}"#;
        let error = super::message(line, Subjects::ByUser)
            .expect_err("four words")
            .to_string();
        assert!(error.contains("three words"), "{error}");
        assert!(message(line).is_ok());
    }

    #[test]
    fn a_cloud_event_goes_to_its_type_under_source_and_id() {
        let line = r#"{"specversion":"1.0","type":"user.created","source":"s","id":"1","data":{"user_id":"u"}}"#;
        let message = message(line).expect("a good line");
        assert_eq!(
            (message.subject.as_str(), message.message_id.as_str()),
            ("user.created", "s 1")
        );
        assert_eq!(message.payload, line.as_bytes());
    }

    #[test]
    fn blanks_in_source_or_id_do_not_make_two_events_one() {
        let id = |source: &str, id: &str| {
            let line =
                format!(r#"{{"specversion":"1.0","type":"user.created","source":"{source}","id":"{id}","data":{{}}}}"#);
            message(&line).expect("a good line").message_id
        };
        assert_ne!(id("a", "b c"), id("a b", "c"));
        assert_eq!(id("a", "b c").len(), 64);
    }

    #[test]
    fn a_bare_event_carries_its_data_byte_for_byte_under_the_hash_of_its_line() {
        let first = message(r#"{"subject":"user.updated.x","data":{ "user_id" : "u" }}"#).expect("a good line");
        assert_eq!(first.payload, r#"{ "user_id" : "u" }"#.as_bytes());
        assert_eq!((first.subject.as_str(), first.message_id.len()), ("user.updated.x", 64));
        let other = message(r#"{"subject":"user.updated.x","data":{ "user_id" : "v" }}"#).expect("a good line");
        assert_ne!(first.message_id, other.message_id);
    }

    #[test]
    fn bad_lines_are_refused_with_the_rule_they_break() {
        for (line, expected) in [
            ("", "neither"),
            ("[]", "neither"),
            ("{\"subject\":\"user.created\"}", "neither"),
            ("{\"subject\":\"order.created\",\"data\":{}}", "must begin"),
            ("{\"subject\":\"user.*\",\"data\":{}}", "wildcards"),
            ("{\"specversion\":\"1.0\",\"type\":\"user.created\"}", "needs type"),
            (
                "{\"specversion\":\"1.0\",\"type\":\"user..x\",\"source\":\"s\",\"id\":\"1\"}",
                "must begin",
            ),
        ] {
            let error = message(line).expect_err("a bad line").to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
