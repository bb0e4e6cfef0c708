//! Whose fault is it? The class of a failure decides what happens next.

use crate::store::StoreError;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The database is away, full, read-only or wrongly set up: wait and try again, for ever.
    World,
    /// Somebody else was faster, or it was too much at once: try again, then smaller.
    Contended,
}

/// The class of an error of the store. Codes that are not known are the world's: waiting loses nothing.
pub fn class(error: &StoreError) -> Class {
    match error {
        StoreError::Moved | StoreError::Overtaken | StoreError::Slow(_) => Class::Contended,
        StoreError::Database(_) => match error.code().as_deref() {
            // PostgreSQL: serialization failure, deadlock, lock and statement timeout. SQLite: busy and its variants.
            Some("57014" | "40001" | "40P01" | "55P03" | "5" | "261" | "517" | "773" | "6" | "262") => Class::Contended,
            _ => Class::World,
        },
        StoreError::Unreadable { .. } | StoreError::NoFile { .. } | StoreError::Died(_) | StoreError::Settings(_) => {
            Class::World
        }
    }
}

/// An error and what caused it, in one line; the chain is printed once, where nobody handles it further.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
