//! What is measured, each beside its yardstick, taking turns so that a machine that gets slower gets slower for both.

mod created;
mod late;
mod latency;
mod mixed;
mod naive;
mod passes;

use anyhow::Result;
use clap::ValueEnum;

use crate::field::Field;
use crate::report::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Sign-ups into empty tables, beside INSERT … SELECT of the same rows.
    Created,
    /// Beside a loop with one transaction an event.
    Naive,
    /// Updates, renames, memberships and deletions, with tables that follow.
    Mixed,
    /// Everything a second time.
    Duplicates,
    /// Everything in reverse.
    Late,
    /// The first row on `SQLite`.
    Sqlite,
    /// Publish to commit at a steady rate.
    Latency,
    /// The most memory with a long backlog.
    Memory,
    /// Batches of 500 to 5,000.
    Batch,
    /// Two workers on one consumer.
    Workers,
    /// A million users are there already.
    Growth,
}

impl Scenario {
    pub(crate) async fn measure(self, field: &Field) -> Result<Vec<Row>> {
        match self {
            Self::Created => created::measure(field).await,
            Self::Naive => naive::measure(field).await,
            Self::Mixed => mixed::measure(field).await,
            Self::Duplicates => passes::duplicates(field).await,
            Self::Late => late::measure(field).await,
            Self::Sqlite => passes::sqlite(field).await,
            Self::Latency => latency::measure(field).await,
            Self::Memory => passes::memory(field).await,
            Self::Batch => passes::batch(field).await,
            Self::Workers => passes::workers(field).await,
            Self::Growth => passes::growth(field).await,
        }
    }
}
