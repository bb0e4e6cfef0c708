//! Whatever arrives, the decoder answers: it never panics, and what it accepts can be recalled.

use super::*;
use proptest::prelude::*;

/// Names and values of headers, mostly ones that mean something.
fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        Just("Content-Type".to_owned()),
        Just("ce-specversion".to_owned()),
        Just("CE-Type".to_owned()),
        Just("ce-source".to_owned()),
        Just("ce-id".to_owned()),
        Just("ce-time".to_owned()),
        Just("ce-sequence".to_owned()),
        Just("Nats-Msg-Id".to_owned()),
        ".{0,12}",
    ];
    let value = prop_oneof![
        Just("1.0".to_owned()),
        Just("user.renamed".to_owned()),
        Just("application/cloudevents+json".to_owned()),
        Just("2026-01-31T09:00:00Z".to_owned()),
        "[0-9T:.+Zz-]{0,30}",
        "[%0-9a-fA-F]{0,12}",
        any::<String>(),
    ];
    proptest::collection::vec((name, value), 0..8)
}

/// Any JSON value, with the names that data have among its keys.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z]{1,6}@[a-z]{1,6}".prop_map(Into::into),
        "[a-z]{1,6}".prop_map(Into::into),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "user_id",
            "new_user_id",
            "new_email",
            "new_username",
            "email",
            "email_verified",
            "username",
            "first_name",
            "last_name",
            "full_name",
            "phone",
            "external_id",
            "active",
            "organization_id",
            "profile_types",
            "metadata",
            "profile_type",
            "customer_name",
            "specversion",
            "type",
            "source",
            "id",
            "time",
            "data",
            "data_base64",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            proptest::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Decodes in all three forms, and recalls what is accepted.
fn survive(subject: &str, headers: Vec<(String, String)>, payload: &[u8]) -> Result<(), TestCaseError> {
    let any = Message {
        subject: subject.to_owned(),
        headers,
        payload: payload.to_owned(),
    };
    for message in [
        any,
        bare(subject, payload),
        binary(subject, payload),
        structured(payload),
    ] {
        if let Ok(envelope) = message.decode() {
            let again = recall(Recorded {
                kind: envelope.event.body.kind(),
                source: &envelope.event.source,
                id: &envelope.id,
                key: envelope.event.key.clone(),
                new_key: envelope.event.new_key().map(str::to_owned),
                position: envelope.event.position.clone(),
                data: &envelope.data,
                backfill: envelope.event.backfill,
                reduced: false,
                inputs: crate::domain::Inputs::default(),
            });
            prop_assert_eq!(again, Ok(envelope.event));
        }
    }
    Ok(())
}

fn subject() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(Kind::ALL.to_vec()).prop_map(|kind| kind.name().to_owned()),
        ".{0,20}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_under_any_headers(
        subject in subject(),
        headers in headers(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        survive(&subject, headers, &payload)?;
    }

    #[test]
    fn any_text_under_any_headers(subject in subject(), headers in headers(), payload in any::<String>()) {
        survive(&subject, headers, payload.as_bytes())?;
    }

    #[test]
    fn any_json(subject in subject(), headers in headers(), value in json_value()) {
        survive(&subject, headers, value.to_string().as_bytes())?;
    }

    #[test]
    fn any_data_of_somebody(kind in proptest::sample::select(Kind::ALL.to_vec()), value in json_value()) {
        let mut data = value.as_object().cloned().unwrap_or_default();
        for name in ["user_id", "organization_id", "new_user_id"] {
            data.insert(name.to_owned(), name.into());
        }
        let text = serde_json::Value::Object(data).to_string();
        let whole = format!(r#"{{"specversion":"1.0","type":"{}","source":"s","id":"1","data":{text}}}"#, kind.name());
        survive(kind.name(), Vec::new(), text.as_bytes())?;
        survive(kind.name(), Vec::new(), whole.as_bytes())?;
    }
}
