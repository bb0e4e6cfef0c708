//! Whether the application's tables are as the configuration says. The catalogue of each database gives the facts; what
//! they mean is judged here, the same for both.

use super::sql::{deletes, nullifies, writes};
use super::{Audit, AuditRule, AuditSql, Cascades, Dialect, Inspection, Step, StepRule, StepSql, quoted};
use crate::domain::cascade::{ANONYMOUS_LENGTH, OnLeave};
use crate::store::failures::briefly;
use crate::store::{Store, StoreError};

/// A table of the application, as the catalogue has it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a catalogue")]
pub(in crate::store) struct Table {
    /// Quoted, with its schema where there are any.
    pub(in crate::store) full: String,
    /// What it is, where it is no table; `view`, say.
    pub(in crate::store) odd: Option<String>,
    /// It is ours, or the database's own.
    pub(in crate::store) is_off_limits: bool,
    pub(in crate::store) has_row_names: bool,
    pub(in crate::store) may_delete: bool,
    /// Policies of the database hide rows from us.
    pub(in crate::store) hides_rows: bool,
    pub(in crate::store) columns: Vec<Column>,
}

/// A column, as the catalogue has it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a catalogue")]
pub(in crate::store) struct Column {
    pub(in crate::store) name: String,
    /// As the database writes it.
    pub(in crate::store) kind: String,
    pub(in crate::store) is_text: bool,
    /// Most characters.
    pub(in crate::store) length: Option<i32>,
    /// It can hold no null.
    pub(in crate::store) is_required: bool,
    pub(in crate::store) has_default: bool,
    pub(in crate::store) is_generated: bool,
    pub(in crate::store) is_indexed: bool,
    pub(in crate::store) is_unique: bool,
    /// Texts that differ compare as equal.
    pub(in crate::store) is_inexact: bool,
    pub(in crate::store) may_read: bool,
    pub(in crate::store) may_update: bool,
    pub(in crate::store) may_insert: bool,
}

