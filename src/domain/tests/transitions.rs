//! The workflow of profiles: types, and what activation creates.

use super::*;

fn creating() -> Policy {
    let mut policy = policy();
    policy.profiles[0].activation_creates = vec!["partner".to_owned(), "unheard_of".to_owned()];
    policy
}

#[test]
fn a_transition_means_the_first_type_unless_it_names_one() {
    let both = &["created ada profiles=client,partner"];
    holds(
        &policy(),
        &[
            cell(
                both,
                "activated ada",
                "applied",
                &["ada user client:active partner:draft"],
            ),
            cell(
                both,
                "activated ada type=partner",
                "applied",
                &["ada user client:draft partner:active"],
            ),
        ],
    );
}

#[test]
fn a_type_that_the_user_lacks_is_made_first_in_its_initial_status() {
    let mut policy = policy();
    policy.profiles[1].initial = Status::Active;
    policy.profiles[2].initial = Status::Archived;
    let given = &["created ada"];
    holds(
        &policy,
        &[
            cell(
                given,
                "archived ada type=partner",
                "applied",
                &["ada user client:draft partner:archived"],
            ),
            cell(
                given,
                "reactivated ada type=guest",
                "applied",
                &["ada user client:draft guest:active"],
            ),
            // made, although the transition is illegal: that is a change
            cell(
                given,
                "activated ada type=partner",
                "applied: illegal_transition",
                &["ada user client:draft partner:active"],
            ),
            cell(
                given,
                "archived ada type=guest",
                "applied: illegal_transition",
                &["ada user client:draft guest:archived"],
            ),
            // now that it is there, nothing changes
            cell(
                &["created ada", "activated ada type=partner"],
                "activated ada type=partner",
                "ignored: illegal_transition",
                UNCHANGED,
            ),
            // a provisional user gets the profiles of a creation and then this one
            cell(
                &[],
                "archived ada type=partner",
                "applied",
                &["ada provisional client:draft partner:archived"],
            ),
            cell(
                &[],
                "activated ada type=guest",
                "applied: illegal_transition",
                &["ada provisional client:draft guest:archived"],
            ),
        ],
    );
}

#[test]
fn a_type_that_is_not_configured_is_rejected_before_the_key_is_looked_up() {
    for transition in ["activated", "archived", "reactivated"] {
        let event = format!("{transition} ada type=wizard");
        holds(
            &policy(),
            &[
                cell(&[], &event, "rejected: unknown_profile_type", UNCHANGED),
                cell(&["created ada"], &event, "rejected: unknown_profile_type", UNCHANGED),
                cell(&["deleted ada"], &event, "rejected: unknown_profile_type", UNCHANGED),
                cell(
                    &["created ada", "activated ada"],
                    &event,
                    "rejected: unknown_profile_type",
                    UNCHANGED,
                ),
            ],
        );
    }
}

#[test]
fn what_activation_creates_is_created_by_a_legal_activation_only() {
    holds(
        &creating(),
        &[
            cell(
                &["created ada"],
                "activated ada",
                "applied",
                &["ada user client:active partner:draft"],
            ),
            cell(
                &[],
                "activated ada",
                "applied",
                &["ada provisional client:active partner:draft"],
            ),
            cell(
                &["created ada"],
                "activated ada type=guest",
                "applied",
                &["ada user client:draft guest:active"],
            ),
            // illegal
            cell(
                &[],
                "archived ada",
                "applied: illegal_transition",
                &["ada provisional client:draft"],
            ),
            // legal, but no activation
            cell(
                &[
                    "created ada profiles=none",
                    "activated ada type=guest",
                    "archived ada type=guest",
                ],
                "reactivated ada type=guest",
                "applied",
                &["ada user guest:active"],
            ),
            // already there: it stays as it is
            cell(
                &["created ada profiles=client,partner", "activated ada type=partner"],
                "activated ada",
                "applied",
                &["ada user client:active partner:active"],
            ),
        ],
    );
    let mut archived = creating();
    archived.profiles[0].initial = Status::Archived;
    holds(
        &archived,
        &[
            cell(
                &["created ada"],
                "reactivated ada",
                "applied",
                &["ada user client:active"],
            ),
            cell(
                &["created ada"],
                "activated ada",
                "ignored: illegal_transition",
                UNCHANGED,
            ),
        ],
    );
}

#[test]
fn effects_tell_the_transition() {
    let effects = |texts: &[&str]| verdict(&creating(), texts).effects;
    let made = effects(&["activated ada"]);
    assert_eq!(made.began.as_deref(), Some("provisional"));
    assert_eq!(made.profiles_made, ["client", "partner"]);
    assert_eq!(
        made.transition,
        Some(("client".to_owned(), "draft".to_owned(), "active".to_owned()))
    );
    assert_eq!(effects(&["archived ada"]).transition, None);
}
