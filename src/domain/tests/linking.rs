//! Links to customers and what activations require of them, with an application that answers from a table.

use super::*;
use crate::domain::{Answer, CustomerPlace, Found, LookupRule, Question};

/// The customers of the application: address, id, columns that are filled.
const CUSTOMERS: &[(&str, &str, &[&str])] = &[
    ("ada@x.org", "C-1", &["tax_id", "phone"]),
    ("bea@x.org", "C-2", &["tax_id"]),
];

fn looking(require_verified: bool) -> Policy {
    let mut policy = policy();
    policy.lookup = Some(LookupRule {
        place: CustomerPlace::Application,
        require_verified,
    });
    policy.profiles[0].requires = vec!["tax_id".to_owned(), "phone".to_owned()];
    policy.profiles[0].activation_creates = vec![policy.profiles[1].name.clone()];
    policy
}

fn answer(question: &Question) -> Answer {
    match question {
        Question::Customer { address, .. } => {
            let found = CUSTOMERS.iter().find(|(known, _, _)| known == address);
            Answer::Found(found.map(|(_, id, _)| Found {
                id: (*id).to_owned(),
                organization_id: String::new(),
                made: false,
            }))
        }
        Question::Row { .. } => Answer::Found(None),
        Question::Unfilled { customer, columns } => {
            let filled = CUSTOMERS
                .iter()
                .find(|(_, id, _)| id == customer)
                .map_or(&[][..], |c| c.2);
            let missing = columns.iter().filter(|column| !filled.contains(&column.as_str()));
            Answer::Unfilled(missing.cloned().collect())
        }
    }
}

/// Folds until nothing is asked any more; every question is asked once.
fn told(policy: &Policy, texts: &[&str]) -> (World, Vec<Verdict>, Vec<Event>) {
    let mut events = history(texts);
    let mut asked = std::collections::BTreeSet::new();
    loop {
        let mut world = World::default();
        let verdicts: Vec<Verdict> = events.iter().map(|event| world.apply(event, policy).0).collect();
        let questions: Vec<(usize, Question)> = verdicts
            .iter()
            .enumerate()
            .flat_map(|(n, verdict)| verdict.questions.iter().map(move |question| (n, question.clone())))
            .collect();
        if questions.is_empty() {
            return (world, verdicts, events);
        }
        for (n, question) in questions {
            assert!(
                asked.insert((events[n].reference, question.clone())),
                "asked twice: {question:?}"
            );
            events[n].inputs.keep(&question, answer(&question));
        }
    }
}

fn link(policy: &Policy, texts: &[&str]) -> Option<String> {
    let (world, _, _) = told(policy, texts);
    person(&world, "ada").linked_customer().map(str::to_owned)
}

#[test]
fn only_a_reliable_address_links() {
    let verified: &[(&[&str], Option<&str>)] = &[
        (&["created ada email=ada@x.org verified=true"], Some("C-1")),
        (&["created ada email=ADA@X.org verified=true"], Some("C-1")),
        (&["created ada email=ada@x.org"], None),
        (&["created ada email=ada@x.org verified=false"], None),
        (&["created ada email=nobody@x.org verified=true"], None),
        (&["created ada"], None),
        // it becomes one later
        (
            &["created ada email=ada@x.org", "updated ada verified=true"],
            Some("C-1"),
        ),
        (
            &[
                "created ada email=ada@x.org verified=false",
                "updated ada email=bea@x.org verified=true",
            ],
            Some("C-2"),
        ),
        (
            &[
                "created ada email=ada@x.org verified=true",
                "updated ada email=bea@x.org",
            ],
            Some("C-1"),
        ),
        // once
        (
            &[
                "created ada email=ada@x.org verified=true",
                "updated ada email=bea@x.org verified=true",
            ],
            Some("C-1"),
        ),
        (
            &[
                "created ada email=nobody@x.org verified=true",
                "updated ada email=bea@x.org verified=true",
            ],
            Some("C-2"),
        ),
        // news before the creation
        (&["updated ada email=ada@x.org verified=true"], Some("C-1")),
        (
            &["joined ada org=acme", "created ada email=ada@x.org verified=true"],
            Some("C-1"),
        ),
        // two who turn out to be one
        (
            &[
                "updated eve email=ada@x.org verified=true",
                "created ada",
                "renamed eve->ada",
            ],
            Some("C-1"),
        ),
        (
            &[
                "created ada email=bea@x.org verified=true",
                "renamed ada->eve",
                "renamed eve->ada",
            ],
            Some("C-2"),
        ),
    ];
    for (texts, expected) in verified {
        assert_eq!(link(&looking(true), texts).as_deref(), *expected, "{texts:?}");
    }
    let silent: &[(&[&str], Option<&str>)] = &[
        (&["created ada email=ada@x.org"], Some("C-1")),
        (&["created ada email=ada@x.org verified=false"], None),
        (&["created ada", "updated ada email=ada@x.org"], Some("C-1")),
        (&["created ada", "updated ada phone=1"], None),
    ];
    for (texts, expected) in silent {
        assert_eq!(link(&looking(false), texts).as_deref(), *expected, "{texts:?}");
    }
    assert_eq!(
        link(&policy(), &["created ada email=ada@x.org verified=true"]),
        None,
        "not configured"
    );
}

