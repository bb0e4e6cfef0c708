//! The AsyncAPI 3 document: which messages Rollcall receives and sends, and on which subjects. Pure.

use serde_json::{Map, Value, json};

use crate::announcements::{self, Happening};
use crate::config::Config;
use crate::dead_letters::HEADERS;
use crate::domain::{Kind, Reason};
use crate::envelope::schema;

/// Where the parts of the document find the schemas.
const SCHEMAS: &str = "#/components/schemas/";

pub(super) fn document(config: &Config) -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    let mut schemas = Map::new();
    for kind in Kind::ALL {
        let name = kind.name();
        channels.insert(name.to_owned(), channel(kind, &config.consumer.stream));
        operations.insert(
            format!("receive-{name}"),
            json!({
                "action": "receive",
                "channel": reference(&format!("#/channels/{name}")),
                "summary": format!("Folds {name} into the profile tables."),
            }),
        );
        for (form, message) in forms(kind) {
            messages.insert(format!("{name}.{form}"), message);
        }
        let data = reference(&format!("{SCHEMAS}{name}"));
        schemas.insert(format!("{name}.event"), schema::event(kind, &data));
        schemas.insert(name.to_owned(), schema::data(kind, SCHEMAS));
    }
    for kind in Happening::ALL {
        let name = kind.name();
        channels.insert(name.to_owned(), announcement_channel(kind, &config.outbox.stream));
        operations.insert(
            format!("send-{name}"),
            json!({
                "action": "send",
                "channel": reference(&format!("#/channels/{name}")),
                "summary": kind.about(),
            }),
        );
        messages.insert(
            name.to_owned(),
            json!({
                "name": name,
                "title": format!("{name}, binary"),
                "contentType": "application/json",
                "headers": announcements::schema::headers(kind),
                "payload": reference(&format!("{SCHEMAS}{name}")),
            }),
        );
        schemas.insert(name.to_owned(), announcements::schema::data(kind));
    }
    schemas.insert("storable".to_owned(), schema::storable(SCHEMAS));
    schemas.insert("dead-letter-headers".to_owned(), letter_headers());
    channels.insert("dead".to_owned(), dead_channel(config));
    messages.insert(
        "dead-letter".to_owned(),
        json!({
            "title": "Dead letter",
            "summary": "A message that could not be applied, byte for byte, and why.",
            "headers": reference(&format!("{SCHEMAS}dead-letter-headers")),
            "payload": {},
        }),
    );
    operations.insert(
        "send-dead".to_owned(),
        json!({
            "action": "send",
            "channel": reference("#/channels/dead"),
            "summary": "Keeps what could not be applied, for people to look at.",
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rollcall",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Folds news of users from NATS JetStream into profile tables. The schemas describe good \
                            events: what the worker would drop as a bad optional field is invalid, too.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn reference(target: &str) -> Value {
    json!({ "$ref": target })
}

fn channel(kind: Kind, stream: &str) -> Value {
    let name = kind.name();
    let messages: Map<String, Value> = forms(kind)
        .into_iter()
        .map(|(form, _)| {
            (
                form.to_owned(),
                reference(&format!("#/components/messages/{name}.{form}")),
            )
        })
        .collect();
    json!({
        "address": name,
        "description": format!("Stream {stream} of JetStream. In bare form the subject may have further tokens."),
        "messages": messages,
    })
}

fn announcement_channel(kind: Happening, stream: &str) -> Value {
    let name = kind.name();
    json!({
        "address": name,
        "description": format!("Stream {stream} of JetStream, where [outbox] events is true."),
        "messages": { name: reference(&format!("#/components/messages/{name}")) },
    })
}

/// The three forms of an event.
fn forms(kind: Kind) -> [(&'static str, Value); 3] {
    let name = kind.name();
    let data = reference(&format!("{SCHEMAS}{name}"));
    let header = |about: &str| json!({ "type": "string", "description": about });
    [
        (
            "structured",
            json!({
                "name": name,
                "title": format!("{name}, structured"),
                "contentType": "application/cloudevents+json",
                "payload": reference(&format!("{SCHEMAS}{name}.event")),
            }),
        ),
        (
            "binary",
            json!({
                "name": name,
                "title": format!("{name}, binary"),
                "contentType": "application/json",
                "headers": {
                    "type": "object",
                    "description": "Names in any case; values are percent-decoded once.",
                    "properties": {
                        "ce-specversion": { "const": "1.0" },
                        "ce-type": { "const": name },
                        "ce-source": header("Who says so."),
                        "ce-id": header("Unique within the source."),
                        "ce-time": header("When it happened; the broker's time when absent."),
                        "ce-sequence": header("Orders events of one instant."),
                        "ce-createdvia": header("\"backfill\" marks what a backfill made."),
                    },
                    "required": ["ce-specversion", "ce-type", "ce-source", "ce-id"],
                },
                "payload": data,
            }),
        ),
        (
            "bare",
            json!({
                "name": name,
                "title": format!("{name}, bare"),
                "contentType": "application/json",
                "headers": {
                    "type": "object",
                    "properties": { "Nats-Msg-Id": header("The id of the event; made from the broker's sequence when absent.") },
                },
                "payload": data,
            }),
        ),
    ]
}

fn dead_channel(config: &Config) -> Value {
    let kinds = Kind::ALL.map(|kind| kind.name().trim_start_matches("user."));
    json!({
        "address": format!("{}.user.{{type}}", config.dead_letters.subject_prefix),
        "description": format!("Stream {} of JetStream.", config.dead_letters.stream),
        "parameters": {
            "type": {
                "description": "The rest of the original subject: one of these, or whatever else was published below user.",
                "examples": kinds,
            },
        },
        "messages": { "dead-letter": reference("#/components/messages/dead-letter") },
    })
}

fn letter_headers() -> Value {
    let mut properties: Map<String, Value> = HEADERS
        .iter()
        .map(|(name, about)| {
            (
                format!("Rollcall-{name}"),
                json!({ "type": "string", "description": about }),
            )
        })
        .collect();
    properties["Rollcall-Reason"]["examples"] = Reason::ALL.map(Reason::name).into();
    let required: Vec<String> = HEADERS
        .iter()
        .filter(|(_, about)| !about.starts_with("where"))
        .map(|(name, _)| format!("Rollcall-{name}"))
        .collect();
    json!({
        "description": "Headers of the original are kept; those that are commands to JetStream as Rollcall-Original-Nats-….",
        "type": "object",
        "properties": properties,
        "required": required,
    })
}
