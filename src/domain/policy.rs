//! What configuration has to say about an event. The policy in force when an event was evaluated is stored and is an
//! input of every later fold: a changed configuration never rewrites history.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::{Event, Kind};
use super::profile::Status;

/// The part of the configuration that the fold reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Keys that are neither deleted nor renamed, compared ignoring case.
    pub protected: Vec<String>,
    /// The profile types, the default first; never empty.
    pub profiles: Vec<ProfileRule>,
    /// The profile type that stands for a membership.
    pub customer_type: String,
    /// What becomes of the rows of a deleted person.
    pub on_delete: OnDelete,
    /// Whether the user's key is the address: a new key then also sets `email`.
    pub key_is_email: bool,
    /// What single sources may send.
    pub sources: Vec<SourceRule>,
    /// How customers are looked for; `None` for not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<LookupRule>,
}

/// How the customer of a user is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupRule {
    /// Where.
    pub place: CustomerPlace,
    /// Whether the provider must have verified the address; else it must not have denied it.
    pub require_verified: bool,
}

/// Where customers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerPlace {
    /// Rows of our table `customers` that the application put there.
    Own,
    /// A table of the application.
    Application,
}

/// What becomes of the rows of a deleted person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDelete {
    /// They go.
    Delete,
    /// They stay, with the time of the deletion, outside the unique key.
    Archive,
}

/// Whether a user gets a profile of this type without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreateOn {
    /// With the user.
    Creation,
    /// When an event names it, or an activation creates it.
    Activation,
}

/// Who has the last word on a display name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisplayOwner {
    /// The worker keeps it in step with its sources.
    Worker,
    /// The worker sets it once, when the profile is made.
    Application,
}

/// One configured profile type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRule {
    /// Its name.
    pub name: String,
    /// The status a new profile of the type has.
    pub initial: Status,
    /// When it is made.
    pub create_on: CreateOn,
    /// Types that a legal activation of this one makes where they are missing.
    pub activation_creates: Vec<String>,
    /// Columns of the linked customer that have to be filled before it is activated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Attributes that a new profile has.
    pub attributes: Map<String, Value>,
    /// Laid over `attributes` for users that a backfill made.
    pub backfill_attributes: Map<String, Value>,
    /// Keys of the metadata that are kept in step in the attributes.
    pub synchronised: Vec<String>,
    /// Where the display name comes from, the first present one wins.
    pub display_name: Vec<String>,
    /// Who has the last word on it.
    pub display_owner: DisplayOwner,
}

/// What one source may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRule {
    /// The CloudEvents source.
    pub source: String,
    /// Names of the types it may send; empty for all.
    pub allow: Vec<String>,
}

impl Policy {
    /// The rule of a profile type, if it is configured.
    pub fn rule(&self, profile_type: &str) -> Option<&ProfileRule> {
        self.profiles.iter().find(|rule| rule.name == profile_type)
    }

    /// The type that a transition means when it names none.
    pub fn default_type(&self) -> &str {
        self.profiles.first().map_or("", |rule| &rule.name)
    }

    /// The types that every new user gets.
    pub(super) fn creation_types(&self) -> impl Iterator<Item = &str> {
        self.profiles
            .iter()
            .filter(|rule| rule.create_on == CreateOn::Creation)
            .map(|rule| rule.name.as_str())
    }

    pub(super) fn allows(&self, event: &Event) -> bool {
        let name = event.body.kind().name();
        self.sources
            .iter()
            .filter(|rule| rule.source == event.source && !rule.allow.is_empty())
            .all(|rule| rule.allow.iter().any(|allowed| allowed == name))
    }

    /// Whether the event would delete or rename a protected user; `current` is the person's key, if there is a person.
    pub(super) fn protects(&self, event: &Event, current: Option<&str>) -> bool {
        matches!(event.body.kind(), Kind::Deleted | Kind::Renamed)
            && [Some(event.key.as_str()), event.other_key(), current]
                .into_iter()
                .flatten()
                .map(str::to_lowercase)
                .any(|key| self.protected.iter().any(|protected| protected.to_lowercase() == key))
    }
}
