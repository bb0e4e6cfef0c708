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
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_chain_says_everything_once() {
        let link = |text, source: Option<Link>| Link {
            text,
            source: source.map(Box::new),
        };
        let quoted = link("no broker", Some(link("io: refused", Some(link("refused", None)))));
        assert_eq!(chain(&quoted), "no broker: io: refused");
        assert_eq!(chain(&link("a", Some(link("b", None)))), "a: b");
    }
}
