//! What an event changed, as `rollcall explain` tells it.

use super::*;

/// What the last event of a story changed.
fn effects(texts: &[&str]) -> Value {
    effects_under(&policy(), texts)
}

fn effects_under(policy: &Policy, texts: &[&str]) -> Value {
    serde_json::to_value(verdict(policy, texts).effects).expect("effects are plain values")
}

#[test]
fn an_event_tells_what_it_changed_and_nothing_else() {
    let member = &["created ada", "joined ada org=acme"];
    let cases: [(&[&str], &str, Value); 20] = [
        (
            &[],
            "created ada",
            json!({"began": "user", "profiles_made": ["client"]}),
        ),
        (
            &[],
            "created ada phone=1 profiles=none",
            json!({"began": "user", "fields": ["phone"]}),
        ),
        (&[], "updated ada profiles=none", json!({"began": "provisional"})),
        (&["updated ada"], "created ada", json!({"became_real": true})),
        (
            &["updated ada profiles=none"],
            "created ada phone=1",
            json!({"became_real": true, "fields": ["phone"], "profiles_made": ["client"]}),
        ),
        (&["created ada phone=1"], "created ada phone=1", json!({})),
        (
            &["created ada"],
            "updated ada profiles=partner",
            json!({"profiles_made": ["partner"]}),
        ),
        (&["created ada"], "renamed ada->ben", json!({"key": ["ada", "ben"]})),
        (
            &["created ada"],
            "renamed ada->ben phone=1 profiles=guest",
            json!({"key": ["ada", "ben"], "fields": ["phone"], "profiles_made": ["guest"]}),
        ),
        (&["created ben"], "renamed ada->ben", json!({"alias": "ada"})),
        (
            &[],
            "renamed ada->ben",
            json!({"began": "provisional", "alias": "ada", "profiles_made": ["client"]}),
        ),
        (
            &["created ada", "updated ben phone=1"],
            "renamed ada->ben",
            json!({"key": ["ada", "ben"], "merged": "ben", "fields": ["phone"]}),
        ),
        (
            &["updated ada", "created ben"],
            "renamed ada->ben profiles=guest",
            json!({"key": ["ada", "ben"], "merged": "ada", "profiles_made": ["guest"]}),
        ),
        (&member[..1], member[1], json!({"joined": "acme"})),
        (
            &["created ada profiles=none"],
            "joined ada org=acme",
            json!({"joined": "acme", "profiles_made": ["client"]}),
        ),
        (member, "left ada org=acme", json!({"left": "acme"})),
        (
            &["created ada"],
            "activated ada",
            json!({"transition": ["client", "draft", "active"]}),
        ),
        (
            &[],
            "activated ada type=partner",
            json!({
                "began": "provisional",
                "profiles_made": ["client", "partner"],
                "transition": ["partner", "draft", "active"],
            }),
        ),
        (
            &["created ada", "renamed ada->ben"],
            "deleted ben",
            json!({"tombstones": ["ben", "ada"]}),
        ),
        (&[], "deleted ada", json!({"tombstones": ["ada"]})),
    ];
    for (given, then, expected) in cases {
        let story: Vec<&str> = given.iter().copied().chain([then]).collect();
        assert_eq!(effects(&story), expected, "{given:?}, then {then}");
    }
}

#[test]
fn an_activation_tells_what_it_made_beside_the_transition() {
    let mut policy = policy();
    policy.profiles[0].activation_creates = vec!["partner".to_owned()];
    assert_eq!(
        effects_under(&policy, &["created ada", "activated ada"]),
        json!({"profiles_made": ["partner"], "transition": ["client", "draft", "active"]})
    );
}

#[test]
fn each_field_that_changed_is_named_and_no_other() {
    let all = "email=a@x verified=true username=a first_name=a last_name=a full_name=a phone=a external_id=a \
               active=true org=a metadata={}";
    let created = format!("created ada {all}");
    assert_eq!(effects(&[&created, &format!("updated ada {all}")]), json!({}));
    for (word, field) in [
        ("verified=false", "email_verified"),
        ("username=b", "username"),
        ("first_name=b", "first_name"),
        ("last_name=b", "last_name"),
        ("full_name=b", "full_name"),
        ("phone=b", "phone"),
        ("external_id=b", "external_id"),
        ("active=false", "active"),
        ("org=b", "organization_id"),
        ("metadata={\"a\":1}", "metadata"),
    ] {
        for event in ["created", "updated", "renamed"] {
            let text = format!("{event} ada {word}");
            assert_eq!(effects(&[&created, &text]), json!({"fields": [field]}), "{text}");
        }
    }
    // An address takes its flag along.
    assert_eq!(
        effects(&[&created, "updated ada email=b@x"]),
        json!({"fields": ["email", "email_verified"]})
    );
    assert_eq!(
        effects(&[&created, "updated ada email=b@x verified=true"]),
        json!({"fields": ["email"]})
    );
}
