//! What people are called.

use super::*;

fn shown(policy: &Policy, texts: &[&str]) -> String {
    person(&world(policy, texts), "ada").profiles["client"]
        .display_name
        .clone()
}

#[test]
fn the_first_present_source_wins() {
    let all = "username=u email=e@x first_name=F last_name=L";
    for (words, name) in [
        (format!("{all} full_name=N metadata={{\"display_name\":\"D\"}}"), "N"),
        (format!("{all} metadata={{\"display_name\":\"D\"}}"), "F L"),
        ("first_name=F username=u".to_owned(), "F"),
        ("last_name=L username=u".to_owned(), "L"),
        ("metadata={\"display_name\":\"D\"} username=u".to_owned(), "D"),
        ("username=u email=e@x".to_owned(), "u"),
        ("email=e@x".to_owned(), "e@x"),
        (String::new(), "ada"),
        // empty is not present, and neither is what is no text
        ("full_name= first_name= username=u".to_owned(), "u"),
        ("full_name= first_name= last_name=L".to_owned(), "L"),
        ("metadata={\"display_name\":17} username=u".to_owned(), "u"),
        ("metadata={\"display_name\":\"\"} username=u".to_owned(), "u"),
    ] {
        for kind in ["created", "updated"] {
            assert_eq!(shown(&policy(), &[&format!("{kind} ada {words}")]), name, "{words}");
        }
    }
}

#[test]
fn it_follows_its_sources() {
    for (texts, name) in [
        (
            &["created ada full_name=Ada", "updated ada full_name=Countess"][..],
            "Countess",
        ),
        (
            &["created ada full_name=Ada username=u", "updated ada full_name=null"],
            "u",
        ),
        (&["created ada username=u", "updated ada first_name=Ada"], "Ada"),
        (&["created ada full_name=Ada", "updated ada username=u"], "Ada"),
        (&["created ada full_name=Ada", "renamed ada->ben"], "Ada"),
        (&["created ada", "renamed ada->ben"], "ben"),
        (&["created ada", "renamed ada->ben email=b@x"], "b@x"),
        (&["updated ada", "created ada full_name=Ada"], "Ada"),
        (
            &[
                "created ada metadata={\"display_name\":\"D\"}",
                "updated ada metadata={}",
            ],
            "ada",
        ),
    ] {
        assert_eq!(shown(&policy(), texts), name, "{texts:?}");
    }
}

#[test]
fn it_is_computed_anew_only_when_a_source_changes() {
    // The list was another one when the profile was made.
    let mut old = policy();
    old.profiles[0].display_name = vec!["username".to_owned()];
    let mut world = world(&old, &["created ada username=u full_name=Ada"]);
    let mut then = |text: &str| {
        world.apply(&event(2, text), &policy());
        person(&world, "ada").profiles["client"].display_name.clone()
    };
    assert_eq!(then("updated ada phone=1"), "u");
    assert_eq!(then("updated ada full_name=Ada"), "u");
    assert_eq!(then("activated ada"), "u");
    assert_eq!(then("updated ada email=a@x"), "Ada");
}

#[test]
fn an_application_that_owns_it_finds_it_set_once() {
    let mut policy = policy();
    policy.profiles[0].display_owner = DisplayOwner::Application;
    assert_eq!(
        shown(
            &policy,
            &["created ada full_name=Ada", "updated ada full_name=Countess"]
        ),
        "Ada"
    );
    assert_eq!(shown(&policy, &["created ada", "renamed ada->ben"]), "ada");
    assert_eq!(shown(&policy, &["updated ada", "created ada full_name=Ada"]), "ada");
    let merged = ["created ada", "updated ben full_name=Ben", "renamed ada->ben"];
    assert_eq!(shown(&policy, &merged), "ada");
}

#[test]
fn sources_are_those_of_the_profile_type() {
    let mut policy = policy();
    policy.profiles[0].display_name = vec![
        "first_name".to_owned(),
        "last_name".to_owned(),
        "metadata.nick".to_owned(),
    ];
    assert_eq!(
        shown(&policy, &["created ada first_name=F last_name=L full_name=N"]),
        "F"
    );
    assert_eq!(shown(&policy, &["created ada last_name=L full_name=N"]), "L");
    assert_eq!(
        shown(&policy, &["created ada full_name=N metadata={\"nick\":\"K\"}"]),
        "K"
    );
    assert_eq!(
        shown(&policy, &["created ada full_name=N"]),
        "ada",
        "the key when all are absent"
    );
    assert_eq!(
        shown(&policy, &["created ada full_name=N", "renamed ada->ben last_name=L"]),
        "L"
    );
}
