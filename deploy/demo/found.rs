//! What there is after the play: rows of the tables, messages of the streams, lines of `rollcall dead list`.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use futures_util::TryStreamExt as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::books::Row;
use crate::play::Played;
use crate::tables::{CUSTOMERS, KEYS, LEDGER, PROFILES, Tables};

/// Where to look.
pub(crate) struct Places {
    pub(crate) rollcall: String,
    pub(crate) config: String,
    pub(crate) nats: String,
    pub(crate) store: String,
    pub(crate) stream: String,
    pub(crate) dead_stream: String,
}

#[derive(Debug, Default)]
pub(crate) struct Dead {
    pub(crate) count: usize,
    pub(crate) remedy: String,
}

pub(crate) struct Found {
    pub(crate) database: &'static str,
    pub(crate) played: Played,
    pub(crate) profiles: Vec<Row>,
    pub(crate) customers: Vec<Row>,
    pub(crate) ledger: Vec<Row>,
    pub(crate) keys: BTreeMap<String, String>,
    /// Messages in the stream of events.
    pub(crate) messages: usize,
    /// Those of them whose type Rollcall does not know.
    pub(crate) unknown_type: usize,
    /// By reason, without those that a later event resolved.
    pub(crate) dead: BTreeMap<String, Dead>,
    /// All lines of `rollcall dead list`, and all messages of the stream that it lists.
    pub(crate) buried: usize,
    pub(crate) dead_stream: usize,
    /// Lines of `rollcall explain` for the most eventful user, each with the data that its ledger row has.
    pub(crate) story: Vec<Value>,
    pub(crate) hero: String,
}

/// Types of the events that enter the ledger.
const KNOWN: [&str; 9] = [
    "created",
    "updated",
    "renamed",
    "deleted",
    "joined",
    "left",
    "activated",
    "archived",
    "reactivated",
];
/// What is dead without having entered the ledger.
const NEVER_ENTERED: [&str; 3] = ["undecodable", "time_in_future", "id_conflict"];

impl Found {
    /// Waits until the dead letters that are expected have left the outbox, then reads everything once.
    pub(crate) async fn read(places: &Places, played: Played, expected_dead: usize) -> Result<Self> {
        let (listed, dead_stream) = dead_letters(places, expected_dead).await?;
        let mut tables = Tables::open(&places.store).await?;
        let profiles = tables.rows(&PROFILES).await?;
        let keys = tables.rows(&KEYS).await?.iter().filter_map(key_and_kind).collect();
        let ledger = tables.rows(&LEDGER).await?;
        let hero = most_eventful(&profiles);
        let story = with_data(ask(places, &["explain", &hero, "--json"]).await?, &ledger);
        let subjects = subjects(places, &places.stream).await?;
        let known = |subject: &str| subject.split('.').nth(1).is_some_and(|kind| KNOWN.contains(&kind));
        Ok(Self {
            database: tables.name(),
            played,
            customers: tables.rows(&CUSTOMERS).await?,
            ledger,
            keys,
            messages: subjects.values().sum(),
            unknown_type: subjects
                .iter()
                .filter(|(subject, _)| !known(subject))
                .map(|(_, count)| count)
                .sum(),
            dead: by_reason(&listed),
            buried: listed.len(),
            dead_stream,
            story,
            profiles,
            hero,
        })
    }

    pub(crate) fn users(&self) -> BTreeSet<&str> {
        self.keys
            .iter()
            .filter(|(_, kind)| *kind == "active")
            .map(|(key, _)| key.as_str())
            .collect()
    }

    /// What the stream holds and neither ledger nor dead letters nor the list of types accounts for was a copy.
    pub(crate) fn duplicates(&self) -> usize {
        let outside = NEVER_ENTERED
            .iter()
            .filter_map(|reason| self.dead.get(*reason))
            .map(|dead| dead.count)
            .sum::<usize>();
        self.messages
            .saturating_sub(self.ledger.len() + outside + self.unknown_type)
    }

    pub(crate) fn late(&self) -> usize {
        self.ledger
            .iter()
            .filter(|row| row.get("late") == Some(&Value::Bool(true)))
            .count()
    }
}

/// What stands behind a key; keys that are merely mentioned somewhere stand for nobody.
fn key_and_kind(row: &Row) -> Option<(String, String)> {
    let kind = match row.get("holder")?.as_i64()? {
        1 => "active",
        2 => "alias",
        3 => "tombstone",
        _ => return None,
    };
    Some((row.get("key")?.as_str()?.to_owned(), kind.to_owned()))
}

/// The user with the most applied events; of equals the first by key.
fn most_eventful(profiles: &[Row]) -> String {
    let version = |row: &&Row| row.get("version").and_then(Value::as_u64);
    let user = |row: &Row| {
        row.get("user_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    profiles
        .iter()
        .max_by_key(|row| (version(row), std::cmp::Reverse(user(row))))
        .map(user)
        .unwrap_or_default()
}

fn with_data(mut lines: Vec<Value>, ledger: &[Row]) -> Vec<Value> {
    for line in &mut lines {
        let same = |row: &&Row| row.get("source") == line.get("source") && row.get("event_id") == line.get("id");
        let data = ledger.iter().find(same).and_then(|row| row.get("data"));
        line["data"] = data.cloned().unwrap_or_default();
    }
    lines
}

/// The relay publishes after the commit, so the last dead letters may be a moment behind.
async fn dead_letters(places: &Places, expected: usize) -> Result<(Vec<Value>, usize)> {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut last = None;
    for _ in 0..50 {
        tick.tick().await;
        let stored: usize = subjects(places, &places.dead_stream).await?.values().sum();
        // Complete and at rest: a letter that is resolved later comes on top of the expected ones.
        if stored >= expected && last == Some(stored) {
            break;
        }
        last = Some(stored);
    }
    let listed = ask(places, &["dead", "list", "--json"]).await?;
    Ok((listed, subjects(places, &places.dead_stream).await?.values().sum()))
}

fn by_reason(listed: &[Value]) -> BTreeMap<String, Dead> {
    let mut dead: BTreeMap<String, Dead> = BTreeMap::new();
    for line in listed.iter().filter(|line| line["resolved"] != Value::Bool(true)) {
        let entry = dead
            .entry(line["reason"].as_str().unwrap_or("without a reason").to_owned())
            .or_default();
        entry.count += 1;
        line["remedy"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut entry.remedy);
    }
    dead
}

/// Messages by subject.
async fn subjects(places: &Places, stream: &str) -> Result<BTreeMap<String, usize>> {
    let client = async_nats::connect(&places.nats)
        .await
        .context("the broker cannot be reached")?;
    let stream = jetstream::new(client)
        .get_stream(stream)
        .await
        .context("the stream is not there")?;
    let subjects: Vec<(String, usize)> = stream.info_with_subjects(">").await?.try_collect().await?;
    Ok(subjects.into_iter().collect())
}

/// Runs a command of Rollcall's that prints JSON Lines.
async fn ask(places: &Places, arguments: &[&str]) -> Result<Vec<Value>> {
    let (program, config) = (places.rollcall.clone(), places.config.clone());
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let shown = arguments.join(" ");
    let run = move || {
        std::process::Command::new(program)
            .arg("--config")
            .arg(config)
            .args(arguments)
            .output()
    };
    let output = tokio::task::spawn_blocking(run)
        .await?
        .with_context(|| format!("`rollcall {shown}` cannot be started"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`rollcall {shown}` failed: {}",
        complaint.trim()
    );
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("`rollcall {shown}` printed no JSON")))
        .collect()
}
