//! `[[profiles]]` and `[[source]]`.

use serde_json::{Map, Number, Value};

use super::check::Check;
use super::problem::At;
use super::section::nearest;
use super::{ProfileType, Worker, low};

/// One of `[[source]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The CloudEvents source, compared exactly; unique.
    pub source: String,
    /// Put before every user key that it sends; may be empty.
    pub key_prefix: String,
    /// Names of the event types it may send; empty for all.
    pub allow: Vec<String>,
}

/// The profile type there is when none is configured.
const DEFAULT_TYPE: &str = "client";

/// What a display name can come from, beside `metadata.` and a key.
const NAME_SOURCES: [&str; 7] = [
    "full_name",
    "first_name + last_name",
    "first_name",
    "last_name",
    "username",
    "email",
    "user_id",
];

/// What a source may be allowed to send.
const EVENT_TYPES: [&str; 10] = [
    "user.created",
    "user.updated",
    "user.joined",
    "user.left",
    "user.activated",
    "user.archived",
    "user.reactivated",
    "user.renamed",
    "user.deleted",
    "user.password_reset",
];

/// Checks `[[profiles]]`; without any there is one of the default type.
pub(super) fn profiles(check: &mut Check<'_>, low: Vec<low::Profile>) -> Vec<ProfileType> {
    let section = At::new("profiles", "");
    if low.is_empty() && check.given(section) {
        check.report(
            section,
            "is empty",
            "give at least one profile type, or leave it out for the default",
        );
    }
    let low = if low.is_empty() {
        vec![low::Profile {
            name: Some(DEFAULT_TYPE.to_owned()),
            ..low::Profile::default()
        }]
    } else {
        low
    };
    let names: Vec<String> = low.iter().filter_map(|profile| profile.name.clone()).collect();
    let mut profiles = Vec::new();
    for (index, low) in low.into_iter().enumerate() {
        profiles.push(profile(check, At { index, ..section }, low, &names, &profiles));
    }
    profiles
}

fn profile(
    check: &mut Check<'_>,
    section: At,
    low: low::Profile,
    names: &[String],
    earlier: &[ProfileType],
) -> ProfileType {
    let name = required(check, section.key("type"), low.name);
    if !name.is_empty() && earlier.iter().any(|other| other.name == name) {
        check.report(
            section.key("type"),
            format_args!("{name:?} is there more than once"),
            "give each type one entry",
        );
    }
    for created in &low.activation_creates {
        configured(check, section.key("activation_creates"), created, names);
    }
    for key in &low.synchronised {
        check.text(section.key("synchronised"), key, 1..=255);
    }
    display_name(check, section.key("display_name"), &low.display_name);
    let (attributes, backfill_attributes) = attributes(check, section.key("attributes"), low.attributes);
    for key in &low.synchronised {
        if attributes.contains_key(key) || backfill_attributes.contains_key(key) {
            check.report(
                section.key("synchronised"),
                format_args!("contains {key:?}, which is an attribute of new profiles as well"),
                "take it out of one of the two",
            );
        }
    }
    ProfileType {
        name,
        initial_status: low.initial_status,
        create_on: low.create_on,
        activation_creates: low.activation_creates,
        requires: low.requires,
        attributes,
        backfill_attributes,
        synchronised: low.synchronised,
        display_name: low.display_name,
        display_name_owner: low.display_name_owner,
    }
}

