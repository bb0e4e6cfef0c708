//! `[[cascade]]` and `[[audit]]`: the application's tables that follow the users. Every name is checked here to be a plain
//! identifier; whether there is such a table is for the database to say.

use super::check::Check;
use super::low;
use super::names::is_column_name;
use super::problem::At;
use super::section::nearest;
use super::{Backend, CascadeKey, OnLeave, OnRename, Store};

/// One of `[[cascade]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// Under which name it is counted and shown: the table as it is written, with the column where it is listed twice.
    pub name: String,
    /// The schema, a plain identifier, where one is named.
    pub schema: Option<String>,
    /// The table, a plain identifier.
    pub table: String,
    /// The column, a plain identifier; no two entries have the same one.
    pub column: String,
    /// What it holds.
    pub key: CascadeKey,
    /// What happens when that changes.
    pub on_rename: OnRename,
    /// What happens when the user is deleted.
    pub on_delete: OnLeave,
    /// Whether an event fails with it.
    pub required: bool,
    /// Whether there should be rows.
    pub expect_rows: bool,
}

/// One of `[[audit]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Under which name it is counted and shown.
    pub name: String,
    /// The schema, a plain identifier, where one is named.
    pub schema: Option<String>,
    /// The table, a plain identifier.
    pub table: String,
    /// What is written; never empty.
    pub columns: Vec<AuditColumn>,
    /// Whether an event fails with it.
    pub required: bool,
}

/// What one column of an audit row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditColumn {
    /// The column, a plain identifier.
    pub column: String,
    /// Text and placeholders, in order.
    pub pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// A known placeholder, without its braces.
    Field(String),
}

/// What the placeholders of an audit row may be.
const PLACEHOLDERS: [&str; 10] = [
    "old_user_id",
    "new_user_id",
    "email",
    "username",
    "event_id",
    "event_source",
    "event_type",
    "action",
    "time",
    "change",
];

/// Checks `[[cascade]]`.
pub(super) fn cascades(check: &mut Check<'_>, low: Vec<low::Cascade>, store: &Store) -> Vec<Cascade> {
    let tables: Vec<Option<String>> = low.iter().map(|low| low.table.clone()).collect();
    let mut cascades: Vec<Cascade> = Vec::new();
    for (index, low) in low.into_iter().enumerate() {
        let at = |key| At {
            section: "cascade",
            index,
            key,
        };
        let is_listed_twice = tables.iter().filter(|table| **table == low.table).count() > 1;
        let shown = low.table.clone().unwrap_or_default();
        let (schema, table) = table(check, at("table"), low.table, store);
        let column = column(check, at("column"), low.column);
        if cascades
            .iter()
            .any(|other| (&other.schema, &other.table, &other.column) == (&schema, &table, &column))
        {
            let what = format!("names column {column:?} of {shown:?} a second time");
            check.report(at("column"), what, "give each column one entry");
        }
        if low.on_delete == OnLeave::Restrict && !low.required {
            let what = "is \"restrict\", which has no effect where required = false";
            check.report(at("on_delete"), what, "set required = true, or choose \"keep\"");
        }
        let name = if is_listed_twice {
            format!("{shown}.{column}")
        } else {
            shown
        };
        cascades.push(Cascade {
            name,
            schema,
            table,
            column,
            key: low.key,
            on_rename: low.on_rename,
            on_delete: low.on_delete,
            required: low.required,
            expect_rows: low.expect_rows,
        });
    }
    cascades
}

