//! JSON Schemas of what is announced, for those who listen.

use serde_json::{Map, Value, json};

use super::Happening;
use crate::domain::PROFILE_COLUMNS;

/// The schema of the data of a type, a document of its own.
pub fn data_document(kind: Happening) -> Value {
    let mut document = Map::from_iter([(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    )]);
    if let Value::Object(schema) = data(kind) {
        document.extend(schema);
    }
    Value::Object(document)
}

/// The schema of the data of a type, as part of a document.
pub fn data(kind: Happening) -> Value {
    let mut properties = columns();
    let mut required: Vec<String> = properties.keys().cloned().collect();
    let names = [&PROFILE_COLUMNS[..], &["attributes"]].concat();
    let changed = json!({
        "type": "array",
        "items": { "enum": names },
        "description": "The columns that changed; attributes where keys that follow the metadata did.",
    });
    let old_status = json!({
        "enum": ["draft", "active", "archived"],
        "description": "The status before; that of the beginning for a profile that is new.",
    });
    match kind {
        Happening::Created | Happening::Deleted => {}
        Happening::Updated => {
            properties.insert("changed".to_owned(), changed);
            required.push("changed".to_owned());
        }
        Happening::Renamed => {
            let old = json!({ "type": "string", "description": "The key of the user before." });
            properties.insert("old_user_id".to_owned(), old);
            properties.insert("changed".to_owned(), changed);
            required.extend(["changed".to_owned(), "old_user_id".to_owned()]);
        }
        Happening::Activated | Happening::Archived => {
            properties.insert("old_status".to_owned(), old_status);
            properties.insert("changed".to_owned(), changed);
            required.push("old_status".to_owned());
        }
    }
    json!({
        "title": format!("data of {}", kind.name()),
        "description": format!("{} The columns of the profile as the fold has them after it.", kind.about()),
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn columns() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let id = json!({ "type": "string", "format": "uuid" });
    let time = json!({ "type": "string", "format": "date-time" });
    let of = |column: &str| match column {
        "profile_id" => id.clone(),
        "customer_id" => json!({ "type": ["string", "null"], "format": "uuid" }),
        "user_id" | "profile_type" | "display_name" => text.clone(),
        "status" => json!({ "enum": ["draft", "active", "archived"] }),
        "created_via" => json!({ "enum": ["implicit", "event", "backfill"] }),
        "is_active" => json!({ "type": "boolean" }),
        "degraded" => json!({ "type": "array", "items": { "type": "string" } }),
        "version" => json!({ "type": "integer", "minimum": 0 }),
        "created_at" | "updated_at" => time.clone(),
        "deleted_at" => json!({ "type": ["string", "null"], "format": "date-time" }),
        _ => maybe.clone(),
    };
    ["profile_id", "profile_type"]
        .iter()
        .chain(&PROFILE_COLUMNS)
        .map(|column| ((*column).to_owned(), of(column)))
        .collect()
}

/// The headers of every announcement.
pub fn headers(kind: Happening) -> Value {
    let header = |about: &str| json!({ "type": "string", "description": about });
    let mut properties = Map::from_iter([
        ("ce-specversion".to_owned(), json!({ "const": "1.0" })),
        ("ce-type".to_owned(), json!({ "const": kind.name() })),
        ("ce-source".to_owned(), header("As configured.")),
        (
            "ce-id".to_owned(),
            header("Unique; the same for every copy of the message."),
        ),
        ("ce-time".to_owned(), header("When the worker made the change.")),
        ("ce-subject".to_owned(), header("The key of the user, percent-encoded.")),
        (
            "ce-sequence".to_owned(),
            header("A number that grows with every change of a user: a smaller one came before."),
        ),
        ("Nats-Msg-Id".to_owned(), header("The same as ce-id.")),
    ]);
    if kind == Happening::Renamed {
        let former = header("The key of the user before, percent-encoded.");
        properties.insert("ce-formersubject".to_owned(), former);
    }
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({ "type": "object", "properties": properties, "required": required })
}
