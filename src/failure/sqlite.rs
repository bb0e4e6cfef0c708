//! Every code of SQLite we know, once: extended codes where the kind hangs on them, else their family (the lowest byte).

use super::kind::Kind;

const CODES: &[(u32, Kind)] = &[
    // Somebody else has the file: busy, in recovery, moved on under a reader, timed out; locked by ourselves.
    (5, Kind::Contended),
    (261, Kind::Contended),
    (517, Kind::Contended),
    (773, Kind::Contended),
    (6, Kind::Contended),
    (262, Kind::Contended),
    // Interrupted; the schema changed and SQLite could not prepare the statement again.
    (9, Kind::Passing),
    (17, Kind::Passing),
    // Constraints.
    (19, Kind::Dependent),
    (787, Kind::Dependent),
    (1555, Kind::Dependent),
    (2067, Kind::Dependent),
    (275, Kind::Event),
    (1299, Kind::Event),
    (1811, Kind::Event),
    (3091, Kind::Event),
    // A value too big, or of another type than a strict column.
    (18, Kind::Event),
    (20, Kind::Event),
    // Misuse of the library, a parameter that is not there.
    (21, Kind::Bug),
    (25, Kind::Bug),
];

/// The kind of a whole family, whatever the extended code.
const FAMILIES: &[(u32, Kind)] = &[
    // Syntax, missing tables and missing columns share one code: never an event.
    (1, Kind::SetUp),
    (3, Kind::SetUp),
    (8, Kind::SetUp),
    (14, Kind::SetUp),
    (23, Kind::SetUp),
    // Damaged, or no database.
    (11, Kind::SetUp),
    (26, Kind::SetUp),
    // Memory, input and output, disk full.
    (7, Kind::Full),
    (10, Kind::Full),
    (13, Kind::Full),
];

pub(super) fn kind(code: &str) -> Kind {
    let Ok(code) = code.parse::<u32>() else {
        return Kind::Unknown;
    };
    let exact = CODES.iter().find(|(known, _)| *known == code);
    let family = || FAMILIES.iter().find(|(known, _)| *known == code % 256);
    exact.or_else(family).map_or(Kind::Unknown, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        let mut all: Vec<u32> = CODES.iter().chain(FAMILIES).map(|(code, _)| *code).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
