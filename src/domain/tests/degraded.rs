//! The marks of fields whose last value was bad.

use super::*;

fn marks(texts: &[&str]) -> Vec<String> {
    person(&world(&policy(), texts), "ada")
        .degraded
        .iter()
        .cloned()
        .collect()
}

#[test]
fn a_bad_value_is_marked_until_a_good_one_comes() {
    for field in [
        "email",
        "username",
        "first_name",
        "last_name",
        "full_name",
        "phone",
        "external_id",
        "org",
    ] {
        let mark = if field == "org" { "organization_id" } else { field };
        let bad = format!("created ada !{mark}");
        assert_eq!(marks(&[&bad]), [mark]);
        assert_eq!(
            marks(&[&bad, "updated ada", "created ada", "renamed ada username=x"]).contains(&mark.to_owned()),
            field != "username"
        );
        for event in ["created", "updated", "renamed"] {
            assert_eq!(
                marks(&[&bad, &format!("{event} ada {field}=a@x")]),
                [""; 0],
                "{event} {field}"
            );
        }
        for event in ["updated", "renamed"] {
            assert_eq!(
                marks(&[&bad, &format!("{event} ada {field}=null")]),
                [""; 0],
                "{event} {field}"
            );
        }
    }
    assert_eq!(marks(&["created ada !metadata", "updated ada metadata={}"]), [""; 0]);
    assert_eq!(marks(&["created ada !metadata", "updated ada metadata=null"]), [""; 0]);
    assert_eq!(
        marks(&["created ada email=a@x !email_verified", "updated ada verified=true"]),
        [""; 0]
    );
    assert_eq!(marks(&["joined ada org=acme !customer_name"]), ["customer_name"]);
    assert_eq!(
        marks(&["joined ada org=acme !customer_name", "joined ada org=acme"]),
        ["customer_name"]
    );
    assert_eq!(
        marks(&["joined ada org=acme !customer_name", "joined ada org=acme name=Acme"]),
        [""; 0]
    );
}

#[test]
fn a_bad_value_leaves_the_good_one_that_is_known() {
    holds(
        &policy(),
        &[cell(
            &["created ada phone=1"],
            "updated ada !phone full_name=Ada",
            "applied",
            &["ada user full_name=Ada phone=1 !phone client:draft"],
        )],
    );
}

#[test]
fn marks_are_sorted_and_there_once() {
    let story = ["created ada !username !phone", "updated ada !phone !email"];
    assert_eq!(marks(&story), ["email", "phone", "username"]);
}

#[test]
fn profile_types_are_marked_by_the_decoder_or_by_the_policy() {
    assert_eq!(
        marks(&["created ada profiles=client !profile_types"]),
        ["profile_types"]
    );
    assert_eq!(marks(&["created ada profiles=client,wizard"]), ["profile_types"]);
    assert_eq!(
        marks(&["created ada profiles=wizard", "updated ada profiles=none"]),
        [""; 0]
    );
    assert_eq!(
        marks(&["created ada profiles=wizard", "updated ada profiles=partner"]),
        [""; 0]
    );
    assert_eq!(
        marks(&["created ada profiles=wizard", "updated ada"]),
        ["profile_types"]
    );
}

#[test]
fn ignored_and_rejected_events_mark_nobody() {
    let after = ["created ada", "created ben", "renamed ada->ben !phone"];
    assert_eq!(marks(&after), [""; 0]);
}

#[test]
fn the_verdict_says_what_was_dropped_whatever_its_outcome() {
    for (texts, dropped) in [
        (&["created ada !phone !email"][..], &["email", "phone"][..]),
        (&["deleted ada", "updated ada !phone"], &["phone"]),
        (&["created ada", "created ben", "renamed ada->ben !phone"], &["phone"]),
        (&["created ada profiles=wizard"], &["profile_types"]),
        (
            &["created ada profiles=client,wizard !profile_types"],
            &["profile_types"],
        ),
        (
            &["created ada profiles=wizard !username"],
            &["profile_types", "username"],
        ),
        (&["created ada"], &[]),
    ] {
        let mut said = verdict(&policy(), texts).degraded;
        said.sort();
        assert_eq!(said, dropped, "{texts:?}");
    }
}
