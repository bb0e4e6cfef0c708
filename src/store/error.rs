//! What can go wrong with a database. Messages and details of databases quote values of the data, so only codes and
//! names are taken from them, here, where they come in: nothing further on can print what it does not have.

use std::io::ErrorKind;

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The database could not be asked, or its answer could not be read.
    #[error("{0}")]
    Driver(Trouble),
    /// Two components became one while we waited for their locks.
    #[error("another worker united the users of this batch with others meanwhile")]
    Moved,
    /// Another worker stored one of these events meanwhile.
    #[error("another worker stored an event of this batch meanwhile")]
    Overtaken,
    /// A statement of the transaction had failed, and somebody went on: nothing was committed.
    #[error("a statement of the transaction had failed: nothing was committed")]
    Aborted,
    /// A statement was not answered, not even with the database's own timeout: whether it was done is unknown.
    #[error("the database did not answer a statement within {0:?}")]
    Slow(std::time::Duration),
    /// Something stored is not what this version stores.
    #[error("stored {what} cannot be read: {problem}")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Why not, without values.
        problem: String,
    },
    /// The SQLite file is not there.
    #[error("there is no database file {path}: `rollcall migrate` makes it")]
    NoFile {
        /// Where it should be.
        path: String,
    },
    /// The task at work on it died of a bug; nothing of it was committed.
    #[error("a unit of work died: {0}")]
    Died(&'static str),
    /// A step in the application's tables failed; the class is that of its cause.
    #[error("cascade {step} failed")]
    Step {
        /// Name of the step.
        step: String,
        /// Why.
        source: Box<StoreError>,
    },
    /// Rows of the application stand in the way of a deletion.
    #[error("{rows} rows stand in the way of the deletion")]
    Restricted {
        /// How many; counted up to a limit.
        rows: u64,
    },
    /// Rows of this user are still on their way from an earlier event.
    #[error("rows of this user are still on their way from an earlier event")]
    Unfinished,
    /// The settings cannot be used.
    #[error("the store URL cannot be used: {0}")]
    Settings(String),
}

/// What a database said, without the values it quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose codes they are.
    pub dialect: Dialect,
    /// The SQLSTATE of PostgreSQL, or the extended code of SQLite in decimal digits.
    pub code: String,
    /// The constraint or index that was violated; of SQLite the columns.
    pub constraint: Option<String>,
    /// The table of that constraint.
    pub table: Option<String>,
}

/// Which database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// What went wrong on this side of the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The connection broke or was refused; whether the statement was done is unknown.
    #[error("the connection to the database failed: {0}")]
    Io(ErrorKind),
    /// No encrypted connection could be made.
    #[error("the encrypted connection to the database failed: check its certificate")]
    Tls,
    /// The driver hides why.
    #[error("no connection to the database within the time limit: is it up, and are there enough?")]
    PoolTimedOut,
    /// We are stopping.
    #[error("the connections to the database are closed")]
    PoolClosed,
    /// The thread that works on the SQLite file is gone.
    #[error("the thread of the database crashed")]
    ThreadCrashed,
    /// What came is not what a database says.
    #[error("the database or something before it broke the protocol")]
    Protocol,
    /// The URL.
    #[error("the store URL is not valid")]
    Url,
    /// A column is not there.
    #[error("column {0} is missing")]
    ColumnMissing(String),
    /// A column is of another type than ours, or holds what no version wrote.
    #[error("column {0} has an unexpected type or value")]
    ColumnUnreadable(String),
    /// A type is not there.
    #[error("a type of the database is missing")]
    TypeMissing,
    /// Anything else.
    #[error("the database driver failed")]
    Other,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        Self::Driver(match error {
            E::Database(error) => return Self::Refused(refusal(&*error)),
            E::Io(error) => Trouble::Io(error.kind()),
            E::Tls(_) => Trouble::Tls,
            E::PoolTimedOut => Trouble::PoolTimedOut,
            E::PoolClosed => Trouble::PoolClosed,
            E::WorkerCrashed => Trouble::ThreadCrashed,
            E::Protocol(_) => Trouble::Protocol,
            E::Configuration(_) => Trouble::Url,
            E::ColumnNotFound(name) => Trouble::ColumnMissing(name),
            E::ColumnIndexOutOfBounds { index, .. } => Trouble::ColumnMissing(index.to_string()),
            E::ColumnDecode { index, .. } => Trouble::ColumnUnreadable(index),
            E::TypeNotFound { .. } => Trouble::TypeMissing,
            // The enum of the driver may grow.
            _ => Trouble::Other,
        })
    }
}

