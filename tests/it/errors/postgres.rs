//! What PostgreSQL refuses because of a value, a rule of the application, or its own schema.

use anyhow::{Context, Result};
use rollcall::failure::Class::{self, Contended, Event, World};
use rollcall::failure::Pace;

use super::{applied, creation, is, nothing_is_left, refused};
use crate::world::{Base, Which};

/// What the application did, the code that follows, its class, and how to undo what it did.
#[derive(Clone, Copy)]
struct Row {
    code: &'static str,
    class: Class,
    made: &'static str,
    /// Part of the constraint's name, where the code has one.
    constraint: &'static str,
    /// Whether the server quotes the data in its own log.
    quotes: bool,
    undone: &'static str,
}

const fn row(code: &'static str, class: Class, made: &'static str, undone: &'static str) -> Row {
    Row {
        code,
        class,
        made,
        constraint: "",
        quotes: false,
        undone,
    }
}

const fn rule(code: &'static str, constraint: &'static str, made: &'static str, undone: &'static str) -> Row {
    Row {
        constraint,
        quotes: true,
        ..row(code, Event, made, undone)
    }
}

const fn quoting(row: Row) -> Row {
    Row { quotes: true, ..row }
}

const NO_CHECK: &str = "ALTER TABLE @profiles DROP CONSTRAINT app_rule";

/// Constraints of the application on a table of ours.
const RULES: &[Row] = &[
    rule(
        "23514",
        "app_rule",
        "ALTER TABLE @profiles ADD CONSTRAINT app_rule CHECK (email NOT LIKE 'ada%')",
        NO_CHECK,
    ),
    rule(
        "23502",
        "",
        "ALTER TABLE @profiles ALTER phone SET NOT NULL",
        "ALTER TABLE @profiles ALTER phone DROP NOT NULL",
    ),
    rule(
        "23503",
        "app_rule",
        "CREATE TABLE tenants (email text PRIMARY KEY); \
         ALTER TABLE @profiles ADD CONSTRAINT app_rule FOREIGN KEY (email) REFERENCES tenants",
        "INSERT INTO tenants VALUES ('ada@secret.example')",
    ),
    // Raised by COMMIT.
    rule(
        "23503",
        "app_rule",
        "CREATE TABLE tenants (email text PRIMARY KEY); ALTER TABLE @profiles ADD CONSTRAINT app_rule \
         FOREIGN KEY (email) REFERENCES tenants DEFERRABLE INITIALLY DEFERRED",
        "INSERT INTO tenants VALUES ('ada@secret.example')",
    ),
    rule(
        "23505",
        "app_rule",
        "CREATE TABLE taken (email text CONSTRAINT app_rule UNIQUE); INSERT INTO taken VALUES ('ada@secret.example'); \
         CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO taken VALUES (NEW.email); RETURN NEW; END'; \
         CREATE TRIGGER app BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION app()",
        "DELETE FROM taken",
    ),
    rule(
        "23P01",
        "app_rule",
        "CREATE TABLE taken (email text, CONSTRAINT app_rule EXCLUDE USING btree (email WITH =)); \
         INSERT INTO taken VALUES ('ada@secret.example'); CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO taken VALUES (NEW.email); RETURN NEW; END'; \
         CREATE TRIGGER app BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION app()",
        "DELETE FROM taken",
    ),
];

/// Bodies of a trigger of the application before a profile is inserted.
const TRIGGERS: &[Row] = &[
    quoting(row("P0001", Event, "RAISE EXCEPTION 'no % here', NEW.email", "")),
    quoting(row("22P02", Event, "PERFORM NEW.email::int", "")),
    quoting(row("22007", Event, "PERFORM NEW.email::date", "")),
    row("22008", Event, "PERFORM ''2020-13-45''::date", ""),
    row("22003", Event, "PERFORM NEW.version + 9223372036854775807", ""),
    row("22012", Event, "PERFORM NEW.version / 0", ""),
    row("22021", Event, "PERFORM convert_from(''\\x00'', ''UTF8'')", ""),
    row("22P05", Event, "PERFORM ''\"\\u0000\"''::jsonb", ""),
    row("22023", Event, "PERFORM generate_series(1, 2, 0)", ""),
    row("22033", Event, "PERFORM jsonb_path_query(''[1]'', ''strict $[5]'')", ""),
    row(
        "22038",
        Event,
        "PERFORM jsonb_path_query(''[1, 2]'', ''strict $[*] + $[*]'')",
        "",
    ),
    row("2203A", Event, "PERFORM jsonb_path_query(''{}'', ''strict $.a'')", ""),
    row("54001", Event, "PERFORM app_endless()", ""),
    row(
        "21000",
        Event,
        "INSERT INTO once VALUES (1), (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id",
        "",
    ),
    row("42883", World, "PERFORM nothing_of_this_name(NEW.email)", ""),
    row("42704", World, "EXECUTE ''SELECT NULL::nothing_of_this_name''", ""),
    row("42601", World, "EXECUTE ''SELEC 1''", ""),
    row("42702", World, "PERFORM id FROM once a JOIN once b ON true", ""),
    row("3F000", World, "CREATE TABLE nowhere.t (a int)", ""),
    row("57014", Contended, "PERFORM pg_sleep(60)", ""),
];

