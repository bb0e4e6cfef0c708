//! From a verified body to events about users. Pure: the same content always becomes the same events, so that a
//! repetition has the same identity.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use time::UtcOffset;

use super::provider::{Around, Provider, Rule, Scope, text};
use super::signature::Verified;
use crate::domain::{Kind, hex};
use crate::envelope::contract;

/// Longest name of an unknown event that is counted under its own name, in characters.
const NAME_MAX: usize = 64;

/// An event as it will be published: a CloudEvent in structured form.
#[derive(Debug, Clone, PartialEq)]
pub struct Canonical {
    /// Its type.
    pub kind: Kind,
    /// Where it comes from: provider and scope.
    pub source: String,
    /// Unique within the source, and the same for every repetition.
    pub id: String,
    /// RFC 3339; `None` for the time of receipt.
    pub time: Option<String>,
    /// What orders events of one user.
    pub sequence: Option<String>,
    /// Whether the payload lacks what else is known of the user.
    pub incomplete: bool,
    /// What is published.
    pub data: Map<String, Value>,
}

/// What became of a body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Translation {
    /// In the order of the body.
    pub events: Vec<Canonical>,
    /// How many events are known and of no interest.
    pub ignored: usize,
    /// What the provider calls the events that no rule is for.
    pub unknown: Vec<String>,
    /// What was wrong with events that could not be translated; never a value.
    pub malformed: Vec<String>,
    /// What goes to the dead letters; only where something is malformed.
    pub letter: Option<Letter>,
}

/// A body, or events of one, that could not be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// Without what must not be forwarded.
    Body(Vec<u8>),
    /// As it came, because what must not be forwarded cannot be found in it: only its length and hash may go on.
    Unread(Vec<u8>),
}

/// What an endpoint knows that its provider does not say.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    /// Of times without an offset.
    pub offset: UtcOffset,
    /// What every event has for its source, whatever the body says.
    pub source: Option<&'a str>,
}

impl Canonical {
    /// As it is published.
    pub fn to_json(&self) -> Value {
        let mut event = serde_json::json!({
            "specversion": "1.0",
            "type": self.kind.name(),
            "source": self.source,
            "id": self.id,
            "datacontenttype": "application/json",
            "data": self.data,
        });
        if let Some(time) = &self.time {
            event["time"] = time.as_str().into();
        }
        if let Some(sequence) = &self.sequence {
            event["sequence"] = sequence.as_str().into();
        }
        if self.incomplete {
            event["incomplete"] = true.into();
        }
        event
    }
}

/// Translates what was verified.
pub fn translate(
    provider: &Provider,
    verified: &Verified<'_>,
    headers: &[(String, String)],
    local: Local<'_>,
) -> Translation {
    let content = verified.content.as_ref();
    let Ok(mut body) = serde_json::from_slice::<Value>(content) else {
        let letter = if provider.never_forward.is_empty() {
            Letter::Body(content.to_vec())
        } else {
            Letter::Unread(content.to_vec())
        };
        return Translation {
            malformed: vec!["the body is not JSON".to_owned()],
            letter: Some(letter),
            ..Translation::default()
        };
    };
    for path in &provider.never_forward {
        path.remove(&mut body);
    }
    let hash = hex(&Sha256::digest(content));
    let around = Around {
        delivery: verified.delivery.as_deref(),
        headers,
        hash: &hash,
        index: 0,
    };
    let mut translation = events_of(provider, &body, around, local);
    if !translation.malformed.is_empty() {
        translation.letter = Some(Letter::Body(body.to_string().into_bytes()));
    }
    translation
}