impl StoreError {
    /// The same error as one of a step in the application's tables.
    #[must_use]
    pub fn in_step(self, step: &str) -> Self {
        Self::Step {
            step: step.to_owned(),
            source: Box::new(self),
        }
    }

    /// Whether the database answered, and said no.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Step { source, .. } => source.is_refusal(),
            _ => false,
        }
    }

    /// The SQLSTATE of PostgreSQL, the extended code of SQLite, or our own word for what has neither.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            Self::Driver(trouble) => trouble.word(),
            Self::Moved => "moved",
            Self::Overtaken => "overtaken",
            Self::Aborted => "aborted",
            Self::Slow(_) => "timeout",
            Self::Unreadable { .. } => "unreadable",
            Self::NoFile { .. } => "no_file",
            Self::Died(_) => "died",
            Self::Step { source, .. } => source.code(),
            Self::Restricted { .. } => "restricted",
            Self::Unfinished => "unfinished",
            Self::Settings(_) => "settings",
        }
    }
}

impl Trouble {
    fn word(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::Tls => "tls",
            Self::PoolTimedOut => "pool_timed_out",
            Self::PoolClosed => "pool_closed",
            Self::ThreadCrashed => "thread_crashed",
            Self::Protocol => "protocol",
            Self::Url => "url",
            Self::ColumnMissing(_) => "column_missing",
            Self::ColumnUnreadable(_) => "column_unreadable",
            Self::TypeMissing => "type_missing",
            Self::Other => "driver",
        }
    }
}

fn refusal(error: &dyn sqlx::error::DatabaseError) -> Refusal {
    let code = error.code().unwrap_or_default().into_owned();
    if error.try_downcast_ref::<SqliteError>().is_some() {
        let (table, constraint) = names_in(&code, error.message());
        return Refusal {
            dialect: Dialect::Sqlite,
            code,
            constraint,
            table,
        };
    }
    debug_assert!(
        error.try_downcast_ref::<PgDatabaseError>().is_some(),
        "a third database"
    );
    Refusal {
        dialect: Dialect::Postgres,
        code,
        constraint: error.constraint().map(str::to_owned),
        table: error.table().map(str::to_owned),
    }
}

/// SQLite names tables and columns only in its messages: `UNIQUE constraint failed: profiles.user_id, profiles.email`.
/// Only of these four is known that names, and never values, come behind the colon.
fn names_in(code: &str, message: &str) -> (Option<String>, Option<String>) {
    let Some((_, names)) = message.split_once(" constraint failed: ") else {
        return (None, None);
    };
    match code {
        "275" => (None, Some(names.to_owned())),
        "1299" | "1555" | "2067" => {
            let table = names.split('.').next().unwrap_or_default();
            let columns: Vec<&str> = names
                .split(", ")
                .map(|name| name.rsplit('.').next().unwrap_or(name))
                .collect();
            (Some(table.to_owned()), Some(columns.join(", ")))
        }
        _ => (None, None),
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = &self.code;
        write!(f, "the database refused with code {code}{}", meaning(code))?;
        if let Some(constraint) = &self.constraint {
            write!(f, ", constraint {constraint}")?;
        }
        if let Some(table) = &self.table {
            write!(f, ", table {table}")?;
        }
        Ok(())
    }
}

/// The codes an operator meets first, in words.
fn meaning(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => " (user or password refused)",
        "3D000" => " (no such database)",
        "42501" => " (privilege missing)",
        "42P01" => " (table missing: run `rollcall migrate`)",
        "42703" => " (column missing: run `rollcall migrate`, or put back what was renamed)",
        "3F000" => " (schema missing: run `rollcall migrate`)",
        "1" => " (table or column missing: run `rollcall migrate`)",
        "53100" | "13" => " (disk full)",
        "53300" => " (too many connections)",
        "57P01" | "57P02" | "57P03" => " (shutting down or starting)",
        "25006" | "8" | "1032" | "1544" => " (read-only)",
        "40001" | "40P01" | "55P03" => " (contended)",
        "57014" => " (statement timeout)",
        "5" | "6" | "261" | "517" => " (locked by another process)",
        "14" => " (cannot open the file: does its folder exist, and may we write there?)",
        "26" => " (not a database file)",
        "11" => " (file damaged)",
        _ => "",
    }
}