/// What is wrong with one table.
#[derive(Default)]
struct Report {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Store {
    /// Looks whether these tables can be used as configured.
    ///
    /// # Errors
    /// When the catalogue cannot be read; what is wrong with the tables is in the result.
    pub async fn inspect(
        &self,
        steps: &[StepRule],
        audits: &[AuditRule],
        max_rows: u64,
    ) -> Result<Inspection, StoreError> {
        let mut found = Inspection {
            cascades: Cascades {
                max_rows,
                ..Cascades::default()
            },
            ..Inspection::default()
        };
        for rule in steps {
            let mut report = Report::default();
            let name = shown(rule.schema.as_deref(), &rule.table);
            let step = self.table_of(rule.schema.as_deref(), &rule.table, &mut report).await?;
            let mut step = step.and_then(|table| self.step(rule, &name, &table, &mut report));
            if let Some(found) = &step
                && !self.bears(&found.sql.probe, &mut report).await?
            {
                step = None;
            }
            found.cascades.steps.extend(step);
            found.take(&format!("[[cascade]] {name}"), report);
        }
        for rule in audits {
            let mut report = Report::default();
            let name = shown(rule.schema.as_deref(), &rule.table);
            let audit = self.table_of(rule.schema.as_deref(), &rule.table, &mut report).await?;
            let mut audit = audit.and_then(|table| self.audit(rule, &table, &mut report));
            if let Some(found) = &audit
                && !self.bears(std::slice::from_ref(&found.sql.probe), &mut report).await?
            {
                audit = None;
            }
            found.cascades.audits.extend(audit);
            found.take(&format!("[[audit]] {name}"), report);
        }
        Ok(found)
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Whether the statements of the brake's probe are taken: what they need and lack would hold the brake for ever.
    async fn bears(&self, probe: &[String], report: &mut Report) -> Result<bool, StoreError> {
        for sql in probe {
            match briefly!(self, tx => tx.touch(sql)) {
                Ok(()) => {}
                Err(StoreError::Refused(refusal)) if refusal.code.starts_with("42") || refusal.code == "1" => {
                    report.problems.push(format!(
                        "it cannot be used, {refusal}: put its rights and columns right"
                    ));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn table_of(
        &self,
        schema: Option<&str>,
        name: &str,
        report: &mut Report,
    ) -> Result<Option<Table>, StoreError> {
        let found = on_both!(self, Self, inner => inner.table(schema, name).await);
        let found = match found {
            // The schema is closed to us: for us the table is not there.
            Err(StoreError::Refused(refusal)) if refusal.code == "42501" => None,
            found => found?,
        };
        let Some(table) = found else {
            report.problems.push(
                "there is no such table, or this user may not see it: correct the name, make the table, or grant USAGE on \
                 its schema"
                    .to_owned(),
            );
            return Ok(None);
        };
        if table.is_off_limits {
            report
                .problems
                .push("it is Rollcall's own table, or the database's: name a table of the application".to_owned());
            return Ok(None);
        }
        if let Some(odd) = &table.odd {
            report
                .problems
                .push(format!("it is a {odd}, not a table: name the table behind it"));
            return Ok(None);
        }
        if table.hides_rows {
            report.warnings.push(
                "row level security hides rows from this user, which then do not follow: give the user BYPASSRLS or a \
                 policy of its own"
                    .to_owned(),
            );
        }
        Ok(Some(table))
    }

    fn step(&self, rule: &StepRule, name: &str, table: &Table, report: &mut Report) -> Option<Step> {
        let Some(column) = table
            .columns
            .iter()
            .find(|column| self.same(&column.name, &rule.column))
        else {
            let there: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            let there = there.join(", ");
            report.problems.push(format!(
                "it has no column {:?}: correct the name, there are {there}",
                rule.column
            ));
            return None;
        };
        judge_column(rule, column, report);
        judge_rights(rule, table, column, report);
        if !column.is_indexed {
            let full = &table.full;
            report.warnings.push(format!(
                "no index serves column {:?}, so every rename and deletion reads the whole table {name}: CREATE INDEX{} ON \
                 {full} ({});",
                rule.column,
                match self.dialect() {
                    Dialect::Postgres => " CONCURRENTLY".to_owned(),
                    Dialect::Sqlite => format!(" {}", quoted(&format!("{}_{}", rule.table, rule.column))),
                },
                quoted(&column.name)
            ));
        }
        report.problems.is_empty().then(|| Step {
            sql: StepSql::new(self.dialect(), &table.full, &column.name, rule.rule, column.is_indexed),
            rule: rule.clone(),
            is_indexed: column.is_indexed,
            is_unique: column.is_unique,
            has_row_names: table.has_row_names,
        })
    }

    fn audit(&self, rule: &AuditRule, table: &Table, report: &mut Report) -> Option<Audit> {
        let mut columns: Vec<(&str, &str)> = Vec::new();
        for name in &rule.columns {
            match table.columns.iter().find(|column| self.same(&column.name, name)) {
                None => report
                    .problems
                    .push(format!("it has no column {name:?}: correct the name")),
                Some(column) if column.is_generated => {
                    report
                        .problems
                        .push(format!("column {name:?} is generated: leave it out"));
                }
                Some(column) => {
                    if !column.may_insert {
                        report.problems.push(format!(
                            "this user may not write column {name:?}: grant INSERT on the table"
                        ));
                    }
                    columns.push((&column.name, &column.kind));
                }
            }
        }
        for column in &table.columns {
            let given = columns.iter().any(|(name, _)| *name == column.name);
            if column.is_required && !column.has_default && !column.is_generated && !given {
                report.problems.push(format!(
                    "column {:?} takes no null and has no default: give it a template in columns",
                    column.name
                ));
            }
        }
        report.problems.is_empty().then(|| Audit {
            sql: AuditSql::new(self.dialect(), &table.full, &columns),
            rule: rule.clone(),
        })
    }

    /// SQLite does not mind the case of names.
    fn same(&self, found: &str, wanted: &str) -> bool {
        match self.dialect() {
            Dialect::Postgres => found == wanted,
            Dialect::Sqlite => found.eq_ignore_ascii_case(wanted),
        }
    }
}

impl Inspection {
    fn take(&mut self, what: &str, report: Report) {
        let told = |text: String| format!("{what}: {text}");
        self.problems.extend(report.problems.into_iter().map(told));
        self.warnings.extend(report.warnings.into_iter().map(told));
    }
}

fn judge_column(rule: &StepRule, column: &Column, report: &mut Report) {
    let name = &column.name;
    if !column.is_text {
        report.problems.push(format!(
            "column {name:?} is {}, and keys are text: make it text, or leave it out",
            column.kind
        ));
        return;
    }
    if column.is_inexact {
        report.problems.push(format!(
            "column {name:?} takes texts that differ for equal, and keys are compared exactly: give it another collation"
        ));
    }
    if column.is_generated && (writes(rule.rule)) {
        report.problems.push(format!(
            "column {name:?} is generated: name the column that it is made from"
        ));
    }
    if column.is_required && nullifies(rule.rule) {
        report.problems.push(format!(
            "column {name:?} takes no null, and \"nullify\" would write one: allow null, or choose something else"
        ));
    }
    if let Some(length) = column.length {
        if rule.rule.on_leave == OnLeave::Anonymise && usize::try_from(length).unwrap_or(0) < ANONYMOUS_LENGTH {
            report.problems.push(format!(
                "column {name:?} takes {length} characters, and \"anonymise\" writes up to {ANONYMOUS_LENGTH}: make it longer"
            ));
        } else if length < 255 {
            report.warnings.push(format!(
                "column {name:?} takes {length} characters, and keys can have 255: a longer one fails there"
            ));
        }
    }
}

fn judge_rights(rule: &StepRule, table: &Table, column: &Column, report: &mut Report) {
    let missing: Vec<&str> = [
        ("SELECT", !column.may_read),
        ("UPDATE", writes(rule.rule) && !column.may_update),
        ("DELETE", deletes(rule.rule) && !table.may_delete),
    ]
    .into_iter()
    .filter_map(|(right, is_missing)| is_missing.then_some(right))
    .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        report.problems.push(format!(
            "this user lacks rights: GRANT {missing} ON {} TO the user of [store] url",
            table.full
        ));
    }
}

fn shown(schema: Option<&str>, table: &str) -> String {
    schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"))
}
