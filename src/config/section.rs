//! What sections and keys there are, read off the structs of `low` so that no second list can disagree with them.

use serde::de::value::Error as Stop;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

use super::{low, mail};

/// One section of the file.
pub(super) struct Section {
    /// Its name, as between the brackets.
    pub name: &'static str,
    /// Whether it is repeated: `[[name]]`.
    pub repeated: bool,
    keys: fn() -> &'static [&'static str],
    accepts: fn(Table) -> Result<(), toml::de::Error>,
}

/// Every section, in the order of `config.toml`.
pub(super) static SECTIONS: [Section; 15] = [
    once::<low::Nats>("nats"),
    once::<low::Consumer>("consumer"),
    once::<low::Store>("store"),
    once::<low::Worker>("worker"),
    Section {
        repeated: true,
        ..once::<low::Profile>("profiles")
    },
    once::<super::customers::Low>("customers"),
    Section {
        repeated: true,
        ..once::<low::Source>("source")
    },
    Section {
        repeated: true,
        ..once::<low::Cascade>("cascade")
    },
    Section {
        repeated: true,
        ..once::<low::Audit>("audit")
    },
    once::<low::DeadLetters>("dead_letters"),
    once::<low::Outbox>("outbox"),
    once::<mail::Low>("mail"),
    Section {
        repeated: true,
        ..once::<super::ingress::Low>("ingress")
    },
    once::<low::Http>("http"),
    once::<low::Telemetry>("telemetry"),
];

const fn once<T: DeserializeOwned>(name: &'static str) -> Section {
    Section {
        name,
        repeated: false,
        keys: keys::<T>,
        accepts: |table| table.try_into::<T>().map(drop),
    }
}

impl Section {
    /// The section of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SECTIONS.iter().find(|section| section.name == name)
    }

    /// The keys it knows.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        (self.keys)()
    }

    /// As it is written in a file.
    pub(super) fn header(&self) -> String {
        if self.repeated {
            format!("[[{}]]", self.name)
        } else {
            format!("[{}]", self.name)
        }
    }

    /// Whether a known key takes the value; else what is wrong and what is expected. Neither repeats the value: it may
    /// be a secret in the wrong place.
    pub(super) fn accepts(&self, key: &str, value: &Value) -> Result<(), (String, String)> {
        let table = Table::from_iter([(key.to_owned(), value.clone())]);
        (self.accepts)(table).map_err(|error| {
            let found = match (error.message().starts_with("invalid type"), value.type_str()) {
                (false, _) => "has a value it cannot take".to_owned(),
                (true, kind @ ("integer" | "array")) => format!("is an {kind}"),
                (true, kind) => format!("is a {kind}"),
            };
            let expected = match error
                .message()
                .rsplit_once(", expected ")
                .map_or("another value", |(_, end)| end)
            {
                "i64" => "an integer",
                "a sequence" => "a list such as [\"a\", \"b\"]",
                "a string" | "path string" => "text in quotes",
                "a map" => "a table such as { name = \"value\" }",
                expected => expected,
            };
            (
                format!("\"{key}\" in {} {found}", self.header()),
                format!("give {expected}"),
            )
        })
    }
}

/// The candidate that looks most like `name`; `None` only without candidates.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(&name, candidate);
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// What to say of a key that a section (or, with `None`, the top level) does not know: a key of that name in another
/// section is nearer than a similar one here.
pub(super) fn suggestion(key: &str, section: Option<&Section>) -> String {
    let home_of = |key: &str| SECTIONS.iter().find(|section| section.keys().contains(&key));
    if let Some(section) = section {
        return match home_of(key) {
            Some(home) => format!("did you mean \"{key}\" in {}?", home.header()),
            None => format!(
                "did you mean \"{}\"?",
                nearest(key, section.keys().iter().copied()).unwrap_or_default()
            ),
        };
    }
    let near = nearest(key, SECTIONS.iter().flat_map(Section::keys).copied());
    match near.and_then(|near| Some((near, home_of(near)?))) {
        Some((near, home)) => format!("did you mean \"{near}\" in {}?", home.header()),
        None => "leave it out".to_owned(),
    }
}

/// The field names that serde knows of a struct.
fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The only thing asked of this deserializer is to be told the names; it always ends in `Err`.
    drop(T::deserialize(Names(&mut names)));
    names
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Stop;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Stop> {
        *self.0 = fields;
        Err(Stop::custom("names only"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Stop> {
        Err(Stop::custom("names only"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