/// Changes of our own tables while we work.
const SCHEMA: &[Row] = &[
    row(
        "42703",
        World,
        "ALTER TABLE @profiles RENAME email TO mail",
        "ALTER TABLE @profiles RENAME mail TO email",
    ),
    row(
        "42703",
        World,
        "ALTER TABLE @ledger DROP COLUMN subject",
        "ALTER TABLE @ledger ADD COLUMN subject text NOT NULL",
    ),
    row(
        "42P01",
        World,
        "ALTER TABLE @ledger RENAME TO elsewhere",
        "ALTER TABLE rollcall.elsewhere RENAME TO ledger",
    ),
    row(
        "42804",
        World,
        "ALTER TABLE @profiles ALTER phone TYPE integer USING NULL",
        "ALTER TABLE @profiles ALTER phone TYPE text",
    ),
    row(
        "42P10",
        World,
        "ALTER TABLE @keys DROP CONSTRAINT keys_pkey",
        "ALTER TABLE @keys ADD PRIMARY KEY (key)",
    ),
    row(
        "22001",
        Event,
        "ALTER TABLE @profiles ALTER email TYPE varchar(5)",
        "ALTER TABLE @profiles ALTER email TYPE text",
    ),
    // An index entry that no page holds.
    row(
        "54000",
        Event,
        "CREATE FUNCTION app_long(text) RETURNS text IMMUTABLE LANGUAGE sql AS \
         'SELECT string_agg(md5(n::text), $$$$) FROM generate_series(1, 999) n'; \
         CREATE INDEX app_long ON @profiles (app_long(email))",
        "DROP INDEX rollcall.app_long",
    ),
];

async fn check(base: &Base, row: &Row, made: &str, undone: &str) -> Result<()> {
    let mut settings = base.settings();
    settings.statement_timeout = std::time::Duration::from_secs(1);
    let applier = base.applier_on(&settings).await?;
    base.script(made).await.with_context(|| made.to_owned())?;
    let error = refused(&applier, &[creation(1)]).await;
    let alone = if row.code == "57014" { Event } else { row.class };
    let fault = is(&error, row.code, row.class, alone);
    let constraint = fault.constraint.as_deref().unwrap_or_default();
    assert!(constraint.starts_with("app_") || row.constraint.is_empty(), "{error}");
    assert!(constraint.contains(row.constraint), "{error}");
    assert!(row.constraint.is_empty() || fault.table.is_some(), "{error}");
    let depends = ["23503", "23505", "57014"].contains(&row.code);
    assert_eq!(fault.pace == Pace::Slow, depends, "{error}");
    base.script(undone).await.with_context(|| undone.to_owned())?;
    nothing_is_left(base).await?;
    applied(&applier, &creation(1)).await
}

async fn all(rows: &[Row], sql: impl Fn(&Row) -> (String, String)) -> Result<()> {
    let mut server = Base::fresh(Which::Postgres).await?;
    for row in rows {
        let base = server.another()?;
        let log = server.server.as_ref().context("a server")?.log().len();
        let (made, undone) = sql(row);
        check(&base, row, &made, &undone).await.with_context(|| made.clone())?;
        let log = server.server.as_ref().context("a server")?.log().split_off(log);
        assert_eq!(log.contains("ada@secret"), row.quotes, "{made}\n{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_application_refuse_an_event() -> Result<()> {
    all(RULES, |row| (row.made.to_owned(), row.undone.to_owned())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_of_the_application_fail() -> Result<()> {
    all(TRIGGERS, |row| {
        let body = row.made.replace("''", "'");
        let made = format!(
            "CREATE TABLE once (id int PRIMARY KEY); \
             CREATE FUNCTION app_endless() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN app_endless(); END'; \
             CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$; \
             CREATE TRIGGER app BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION app()"
        );
        (made, "DROP TRIGGER app ON @profiles".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_tables_are_changed_under_our_hands() -> Result<()> {
    all(SCHEMA, |row| (row.made.to_owned(), row.undone.to_owned())).await
}
