//! Every cell of the table of section 3, with its sub-cases: what a run of random histories has to visit.

/// `(row, columns)` as `visit` names them.
pub(crate) const CELLS: [(&str, &[&str]); 13] = [
    (
        "created",
        &[
            "key real",
            "key provisional",
            "alias real",
            "alias provisional",
            "tombstone",
            "unknown",
        ],
    ),
    ("updated", &["key", "alias", "tombstone", "unknown"]),
    (
        "renamed no move",
        &[
            "key absent",
            "key own key",
            "alias absent",
            "alias own key",
            "alias current key",
            "tombstone",
            "unknown",
        ],
    ),
    (
        "renamed free",
        &[
            "key to unknown",
            "key to tombstone",
            "key back to own alias",
            "key to alias of another",
            "alias to unknown",
            "alias to tombstone",
            "alias back to own alias",
            "alias to alias of another",
            "tombstone",
            "unknown",
        ],
    ),
    (
        "renamed in use",
        &[
            "key renamed survives",
            "key holder survives",
            "key both provisional",
            "key key_taken",
            "alias renamed survives",
            "alias holder survives",
            "alias both provisional",
            "alias key_taken",
            "tombstone",
            "unknown",
        ],
    ),
    ("deleted", &["key", "alias", "tombstone", "unknown"]),
    (
        "joined",
        &[
            "key first",
            "key again",
            "alias first",
            "alias again",
            "tombstone",
            "unknown",
        ],
    ),
    (
        "left",
        &[
            "key member",
            "key no member",
            "alias member",
            "alias no member",
            "tombstone",
            "unknown",
        ],
    ),
    ("activated", TRANSITION),
    ("archived", TRANSITION),
    ("reactivated", TRANSITION),
    (
        "protected",
        &[
            "deleted from known",
            "deleted from unknown",
            "renamed from known",
            "renamed from unknown",
            "renamed to known",
            "renamed to unknown",
        ],
    ),
    ("unknown_profile_type", &["activated", "archived", "reactivated"]),
];

const TRANSITION: &[&str] = &[
    "key legal",
    "key illegal",
    "alias legal",
    "alias illegal",
    "tombstone",
    "unknown legal",
    "unknown illegal",
];