/// Checks `[[audit]]`.
pub(super) fn audits(check: &mut Check<'_>, low: Vec<low::Audit>, store: &Store) -> Vec<Audit> {
    let tables: Vec<Option<String>> = low.iter().map(|low| low.table.clone()).collect();
    let mut audits = Vec::new();
    for (index, low) in low.into_iter().enumerate() {
        let at = |key| At {
            section: "audit",
            index,
            key,
        };
        if low.table.is_some() && tables[..index].contains(&low.table) {
            let what = "names a table a second time";
            check.report(at("table"), what, "write each row once");
        }
        let name = format!("audit {}", low.table.as_deref().unwrap_or_default());
        let (schema, table) = table(check, at("table"), low.table, store);
        if low.columns.is_empty() && !check.given(at("columns")) {
            let remedy = "give what each column says, such as { who = \"{old_user_id}\", what = \"{action}\" }";
            check.report(at("columns"), "is missing", remedy);
        }
        let mut columns = Vec::new();
        for (column, template) in low.columns {
            if !is_column_name(&column) {
                refuse_name(check, at("columns"), &column);
            }
            let pieces = pieces(check, at("columns"), &column, &template);
            columns.push(AuditColumn { column, pieces });
        }
        audits.push(Audit {
            name,
            schema,
            table,
            columns,
            required: low.required,
        });
    }
    audits
}

fn table(check: &mut Check<'_>, at: At, name: Option<String>, store: &Store) -> (Option<String>, String) {
    let Some(name) = name else {
        if !check.given(at) {
            check.report(at, "is missing", "name the table, such as \"user_permissions\"");
        }
        return (None, String::new());
    };
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
        None => (None, name.clone()),
    };
    if !is_column_name(&table) || schema.as_ref().is_some_and(|schema| !is_column_name(schema)) {
        refuse_name(check, at, &name);
    } else if let (Backend::Sqlite(_), Some(schema)) = (&store.backend, &schema) {
        if schema != "main" {
            let what = format!("names schema {schema:?}, and SQLite has none");
            check.report(
                at,
                what,
                "name the table alone: it has to be in the file of [store] url",
            );
        }
    } else if schema.as_deref() == Some(store.schema.as_str()) {
        let what = format!("is {name:?}, which is a table of Rollcall's own");
        check.report(at, what, "name a table of the application");
    }
    (schema, table)
}

fn column(check: &mut Check<'_>, at: At, name: Option<String>) -> String {
    match &name {
        Some(name) if !is_column_name(name) => refuse_name(check, at, name),
        None if !check.given(at) => check.report(at, "is missing", "name the column that holds the key of the user"),
        Some(_) | None => {}
    }
    name.unwrap_or_default()
}

fn refuse_name(check: &mut Check<'_>, at: At, name: &str) {
    check.report(
        at,
        format_args!("contains {name:?}, which is no plain identifier"),
        "use names of up to 63 letters, digits and underscores that do not begin with a digit; reserved words are fine",
    );
}

/// Text with placeholders in braces; a brace itself is written twice.
fn pieces(check: &mut Check<'_>, at: At, column: &str, template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at_brace) = rest.find(['{', '}']) {
        text.push_str(&rest[..at_brace]);
        let after = &rest[at_brace + 1..];
        if rest[at_brace..].starts_with("{{") || rest[at_brace..].starts_with("}}") {
            text.push_str(&rest[at_brace..=at_brace]);
            rest = &after[1..];
            continue;
        }
        let name = after
            .split_once('}')
            .map(|(name, _)| name)
            .filter(|_| rest[at_brace..].starts_with('{'));
        let Some(name) = name else {
            let what = format!("has a single brace in the template of {column:?}");
            check.report(at, what, "write {name} for a placeholder, and {{ or }} for a brace");
            return pieces;
        };
        if PLACEHOLDERS.contains(&name) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Field(name.to_owned()));
        } else {
            let near = nearest(name, PLACEHOLDERS).unwrap_or_default();
            let what = format!("has {{{name}}} in the template of {column:?}, which is no placeholder");
            check.report(at, what, format!("did you mean {{{near}}}?"));
        }
        rest = &after[name.len() + 1..];
    }
    text.push_str(rest);
    if text.contains('\0') {
        check.report(
            at,
            format_args!("has U+0000 in the template of {column:?}"),
            "leave it out",
        );
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}
