//! What is committed below `docs/` is what `rollcall schema` makes today, and the tables of the documents name all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use rollcall::announcements::Happening;
use rollcall::domain::{CUSTOMER_COLUMNS, Kind, PROFILE_COLUMNS};
use rollcall::envelope::contract::{Rule, fields};
use serde_json::Value;

use super::docs;

/// What to do about documents that are not current.
const REMEDY: &str = "run: cargo run -- schema --write docs";

/// Runs the program where there is no configuration.
fn rollcall(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(arguments)
        .current_dir(folder)
        .output()?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json_files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

#[test]
fn schemas_and_asyncapi_are_current() -> Result<()> {
    let folder = tempfile::tempdir()?;
    rollcall(folder.path(), &["schema", "--write", "made"])?;
    let made = folder.path().join("made");
    for inner in ["", "schemas"] {
        let (expected, found) = (json_files(&made.join(inner))?, json_files(&docs().join(inner))?);
        ensure!(expected == found, "docs/{inner} is not current; {REMEDY}");
    }
    let names = [&Kind::ALL.map(Kind::name)[..], &Happening::ALL.map(Happening::name)].concat();
    assert_eq!(json_files(&made.join("schemas"))?.len(), names.len());
    for name in names {
        let printed = rollcall(folder.path(), &["schema", name])?;
        assert_eq!(
            printed,
            std::fs::read_to_string(made.join(format!("schemas/{name}.json")))?
        );
    }
    assert_eq!(
        rollcall(folder.path(), &["schema", "--asyncapi"])?,
        std::fs::read_to_string(made.join("asyncapi.json"))?
    );
    Ok(())
}

#[test]
fn asyncapi_has_the_subjects_of_the_configuration() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = "[dead_letters]\nsubject_prefix = \"buried\"\n[consumer]\nstream = \"PEOPLE\"\n";
    std::fs::write(folder.path().join("config.toml"), config)?;
    let document: Value = serde_json::from_str(&rollcall(folder.path(), &["schema", "--asyncapi"])?)?;
    assert_eq!(document["channels"]["dead"]["address"], "buried.user.{type}");
    let described = document["channels"]["user.left"]["description"]
        .as_str()
        .unwrap_or_default();
    assert!(described.contains("PEOPLE"), "{described}");
    Ok(())
}

/// Every reference in a document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_asyncapi_leads_somewhere_and_all_that_is_there_is_referred_to() -> Result<()> {
    let document: Value = serde_json::from_str(&std::fs::read_to_string(docs().join("asyncapi.json"))?)?;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        ensure!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for place in ["channels", "components/messages", "components/schemas"] {
        let names = document.pointer(&format!("/{place}")).and_then(Value::as_object);
        for name in names.into_iter().flat_map(|names| names.keys()) {
            let reference = format!("#/{place}/{name}");
            ensure!(found.contains(reference.as_str()), "nothing refers to {reference}");
        }
    }
    Ok(())
}

#[test]
fn the_table_of_fields_names_every_field_with_its_limit() -> Result<()> {
    let text = std::fs::read_to_string(docs().join("EVENTS.md"))?;
    let (_, section) = text.split_once("## Fields of `data`").unwrap_or_default();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    for kind in Kind::ALL {
        for field in fields(kind) {
            let name = format!("`{}`", field.name);
            let mut mine = rows
                .iter()
                .filter(|row| row.split('|').nth(1).is_some_and(|cell| cell.contains(&name)));
            let limit = match field.rule {
                Rule::Link { max } => format!("{},{:03}", max / 1000, max % 1000),
                Rule::Text { max, .. } | Rule::Address { max } => max.to_string(),
                Rule::Flag => "boolean".to_owned(),
                Rule::Names { most } => most.to_string(),
                Rule::Object { bytes } => format!("{},{:03}", bytes / 1000, bytes % 1000),
            };
            // Where a row refers to another one, that one has the limit.
            ensure!(
                mine.any(|row| row.contains(&limit) || row.contains("as `")),
                "docs/EVENTS.md does not say {limit} of {name}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_document_of_the_tables_names_every_public_column() -> Result<()> {
    let text = std::fs::read_to_string(docs().join("SCHEMA.md"))?;
    // Those that change, and those that do not.
    let profiles = [&PROFILE_COLUMNS[..], &["profile_id", "profile_type", "attributes"]].concat();
    let customers = [
        &CUSTOMER_COLUMNS[..],
        &["customer_id", "organization_id", "made_by_worker"],
    ]
    .concat();
    for (table, columns) in [("profiles", profiles), ("customers", customers)] {
        let (_, section) = text.split_once(&format!("## `{table}`")).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: BTreeSet<&str> = rows
            .filter_map(|row| row.split('|').next())
            .flat_map(|cell| cell.split(|c: char| !c.is_alphanumeric() && c != '_'))
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(named, columns.into_iter().collect(), "{table}");
    }
    Ok(())
}
