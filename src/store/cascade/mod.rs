//! The application's tables that hold a key of a user: which there are, and what is done to their rows.
//!
//! Names come from configuration, are found in the database's own catalogue before anything runs, and are always
//! quoted; values are always bound. Nothing from an event ever becomes SQL.

mod discover;
mod inspect;
mod sql;
mod work;

use std::sync::Arc;

use super::{Store, StoreError, Tx};
use crate::domain::cascade::{KeyKind, Rule, Template};

pub use discover::Candidate;
pub(in crate::store) use discover::{SAMPLE, Sample, TextColumn};
pub(in crate::store) use inspect::{Column, Table};
pub(in crate::store) use sql::{AuditSql, Dialect, StepSql, quoted, safe};
pub use work::{Halted, Progress, Work, WorkEnd};

/// What becomes of an event whose step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The event fails with it.
    Required,
    /// The failure is recorded, and the event goes on.
    Optional,
}

/// Whether there should be rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None are as good as any.
    Nothing,
    /// None are worth a warning.
    Rows,
}

/// One configured table that holds a key of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRule {
    /// Under which name it is counted and shown; unique.
    pub name: String,
    /// Its schema, if it is named; a plain identifier.
    pub schema: Option<String>,
    /// Its name; a plain identifier.
    pub table: String,
    /// The column; a plain identifier.
    pub column: String,
    /// What happens to its rows.
    pub rule: Rule,
    /// What becomes of the event when it fails.
    pub need: Need,
    /// Whether there should be rows.
    pub expect: Expect,
}

/// One configured table that gets a row per person whose key changed or who went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRule {
    /// Under which name it is counted and shown; unique.
    pub name: String,
    /// Its schema, if it is named; a plain identifier.
    pub schema: Option<String>,
    /// Its name; a plain identifier.
    pub table: String,
    /// The columns that are written; plain identifiers.
    pub columns: Vec<String>,
    /// What each of them says.
    pub templates: Vec<Template>,
    /// What becomes of the event when it fails.
    pub need: Need,
}

/// A table that was found as it should be.
#[derive(Debug, Clone)]
pub struct Step {
    /// As configured.
    pub rule: StepRule,
    pub(in crate::store) sql: StepSql,
    /// Rows are found without reading the table.
    pub(in crate::store) is_indexed: bool,
    /// No two rows may have the same value, alone or with other columns.
    pub(in crate::store) is_unique: bool,
    /// Rows can be named one by one, so that few can be taken at a time.
    pub(in crate::store) has_row_names: bool,
}

/// A table for audit rows that was found as it should be.
#[derive(Debug, Clone)]
pub struct Audit {
    /// As configured.
    pub rule: AuditRule,
    pub(in crate::store) sql: AuditSql,
}

/// Every table that was found as it should be.
#[derive(Debug, Clone, Default)]
pub struct Cascades {
    /// In the configured order.
    pub steps: Vec<Step>,
    /// In the configured order.
    pub audits: Vec<Audit>,
    /// Most rows of one step in one transaction; what is beyond is done in pieces afterwards. 0 is no limit.
    pub max_rows: u64,
}

/// What a look at the application's tables came to.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The tables that can be used.
    pub cascades: Cascades,
    /// What stands in the way, remedy included.
    pub problems: Vec<String>,
    /// What should be put right, remedy included.
    pub warnings: Vec<String>,
}

impl Cascades {
    /// Whether there is nothing to do, ever.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.audits.is_empty()
    }

    /// How many rows are done at a time of what was put off.
    pub fn part_size(&self) -> u64 {
        if self.max_rows == 0 { work::PART } else { self.max_rows }
    }

    /// Some step has to read its whole table.
    pub(in crate::store) fn scans(&self) -> bool {
        self.steps.iter().any(|step| !step.is_indexed)
    }

    /// Statements that touch every table that an event can fail of, and change nothing.
    pub(in crate::store) fn probes(&self) -> impl Iterator<Item = &str> {
        let steps = self.steps.iter().filter(|step| step.rule.need == Need::Required);
        let audits = self.audits.iter().filter(|audit| audit.rule.need == Need::Required);
        steps
            .flat_map(|step| step.sql.probe.iter().map(String::as_str))
            .chain(audits.map(|audit| audit.sql.probe.as_str()))
    }
}

impl Step {
    /// Whether rows of this step can be done a part at a time.
    pub fn can_wait(&self) -> bool {
        self.has_row_names
    }
}

