//! `[customers]`: the names of a table of the application become parts of statements, so they are plain identifiers.

use std::collections::BTreeMap;

use toml::Table;

use super::check::Check;
use super::names::is_plain_name;
use super::problem::At;
use super::profiles::configured;
use super::{Backend, Lookup, ProfileType, Store};

/// `[customers]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customers {
    /// The configured profile type that stands for a membership.
    pub profile_type: String,
    /// Where the customer of a user is looked for.
    pub lookup: Lookup,
    /// Whether only an address leads to a customer that the provider has verified.
    pub require_verified_email: bool,
    /// The application's table, its schema before it where one is given: plain identifiers. Empty but for [`Lookup::Table`].
    pub table: Vec<String>,
    /// Its column for the id.
    pub id_column: String,
    /// Its column for the address.
    pub email_column: String,
    /// What a customer is made of where none is found, by column: texts with `{uuid}`, `{email}`, `{user_id}` and
    /// `{display_name}` in them. Empty when none is to be made.
    pub create: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Low {
    pub profile_type: Option<String>,
    pub lookup: Lookup,
    pub require_verified_email: bool,
    pub create: bool,
    pub table: Option<String>,
    pub id_column: String,
    pub email_column: String,
    pub name_column: Option<String>,
    pub create_columns: Table,
}

impl Default for Low {
    fn default() -> Self {
        Self {
            profile_type: None,
            lookup: Lookup::None,
            require_verified_email: true,
            create: false,
            table: None,
            id_column: "id".into(),
            email_column: "email".into(),
            name_column: None,
            create_columns: Table::new(),
        }
    }
}

/// What may stand in `create_columns`, beside text.
const PLACEHOLDERS: [&str; 4] = ["{uuid}", "{email}", "{user_id}", "{display_name}"];

/// Our own tables, in which nobody is looked for.
const OUR_TABLES: [&str; 17] = [
    "announcements",
    "cascade_work",
    "checkpoints",
    "customers",
    "dead_letters",
    "departed",
    "heartbeat",
    "holds",
    "keys",
    "ledger",
    "mails",
    "migrations",
    "outbox",
    "policies",
    "profiles",
    "retries",
    "suspects",
];

const PLAIN: &str = "give a plain name: letters, digits and underscores, 63 at most, no digit first";

/// Checks `[customers]` against the profile types there are.
pub(super) fn customers(check: &mut Check<'_>, low: Low, profiles: &[ProfileType], store: &Store) -> Customers {
    let names: Vec<String> = profiles.iter().map(|profile| profile.name.clone()).collect();
    if let Some(name) = &low.profile_type {
        configured(check, at("profile_type"), name, &names);
    }
    let table = table(check, &low, store);
    for (key, name) in [("id_column", &low.id_column), ("email_column", &low.email_column)] {
        plain(check, at(key), name);
    }
    if let Some(name) = &low.name_column {
        plain(check, at("name_column"), name);
    }
    requirements(check, &low, profiles);
    Customers {
        profile_type: low
            .profile_type
            .clone()
            .or_else(|| names.into_iter().next())
            .unwrap_or_default(),
        lookup: low.lookup,
        require_verified_email: low.require_verified_email,
        table,
        create: create(check, &low),
        id_column: low.id_column,
        email_column: low.email_column,
    }
}

fn at(key: &'static str) -> At {
    At::new("customers", key)
}

fn plain(check: &mut Check<'_>, at: At, name: &str) {
    if !is_plain_name(name) {
        check.report(at, format_args!("is {name:?}, which is no plain name"), PLAIN);
    }
}

