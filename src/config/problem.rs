//! What can be wrong with a configuration, and where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("configuration file {} does not exist: name another one, or leave --config away", path.display())]
    Missing {
        /// As given.
        path: PathBuf,
    },
    /// The file is there but cannot be read as text.
    #[error("configuration file {} cannot be read", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Everything that is wrong in the file and in the environment, at least one problem.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    match lines.as_slice() {
        [line] => line.clone(),
        _ => format!(
            "{} problems in the configuration:\n  {}",
            lines.len(),
            lines.join("\n  ")
        ),
    }
}

/// One thing that is wrong. Contains no value of a key that can hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.what, self.remedy)
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// As given.
        name: String,
        /// From 1.
        line: usize,
    },
    /// In an environment variable of this name.
    Variable(String),
    /// Nowhere: the built-in default, or a key that is missing.
    Nowhere,
}

impl Origin {
    /// Sorts problems: by line, then by variable, then the rest.
    pub(super) fn rank(&self) -> (u8, usize, String) {
        match self {
            Self::File { line, .. } => (0, *line, String::new()),
            Self::Variable(name) => (1, 0, name.clone()),
            Self::Nowhere => (2, 0, String::new()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name} line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

/// The address of a key: section, position among the sections of that name, key (`""`: the section itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub section: &'static str,
    pub index: usize,
    pub key: &'static str,
}

impl At {
    /// A key of a section that is not repeated.
    pub(super) const fn new(section: &'static str, key: &'static str) -> Self {
        Self { section, index: 0, key }
    }

    /// Another key of the same section.
    pub(super) const fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }
}

/// Where each key that was given, rightly or wrongly, was written.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<At, Origin>);

impl Origins {
    pub(super) fn insert(&mut self, at: At, origin: Origin) {
        self.0.insert(at, origin);
    }

    pub(super) fn remove(&mut self, at: At) {
        self.0.remove(&at);
    }

    /// Where the key was given, if it was.
    pub(super) fn given(&self, at: At) -> Option<&Origin> {
        self.0.get(&at)
    }

    /// The best place to point at: the key, else its section.
    pub(super) fn of(&self, at: At) -> Origin {
        self.given(at)
            .or_else(|| self.given(at.key("")))
            .cloned()
            .unwrap_or(Origin::Nowhere)
    }
}
