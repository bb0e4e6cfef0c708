//! The statements about the application's tables, built once at the start, and the one place where a name from the
//! configuration becomes SQL.

use sqlx::AssertSqlSafe;

use crate::domain::cascade::{OnLeave, OnRename, Rule};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Postgres,
    Sqlite,
}

/// The statements of one step.
#[derive(Debug, Clone)]
pub(in crate::store) struct StepSql {
    pub(in crate::store) count: String,
    pub(in crate::store) remove: String,
    pub(in crate::store) rewrite: String,
    /// One value, few rows: delete them.
    pub(in crate::store) remove_some: String,
    /// One value, few rows: give them another one.
    pub(in crate::store) rewrite_some: String,
    /// Touch everything, change nothing.
    pub(in crate::store) probe: Vec<String>,
}

/// The statements of one table for audit rows.
#[derive(Debug, Clone)]
pub(in crate::store) struct AuditSql {
    pub(in crate::store) insert: String,
    pub(in crate::store) probe: String,
}

/// A name as an identifier in double quotes, whatever is in it: reserved words and mixed case are fine. Names are plain identifiers that the catalogue knows; this holds even if
/// they were not.
pub(in crate::store) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// Reviewed: everything that is not fixed in these statements went through [`quoted`], or is the name of a type as the
/// catalogue of PostgreSQL writes it. Values are bound.
pub(in crate::store) fn safe(sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.to_owned())
}

impl StepSql {
    /// For a table, quoted with its schema, and a column, unquoted.
    pub(in crate::store) fn new(dialect: Dialect, table: &str, column: &str, rule: Rule, is_indexed: bool) -> Self {
        let column = quoted(column);
        let mut probe = vec![format!("SELECT {column} FROM {table} WHERE false")];
        if writes(rule) {
            probe.push(format!("UPDATE {table} SET {column} = {column} WHERE false"));
        }
        if deletes(rule) {
            probe.push(format!("DELETE FROM {table} WHERE false"));
        }
        match dialect {
            Dialect::Postgres => Self::postgres(table, &column, is_indexed, probe),
            Dialect::Sqlite => Self::sqlite(table, &column, probe),
        }
    }

    fn postgres(table: &str, column: &str, is_indexed: bool, probe: Vec<String>) -> Self {
        let count = if is_indexed {
            format!(
                "SELECT u.n, c.rows FROM unnest($1::text[]) WITH ORDINALITY AS u (value, n) CROSS JOIN LATERAL \
                 (SELECT count(*) AS rows FROM (SELECT FROM {table} AS t WHERE t.{column} = u.value LIMIT $2) AS x) \
                 AS c WHERE c.rows > 0"
            )
        } else {
            format!(
                "SELECT u.n, least(count(*), $2::bigint) FROM unnest($1::text[]) WITH ORDINALITY AS u (value, n) \
                 JOIN {table} AS t ON t.{column} = u.value GROUP BY u.n"
            )
        };
        let some = format!(
            "t.ctid = ANY (ARRAY (SELECT s.ctid FROM {table} AS s WHERE s.{column} = $1 LIMIT $2)) AND t.{column} = $1"
        );
        Self {
            count,
            remove: format!(
                "DELETE FROM {table} AS t USING unnest($1::text[]) AS u (value) WHERE t.{column} = u.value"
            ),
            rewrite: format!(
                "UPDATE {table} AS t SET {column} = u.target FROM unnest($1::text[], $2::text[]) AS u (value, target) \
                 WHERE t.{column} = u.value"
            ),
            remove_some: format!("DELETE FROM {table} AS t WHERE {some}"),
            rewrite_some: format!("UPDATE {table} AS t SET {column} = $3::text WHERE {some}"),
            probe,
        }
    }

    /// The column may compare in a way of its own (NOCASE): its index is asked in that way, and what it finds is
    /// compared exactly.
    fn sqlite(table: &str, column: &str, probe: Vec<String>) -> Self {
        let holds =
            |name: &str, value: &str| format!("{name}{column} = {value} AND {name}{column} = {value} COLLATE BINARY");
        let some = format!(
            "rowid IN (SELECT s.rowid FROM {table} AS s WHERE {} LIMIT ?2)",
            holds("s.", "?1")
        );
        Self {
            count: format!(
                "SELECT u.key + 1, (SELECT count(*) FROM (SELECT 1 FROM {table} AS t WHERE {} LIMIT ?2)) \
                 FROM json_each(?1) AS u",
                holds("t.", "u.value")
            ),
            remove: format!(
                "DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?1)) \
                 AND {column} COLLATE BINARY IN (SELECT value FROM json_each(?1))"
            ),
            rewrite: format!(
                "UPDATE {table} AS t SET {column} = u.value ->> 1 FROM json_each(?1) AS u WHERE {}",
                holds("t.", "(u.value ->> 0)")
            ),
            remove_some: format!("DELETE FROM {table} WHERE {some}"),
            rewrite_some: format!("UPDATE {table} SET {column} = ?3 WHERE {some}"),
            probe,
        }
    }
}

