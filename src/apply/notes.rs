//! What the ledger says of the steps of an event: a number of rows, or a number and what is to be said about it. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::follow::Named;
use crate::domain::EventRef;
use crate::domain::cascade::{Field, Turn};

/// Longest account of an error, in characters.
const ERROR_MAX: usize = 300;

/// What the steps of a batch did, by event and step.
#[derive(Debug, Default)]
pub(super) struct Notes {
    steps: BTreeMap<EventRef, BTreeMap<String, Note>>,
    irreversible: BTreeMap<EventRef, Vec<String>>,
}

#[derive(Debug, Default)]
struct Note {
    rows: u64,
    /// Values whose rows are done later.
    waiting: u64,
    remark: Option<&'static str>,
    error: Option<String>,
}

impl Notes {
    /// So many rows were done.
    pub(super) fn count(&mut self, event: EventRef, step: &str, rows: u64) {
        self.note(event, step).rows += rows;
    }

    /// Whether there was nothing to do, and nothing is to be said of it.
    pub(super) fn is_nothing(&mut self, event: EventRef, step: &str) -> bool {
        let note = self.note(event, step);
        note.rows == 0 && note.waiting == 0 && note.remark.is_none()
    }

    /// The rows of a value are done later.
    pub(super) fn wait(&mut self, event: EventRef, step: &str) {
        self.note(event, step).waiting += 1;
    }

    /// Something is to be said: `ambiguous` or `sync_warning`.
    pub(super) fn say(&mut self, event: EventRef, step: &str, remark: &'static str) {
        self.note(event, step).remark = Some(remark);
    }

    /// It failed, and the event went on.
    pub(super) fn fail(&mut self, event: EventRef, step: &str, error: &str) {
        let note = self.note(event, step);
        note.remark = Some("failed");
        note.error = Some(error.chars().take(ERROR_MAX).collect());
    }

    /// It came too late to prevent what these events did.
    pub(super) fn irreversible(&mut self, event: EventRef, prevented: Vec<String>) {
        self.irreversible.insert(event, prevented);
    }

    fn note(&mut self, event: EventRef, step: &str) -> &mut Note {
        self.steps.entry(event).or_default().entry(step.to_owned()).or_default()
    }

    /// Source, id and JSON of every event with something to say.
    pub(super) fn texts(mut self, events: &BTreeMap<EventRef, Named>) -> Vec<(String, String, String)> {
        let mut texts = Vec::new();
        for (event, named) in events {
            let steps = self.steps.remove(event).unwrap_or_default();
            let mut object: Map<String, Value> = steps.into_iter().map(|(step, note)| (step, note.value())).collect();
            if let Some(prevented) = self.irreversible.remove(event) {
                object.insert("cascade_irreversible".to_owned(), json!(prevented));
            }
            if !object.is_empty() {
                let text = Value::Object(object).to_string();
                texts.push((named.source.clone(), named.event_id.clone(), text));
            }
        }
        texts
    }
}

impl Note {
    fn value(self) -> Value {
        if self.waiting == 0 && self.remark.is_none() {
            return self.rows.into();
        }
        let mut object = Map::new();
        object.insert("rows".to_owned(), self.rows.into());
        if self.waiting > 0 {
            object.insert("waiting".to_owned(), self.waiting.into());
        }
        if let Some(remark) = self.remark {
            object.insert("note".to_owned(), remark.into());
        }
        if let Some(error) = self.error {
            object.insert("error".to_owned(), error.into());
        }
        Value::Object(object)
    }
}

/// What a placeholder of an audit row stands for.
pub(super) fn field(field: Field, turn: &Turn, named: &Named) -> Option<String> {
    let happened = match turn.new_key {
        Some(_) => "renamed",
        None => "deleted",
    };
    match field {
        Field::OldUserId => Some(turn.old_key.clone()),
        Field::NewUserId => turn.new_key.clone(),
        Field::Email => turn.email.clone(),
        Field::Username => turn.username.clone(),
        Field::EventId => Some(named.event_id.clone()),
        Field::EventSource => Some(named.source.clone()),
        Field::EventType => Some(named.kind.name().to_owned()),
        Field::Action => Some(happened.to_owned()),
        Field::Time => time(named),
        Field::Change => {
            let change = json!({
                "action": happened, "old_user_id": turn.old_key, "new_user_id": turn.new_key, "email": turn.email,
                "username": turn.username, "event_id": named.event_id, "event_source": named.source,
                "event_type": named.kind.name(), "time": time(named),
            });
            Some(change.to_string())
        }
    }
}

fn time(named: &Named) -> Option<String> {
    let nanos = i128::from(named.time.seconds) * 1_000_000_000 + i128::from(named.time.nanos);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
