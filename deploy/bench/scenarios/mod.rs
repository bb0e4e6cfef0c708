//! What is measured, each beside its yardstick, taking turns so that a machine that gets slower gets slower for both.

mod created;

use anyhow::Result;
use clap::ValueEnum;

use crate::field::Field;
use crate::report::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Sign-ups into empty tables, beside INSERT … SELECT of the same rows.
    Created,
}

impl Scenario {
    pub(crate) async fn measure(self, field: &Field) -> Result<Vec<Row>> {
        match self {
            Self::Created => created::measure(field).await,
        }
    }
}
