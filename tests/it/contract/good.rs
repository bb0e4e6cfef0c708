//! Good events are good to both.

use jsonschema::Draft;
use rollcall::domain::Kind;
use serde_json::{Value, json};

use super::{docs, of_data, of_events};
use crate::fixtures::{Fixture, fixtures};

/// The schema of the AsyncAPI document that a payload of this type and form goes by, with all it refers to.
fn by_asyncapi(kind: Kind, form: &str) -> Value {
    let text = std::fs::read_to_string(docs().join("asyncapi.json")).expect("the document is there");
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    let channel = &document["channels"][kind.name()];
    let message = channel["messages"][form]["$ref"].as_str().expect("a message");
    let message = document.pointer(&message[1..]).expect("the message is there");
    json!({ "allOf": [message["payload"]], "components": document["components"] })
}

fn payload(fixture: &Fixture) -> Value {
    serde_json::from_str(&fixture.payload).expect("a payload is JSON")
}

#[test]
fn a_fixture_is_valid_unless_something_of_it_is_dropped() {
    let mut seen = [0, 0];
    for (name, fixture) in fixtures() {
        let event = fixture.decode().event;
        let kind = event.body.kind();
        let validator = match fixture.form() {
            "structured" => of_events(kind),
            _ => of_data(kind),
        };
        // AsyncAPI reads schemas as those of draft 7.
        let other = jsonschema::options()
            .with_draft(Draft::Draft7)
            .build(&by_asyncapi(kind, fixture.form()))
            .expect("a schema");
        let payload = payload(&fixture);
        let errors: Vec<String> = validator.iter_errors(&payload).map(|error| error.to_string()).collect();
        assert_eq!(errors.is_empty(), event.degraded.is_empty(), "{name}: {errors:?}");
        assert_eq!(
            other.is_valid(&payload),
            event.degraded.is_empty(),
            "{name}, by AsyncAPI"
        );
        seen[usize::from(event.degraded.is_empty())] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 20, "{seen:?}");
}

/// The examples of the document: below each heading with the name of a type, a block of JSON.
fn examples(text: &str) -> Vec<(String, Value)> {
    let sections = text.split("\n### [").skip(1);
    sections
        .map(|section| {
            let (name, rest) = section.split_once(']').expect("a heading is a link");
            let block = rest.split("```json\n").nth(1).expect("an example");
            let (json, _) = block.split_once("```").expect("the example ends");
            (name.to_owned(), serde_json::from_str(json).expect("an example is JSON"))
        })
        .collect()
}

#[test]
fn the_examples_of_the_document_are_fixtures() {
    let text = std::fs::read_to_string(docs().join("EVENTS.md")).expect("the document is there");
    let mut found = examples(&text);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut expected: Vec<(String, Value)> = fixtures()
        .into_iter()
        .filter(|(_, fixture)| fixture.form() == "structured")
        .map(|(_, fixture)| (fixture.decode().event.body.kind().name().to_owned(), payload(&fixture)))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
    assert_eq!(found.len(), Kind::ALL.len());
}
