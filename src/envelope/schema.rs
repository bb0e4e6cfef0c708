//! JSON Schemas (draft 2020-12) of what a provider should send, made from the table of [`contract`](super::contract).
//!
//! They describe *good* events: what the decoder refuses is invalid, and so is what it would drop and name in `degraded`.
//! A schema cannot say everything: limits in bytes, and what is a valid time, are said in words only.

use serde_json::{Map, Value, json};

use super::contract::{Care, Field, IDENTITY_MAX, NAME, RENAMES, RESETS, Rule, SEQUENCE_MAX, fields};
use crate::domain::Kind;

/// The name of the version of JSON Schema.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Any text without U+0000.
const TEXT: &str = "^[^\\u0000]*$";
/// What [`crate::domain::event::is_address`] takes, but for its length. C1 controls are written out: `\s` has them only in part.
const ADDRESS: &str = "^[^@\\s\\u0000-\\u001f\\u007f-\\u009f]+@[^@\\s\\u0000-\\u001f\\u007f-\\u009f]+$";

/// What a link is.
const LINK: &str = "^https?://[^\\s\\u0000-\\u001f\\u007f-\\u009f]+$";

/// The schema of the data of a type: the payload of a binary or a bare event. A document of its own.
pub fn data_document(kind: Kind) -> Value {
    document(data(kind, "#/$defs/"))
}

/// The schema of a whole event of a type in structured form. A document of its own.
pub fn event_document(kind: Kind) -> Value {
    document(event(kind, &data(kind, "#/$defs/")))
}

fn document(schema: Value) -> Value {
    let mut document = Map::from_iter([("$schema".to_owned(), json!(DRAFT))]);
    if let Value::Object(schema) = schema {
        document.extend(schema);
    }
    if json!(document).to_string().contains("#/$defs/storable") {
        document.insert("$defs".to_owned(), json!({ "storable": storable("#/$defs/") }));
    }
    Value::Object(document)
}

/// Any JSON without U+0000, in which `definitions` is where this very schema is found under the name `storable`.
pub fn storable(definitions: &str) -> Value {
    let again = json!({ "$ref": format!("{definitions}storable") });
    json!({
        "description": "Any JSON without U+0000 in it.",
        "pattern": TEXT,
        "items": again,
        "propertyNames": { "pattern": TEXT },
        "additionalProperties": again,
    })
}

/// The schema of the data of a type, as a part of a document that has [`storable`] under `definitions`.
pub fn data(kind: Kind, definitions: &str) -> Value {
    let fields = fields(kind);
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field, definitions)))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.care == Care::Required)
        .map(|field| field.name)
        .collect();
    let mut schema = json!({
        "title": format!("data of {}", kind.name()),
        "description": "Further fields are kept in the ledger and not looked at. \
                        A field that is not required may be absent or null.",
        "type": "object",
        "properties": properties,
        "required": required,
    });
    let said = |field: &&Field| json!({ "required": [field.name], "properties": { field.name: { "not": { "type": "null" } } } });
    match kind {
        Kind::Renamed => schema["anyOf"] = RENAMES.iter().map(said).collect(),
        Kind::PasswordReset => schema["anyOf"] = RESETS.iter().map(said).collect(),
        _ => {}
    }
    schema
}

fn property(field: &Field, definitions: &str) -> Value {
    let mut schema = rule(field.rule, definitions);
    let bad = match field.care {
        Care::Required | Care::Strict => "",
        Care::Soft => " A bad value is dropped and named in degraded; the event still applies.",
    };
    let limit = match field.rule {
        Rule::Object { bytes } => format!(" At most {bytes} bytes as JSON."),
        _ => String::new(),
    };
    schema["description"] = json!(format!("{}{limit}{bad}", field.about));
    if field.care != Care::Required {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

fn rule(rule: Rule, definitions: &str) -> Value {
    match rule {
        Rule::Text { min, max } => {
            let mut schema = json!({ "type": "string", "maxLength": max, "pattern": TEXT });
            if min > 0 {
                schema["minLength"] = json!(min);
            }
            schema
        }
        Rule::Address { max } => json!({ "type": "string", "maxLength": max, "pattern": ADDRESS }),
        Rule::Link { max } => json!({ "type": "string", "maxLength": max, "pattern": LINK }),
        Rule::Flag => json!({ "type": "boolean" }),
        Rule::Names { most } => {
            json!({ "type": "array", "maxItems": most, "items": self::rule(NAME, definitions) })
        }
        // Beside a bare $ref everything else is ignored up to draft 7, which AsyncAPI uses.
        Rule::Object { .. } => json!({ "type": "object", "allOf": [{ "$ref": format!("{definitions}storable") }] }),
    }
}

/// The schema of an event in structured form around the schema of its data.
pub fn event(kind: Kind, data: &Value) -> Value {
    let text = |max: usize, about: &str| {
        json!({ "type": "string", "minLength": 1, "maxLength": max, "pattern": TEXT,
                "description": format!("{about} At most {max} bytes.") })
    };
    json!({
        "title": format!("{} as a CloudEvent", kind.name()),
        "description": "A CloudEvent 1.0 in structured form. Further attributes are not looked at.",
        "type": "object",
        "properties": {
            "specversion": { "const": "1.0" },
            "type": { "const": kind.name() },
            "source": text(IDENTITY_MAX, "Who says so."),
            "id": text(IDENTITY_MAX, "Unique within the source: the same source and id mean the same event."),
            "time": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When it happened; the broker's time when absent. No leap seconds.",
            },
            "sequence": {
                "type": ["string", "integer", "null"],
                "maxLength": SEQUENCE_MAX,
                "pattern": TEXT,
                "description": "Orders events of one instant: absent, then numbers by value, then other texts as bytes.",
            },
            "createdvia": {
                "type": ["string", "null"],
                "description": "\"backfill\" marks what a backfill made.",
            },
            "datacontenttype": {
                "type": ["string", "null"],
                "pattern": "^application/([^;]+\\+)?json(;.*)?$",
                "description": "JSON, whatever it is called.",
            },
            "data": data,
        },
        "required": ["specversion", "type", "source", "id", "data"],
        "not": { "required": ["data_base64"] },
    })
}