impl AuditSql {
    /// For a table, quoted with its schema, and columns, unquoted, with their types.
    pub(in crate::store) fn new(dialect: Dialect, table: &str, columns: &[(&str, &str)]) -> Self {
        let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let names = names.join(", ");
        let places = 1..=columns.len();
        let nothing: Vec<String> = columns
            .iter()
            .map(|(_, kind)| match dialect {
                Dialect::Postgres => format!("NULL::{kind}"),
                Dialect::Sqlite => "NULL".to_owned(),
            })
            .collect();
        let insert = match dialect {
            Dialect::Postgres => {
                let values: Vec<String> = columns
                    .iter()
                    .zip(places.clone())
                    .map(|((_, kind), n)| format!("u.v{n}::{kind}"))
                    .collect();
                let arrays: Vec<String> = places.clone().map(|n| format!("${n}::text[]")).collect();
                let aliases: Vec<String> = places.map(|n| format!("v{n}")).collect();
                format!(
                    "INSERT INTO {table} ({names}) SELECT {} FROM unnest({}) AS u ({})",
                    values.join(", "),
                    arrays.join(", "),
                    aliases.join(", ")
                )
            }
            Dialect::Sqlite => {
                let values: Vec<String> = places.map(|n| format!("value ->> {}", n - 1)).collect();
                format!(
                    "INSERT INTO {table} ({names}) SELECT {} FROM json_each(?1)",
                    values.join(", ")
                )
            }
        };
        Self {
            insert,
            // Reads nothing of the table: INSERT is all the right that is needed.
            probe: format!(
                "INSERT INTO {table} ({names}) SELECT {} WHERE false",
                nothing.join(", ")
            ),
        }
    }
}

/// Whether rows get another value.
pub(in crate::store) fn writes(rule: Rule) -> bool {
    matches!(rule.on_rename, OnRename::Rewrite | OnRename::Nullify)
        || matches!(rule.on_leave, OnLeave::Nullify | OnLeave::Anonymise)
}

/// Whether rows go.
pub(in crate::store) fn deletes(rule: Rule) -> bool {
    rule.on_rename == OnRename::Delete || rule.on_leave == OnLeave::Delete
}

/// Whether rows can lose their value.
pub(in crate::store) fn nullifies(rule: Rule) -> bool {
    rule.on_rename == OnRename::Nullify || rule.on_leave == OnLeave::Nullify
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cascade::KeyKind;

    #[test]
    fn whatever_a_name_holds_it_stays_one_identifier() {
        for (name, expected) in [
            ("user", "\"user\""),
            ("select", "\"select\""),
            ("tabCustomer", "\"tabCustomer\""),
            ("a\"b", "\"a\"\"b\""),
            ("\"; DROP TABLE x; --", "\"\"\"; DROP TABLE x; --\""),
            ("a\0b", "\"ab\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }

    #[test]
    fn the_probe_asks_for_the_rights_that_are_needed_and_no_others() {
        let probe = |on_rename, on_leave| {
            let rule = Rule {
                key: KeyKind::UserId,
                on_rename,
                on_leave,
            };
            let sql = StepSql::new(Dialect::Postgres, "\"t\"", "user", rule, true);
            sql.probe
                .iter()
                .map(|sql| sql[..6].to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(probe(OnRename::Keep, OnLeave::Keep), "SELECT");
        assert_eq!(probe(OnRename::Keep, OnLeave::Restrict), "SELECT");
        assert_eq!(probe(OnRename::Rewrite, OnLeave::Keep), "SELECT UPDATE");
        assert_eq!(probe(OnRename::Delete, OnLeave::Keep), "SELECT DELETE");
        assert_eq!(probe(OnRename::Rewrite, OnLeave::Delete), "SELECT UPDATE DELETE");
        assert_eq!(probe(OnRename::Keep, OnLeave::Anonymise), "SELECT UPDATE");
    }
}
