//! What it takes to open a database.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Which database, and where.
    pub backend: Backend,
    /// Connections at most (PostgreSQL).
    pub max_connections: u32,
    /// The database gives up a statement after this long (PostgreSQL).
    pub statement_timeout: Duration,
    /// The database gives up waiting for a lock after this long; on SQLite for the file.
    pub lock_timeout: Duration,
}

/// Which database, and where.
#[derive(Debug, Clone)]
pub enum Backend {
    /// A PostgreSQL server.
    Postgres {
        /// Connection URL with its password.
        url: SecretString,
        /// Schema of our tables; a plain identifier.
        schema: String,
    },
    /// A SQLite file.
    Sqlite {
        /// Path of the file.
        path: PathBuf,
        /// Prefix of our tables; a plain identifier or empty.
        prefix: String,
    },
}
