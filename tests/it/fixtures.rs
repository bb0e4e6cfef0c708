//! The golden events under `tests/fixtures/events/`: one of each type in each form, with what it decodes to.

use std::collections::BTreeSet;
use std::path::Path;

use rollcall::domain::{Body, Change, Kind, Patch};
use rollcall::envelope::{Envelope, Incoming, Intake, Recorded, decode, recall};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const FORMS: [&str; 3] = ["structured", "binary", "bare"];

/// A message and what it says.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    subject: String,
    headers: Map<String, Value>,
    pub(crate) payload: String,
    published: String,
    stream: String,
    sequence: u64,
    expect: Value,
}

impl Fixture {
    fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a header is a text").to_owned();
        self.headers
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    pub(crate) fn decode(&self) -> Envelope {
        let headers = self.headers();
        let message = Incoming {
            subject: &self.subject,
            headers: &headers,
            payload: self.payload.as_bytes(),
            stream: &self.stream,
            sequence: self.sequence,
            published: OffsetDateTime::parse(&self.published, &Rfc3339).expect("published is a timestamp"),
        };
        let intake = Intake {
            max_future: std::time::Duration::from_mins(5),
            ..Intake::default()
        };
        decode(&message, &intake).expect("a golden event is a good one")
    }

    pub(crate) fn form(&self) -> &'static str {
        let names: Vec<String> = self.headers.keys().map(|name| name.to_ascii_lowercase()).collect();
        let structured = self
            .headers()
            .iter()
            .any(|(_, value)| value.starts_with("application/cloudevents+json"));
        match structured {
            true => "structured",
            false if names.iter().any(|name| name.starts_with("ce-")) => "binary",
            false => "bare",
        }
    }
}

/// Every fixture, with its file name without `.json`.
pub(crate) fn fixtures() -> Vec<(String, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
    let mut fixtures: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let name = path
                .file_name()
                .expect("a file has a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("a fixture can be read");
            let fixture = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (
                name.strip_suffix(".json").expect("a fixture is JSON").to_owned(),
                fixture,
            )
        })
        .collect();
    fixtures.sort_by(|a: &(String, Fixture), b| a.0.cmp(&b.0));
    fixtures
}

#[test]
fn there_is_one_of_each_type_in_each_form() {
    let expected: BTreeSet<String> = Kind::ALL
        .into_iter()
        .flat_map(|kind| FORMS.map(|form| format!("{}.{form}", kind.name().trim_start_matches("user."))))
        .collect();
    let found: BTreeSet<String> = fixtures().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, expected);
    for (name, fixture) in fixtures() {
        assert_eq!(
            name,
            format!(
                "{}.{}",
                fixture.decode().event.body.kind().name().trim_start_matches("user."),
                fixture.form()
            )
        );
    }
}

#[test]
fn each_decodes_to_what_it_says() {
    for (name, fixture) in fixtures() {
        let found = readable(&fixture.decode());
        assert_eq!(
            found,
            fixture.expect,
            "{name} decodes to\n{}",
            serde_json::to_string_pretty(&found).expect("a value has a text")
        );
    }
}

#[test]
fn the_data_are_kept_byte_for_byte() {
    for (name, fixture) in fixtures() {
        let envelope = fixture.decode();
        if envelope.event.body.kind() == Kind::PasswordReset {
            continue;
        }
        let data = envelope.data;
        match fixture.form() {
            "structured" => {
                assert!(
                    fixture.payload.ends_with(&format!("\"data\": {data}}}")),
                    "{name}: {data}"
                );
            }
            _ => assert_eq!(data, fixture.payload, "{name}"),
        }
    }
}

