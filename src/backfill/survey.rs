//! What a look at the source and the profiles found.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// What a user of the source, or of a profile, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Has a profile that agrees with the source.
    Same,
    /// Has a profile that says something else.
    Different,
    /// Nobody ever heard of them.
    Missing,
    /// Is not in the source, but has a profile.
    Orphaned,
    /// Was left out on request.
    Excluded,
    /// Was deleted, as the provider said.
    Deleted,
    /// Has another key by now.
    Renamed,
    /// Is known, but has no profile: configuration or an event wants none, or somebody removed it.
    WithoutProfile,
    /// The row cannot be a user.
    Invalid,
}

impl Finding {
    /// In the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Same,
        Self::Different,
        Self::Missing,
        Self::Orphaned,
        Self::Excluded,
        Self::Deleted,
        Self::Renamed,
        Self::WithoutProfile,
        Self::Invalid,
    ];

    /// For scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Orphaned => "orphaned",
            Self::Excluded => "excluded",
            Self::Deleted => "deleted",
            Self::Renamed => "renamed",
            Self::WithoutProfile => "without_profile",
            Self::Invalid => "invalid",
        }
    }

    /// For people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Same => "have a profile that agrees",
            Self::Different => "have a profile that says something else; it stays as it is",
            Self::Missing => "have no profile and were never heard of",
            Self::Orphaned => "have a profile, and are not in the source",
            Self::Excluded => "are left out on request",
            Self::Deleted => "were deleted by an event; they stay deleted",
            Self::Renamed => "have another key by now; nobody is made at the old one",
            Self::WithoutProfile => "are known without a profile; see rollcall rebuild",
            Self::Invalid => "are rows that cannot be users",
        }
    }
}

/// One of those who were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Their key, or the place of a row that has none.
    pub user_id: String,
    /// Which fields differ, or what is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What was found, counted, with some examples of everything but what is right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Rows of the source.
    pub rows: u64,
    /// Of those, how many had the key of one before.
    pub repeated: u64,
    /// Rows with fields that an event would drop.
    pub degraded: u64,
    /// Columns that no event has a field for.
    pub unused: BTreeSet<String>,
    /// In how many users a field differs.
    pub fields: BTreeMap<String, u64>,
    /// Who was to be left out and is not in the source; addresses in lower case.
    pub unmatched: BTreeSet<String>,
    /// The first of each finding.
    pub examples: BTreeMap<Finding, Vec<Example>>,
    pub(super) matched: BTreeSet<String>,
    counts: BTreeMap<Finding, u64>,
    shown: usize,
}

impl Survey {
    pub(super) fn new(shown: usize) -> Self {
        Self {
            shown,
            ..Self::default()
        }
    }

    /// How many.
    pub fn count(&self, finding: Finding) -> u64 {
        self.counts.get(&finding).copied().unwrap_or_default()
    }

    pub(super) fn note(&mut self, finding: Finding, user_id: &str, note: String) {
        *self.counts.entry(finding).or_default() += 1;
        if finding == Finding::Same {
            return;
        }
        let examples = self.examples.entry(finding).or_default();
        if examples.len() < self.shown {
            examples.push(Example {
                user_id: user_id.to_owned(),
                note,
            });
        }
    }

    pub(super) fn note_fields(&mut self, fields: &str) {
        for field in fields.split(", ") {
            *self.fields.entry(field.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn note_degraded(&mut self, degraded: &BTreeSet<String>) {
        self.degraded += u64::from(!degraded.is_empty());
    }
}
