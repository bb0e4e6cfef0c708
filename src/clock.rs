//! The only place that takes time and randomness from the air. Everything else gets them as values, so that it can be
//! run again with the same ones.

use std::time::Instant;

use time::OffsetDateTime;
use uuid::Uuid;

/// The time of day, in UTC, as the system has it: for records, never for measuring.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A point in time that never goes backwards: for measuring, never for records.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// A new id for a row, version 7: ids made later sort later, which keeps indexes dense.
#[allow(clippy::disallowed_methods, reason = "the one place that takes randomness")]
pub fn new_row_id() -> Uuid {
    Uuid::now_v7()
}
