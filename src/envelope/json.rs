//! Strict JSON: a key twice in one object is an error, because two readers could disagree about it.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use super::{Refusal, undecodable};

/// Parses a whole document. `what` names it in errors.
pub(super) fn parse(bytes: &[u8], what: &str) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Err(undecodable(format!("{what} is empty")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| undecodable(format!("{what} is not UTF-8 from byte {} on", error.valid_up_to())))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| undecodable(format!("{what} is not valid JSON: {error}")))
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Self)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if object.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("the same key twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// SHA-256 of a type and its data, independent of white space and the order of keys.
pub fn content_hash(kind: &str, data: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind.as_bytes());
    feed(&mut hash, data);
    hash.finalize().into()
}

fn feed(hash: &mut Sha256, value: &Value) {
    let mut text = |tag: u8, bytes: &[u8]| {
        hash.update([tag]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    match value {
        Value::Null => text(b'n', b""),
        Value::Bool(value) => text(b'b', &[u8::from(*value)]),
        Value::Number(number) => text(b'd', number.to_string().as_bytes()),
        Value::String(string) => text(b's', string.as_bytes()),
        Value::Array(list) => {
            text(b'a', &(list.len() as u64).to_be_bytes());
            for element in list {
                feed(hash, element);
            }
        }
        Value::Object(object) => {
            text(b'o', &(object.len() as u64).to_be_bytes());
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            for (key, element) in entries {
                hash.update((key.len() as u64).to_be_bytes());
                hash.update(key.as_bytes());
                feed(hash, element);
            }
        }
    }
}