/// Checks `[[source]]`.
pub(super) fn sources(check: &mut Check<'_>, low: Vec<low::Source>, worker: &Worker) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (index, low) in low.into_iter().enumerate() {
        let at = |key| At {
            section: "source",
            index,
            key,
        };
        let source = required(check, at("source"), low.name);
        if !source.is_empty() && sources.iter().any(|other| other.source == source) {
            check.report(
                at("source"),
                format_args!("{source:?} is there more than once"),
                "give each source one entry",
            );
        }
        check.text(at("key_prefix"), &low.key_prefix, 0..=200);
        if worker.user_id_is_email && !low.key_prefix.is_empty() {
            check.report(
                at("key_prefix"),
                format_args!("makes keys that are no addresses, and user_id_is_email says they are"),
                "take one of the two out",
            );
        }
        for name in &low.allow {
            if !EVENT_TYPES.contains(&name.as_str()) {
                let near = nearest(name, EVENT_TYPES).unwrap_or_default();
                check.report(
                    at("allow"),
                    format_args!("contains {name:?}"),
                    format!("did you mean \"{near}\"?"),
                );
            }
        }
        sources.push(Source {
            source,
            key_prefix: low.key_prefix,
            allow: low.allow,
        });
    }
    sources
}

/// A name of 1 to 255 characters that has no default.
fn required(check: &mut Check<'_>, at: At, name: Option<String>) -> String {
    match &name {
        Some(name) => check.text(at, name, 1..=255),
        None if check.given(at) => {}
        None => check.report(at, "is missing", "give it: there is no default"),
    }
    name.unwrap_or_default()
}

pub(super) fn configured(check: &mut Check<'_>, at: At, name: &str, names: &[String]) {
    if !names.iter().any(|known| known == name) {
        let known = names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        let remedy = format!("name one of {known}, or add a [[profiles]] entry for it");
        check.report(
            at,
            format_args!("names {name:?}, which is no configured profile type"),
            remedy,
        );
    }
}

fn display_name(check: &mut Check<'_>, at: At, sources: &[String]) {
    if sources.is_empty() {
        check.report(at, "is empty", "give at least one, such as \"user_id\"");
    }
    for source in sources {
        let metadata = source.strip_prefix("metadata.").is_some_and(|key| !key.is_empty());
        if !metadata && !NAME_SOURCES.contains(&source.as_str()) {
            let near = nearest(source, NAME_SOURCES).unwrap_or_default();
            let remedy = format!("did you mean \"{near}\"? (or \"metadata.\" and a key)");
            check.report(at, format_args!("contains {source:?}"), remedy);
        }
    }
}

/// The attributes and what a backfill lays over them.
fn attributes(check: &mut Check<'_>, at: At, mut table: toml::Table) -> (Map<String, Value>, Map<String, Value>) {
    let backfill = match table.remove("backfill") {
        Some(toml::Value::Table(backfill)) => backfill,
        None => toml::Table::new(),
        Some(_) => {
            let what = "contains \"backfill\", which is not a table";
            check.report(
                at,
                what,
                "give backfill = { … } for users that a backfill made, or take another name",
            );
            toml::Table::new()
        }
    };
    (object(check, at, table), object(check, at, backfill))
}

fn object(check: &mut Check<'_>, at: At, table: toml::Table) -> Map<String, Value> {
    table
        .into_iter()
        .map(|(name, value)| {
            let value = json(value).unwrap_or_else(|| {
                let remedy = "leave it out: a number must be finite, and no text may contain U+0000";
                check.report(
                    at,
                    format_args!("cannot be stored: {name:?} is no JSON for a database"),
                    remedy,
                );
                Value::Null
            });
            (name, value)
        })
        .collect()
}

/// The value as JSON; dates as text. `None` for what PostgreSQL would refuse.
fn json(value: toml::Value) -> Option<Value> {
    let storable = |text: &str| !text.contains('\0');
    Some(match value {
        toml::Value::String(text) => Value::String(Some(text).filter(|text| storable(text))?),
        toml::Value::Integer(number) => Value::Number(number.into()),
        toml::Value::Float(number) => Value::Number(Number::from_f64(number)?),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(elements) => Value::Array(elements.into_iter().map(json).collect::<Option<_>>()?),
        toml::Value::Table(table) => {
            let pairs = table
                .into_iter()
                .map(|(name, value)| storable(&name).then_some((name, json(value)?)));
            Value::Object(pairs.collect::<Option<_>>()?)
        }
    })
}
