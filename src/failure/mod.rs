//! Whose fault is it? The class of a failure decides what happens next, and only the tables here say which it is.
//!
//! A code that no table has is the world's, with an alarm: waiting loses nothing, burying good events does. What this
//! module says of a failure never contains a value of the data.

mod alarms;
mod kind;
mod nats;
mod postgres;
mod sqlite;

use crate::jetstream::BrokerError;
use crate::store::{Dialect, StoreError, Trouble};

pub use alarms::Alarms;

use kind::Kind;

/// What kind of failure it is. What can never succeed is decided before the database is asked, and is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Database or broker are away, full, read-only or wrongly set up: wait and try again, for ever.
    World,
    /// Somebody else was faster, or it was too much at once: try again, then smaller.
    Contended,
    /// This one event is refused; others are not.
    Event,
}

/// How long to wait between two attempts at an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As usual.
    Usual,
    /// Longer: what it depends on may still come.
    Slow,
}

/// What an error comes to. Two faults are equal when the same went wrong in the same place. Display is for logs, attempts
/// and dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it is.
    pub class: Class,
    /// What it is when a single event fails so again and again while a probe succeeds before and after.
    pub alone: Class,
    /// How long to wait between two attempts.
    pub pace: Pace,
    /// SQLSTATE of PostgreSQL, extended code of SQLite, error code of JetStream, or a word of our own (`io`, `timeout`).
    pub code: String,
    /// The constraint that was violated.
    pub constraint: Option<String>,
    /// Its table.
    pub table: Option<String>,
    /// False where no table of ours has the code.
    pub known: bool,
    /// Somebody should be told: it does not pass by itself, or should never have happened.
    pub page: bool,
    kind: Kind,
    text: String,
}

impl Fault {
    /// At start: somebody has to change configuration or set-up before another try can succeed.
    pub fn is_ours(&self) -> bool {
        self.kind == Kind::SetUp
    }

    /// At start: waiting may help without anybody doing anything about it here.
    pub fn passes(&self) -> bool {
        match self.kind {
            Kind::Passing | Kind::Full | Kind::Contended | Kind::TooLong | Kind::Stale | Kind::Waits => true,
            Kind::SetUp | Kind::Unknown | Kind::Odd | Kind::Event | Kind::Dependent | Kind::Bug => false,
        }
    }

    /// The database gave up on it after its own time limit: it may have been too much at once.
    pub fn took_too_long(&self) -> bool {
        self.kind == Kind::TooLong
    }

    /// Whether nobody knows what state the connection is in, or its state is what is wrong.
    pub fn spoils_connection(&self) -> bool {
        self.class == Class::World || self.kind == Kind::Stale
    }

    /// What to do about it, for whoever is told.
    pub fn remedy(&self) -> &'static str {
        self.kind.remedy()
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The class of an error of the store.
pub fn class(error: &StoreError) -> Class {
    kind_of(error).class()
}

/// What an error of the store comes to.
pub fn fault(error: &StoreError) -> Fault {
    let (constraint, table) = match error {
        StoreError::Refused(refusal) => (refusal.constraint.clone(), refusal.table.clone()),
        StoreError::Driver(_)
        | StoreError::Moved
        | StoreError::Overtaken
        | StoreError::Aborted
        | StoreError::Slow(_)
        | StoreError::Unreadable { .. }
        | StoreError::NoFile { .. }
        | StoreError::Died(_)
        | StoreError::Restricted { .. }
        | StoreError::Unfinished
        | StoreError::Settings(_) => (None, None),
        StoreError::Step { source, .. } => {
            let cause = fault(source);
            let text = chain(error);
            return Fault { text, ..cause };
        }
    };
    Fault {
        constraint,
        table,
        ..of(kind_of(error), error.code(), error.to_string())
    }
}

/// The class of an error of the broker.
pub fn broker_class(error: &BrokerError) -> Class {
    nats::kind(error.answer()).class()
}

/// What an error of the broker comes to. Its text is the error's own, which names subjects and no data.
pub fn broker_fault(error: &BrokerError) -> Fault {
    of(nats::kind(error.answer()), &error.code(), chain(error))
}

fn of(kind: Kind, code: &str, text: String) -> Fault {
    Fault {
        class: kind.class(),
        alone: kind.alone(),
        pace: kind.pace(),
        code: code.to_owned(),
        constraint: None,
        table: None,
        known: kind != Kind::Unknown,
        page: kind.pages(),
        kind,
        text,
    }
}

fn kind_of(error: &StoreError) -> Kind {
    match error {
        StoreError::Refused(refusal) => match refusal.dialect {
            Dialect::Postgres => postgres::kind(&refusal.code),
            Dialect::Sqlite => sqlite::kind(&refusal.code),
        },
        StoreError::Driver(trouble) => match trouble {
            // Whoever breaks the protocol is mostly something on the way to a server that begins or ends.
            Trouble::Io(_)
            | Trouble::Protocol
            | Trouble::PoolTimedOut
            | Trouble::PoolClosed
            | Trouble::ThreadCrashed => Kind::Passing,
            // Drift of the schema looks like this, and a bug of ours does: in neither case is it the event.
            Trouble::Tls
            | Trouble::Url
            | Trouble::ColumnMissing(_)
            | Trouble::ColumnUnreadable(_)
            | Trouble::TypeMissing => Kind::SetUp,
            Trouble::Other => Kind::Unknown,
        },
        StoreError::Moved | StoreError::Overtaken => Kind::Contended,
        // A database that is only slow answers with its own timeout before we lose patience: it cannot be reached.
        StoreError::Slow(_) => Kind::Passing,
        // Neither the world's, or one odd row would stop everybody, nor the event's, or good events would be buried
        // because an older row was touched.
        StoreError::Unreadable { .. } => Kind::Odd,
        StoreError::NoFile { .. } | StoreError::Settings(_) => Kind::SetUp,
        StoreError::Aborted | StoreError::Died(_) => Kind::Bug,
        StoreError::Step { source, .. } => kind_of(source),
        StoreError::Restricted { .. } => Kind::Dependent,
        StoreError::Unfinished => Kind::Waits,
    }
}

/// An error and what caused it, in one line; the chain is printed once, where nobody handles it further. A cause that the
/// error before it quotes already is not said twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !line.ends_with(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests;
