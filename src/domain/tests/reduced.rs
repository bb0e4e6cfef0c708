//! The last try of a creation: the minimal fields only. And the keys that an event names.

use super::*;

const WHOLE: &str = "created ada email=a@x verified=true username=u first_name=F last_name=L full_name=N phone=1 \
                     external_id=X active=true org=O profiles=client metadata={} backfill !phone @7";

fn patch(event: &Event) -> &Patch {
    match &event.body {
        Body::Created(patch) => patch,
        other => panic!("{other:?} is no creation"),
    }
}

#[test]
fn a_reduced_creation_keeps_address_first_and_full_name_and_marks_the_rest() {
    let whole = event(1, WHOLE);
    let reduced = whole.reduced().expect("there is something to leave out");
    let set = |text: &str| Change::Set(text.to_owned());
    assert_eq!(
        *patch(&reduced),
        Patch {
            email: set("a@x"),
            first_name: set("F"),
            full_name: set("N"),
            ..Patch::default()
        }
    );
    let marks: Vec<&str> = reduced.degraded.iter().map(String::as_str).collect();
    assert_eq!(
        marks,
        [
            "active",
            "email_verified",
            "external_id",
            "last_name",
            "metadata",
            "organization_id",
            "phone",
            "profile_types",
            "username"
        ]
    );
    let rest = Event {
        body: whole.body.clone(),
        degraded: whole.degraded.clone(),
        ..reduced
    };
    assert_eq!(rest, whole, "identity, time, position, key and origin stay");
}

#[test]
fn each_field_that_said_something_is_marked_and_no_other() {
    for (word, mark) in [
        ("verified=true", "email_verified"),
        ("username=u", "username"),
        ("last_name=L", "last_name"),
        ("phone=1", "phone"),
        ("external_id=X", "external_id"),
        ("active=false", "active"),
        ("org=O", "organization_id"),
        ("profiles=none", "profile_types"),
        ("metadata={}", "metadata"),
    ] {
        let reduced = event(1, &format!("created ada email=a@x {word}")).reduced();
        let marks = reduced.map(|event| event.degraded);
        assert_eq!(marks, Some(BTreeSet::from([mark.to_owned()])), "{word}");
    }
}

#[test]
fn where_nothing_is_left_out_there_is_no_last_try() {
    for text in [
        "created ada",
        "created ada email=a@x first_name=F full_name=N",
        "created ada !phone",
        "updated ada phone=1",
        "renamed ada->ben phone=1",
        "deleted ada",
        "joined ada org=acme",
    ] {
        assert_eq!(event(1, text).reduced(), None, "{text}");
    }
}

#[test]
fn a_rename_names_a_second_key_unless_it_is_the_same() {
    for (text, new, other) in [
        ("renamed ada->ben", Some("ben"), Some("ben")),
        ("renamed ada->ada", Some("ada"), None),
        ("renamed ada", None, None),
        ("updated ada", None, None),
    ] {
        let event = event(1, text);
        assert_eq!((event.new_key(), event.other_key()), (new, other), "{text}");
    }
}
