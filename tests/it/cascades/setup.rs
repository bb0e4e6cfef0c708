//! Tables are looked at before anything is done to them.

use anyhow::Result;

use super::{cascade, inspected};
use crate::world::{Base, Which, on_both};

on_both!(what_is_wrong_with_a_table_is_said_before_the_start);

async fn what_is_wrong_with_a_table_is_said_before_the_start(base: Base) -> Result<()> {
    base.script(
        "CREATE TABLE good (\"user\" text); CREATE INDEX good_user ON good (\"user\"); \
         CREATE TABLE slow (\"user\" text); \
         CREATE TABLE strict (\"user\" text NOT NULL, other text NOT NULL, kind text NOT NULL DEFAULT 'x'); \
         CREATE INDEX strict_user ON strict (\"user\"); \
         CREATE TABLE numbers (\"user\" integer); \
         CREATE VIEW seen AS SELECT * FROM good",
    )
    .await?;
    let (slow, view) = match base.which {
        Which::Postgres => ("CREATE INDEX CONCURRENTLY ON \"public\".\"slow\" (\"user\");", "view"),
        Which::Sqlite => ("CREATE INDEX \"slow_user\" ON \"slow\" (\"user\");", "view"),
    };
    let audit = |columns: &str| format!("[[audit]]\ntable = \"strict\"\ncolumns = {columns}\n");
    for (lines, problems, warnings) in [
        (cascade("good", ""), &[][..], &[][..]),
        (cascade("slow", ""), &[], &[slow]),
        (cascade("gone", ""), &["[[cascade]] gone: there is no such table"], &[]),
        (cascade("seen", ""), &[view, "name the table behind it"], &[]),
        (
            "[[cascade]]\ntable = \"good\"\ncolumn = \"nobody\"".to_owned(),
            &["it has no column \"nobody\": correct the name, there are user"],
            &[],
        ),
        (
            cascade("numbers", ""),
            &["and keys are text: make it text"],
            &["no index serves"],
        ),
        (
            cascade("strict", "on_rename = \"nullify\""),
            &["takes no null, and \"nullify\" would write one"],
            &[],
        ),
        (audit("{ other = \"x\", user = \"{old_user_id}\" }"), &[], &[]),
        (
            audit("{ other = \"x\" }"),
            &["column \"user\" takes no null and has no default"],
            &[],
        ),
        (
            audit("{ other = \"x\", user = \"x\", none = \"x\" }"),
            &["it has no column \"none\""],
            &[],
        ),
    ] {
        let found = inspected(&base, &lines).await?;
        assert_eq!(
            found.problems.is_empty(),
            problems.is_empty(),
            "{lines}{:?}",
            found.problems
        );
        for expected in problems {
            assert!(
                found.problems.iter().any(|text| text.contains(expected)),
                "{lines}{:?}",
                found.problems
            );
        }
        assert_eq!(found.warnings.len(), warnings.len(), "{lines}{:?}", found.warnings);
        for expected in warnings {
            assert!(
                found.warnings.iter().any(|text| text.contains(expected)),
                "{lines}{:?}",
                found.warnings
            );
        }
    }
    let own = cascade("profiles", "").replace("\"user\"", "\"user_id\"");
    if base.which == Which::Sqlite {
        let found = inspected(&base, &own).await?;
        assert!(
            found.problems[0].contains("it is Rollcall's own table"),
            "{:?}",
            found.problems
        );
    } else {
        let found = inspected(&base, &own.replace("profiles", "pg_catalog.pg_class")).await?;
        assert!(found.problems[0].contains("or the database's"), "{:?}", found.problems);
    }
    Ok(())
}