#[test]
fn of_a_password_reset_nothing_is_kept_that_is_secret() {
    let resets = fixtures().into_iter().map(|(_, fixture)| fixture.decode());
    let mut resets: Vec<Envelope> = resets
        .filter(|envelope| envelope.event.body.kind() == Kind::PasswordReset)
        .collect();
    assert_eq!(resets.len(), 3);
    for envelope in &mut resets {
        let sealed = envelope.sealed.take().expect("what the mail needs").0;
        let shown = format!("{envelope:?}");
        for secret in ["Zk3v", "493-127", "new-password", "0049", "203.0.113.9"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        let sealed: Value = serde_json::from_str(&sealed).expect("JSON");
        assert!(sealed["link"].is_string() || sealed["code"].is_string(), "{sealed}");
        let data: Value = serde_json::from_str(&envelope.data).expect("JSON");
        assert_eq!(data["link"].is_string(), sealed["link"].is_string());
        assert_eq!(data["code"].is_string(), sealed["code"].is_string());
    }
    let shown = format!("{:?}", rollcall::envelope::Sealed("0049".to_owned()));
    assert_eq!(shown, "[sealed]");
}

#[test]
fn each_can_be_made_again_from_what_the_ledger_keeps() {
    for (name, fixture) in fixtures() {
        let envelope = fixture.decode();
        let again = recall(Recorded {
            kind: envelope.event.body.kind(),
            source: &envelope.event.source,
            id: &envelope.id,
            key: envelope.event.key.clone(),
            new_key: envelope.event.new_key().map(str::to_owned),
            position: envelope.event.position.clone(),
            data: &envelope.data,
            reduced: false,
            inputs: rollcall::domain::Inputs::default(),
            backfill: envelope.event.backfill,
        });
        assert_eq!(again, Ok(envelope.event), "{name}");
    }
}

/// An envelope as the fixtures write it down.
fn readable(envelope: &Envelope) -> Value {
    let event = &envelope.event;
    json!({
        "type": event.body.kind().name(),
        "source": event.source,
        "id": envelope.id,
        "user_id": envelope.user_id,
        "key": event.key,
        "new_key": event.new_key(),
        "time": instant(event.time),
        "states_time": envelope.states_time,
        "sequence": envelope.sequence,
        "backfill": event.backfill,
        "degraded": event.degraded,
        "body": body(&event.body),
    })
}

fn instant(time: rollcall::domain::Timestamp) -> String {
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("an event happened in our era");
    time.format(&Rfc3339).expect("such a time has a text")
}

/// What the event says: a value, `null` for what it clears, nothing for what it does not mention.
fn body(body: &Body) -> Value {
    match body {
        Body::Created(patch) | Body::Updated(patch) | Body::Renamed { patch, .. } => fields(patch),
        Body::Deleted | Body::PasswordReset => json!({}),
        Body::Joined {
            organization_id,
            customer_name: None,
        }
        | Body::Left { organization_id } => {
            json!({ "organization_id": organization_id })
        }
        Body::Joined {
            organization_id,
            customer_name: Some(name),
        } => {
            json!({ "organization_id": organization_id, "customer_name": name })
        }
        Body::Activated { profile_type } | Body::Archived { profile_type } | Body::Reactivated { profile_type } => {
            profile_type
                .as_ref()
                .map_or_else(|| json!({}), |name| json!({ "profile_type": name }))
        }
    }
}

fn fields(patch: &Patch) -> Value {
    let Patch {
        email,
        email_verified,
        username,
        first_name,
        last_name,
        full_name,
        phone,
        external_id,
        active,
        organization_id,
        profile_types,
        metadata,
    } = patch;
    let mut said = Map::new();
    let texts = [
        ("email", email),
        ("username", username),
        ("first_name", first_name),
        ("last_name", last_name),
        ("full_name", full_name),
        ("phone", phone),
        ("external_id", external_id),
        ("organization_id", organization_id),
    ];
    for (name, change) in texts {
        say(&mut said, name, change);
    }
    say(&mut said, "email_verified", email_verified);
    say(&mut said, "active", active);
    say(&mut said, "metadata", metadata);
    if let Some(types) = profile_types {
        said.insert("profile_types".to_owned(), json!(types));
    }
    Value::Object(said)
}

fn say<T: serde::Serialize>(said: &mut Map<String, Value>, name: &str, change: &Change<T>) {
    match change {
        Change::Keep => {}
        Change::Clear => {
            said.insert(name.to_owned(), Value::Null);
        }
        Change::Set(value) => {
            said.insert(name.to_owned(), json!(value));
        }
    }
}
