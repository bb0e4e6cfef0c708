//! One profile of a person: its workflow, its display name, its attributes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::{EventRef, Kind};
use super::person::{Fields, Via};
use super::policy::{DisplayOwner, ProfileRule};

/// Where a profile stands in the workflow `draft → active → archived → active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet in use.
    Draft,
    /// In use.
    Active,
    /// Put away.
    Archived,
}

impl Status {
    /// As stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }

    /// As stored, read back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Draft, Self::Active, Self::Archived]
            .into_iter()
            .find(|status| status.name() == name)
    }

    /// Where a transition leads from here, if it is legal.
    pub(super) fn after(self, transition: Kind) -> Option<Self> {
        match (transition, self) {
            (Kind::Activated, Self::Draft) | (Kind::Reactivated, Self::Archived) => Some(Self::Active),
            (Kind::Archived, Self::Active) => Some(Self::Archived),
            _ => None,
        }
    }
}

/// What the fold knows of a profile; what the person's fields say is not repeated here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Where it stands.
    pub status: Status,
    /// The organization it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// What people call it.
    pub display_name: String,
    /// Attributes kept in step with the metadata.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub synchronised: Map<String, Value>,
    /// Time of the event that made it, in microseconds since 1970.
    pub created_at: i64,
    /// The event that made it.
    pub made_by: EventRef,
    /// The stored row it is kept in; the fold carries it along and never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Uuid>,
    /// The attributes it was made with; they belong to the application once they are stored.
    #[serde(skip)]
    pub attributes: Map<String, Value>,
}

/// The attributes of a new profile.
pub(super) fn initial_attributes(rule: &ProfileRule, via: Via) -> Map<String, Value> {
    let mut attributes = rule.attributes.clone();
    if via == Via::Backfill {
        attributes.extend(rule.backfill_attributes.clone());
    }
    attributes
}

/// The metadata that the profile type keeps in step.
pub(super) fn synchronised(rule: &ProfileRule, fields: &Fields) -> Map<String, Value> {
    let Some(metadata) = &fields.metadata else {
        return Map::new();
    };
    rule.synchronised
        .iter()
        .filter_map(|name| {
            metadata
                .get(name)
                .filter(|value| !value.is_null())
                .map(|value| (name.clone(), without_nulls(value)))
        })
        .collect()
}

/// SQLite patches JSON by a rule in which a null removes; so that both databases store the same, none is kept.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The first present source; the key when all are absent.
pub(super) fn display_name(rule: &ProfileRule, key: &str, fields: &Fields) -> String {
    rule.display_name
        .iter()
        .find_map(|source| name_source(source, key, fields))
        .unwrap_or_else(|| key.to_owned())
}

/// The new display name, if one of its sources changed and the worker has the last word.
pub(super) fn renewed_display_name(
    rule: &ProfileRule,
    before: (&str, &Fields),
    after: (&str, &Fields),
) -> Option<String> {
    let changed = rule
        .display_name
        .iter()
        .any(|source| name_source(source, before.0, before.1) != name_source(source, after.0, after.1));
    (changed && rule.display_owner == DisplayOwner::Worker).then(|| display_name(rule, after.0, after.1))
}

fn name_source(source: &str, key: &str, fields: &Fields) -> Option<String> {
    let present = |text: Option<&str>| text.filter(|text| !text.trim().is_empty()).map(str::to_owned);
    if let Some(name) = source.strip_prefix("metadata.") {
        return present(fields.metadata.as_ref()?.get(name)?.as_str());
    }
    match source {
        "full_name" => present(fields.full_name.as_deref()),
        "first_name" => present(fields.first_name.as_deref()),
        "last_name" => present(fields.last_name.as_deref()),
        "first_name + last_name" => {
            let parts: Vec<String> = [&fields.first_name, &fields.last_name]
                .into_iter()
                .filter_map(|name| present(name.as_deref()))
                .collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        }
        "username" => present(fields.username.as_deref()),
        "email" => present(fields.email.as_deref()),
        "user_id" => present(Some(key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_knows_three_legal_transitions() {
        let all = [Status::Draft, Status::Active, Status::Archived];
        for transition in [Kind::Activated, Kind::Archived, Kind::Reactivated] {
            for from in all {
                let expected = match (transition, from) {
                    (Kind::Activated, Status::Draft) | (Kind::Reactivated, Status::Archived) => Some(Status::Active),
                    (Kind::Archived, Status::Active) => Some(Status::Archived),
                    _ => None,
                };
                assert_eq!(from.after(transition), expected, "{transition:?} from {from:?}");
            }
        }
    }
}