/// The names of the table, if there is one to be looked in.
fn table(check: &mut Check<'_>, low: &Low, store: &Store) -> Vec<String> {
    let Some(text) = &low.table else {
        if low.lookup == Lookup::Table {
            check.report(
                at("lookup"),
                "is \"table\", and no table is given",
                "give table, id_column and email_column",
            );
        }
        return Vec::new();
    };
    if low.lookup != Lookup::Table {
        check.report(
            at("table"),
            "is given, and nobody is looked for in it",
            "give lookup = \"table\"",
        );
    }
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    let is_plain = names.len() <= 2 && names.iter().all(|name| is_plain_name(name));
    if !is_plain {
        check.report(
            at("table"),
            format_args!("is {text:?}, which is no \"table\" and no \"schema.table\""),
            PLAIN,
        );
    } else if is_reserved(&names, store) {
        check.report(
            at("table"),
            format_args!("is {text:?}, which is none of the application's"),
            "name a table of the application, or give lookup = \"own\"",
        );
    }
    names
}

/// Whether a table belongs to the database itself, or to us.
fn is_reserved(names: &[String], store: &Store) -> bool {
    let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let table = lower.last().map(String::as_str).unwrap_or_default();
    match (&store.backend, lower.first().filter(|_| lower.len() == 2)) {
        (Backend::Postgres, Some(schema)) => {
            schema.starts_with("pg_") || *schema == "information_schema" || *schema == store.schema
        }
        (Backend::Postgres, None) => table.starts_with("pg_"),
        (Backend::Sqlite(_), _) => {
            let ours = table.strip_prefix(&store.table_prefix);
            table.starts_with("sqlite_") || ours.is_some_and(|name| OUR_TABLES.contains(&name))
        }
    }
}

fn requirements(check: &mut Check<'_>, low: &Low, profiles: &[ProfileType]) {
    for (index, profile) in profiles.iter().enumerate() {
        let at = At {
            index,
            ..At::new("profiles", "requires")
        };
        for column in &profile.requires {
            plain(check, at, column);
        }
        if !profile.requires.is_empty() && low.lookup == Lookup::None {
            check.report(
                at,
                "is given, and no user is ever linked to a customer",
                "give lookup in [customers]",
            );
        }
    }
}

/// The columns of a customer to be made.
fn create(check: &mut Check<'_>, low: &Low) -> BTreeMap<String, String> {
    if !low.create {
        if !low.create_columns.is_empty() {
            check.report(
                at("create_columns"),
                "is given, and no customer is made",
                "give create = true",
            );
        }
        return BTreeMap::new();
    }
    if low.lookup == Lookup::None {
        check.report(at("create"), "is true, and nobody is looked for", "give lookup");
    }
    let uuid = (low.id_column.clone(), "{uuid}".to_owned());
    if low.lookup != Lookup::Table {
        if !low.create_columns.is_empty() {
            let remedy = "leave it out: a row of our own table has its columns";
            check.report(at("create_columns"), "is for a table of the application", remedy);
        }
        return BTreeMap::from([uuid]);
    }
    let mut columns = BTreeMap::from([uuid, (low.email_column.clone(), "{email}".to_owned())]);
    columns.extend(low.name_column.clone().map(|name| (name, "{display_name}".to_owned())));
    for (column, value) in &low.create_columns {
        plain(check, at("create_columns"), column);
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => {
                let what = format_args!("gives {column:?} a value that is no text");
                check.report(at("create_columns"), what, "give text, a whole number, true or false");
                continue;
            }
        };
        let known = PLACEHOLDERS
            .iter()
            .fold(text.clone(), |text, name| text.replace(name, ""));
        if known.contains(['{', '}']) || text.chars().any(char::is_control) {
            check.report(
                at("create_columns"),
                format_args!("gives {column:?} a text with braces or control characters in it"),
                format!("use {} only", PLACEHOLDERS.join(", ")),
            );
        }
        columns.insert(column.clone(), text);
    }
    let is_own = |template: &String| {
        template.contains("{uuid}") || template.contains("{user_id}") || template.contains("{email}")
    };
    if !columns.get(&low.id_column).is_some_and(is_own) {
        check.report(
            at("create_columns"),
            format_args!("gives every customer the same {:?}", low.id_column),
            "put {uuid} into it",
        );
    }
    columns
}