#[test]
fn an_activation_is_guarded_by_what_it_requires() {
    let ada = "created ada email=ada@x.org verified=true";
    let bea = "created ada email=bea@x.org verified=true";
    let rejected = "rejected: requirements_missing";
    let cases: &[(&[&str], &str)] = &[
        (&[ada, "activated ada"], "applied"),
        (&[bea, "activated ada"], rejected),
        // nobody is linked, which is not enough
        (&["created ada", "activated ada"], rejected),
        (&["activated ada"], rejected),
        // no guard where there is no legal activation, and none for other transitions
        (&[ada, "activated ada", "activated ada"], "ignored: illegal_transition"),
        (&[bea, "archived ada"], "ignored: illegal_transition"),
        (&[ada, "deleted ada", "activated ada"], "ignored: after_deletion"),
        // linked only later
        (
            &[
                "created ada email=ada@x.org",
                "activated ada",
                "updated ada verified=true",
            ],
            "applied",
        ),
    ];
    for (texts, expected) in cases {
        let (_, verdicts, _) = told(&looking(true), texts);
        let last = verdicts.last().expect("a verdict");
        assert_eq!(outcome(last), *expected, "{texts:?}");
    }
    let (world, _, _) = told(&looking(true), &["activated ada"]);
    assert!(world.holders.is_empty(), "a rejected activation makes nobody");
    let (world, verdicts, _) = told(&looking(true), &[ada, "activated ada"]);
    let made = &verdicts[1].effects.profiles_made;
    assert_eq!(person(&world, "ada").profiles.len(), 2, "{made:?}");
}

#[test]
fn what_was_answered_once_is_not_asked_again() {
    let policy = looking(true);
    let texts = &[
        "created ada email=ada@x.org verified=true",
        "activated ada",
        "updated ada phone=1",
    ];
    let (whole, verdicts, events) = told(&policy, texts);
    let mut world = World::default();
    for (event, verdict) in events.iter().zip(&verdicts) {
        let stored = serde_json::to_string(&event.inputs).expect("inputs are JSON");
        let again = Event {
            inputs: serde_json::from_str(&stored).expect("inputs are read again"),
            ..event.clone()
        };
        assert_eq!(world.apply(&again, &policy).0, *verdict);
    }
    assert_eq!(world, whole);
    assert!(events[2].inputs.is_empty(), "what needs no answer has none");
}

#[test]
fn a_row_of_the_application_becomes_a_membership() {
    let mut policy = looking(true);
    policy.lookup.as_mut().expect("a rule").place = CustomerPlace::Own;
    let row = "00000000-0000-4000-8000-000000000001";
    let found = |organization: &str| {
        Some(Found {
            id: row.to_owned(),
            organization_id: organization.to_owned(),
            made: false,
        })
    };
    let mut created = event(1, "created ada email=ada@x.org verified=true");
    created.inputs.customers.insert("ada@x.org".to_owned(), found("acme"));
    let mut world = World::default();
    world.apply(&created, &policy);
    assert_eq!(picture(&world)[0].split(' ').next_back(), Some("+acme"));
    assert_eq!(person(&world, "ada").linked_customer(), Some(row));
    // A row for no organization is none to fall back to.
    let mut nowhere = event(1, "created eve email=ada@x.org verified=true");
    nowhere.inputs.customers.insert("ada@x.org".to_owned(), found(""));
    let mut alone = World::default();
    for event in [nowhere, event(2, "joined eve org=acme"), event(3, "left eve org=acme")] {
        alone.apply(&event, &policy);
    }
    let profile = &person(&alone, "eve").profiles[&policy.customer_type];
    assert_eq!(profile.organization_id, None);
    // Nobody else gets the same row, and leaving ends the link.
    let mut other = event(2, "created bob email=ada@x.org verified=true");
    other.inputs.clone_from(&created.inputs);
    world.apply(&other, &policy);
    assert_eq!(person(&world, "bob").linked_customer(), None);
    world.apply(&event(3, "left ada org=acme"), &policy);
    assert_eq!(person(&world, "ada").linked_customer(), None);
    // A join takes the row that stands there already.
    let mut joined = event(4, "joined bob org=acme");
    let asked = world.clone().apply(&joined, &policy).0.questions;
    assert!(
        matches!(&asked[..], [Question::Row { user_id, .. }] if user_id == "bob"),
        "{asked:?}"
    );
    joined.inputs.keep(&asked[0], Answer::Found(found("acme")));
    world.apply(&joined, &policy);
    let customer = &person(&world, "bob").customers["acme"];
    assert_eq!(customer.found.map(|row| row.to_string()).as_deref(), Some(row));
}