impl Store {
    /// The same store, which follows users in these tables.
    #[must_use]
    pub fn with_cascades(self, cascades: Cascades) -> Self {
        let cascades = Arc::new(cascades);
        match self {
            Self::Postgres(inner) => Self::Postgres(inner.with_cascades(cascades)),
            Self::Sqlite(inner) => Self::Sqlite(inner.with_cascades(cascades)),
        }
    }

    /// Makes the index by which holders of an address or a user name are found, unless it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn index_holders(&self, kind: KeyKind) -> Result<(), StoreError> {
        on_both!(self, Self, inner => inner.index_holders(kind).await)
    }

    /// Whether that index is there.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn indexes_holders(&self, kind: KeyKind) -> Result<bool, StoreError> {
        on_both!(self, Self, inner => inner.indexes_holders(kind).await)
    }

    /// The tables in which users are followed.
    pub fn cascades(&self) -> &Arc<Cascades> {
        match self {
            Self::Postgres(inner) => inner.cascades(),
            Self::Sqlite(inner) => inner.cascades(),
        }
    }
}

impl Tx<'_> {
    /// Gets ready for steps: tables without an index are read as a whole, which is otherwise never wanted.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin_steps(&mut self) -> Result<(), StoreError> {
        match self {
            Tx::Postgres(inner) => inner.allow_scans().await,
            Tx::Sqlite(_) => Ok(()),
        }
    }

    /// A point to which what follows can be undone.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn savepoint(&mut self) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.savepoint("SAVEPOINT step").await)
    }

    /// Forgets the last savepoint; what was done stays.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn release(&mut self) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.savepoint("RELEASE SAVEPOINT step").await)
    }

    /// Undoes what was done since the last savepoint, and forgets it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn undo(&mut self) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.savepoint("ROLLBACK TO SAVEPOINT step").await)?;
        if let Tx::Sqlite(inner) = self {
            inner.is_whole_again();
        }
        self.release().await
    }

    /// How many rows hold each of these values, counted up to `most`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn rows_of(&mut self, step: &Step, values: &[&str], most: u64) -> Result<Vec<u64>, StoreError> {
        in_tx!(self, inner => inner.rows_of(step, values, most).await)
    }

    /// Deletes the rows that hold one of these values.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_rows(&mut self, step: &Step, values: &[&str]) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.remove_rows(step, values).await)
    }

    /// Gives rows another value, all at once: pairs of the value they hold and the one they get.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rewrite_rows(&mut self, step: &Step, pairs: &[(&str, Option<&str>)]) -> Result<(), StoreError> {
        let targets: std::collections::BTreeSet<&str> = pairs.iter().filter_map(|(_, target)| *target).collect();
        let is_in_the_way = |value: &str| step.is_unique && targets.contains(value);
        let aside: Vec<(&str, String)> = pairs
            .iter()
            .filter(|(value, _)| is_in_the_way(value))
            .zip(0..)
            .map(|((value, _), n)| (*value, format!("~rollcall~{n}")))
            .collect();
        if aside.is_empty() {
            return in_tx!(self, inner => inner.rewrite_rows(step, pairs).await);
        }
        // No two rows may ever hold the same value, not even within a statement: whoever is in the way steps aside.
        let steps_aside: Vec<(&str, Option<&str>)> = aside
            .iter()
            .map(|(value, place)| (*value, Some(place.as_str())))
            .collect();
        in_tx!(self, inner => inner.rewrite_rows(step, &steps_aside).await)?;
        let place_of = |value: &str| {
            aside
                .iter()
                .find(|(other, _)| *other == value)
                .map(|(_, place)| place.as_str())
        };
        let pairs: Vec<(&str, Option<&str>)> = pairs
            .iter()
            .map(|(value, target)| (place_of(value).unwrap_or(value), *target))
            .collect();
        in_tx!(self, inner => inner.rewrite_rows(step, &pairs).await)
    }

    /// Writes audit rows; one text per configured column.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn write_audit(&mut self, audit: &Audit, rows: &[Vec<Option<String>>]) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.write_audit(audit, rows).await)
    }

    /// Who holds one of these addresses or user names now: pairs of the value and the key of its person.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn holders(&mut self, kind: KeyKind, values: &[&str]) -> Result<Vec<(String, String)>, StoreError> {
        in_tx!(self, inner => inner.holders(kind, values).await)
    }

    /// Writes down what the steps of events did: source, id, JSON.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_steps(&mut self, notes: &[(String, String, String)]) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.note_steps(notes).await)
    }
}
