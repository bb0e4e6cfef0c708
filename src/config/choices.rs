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

/// Which value of a user a column of the application holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CascadeKey {
    /// The key of the user.
    UserId,
    /// The address.
    Email,
    /// The user name.
    Username,
}

/// What happens to rows whose user has another value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// They get the new one.
    Rewrite,
    /// They go.
    Delete,
    /// They get none.
    Nullify,
    /// They stay.
    Keep,
}

/// What happens to rows of the application whose user went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLeave {
    /// They go.
    Delete,
    /// They get no value.
    Nullify,
    /// They get a value that tells nothing.
    Anonymise,
    /// They stay.
    Keep,
    /// The user cannot go while there are any.
    Restrict,
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

/// When a user is welcomed by mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WelcomeOn {
    /// Not at all.
    Never,
    /// With the creation.
    Creation,
    /// With the first activation of a profile.
    Activation,
}

/// To whose address a welcome goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WelcomeTo {
    /// The user's.
    User,
    /// That of the customer whom the user is linked to; where there is none, the user's.
    Customer,
}

/// Where the customer of a user is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lookup {
    /// Nowhere.
    None,
    /// Among the rows that the application puts into our table `customers`.
    Own,
    /// In a table of the application.
    Table,
}