/// PostgreSQL knows more about tables than SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_asked_for_rights_types_and_lengths() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.script(
        "CREATE TABLE short (\"user\" varchar(30)); CREATE INDEX ON short (\"user\"); \
         CREATE TABLE ids (\"user\" uuid); CREATE INDEX ON ids (\"user\"); \
         CREATE DOMAIN handle AS text; CREATE TABLE domains (\"user\" handle); CREATE INDEX ON domains (\"user\"); \
         CREATE TABLE part (\"user\" text); CREATE INDEX ON part (\"user\") WHERE \"user\" <> ''; \
         CREATE TABLE closed (\"user\" text); CREATE INDEX ON closed (\"user\"); \
         CREATE ROLE clerk LOGIN; GRANT SELECT ON closed TO clerk; \
         CREATE TABLE journal (who text, at char(4)); GRANT INSERT ON journal TO clerk; \
         CREATE TABLE numbered (id integer GENERATED ALWAYS AS IDENTITY, who text); GRANT INSERT ON numbered TO clerk; \
         GRANT USAGE ON SCHEMA public TO clerk; CREATE SCHEMA vault; CREATE TABLE vault.t (\"user\" text)",
    )
    .await?;
    for (lines, problem, warning) in [
        (cascade("domains", ""), None, None),
        (cascade("public.domains", ""), None, None),
        (
            cascade("short", ""),
            None,
            Some("takes 30 characters, and keys can have 255"),
        ),
        (
            cascade("short", "on_delete = \"anonymise\""),
            Some("\"anonymise\" writes up to 40"),
            None,
        ),
        (
            cascade("ids", ""),
            Some("column \"user\" is uuid, and keys are text"),
            None,
        ),
        (
            cascade("part", ""),
            None,
            Some("CREATE INDEX CONCURRENTLY ON \"public\".\"part\""),
        ),
    ] {
        let found = inspected(&base, &lines).await?;
        assert_eq!(
            found.problems.len(),
            usize::from(problem.is_some()),
            "{lines}{:?}",
            found.problems
        );
        assert_eq!(
            found.warnings.len(),
            usize::from(warning.is_some()),
            "{lines}{:?}",
            found.warnings
        );
        assert!(
            problem.is_none_or(|expected| found.problems[0].contains(expected)),
            "{:?}",
            found.problems
        );
        assert!(
            warning.is_none_or(|expected| found.warnings[0].contains(expected)),
            "{:?}",
            found.warnings
        );
    }
    let mut settings = base.settings();
    let url = base.url.replace("postgres://postgres", "postgres://clerk");
    settings.backend = rollcall::store::Backend::Postgres {
        url: url.into(),
        schema: "rollcall".to_owned(),
    };
    let store = rollcall::store::Store::open(&settings).await?;
    for (lines, expected) in [
        (cascade("closed", ""), "GRANT UPDATE ON \"public\".\"closed\""),
        (cascade("closed", "on_delete = \"delete\""), "GRANT UPDATE, DELETE ON"),
        (cascade("vault.t", ""), "this user may not see it"),
    ] {
        let config = super::config(&base, &lines)?;
        let found = store.inspect(&rollcall::wiring::steps(&config), &[], 0).await?;
        assert!(
            found.problems.len() == 1 && found.problems[0].contains(expected),
            "{:?}",
            found.problems
        );
    }
    // To write audit rows nothing has to be read; and what only a try shows is found before the start.
    for (table, columns, problem) in [
        ("journal", "{ who = \"{old_user_id}\", at = \"x\" }", None),
        (
            "numbered",
            "{ who = \"{old_user_id}\", id = \"1\" }",
            Some("[[audit]] numbered: it cannot be used, the database refused with code 428C9"),
        ),
    ] {
        let lines = format!("[[audit]]\ntable = \"{table}\"\ncolumns = {columns}\n");
        let config = super::config(&base, &lines)?;
        let found = store.inspect(&[], &rollcall::wiring::audits(&config), 0).await?;
        assert_eq!(found.problems.is_empty(), problem.is_none(), "{:?}", found.problems);
        assert!(
            problem.is_none_or(|expected| found.problems[0].contains(expected)),
            "{:?}",
            found.problems
        );
    }
    Ok(())
}
