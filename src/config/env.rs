//! Overrides from the environment: `ROLLCALL__SECTION__KEY=value`.

use toml::Value;

use super::document::Document;
use super::problem::{At, Origin, Problem};
use super::section::{SECTIONS, Section, nearest};

const PREFIX: &str = "ROLLCALL__";

/// Applies every variable that begins with the prefix, in the order of their names; others are not looked at.
pub(super) fn apply(document: &mut Document, env: impl Iterator<Item = (String, String)>) {
    let mut variables: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        if let Err((what, remedy)) = variable(document, &name, &text) {
            document.problems.push(Problem {
                origin: Origin::Variable(name),
                what,
                remedy,
            });
        }
    }
}

fn variable(document: &mut Document, name: &str, text: &str) -> Result<(), (String, String)> {
    let path = name[PREFIX.len()..].to_lowercase();
    let (section, key) = path.split_once("__").unwrap_or((&path, ""));
    let found = Section::named(section);
    if let Some(section) = found.filter(|section| section.repeated) {
        let what = format!("{} is a list and cannot be set by a variable", section.header());
        return Err((what, "write it in the configuration file".to_owned()));
    }
    let known = found.and_then(|section| Some((section, *section.keys().iter().find(|known| **known == key)?)));
    let Some((section, key)) = known else {
        let what = match found {
            Some(section) => format!("unknown key {key:?} in {}", section.header()),
            None => format!("unknown section {section:?}"),
        };
        return Err((what, format!("did you mean {}?", nearest_variable(&path))));
    };
    let value = read(section, key, text)?;
    let at = At::new(section.name, key);
    displace_alternative(document, section, at);
    document.set(at, value, Origin::Variable(name.to_owned()));
    Ok(())
}

/// The text as TOML where the key takes that, else as it stands: nobody wants to quote twice in a shell.
fn read(section: &Section, key: &str, text: &str) -> Result<Value, (String, String)> {
    let plain = Value::String(text.to_owned());
    let Ok(parsed) = text.parse::<Value>() else {
        return section.accepts(key, &plain).map(|()| plain);
    };
    match section.accepts(key, &parsed) {
        Ok(()) => Ok(parsed),
        Err(complaint) => section.accepts(key, &plain).map(|()| plain).map_err(|_| complaint),
    }
}

/// A `url` from the environment takes the place of a `url_file` in the file, and the other way round.
fn displace_alternative(document: &mut Document, section: &Section, at: At) {
    let alternative = section
        .keys()
        .iter()
        .find(|other| other.strip_suffix("_file") == Some(at.key) || at.key.strip_suffix("_file") == Some(**other));
    if let Some(other) = alternative.map(|other| at.key(other))
        && !matches!(document.origins.given(other), Some(Origin::Variable(_)))
    {
        document.unset(other);
    }
}

fn nearest_variable(path: &str) -> String {
    let known: Vec<String> = SECTIONS
        .iter()
        .filter(|section| !section.repeated)
        .flat_map(|section| section.keys().iter().map(|key| format!("{}__{key}", section.name)))
        .collect();
    format!(
        "{PREFIX}{}",
        nearest(path, known.iter().map(String::as_str))
            .unwrap_or_default()
            .to_uppercase()
    )
}
