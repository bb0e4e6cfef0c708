//! The file and the environment put together: known sections and keys with values of the right kind, where each was
//! written, and what was wrong with the rest. Never repeats a line of the file: it may contain a secret.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::low;
use super::problem::{At, Origin, Origins, Problem};
use super::section::{SECTIONS, Section, nearest, suggestion};

/// What was given so far.
#[derive(Default)]
pub(super) struct Document {
    sections: BTreeMap<(&'static str, usize), Table>,
    /// Where it was given.
    pub origins: Origins,
    /// What was wrong with it.
    pub problems: Vec<Problem>,
}

impl Document {
    /// Reads a file whose name, for messages, is `name`.
    ///
    /// # Errors
    /// The text is not TOML: nothing else can be said of it.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, Problem> {
        let root = DeTable::parse(text).map_err(|error| Problem {
            origin: Origin::File {
                name: name.to_owned(),
                line: error.span().map_or(1, |span| line(text, span.start)),
            },
            what: format!("not TOML: {}", error.message()),
            remedy: "correct this line or the one above it (text is written in quotes)".to_owned(),
        })?;
        let mut document = Self::default();
        Reader {
            name,
            text,
            document: &mut document,
        }
        .root(root.into_inner());
        Ok(document)
    }

    /// Gives a key its value. What a file said of it no longer counts.
    pub(super) fn set(&mut self, at: At, value: Value, origin: Origin) {
        self.sections
            .entry((at.section, at.index))
            .or_default()
            .insert(at.key.to_owned(), value);
        self.origins.insert(at, origin);
    }

    /// Forgets a key.
    pub(super) fn unset(&mut self, at: At) {
        if let Some(table) = self.sections.get_mut(&(at.section, at.index)) {
            table.remove(at.key);
        }
        self.origins.remove(at);
    }

    /// The low form, with defaults for what was not given or was wrong.
    pub(super) fn to_low(&self) -> Result<low::Config, Problem> {
        let mut root = Table::new();
        for section in &SECTIONS {
            let tables = self.sections.range((section.name, 0)..=(section.name, usize::MAX));
            let mut tables = tables.map(|(_, table)| Value::Table(table.clone()));
            let value = if section.repeated {
                Some(Value::Array(tables.collect()))
            } else {
                tables.next()
            };
            root.extend(value.map(|value| (section.name.to_owned(), value)));
        }
        root.try_into().map_err(|_| Problem {
            origin: Origin::Nowhere,
            what: "the keys are right one by one, but not together".to_owned(),
            remedy: "leave out keys until it is accepted, and report this".to_owned(),
        })
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    document: &'a mut Document,
}

impl Reader<'_> {
    fn root(&mut self, root: DeTable<'_>) {
        for (key, value) in root {
            let offset = key.span().start;
            let name = key.get_ref().as_ref();
            match (Section::named(name), value.into_inner()) {
                (Some(section), DeValue::Table(table)) if !section.repeated => self.section(section, 0, offset, table),
                (Some(section), DeValue::Array(elements)) if section.repeated => {
                    let header = At {
                        section: section.name,
                        index: 0,
                        key: "",
                    };
                    self.document.origins.insert(header, self.origin(offset));
                    for (index, element) in elements.into_iter().enumerate() {
                        let offset = element.span().start;
                        match element.into_inner() {
                            DeValue::Table(table) => self.section(section, index, offset, table),
                            _ => self.wrong_shape(section, offset),
                        }
                    }
                }
                (Some(section), _) => self.wrong_shape(section, offset),
                (None, DeValue::Table(_)) => self.unknown_section(name, &format!("[{name}]"), offset),
                (None, DeValue::Array(elements)) if elements.iter().any(|e| e.get_ref().is_table()) => {
                    self.unknown_section(name, &format!("[[{name}]]"), offset);
                }
                (None, _) => {
                    let what = format!("unknown key {name:?} outside of any section");
                    self.report(offset, what, suggestion(name, None));
                }
            }
        }
    }

    fn section(&mut self, section: &'static Section, index: usize, offset: usize, table: DeTable<'_>) {
        let header = At {
            section: section.name,
            index,
            key: "",
        };
        self.document.origins.insert(header, self.origin(offset));
        self.document.sections.entry((section.name, index)).or_default();
        for (key, value) in table {
            let offset = key.span().start;
            let name = key.get_ref().as_ref();
            if let Some(known) = section.keys().iter().find(|known| **known == name) {
                self.key(section, header.key(known), offset, value);
            } else {
                let what = format!("unknown key {name:?} in {}", section.header());
                self.report(offset, what, suggestion(name, Some(section)));
            }
        }
    }

    fn key(&mut self, section: &Section, at: At, offset: usize, value: Spanned<DeValue<'_>>) {
        let origin = self.origin(offset);
        let Ok(value) = Value::deserialize(value.into_deserializer()) else {
            self.document.origins.insert(at, origin);
            let what = format!("\"{}\" in {} is a number beyond 64 bits", at.key, section.header());
            return self.report(offset, what, "give a smaller one".to_owned());
        };
        match section.accepts(at.key, &value) {
            Ok(()) => self.document.set(at, value, origin),
            Err((what, remedy)) => {
                // Given, though wrong: nothing shall complain that it is missing.
                self.document.origins.insert(at, origin);
                self.report(offset, what, remedy);
            }
        }
    }

    fn unknown_section(&mut self, name: &str, header: &str, offset: usize) {
        let nearest = nearest(name, SECTIONS.iter().map(|section| section.name));
        let nearest = nearest
            .and_then(Section::named)
            .map(Section::header)
            .unwrap_or_default();
        self.report(
            offset,
            format!("unknown section {header}"),
            format!("did you mean {nearest}?"),
        );
    }

    fn wrong_shape(&mut self, section: &Section, offset: usize) {
        let what = format!("\"{}\" is a section", section.name);
        let times = if section.repeated {
            "once for each entry"
        } else {
            "once"
        };
        let remedy = format!(
            "write {} {times}, on a line of its own, with its keys below",
            section.header()
        );
        self.report(offset, what, remedy);
    }

    fn report(&mut self, offset: usize, what: String, remedy: String) {
        let origin = self.origin(offset);
        self.document.problems.push(Problem { origin, what, remedy });
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            name: self.name.to_owned(),
            line: line(self.text, offset),
        }
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
