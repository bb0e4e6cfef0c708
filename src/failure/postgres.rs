//! Every SQLSTATE we know, once. Those that are not here are unknown: the world's, with an alarm.

use super::kind::Kind;

/// By kind, each with the range of the appendix that it is from.
const CODES: &[(Kind, &[&str])] = &[
    (
        Kind::Passing,
        &[
            // Connections: refused, broken, resolution of the transaction unknown, protocol (a pooler between us).
            "08000", "08001", "08003", "08004", "08006", "08007", "08P01",
            // Read-only, as a standby is after a failover: connections are dropped, and the next may find the primary.
            "25006", // Completion unknown; snapshot too old.
            "40003", "72000", // Shutting down, crashed, starting, idle session ended.
            "57P01", "57P02", "57P03", "57P05",
        ],
    ),
    (
        Kind::Full,
        &[
            // We stalled within a transaction.
            "25P03", "25P04", // Resources: any, disk, memory, connections, a configured limit.
            "53000", "53100", "53200", "53300", "53400",
        ],
    ),
    (
        Kind::SetUp,
        &[
            // Role, password, database, schema, privilege; the database was dropped.
            "28000", "28P01", "3D000", "3F000", "42501", "57P04",
            // Tables, columns, functions, types or a unique index that are not there, or not as they were.
            "42P01", "42703", "42883", "42704", "42P10", "42601", "42804", "42P18", "42702",
            // Input and output, missing and duplicate files, internal error, damage, configuration file.
            "58000", "58030", "58P01", "58P02", "XX000", "XX001", "XX002", "F0000",
        ],
    ),
    (Kind::Contended, &["40001", "40P01", "55P03"]),
    // A cancel is ours, of an administrator, or of statement_timeout: they share a code.
    (Kind::TooLong, &["57014"]),
    // "cached plan must not change result type"; a prepared statement that is not there, or there twice (a pooler).
    (Kind::Stale, &["0A000", "26000", "42P05"]),
    (
        Kind::Event,
        &[
            // Constraints: restrict, not null, check, exclusion.
            "23001", "23502", "23514", "23P01",
            // Values: too long, out of range, not a date or time, division by zero, parameter, not the text of a type,
            // not in the character set (U+0000), not translatable.
            "22001", "22003", "22007", "22008", "22012", "22021", "22023", "22P02", "22P03", "22P05",
            // JSON.
            "22030", "22031", "22032", "22033", "22034", "22035", "22036", "22037", "22038", "22039", "2203A", "2203B",
            "2203C", "2203D", "2203E", "2203F", "2203G",
            // Limits of the program: any, too complex, too many columns, too many arguments.
            "54000", "54001", "54011", "54023", // A rule of the application, raised by a trigger.
            "P0001",
        ],
    ),
    // A parent that may still come; a value that another row holds as long as that row is there. The identity of the
    // ledger is not among them: there a conflict is no error but `StoreError::Overtaken`.
    (Kind::Dependent, &["23503", "23505"]),
    // The same row twice in one statement; a statement after one that failed.
    (Kind::Bug, &["21000", "25P02"]),
];

pub(super) fn kind(code: &str) -> Kind {
    let found = CODES.iter().find(|(_, codes)| codes.contains(&code));
    found.map_or(Kind::Unknown, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        let mut all: Vec<&str> = CODES.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|code| code.len() == 5));
    }
}
