//! The closed choices that a configuration makes; the names in the file are theirs, in lower case.

use serde::Deserialize;

/// What becomes of the rows of a deleted person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// They go.
    Delete,
    /// They stay with `deleted_at`.
    Archive,
}

/// Where a profile stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet in use.
    Draft,
    /// In use.
    Active,
    /// Put away.
    Archived,
}

/// When a profile is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CreateOn {
    /// With the user.
    Creation,
    /// When an event names the type, or an activation creates it.
    Activation,
}

/// Who has the last word on a display name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayNameOwner {
    /// The worker keeps it in step with its sources.
    Worker,
    /// The worker sets it once.
    Application,
}

/// The look of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
