//! What senders are told an event looks like. That validator and decoder agree on it is tested with both beside each
//! other; here is that the documents are what is committed, and say of whole events what the decoder wants.

use serde_json::{Value, json};

use super::*;
use crate::envelope::contract::{Care, Rule, fields};

/// What is committed for the data of each type.
const COMMITTED: [(Kind, &str); 10] = [
    (Kind::Created, include_str!("../../../docs/schemas/user.created.json")),
    (Kind::Updated, include_str!("../../../docs/schemas/user.updated.json")),
    (Kind::Joined, include_str!("../../../docs/schemas/user.joined.json")),
    (Kind::Left, include_str!("../../../docs/schemas/user.left.json")),
    (
        Kind::Activated,
        include_str!("../../../docs/schemas/user.activated.json"),
    ),
    (Kind::Archived, include_str!("../../../docs/schemas/user.archived.json")),
    (
        Kind::Reactivated,
        include_str!("../../../docs/schemas/user.reactivated.json"),
    ),
    (Kind::Renamed, include_str!("../../../docs/schemas/user.renamed.json")),
    (Kind::Deleted, include_str!("../../../docs/schemas/user.deleted.json")),
    (
        Kind::PasswordReset,
        include_str!("../../../docs/schemas/user.password_reset.json"),
    ),
];

#[test]
fn the_schemas_of_data_are_the_committed_ones() {
    for (kind, committed) in COMMITTED {
        let committed: Value = serde_json::from_str(committed).expect("a schema is JSON");
        assert_eq!(schema::data_document(kind), committed, "{kind:?}");
    }
}

#[test]
fn the_data_of_every_type_begin_with_a_required_user_id() {
    for kind in Kind::ALL {
        let fields = fields(kind);
        assert_eq!(
            (fields[0].name, fields[0].care),
            ("user_id", Care::Required),
            "{kind:?}"
        );
        let schema = schema::data_document(kind);
        let names: BTreeSet<&str> = fields.iter().map(|field| field.name).collect();
        let described = schema["properties"].as_object().expect("an object of properties");
        assert_eq!(
            described.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            names,
            "{kind:?}"
        );
    }
}

#[test]
fn a_whole_event_is_its_attributes_around_its_data() {
    for kind in Kind::ALL {
        let event = schema::event_document(kind);
        let data = schema::data_document(kind);
        assert_eq!(event["$schema"], data["$schema"], "{kind:?}");
        assert_eq!(event["$defs"], data["$defs"], "{kind:?}");
        let inner = event["properties"]["data"].as_object().expect("the data have a schema");
        assert!(inner.iter().all(|(name, part)| data[name] == *part), "{kind:?}");
        let attributes = &event["properties"];
        assert_eq!(attributes["type"], json!({"const": kind.name()}));
        assert_eq!(attributes["specversion"], json!({"const": "1.0"}));
        assert_eq!(
            event["required"],
            json!(["specversion", "type", "source", "id", "data"])
        );
        assert_eq!(event["not"], json!({"required": ["data_base64"]}));
        for name in ["source", "id"] {
            assert_eq!(
                (&attributes[name]["minLength"], &attributes[name]["maxLength"]),
                (&json!(1), &json!(1024))
            );
        }
        for name in ["time", "sequence", "createdvia", "datacontenttype"] {
            let types = attributes[name]["type"].as_array().expect("a list of types");
            assert!(types.contains(&json!("null")), "{name} may be absent");
        }
    }
}

#[test]
fn a_document_defines_what_its_references_lead_to() {
    for kind in Kind::ALL {
        let has_object = fields(kind)
            .iter()
            .any(|field| matches!(field.rule, Rule::Object { .. }));
        let schema = schema::data_document(kind);
        let expected = has_object.then(|| schema::storable("#/$defs/"));
        assert_eq!(schema.pointer("/$defs/storable"), expected.as_ref(), "{kind:?}");
    }
    assert_eq!(
        schema::storable("#/x/")["items"],
        json!({"$ref": "#/x/storable"}),
        "it is found where the document keeps it"
    );
}
