//! Creations, first and second ones, and the profiles that a user gets.

use super::*;

#[test]
fn created_on_an_alias_begins_a_new_person_unless_the_person_is_provisional() {
    holds(
        &policy(),
        &[
            cell(
                &["created ada phone=1", "renamed ada->ben"],
                "created ada",
                "applied",
                &["ada user client:draft", "ben user phone=1 client:draft"],
            ),
            cell(
                &["renamed ada->ben phone=1"],
                "created ada full_name=Ada",
                "applied",
                &["ada -> ben", "ben user full_name=Ada phone=1 client:draft"],
            ),
            cell(
                &["renamed ada->ben phone=1"],
                "created ben full_name=Ben",
                "applied",
                &["ada -> ben", "ben user full_name=Ben phone=1 client:draft"],
            ),
            // once real, the alias no longer waits for its creation
            cell(
                &["renamed ada->ben", "created ada"],
                "created ada phone=2",
                "applied",
                &["ada user phone=2 client:draft", "ben user client:draft"],
            ),
        ],
    );
}

#[test]
fn a_new_user_gets_the_configured_profiles_or_exactly_the_named_ones() {
    for (kind, is) in [("created", "user"), ("updated", "provisional")] {
        let line = |profiles: &str| format!("ada {is}{profiles}");
        let event = |words: &str| format!("{kind} ada {words}");
        holds(
            &policy(),
            &[
                cell(&[], &event(""), "applied", &[&line(" client:draft")]),
                cell(&[], &event("profiles=partner"), "applied", &[&line(" partner:draft")]),
                cell(
                    &[],
                    &event("profiles=client,guest"),
                    "applied",
                    &[&line(" client:draft guest:draft")],
                ),
                cell(&[], &event("profiles=none"), "applied", &[&line("")]),
                // unknown elements are dropped one by one; a list with nothing left counts as absent
                cell(
                    &[],
                    &event("profiles=partner,wizard"),
                    "applied",
                    &[&line(" !profile_types partner:draft")],
                ),
                cell(
                    &[],
                    &event("profiles=wizard"),
                    "applied",
                    &[&line(" !profile_types client:draft")],
                ),
            ],
        );
    }
    holds(
        &policy(),
        &[
            cell(
                &[],
                "renamed ada->ben profiles=partner",
                "applied",
                &["ada -> ben", "ben provisional partner:draft"],
            ),
            cell(
                &[],
                "renamed ada username=x profiles=none",
                "applied",
                &["ada provisional username=x"],
            ),
        ],
    );
}

#[test]
fn becoming_real_adds_the_configured_or_the_named_profiles() {
    holds(
        &policy(),
        &[
            cell(
                &["updated ada profiles=partner"],
                "created ada",
                "applied",
                &["ada user client:draft partner:draft"],
            ),
            cell(
                &["updated ada profiles=partner"],
                "created ada profiles=guest",
                "applied",
                &["ada user guest:draft partner:draft"],
            ),
            cell(
                &["updated ada profiles=partner"],
                "created ada profiles=none",
                "applied",
                &["ada user partner:draft"],
            ),
            cell(
                &["updated ada profiles=none"],
                "created ada",
                "applied",
                &["ada user client:draft"],
            ),
            cell(
                &["activated ada", "archived ada"],
                "created ada",
                "applied",
                &["ada user client:archived"],
            ),
        ],
    );
}

#[test]
fn later_events_add_the_named_profiles_and_none_removes_any() {
    let given = &["created ada profiles=partner", "activated ada type=partner"];
    for event in ["created ada", "updated ada", "renamed ada"] {
        let named = |words: &str| format!("{event} phone=1 {words}");
        holds(
            &policy(),
            &[
                cell(given, &named(""), "applied", &["ada user phone=1 partner:active"]),
                cell(
                    given,
                    &named("profiles=none"),
                    "applied",
                    &["ada user phone=1 partner:active"],
                ),
                cell(
                    given,
                    &named("profiles=partner"),
                    "applied",
                    &["ada user phone=1 partner:active"],
                ),
                cell(
                    given,
                    &named("profiles=guest"),
                    "applied",
                    &["ada user phone=1 guest:draft partner:active"],
                ),
                cell(
                    given,
                    &named("profiles=guest,wizard"),
                    "applied",
                    &["ada user phone=1 !profile_types guest:draft partner:active"],
                ),
                cell(
                    given,
                    &named("profiles=wizard"),
                    "applied",
                    &["ada user phone=1 !profile_types partner:active"],
                ),
            ],
        );
    }
    holds(
        &policy(),
        &[
            cell(
                given,
                "renamed ada->ben profiles=client",
                "applied",
                &["ada -> ben", "ben user client:draft partner:active"],
            ),
            cell(
                &["updated ada profiles=none"],
                "updated ada profiles=partner",
                "applied",
                &["ada provisional partner:draft"],
            ),
        ],
    );
}

#[test]
fn without_a_configured_type_at_creation_nothing_is_made() {
    let policy = Policy {
        profiles: vec![rule("client", CreateOn::Activation)],
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(&[], "created ada", "applied", &["ada user"]),
            cell(
                &[],
                "created ada profiles=client",
                "applied",
                &["ada user client:draft"],
            ),
            cell(
                &["created ada"],
                "activated ada",
                "applied",
                &["ada user client:active"],
            ),
        ],
    );
}

#[test]
fn created_via_tells_how_the_user_came_to_be_known() {
    for (texts, via) in [
        (&["created ada"][..], "event"),
        (&["created ada backfill"], "backfill"),
        (&["updated ada"], "implicit"),
        (&["updated ada backfill"], "implicit"),
        (&["renamed ada->ben", "updated ada"], "implicit"),
        (&["joined ada org=acme"], "implicit"),
        (&["activated ada"], "implicit"),
        (&["updated ada", "created ada"], "event"),
        (&["updated ada", "created ada backfill"], "backfill"),
        // a real user stays what they are
        (&["created ada", "created ada backfill"], "event"),
        (&["created ada backfill", "created ada"], "backfill"),
    ] {
        assert_eq!(person(&world(&policy(), texts), "ada").via.name(), via, "{texts:?}");
    }
}

#[test]
fn sources_may_be_limited_to_some_types() {
    let policy = Policy {
        sources: vec![
            SourceRule {
                source: "hr".to_owned(),
                allow: vec!["user.created".to_owned(), "user.left".to_owned()],
            },
            SourceRule {
                source: "crm".to_owned(),
                allow: Vec::new(),
            },
        ],
        ..policy()
    };
    holds(
        &policy,
        &[
            cell(&[], "created ada from=hr", "applied", &["ada user client:draft"]),
            cell(&[], "left ada org=acme from=hr", "ignored: not_a_member", UNCHANGED),
            cell(&[], "updated ada from=hr", "rejected: source_not_allowed", UNCHANGED),
            cell(
                &["created ada"],
                "deleted ada from=hr",
                "rejected: source_not_allowed",
                UNCHANGED,
            ),
            cell(
                &["deleted ada"],
                "deleted ada from=hr",
                "rejected: source_not_allowed",
                UNCHANGED,
            ),
            cell(
                &[],
                "updated ada from=crm",
                "applied",
                &["ada provisional client:draft"],
            ),
            cell(
                &[],
                "updated ada from=other",
                "applied",
                &["ada provisional client:draft"],
            ),
        ],
    );
}
