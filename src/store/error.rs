//! What can go wrong with a database. Messages of databases quote values of the data, so only codes and names are kept.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or could not be reached.
    #[error("{}", describe(.0))]
    Database(sqlx::Error),
    /// Two components became one while we waited for their locks.
    #[error("another worker united the users of this batch with others meanwhile")]
    Moved,
    /// Another worker stored one of these events meanwhile.
    #[error("another worker stored an event of this batch meanwhile")]
    Overtaken,
    /// The unit of work took too long.
    #[error("the database did not finish a unit of work within {0:?}")]
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
    /// The settings cannot be used.
    #[error("the store URL cannot be used: {0}")]
    Settings(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl StoreError {
    /// Whether the database cannot be reached at the moment, so that waiting may help.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) | Self::Slow(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                // Starting up, shutting down, too many connections; SQLite: locked by another process.
                matches!(
                    error.code().as_deref(),
                    Some("57P01" | "57P02" | "57P03" | "53300" | "5" | "261")
                )
            }
            Self::Database(_)
            | Self::Moved
            | Self::Overtaken
            | Self::Unreadable { .. }
            | Self::NoFile { .. }
            | Self::Died(_)
            | Self::Settings(_) => false,
        }
    }

    /// The SQLSTATE of PostgreSQL or the extended code of SQLite.
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().map(std::borrow::Cow::into_owned),
            Self::Database(_)
            | Self::Moved
            | Self::Overtaken
            | Self::Slow(_)
            | Self::Unreadable { .. }
            | Self::NoFile { .. }
            | Self::Died(_)
            | Self::Settings(_) => None,
        }
    }
}

/// An error of the driver without the values that a server quotes: code, constraint and table only.
fn describe(error: &sqlx::Error) -> String {
    use sqlx::Error as E;
    match error {
        E::Database(error) => {
            let code = error.code().unwrap_or_default();
            let constraint = error
                .constraint()
                .map(|name| format!(", constraint {name}"))
                .unwrap_or_default();
            let table = error.table().map(|name| format!(", table {name}")).unwrap_or_default();
            format!(
                "the database refused with code {code}{}{constraint}{table}",
                meaning(&code)
            )
        }
        E::Io(error) => format!("the connection to the database failed: {}", error.kind()),
        E::Tls(_) => "the encrypted connection to the database failed: check its certificate".to_owned(),
        E::PoolTimedOut => {
            "no connection to the database within the time limit: is it up, and are there enough?".to_owned()
        }
        E::PoolClosed => "the connections to the database are closed".to_owned(),
        E::WorkerCrashed => "the thread of the database crashed".to_owned(),
        E::Configuration(_) => "the store URL is not valid".to_owned(),
        E::ColumnNotFound(name) => format!("column {name} is missing"),
        E::ColumnDecode { index, .. } => format!("column {index} has an unexpected type or value"),
        E::Protocol(_) => "the database or something before it broke the protocol".to_owned(),
        _ => "the database driver failed".to_owned(),
    }
}

/// The codes an operator meets first, in words.
fn meaning(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => " (user or password refused)",
        "3D000" => " (no such database)",
        "42501" => " (privilege missing)",
        "42P01" => " (table missing: run `rollcall migrate`)",
        "3F000" => " (schema missing: run `rollcall migrate`)",
        "53100" | "13" => " (disk full)",
        "53300" => " (too many connections)",
        "57P01" | "57P02" | "57P03" => " (shutting down or starting)",
        "25006" | "8" => " (read-only)",
        "40001" | "40P01" | "55P03" => " (contended)",
        "57014" => " (statement timeout)",
        "5" | "6" | "261" | "517" => " (locked by another process)",
        "14" => " (cannot open the file: does its folder exist, and may we write there?)",
        "26" => " (not a database file)",
        "11" => " (file damaged)",
        _ => "",
    }
}