/// The rules that look at the same list are tried on each of its elements; those without a list, on the body.
fn events_of(provider: &Provider, body: &Value, around: Around<'_>, local: Local<'_>) -> Translation {
    let mut tried: Vec<_> = Vec::new();
    for rule in &provider.rules {
        if tried.contains(&&rule.each) {
            continue;
        }
        tried.push(&rule.each);
        let whole = Scope { body, user: body };
        let list = match &rule.each {
            None => None,
            Some(path) => match path.find(whole).as_deref() {
                Some(Value::Array(elements)) => Some(elements.clone()),
                _ => continue,
            },
        };
        let items = list.as_deref().unwrap_or(std::slice::from_ref(body));
        let rules = || provider.rules.iter().filter(|other| other.each == rule.each);
        let mut translation = Translation::default();
        let mut recognised = false;
        for (index, item) in items.iter().enumerate() {
            let found = rules().find_map(|rule| {
                let user = rule.user(body, item);
                rule.is_for(Scope { body, user: &user }).then_some((rule, user))
            });
            let Some((rule, user)) = found else {
                translation.unknown.push(name(provider, Scope { body, user: item }));
                continue;
            };
            recognised = true;
            let scope = Scope { body, user: &user };
            translation.add(rule, scope, Around { index, ..around }, local);
        }
        // An empty list is a list too.
        if recognised || (list.is_some() && items.is_empty()) {
            return translation;
        }
    }
    Translation {
        unknown: vec![name(provider, Scope { body, user: body })],
        ..Translation::default()
    }
}

impl Translation {
    fn add(&mut self, rule: &Rule, scope: Scope<'_>, around: Around<'_>, local: Local<'_>) {
        match rule.becomes {
            None => self.ignored += 1,
            Some(kind) => match event(rule, kind, scope, around, local) {
                Ok(event) => self.events.push(event),
                Err(what) => self.malformed.push(what.to_owned()),
            },
        }
    }
}

fn event(
    rule: &Rule,
    kind: Kind,
    scope: Scope<'_>,
    around: Around<'_>,
    local: Local<'_>,
) -> Result<Canonical, &'static str> {
    let user_id = rule.user_id(scope).ok_or("there is no id of a user")?;
    let mut data = Map::new();
    for (field, origin) in &rule.fields {
        if let Some(value) = origin.find(scope).and_then(|value| fitting(&field.rule, value)) {
            data.insert(field.name.to_owned(), value);
        }
    }
    data.extend(rule.set.iter().cloned());
    let kind = renamed(rule, kind, scope, &mut data);
    let incomplete = rule.incomplete || (kind == Kind::Created && data.is_empty());
    data.insert("user_id".to_owned(), user_id.into());
    Ok(Canonical {
        kind,
        source: local
            .source
            .map(str::to_owned)
            .or_else(|| rule.source(scope, around))
            .ok_or("there is nothing to name the source by")?,
        id: rule.id(scope, around).ok_or("there is no id of the event")?,
        time: rule.time(scope, local.offset)?,
        sequence: rule.sequence(scope),
        incomplete,
        data,
    })
}

/// A change of a key that the payload itself shows is a rename. A rename that shows none is news like any other: the
/// worker, which knows what was before, finds every change by itself.
fn renamed(rule: &Rule, kind: Kind, scope: Scope<'_>, data: &mut Map<String, Value>) -> Kind {
    if !matches!(kind, Kind::Updated | Kind::Renamed) {
        return kind;
    }
    for (name, path) in &rule.previous {
        let Some(before) = path.find(scope) else { continue };
        let moved = data
            .get(name)
            .is_some_and(|now| !now.is_null() && now != before.as_ref());
        if moved && let Some(now) = data.remove(name) {
            data.insert(format!("new_{name}"), now);
        }
    }
    for field in contract::RENAMES {
        data.retain(|name, value| name != field.name || !value.is_null());
    }
    let shown = contract::RENAMES.iter().any(|field| data.contains_key(field.name));
    if shown { Kind::Renamed } else { Kind::Updated }
}

/// The value in the form that the field has; `None` for what has nothing to do with it. An empty text is no value.
fn fitting(rule: &contract::Rule, value: Value) -> Option<Value> {
    if value.is_null() {
        return Some(value);
    }
    match rule.fitted(value) {
        Ok(Value::String(text)) if text.is_empty() => Some(Value::Null),
        fitted => fitted.ok(),
    }
}

/// What the provider calls an event, for the count: short, and nothing that could break a line of a log.
fn name(provider: &Provider, scope: Scope<'_>) -> String {
    let mut found = provider.event_name.iter().filter_map(|path| path.find(scope));
    let name = found
        .find_map(|value| text(&value))
        .unwrap_or_else(|| "unnamed".to_owned());
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.chars().take(NAME_MAX).map(plain).collect()
}
