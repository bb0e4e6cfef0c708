//! Where the users of a backfill come from: a file or a query, read piece by piece.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::store::{QueryError, QueryRows, Store};

/// Where to read.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A file with the names of its columns in the first line.
    Csv(PathBuf),
    /// A file with a JSON object in every line.
    Jsonl(PathBuf),
    /// A query on the application's database.
    Query(String),
}

/// Rows on their way.
pub(super) enum Rows {
    Csv(csv::Reader<File>, csv::StringRecord, PathBuf),
    Jsonl(io::Lines<BufReader<File>>, u64, PathBuf),
    Query(QueryRows, u64),
}

/// A row, and where it stands: the line of a file, the number in a query.
pub(super) struct Row {
    pub(super) place: u64,
    /// What is wrong with it as a row.
    pub(super) values: Result<Map<String, Value>, String>,
}

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file.
    #[error("{} cannot be read", path.display())]
    File {
        /// As given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The query.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Origin {
    /// The origin that a file is, by its name.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv(path.to_owned())),
            "jsonl" | "ndjson" => Some(Self::Jsonl(path.to_owned())),
            _ => None,
        }
    }

    /// Begins to read, from the beginning.
    pub(super) async fn open(&self, store: &Store) -> Result<Rows, SourceError> {
        match self {
            Self::Csv(path) => {
                // Blanks around a cell are for people; as part of a key they would make somebody else of its owner.
                let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file(path)?);
                let names = reader
                    .headers()
                    .map_err(|error| unreadable(path, io::Error::other(error)))?;
                let names = names.clone();
                Ok(Rows::Csv(reader, names, path.clone()))
            }
            Self::Jsonl(path) => Ok(Rows::Jsonl(BufReader::new(file(path)?).lines(), 0, path.clone())),
            Self::Query(sql) => Ok(Rows::Query(store.query(sql).await?, 0)),
        }
    }
}

fn file(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> SourceError {
    SourceError::File {
        path: path.to_owned(),
        source,
    }
}

impl Rows {
    /// The next rows, at most `most`; none at the end.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<Row>, SourceError> {
        match self {
            Self::Query(rows, read) => {
                let piece = rows.next(most).await?;
                let first = *read + 1;
                *read += piece.len() as u64;
                let rows = (first..).zip(piece);
                Ok(rows.map(|(place, row)| Row { place, values: Ok(row) }).collect())
            }
            Self::Csv(reader, names, path) => {
                let rows = std::iter::from_fn(|| record(reader, names)).take(most);
                rows.collect::<io::Result<_>>()
                    .map_err(|source| unreadable(path, source))
            }
            Self::Jsonl(lines, read, path) => {
                let rows = std::iter::from_fn(|| line(lines, read)).take(most);
                rows.collect::<io::Result<_>>()
                    .map_err(|source| unreadable(path, source))
            }
        }
    }
}

/// The next record; an empty cell says nothing. A file that cannot be read is an error: it would be the next one, too.
fn record(reader: &mut csv::Reader<File>, names: &csv::StringRecord) -> Option<io::Result<Row>> {
    let mut record = csv::StringRecord::new();
    let place = reader.position().line();
    let values = match reader.read_record(&mut record) {
        Ok(false) => return None,
        Ok(true) => Ok(names
            .iter()
            .zip(&record)
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| (name.to_owned(), Value::String(cell.to_owned())))
            .collect()),
        Err(error) if error.is_io_error() => return Some(Err(io::Error::other(error))),
        Err(error) => Err(match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells where the first line names {expected_len} columns")
            }
            csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
            _ => "no CSV".to_owned(),
        }),
    };
    let place = record.position().map_or(place, csv::Position::line);
    Some(Ok(Row { place, values }))
}

/// The next line that says something.
fn line(lines: &mut io::Lines<BufReader<File>>, read: &mut u64) -> Option<io::Result<Row>> {
    loop {
        *read += 1;
        let place = *read;
        let values = match lines.next()? {
            Ok(line) if line.trim().is_empty() => continue,
            // The parser's message quotes values.
            Ok(line) => serde_json::from_str(&line).map_err(|error| {
                format!(
                    "no JSON object: {:?} error in column {}",
                    error.classify(),
                    error.column()
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err("not UTF-8".to_owned()),
            Err(error) => return Some(Err(error)),
        };
        return Some(Ok(Row { place, values }));
    }
}
