//! The table of the contract, row by row; what its cells say in passing has a file of its own.

use super::*;

const DELETED: &[&str] = &["created ada", "deleted ada"];

#[test]
fn created() {
    holds(
        &policy(),
        &[
            // user is active: patch the set fields
            cell(
                &["created ada email=ada@example.com full_name=Ada"],
                "created ada username=ada full_name=Countess",
                "applied",
                &["ada user email=ada@example.com username=ada full_name=Countess client:draft"],
            ),
            // a provisional user becomes a real one
            cell(
                &["updated ada phone=1"],
                "created ada full_name=Ada",
                "applied",
                &["ada user full_name=Ada phone=1 client:draft"],
            ),
            // key is a tombstone: a new person begins at this key
            cell(
                &["created ada phone=1", "deleted ada"],
                "created ada",
                "applied",
                &["ada user client:draft"],
            ),
            cell(
                &["deleted ada"],
                "created ada phone=2",
                "applied",
                &["ada user phone=2 client:draft"],
            ),
            // key is unknown: new user; its profiles
            cell(
                &[],
                "created ada phone=1",
                "applied",
                &["ada user phone=1 client:draft"],
            ),
            cell(
                &["created ben"],
                "created ada",
                "applied",
                &["ada user client:draft", "ben user client:draft"],
            ),
        ],
    );
}

#[test]
fn a_password_reset_means_nothing_to_the_fold() {
    holds(
        &policy(),
        &[
            cell(&["created ada phone=1"], "password_reset ada", "applied", UNCHANGED),
            cell(&["updated ada phone=1"], "password_reset ada", "applied", UNCHANGED),
            cell(DELETED, "password_reset ada", "ignored: after_deletion", UNCHANGED),
            // Not even a provisional user is made.
            cell(&["created ben"], "password_reset ada", "applied", UNCHANGED),
        ],
    );
}

#[test]
fn updated() {
    holds(
        &policy(),
        &[
            // user is active: patch
            cell(
                &["created ada phone=1 full_name=Ada"],
                "updated ada phone=null username=ada",
                "applied",
                &["ada user username=ada full_name=Ada client:draft"],
            ),
            cell(
                &["updated ada phone=1"],
                "updated ada phone=2",
                "applied",
                &["ada provisional phone=2 client:draft"],
            ),
            // key is a tombstone
            cell(DELETED, "updated ada phone=1", "ignored: after_deletion", UNCHANGED),
            // key is unknown: provisional user with what is known
            cell(
                &[],
                "updated ada phone=1",
                "applied",
                &["ada provisional phone=1 client:draft"],
            ),
        ],
    );
}

#[test]
fn renamed_where_no_key_moves() {
    for nowhere in ["ada", "ada->ada"] {
        let renamed = format!("renamed {nowhere} email=new@example.com username=new");
        holds(
            &policy(),
            &[
                cell(
                    &["created ada email=old@example.com full_name=Ada"],
                    &renamed,
                    "applied",
                    &["ada user email=new@example.com username=new full_name=Ada client:draft"],
                ),
                cell(DELETED, &renamed, "ignored: after_deletion", UNCHANGED),
                cell(
                    &[],
                    &renamed,
                    "applied",
                    &["ada provisional email=new@example.com username=new client:draft"],
                ),
            ],
        );
    }
}

#[test]
fn renamed_to_a_free_key() {
    holds(
        &policy(),
        &[
            // user is active: the current key moves, it becomes an alias; patch
            cell(
                &["created ada phone=1"],
                "renamed ada->ben username=ben",
                "applied",
                &["ada -> ben", "ben user username=ben phone=1 client:draft"],
            ),
            cell(
                &["updated ada phone=1"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben provisional phone=1 client:draft"],
            ),
            // … and is free to be created again
            cell(
                &["created ada phone=1", "renamed ada->ben"],
                "created ada phone=2",
                "applied",
                &["ada user phone=2 client:draft", "ben user phone=1 client:draft"],
            ),
            // key is a tombstone
            cell(DELETED, "renamed ada->ben", "ignored: after_deletion", UNCHANGED),
            // key is unknown, the new key is active: only an alias
            cell(
                &["created ben phone=1"],
                "renamed ada->ben phone=2",
                "applied: already_renamed",
                &["ada -> ben", "ben user phone=1 client:draft"],
            ),
            // key is unknown, the new key is not active: provisional user at the new key, old key its alias
            cell(
                &[],
                "renamed ada->ben phone=1",
                "applied",
                &["ada -> ben", "ben provisional phone=1 client:draft"],
            ),
            cell(
                &["created cid phone=1", "renamed cid->dan"],
                "renamed ada->cid",
                "applied",
                &[
                    "ada -> cid",
                    "cid provisional client:draft",
                    "dan user phone=1 client:draft",
                ],
            ),
            cell(
                &["deleted ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben provisional client:draft"],
            ),
        ],
    );
}

#[test]
fn renamed_to_a_key_in_use() {
    holds(
        &policy(),
        &[
            // both real
            cell(
                &["created ada", "created ben"],
                "renamed ada->ben phone=1",
                "rejected: key_taken",
                UNCHANGED,
            ),
            // one of the two is provisional: they merge
            cell(
                &["created ada phone=1", "updated ben phone=2 username=ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user username=ben phone=1 client:draft"],
            ),
            cell(
                &["updated ada phone=1 username=ada", "created ben phone=2"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben user username=ada phone=2 client:draft"],
            ),
            // both provisional: the renamed one survives
            cell(
                &["updated ada phone=1", "updated ben phone=2 username=ben"],
                "renamed ada->ben",
                "applied",
                &["ada -> ben", "ben provisional username=ben phone=1 client:draft"],
            ),
            // key is a tombstone
            cell(
                &["created ada", "deleted ada", "created ben"],
                "renamed ada->ben",
                "ignored: after_deletion",
                UNCHANGED,
            ),
            // key is unknown, the new key provisional: see above
            cell(
                &["updated ben phone=1"],
                "renamed ada->ben phone=2",
                "applied: already_renamed",
                &["ada -> ben", "ben provisional phone=1 client:draft"],
            ),
        ],
    );
}

#[test]
fn deleted() {
    holds(
        &policy(),
        &[
            // user is active: tombstone; profiles gone
            cell(
                &["created ada", "joined ada org=acme"],
                "deleted ada",
                "applied",
                &["ada +"],
            ),
            cell(&["updated ada"], "deleted ada", "applied", &["ada +"]),
            cell(
                &["created ada", "renamed ada->ben"],
                "deleted ada",
                "applied",
                &["ada +", "ben +"],
            ),
            // key is a tombstone
            cell(DELETED, "deleted ada", "ignored: already_deleted", UNCHANGED),
            // key is unknown: tombstone, applied
            cell(&[], "deleted ada", "applied", &["ada +"]),
        ],
    );
}

#[test]
fn joined() {
    holds(
        &policy(),
        &[
            // user is active: customer row; the customer profile gets this organization, and only it
            cell(
                &["created ada profiles=client,partner"],
                "joined ada org=acme name=Acme",
                "applied",
                &["ada user client:draft@acme partner:draft +acme(Acme)"],
            ),
            // the customer profile is made if missing
            cell(
                &["created ada profiles=partner"],
                "joined ada org=acme",
                "applied",
                &["ada user client:draft@acme partner:draft +acme"],
            ),
            // key is a tombstone
            cell(DELETED, "joined ada org=acme", "ignored: after_deletion", UNCHANGED),
            // key is unknown: provisional user, then as active
            cell(
                &[],
                "joined ada org=acme",
                "applied",
                &["ada provisional client:draft@acme +acme"],
            ),
        ],
    );
}

#[test]
fn left() {
    let member = &["created ada", "joined ada org=acme", "joined ada org=book"];
    holds(
        &policy(),
        &[
            // user is active: the customer row goes; the profile falls back to what was joined last, or null
            cell(
                member,
                "left ada org=book",
                "applied",
                &["ada user client:draft@acme +acme"],
            ),
            cell(
                member,
                "left ada org=acme",
                "applied",
                &["ada user client:draft@book +book"],
            ),
            cell(&member[..2], "left ada org=acme", "applied", &["ada user client:draft"]),
            cell(member, "left ada org=other", "ignored: not_a_member", UNCHANGED),
            cell(
                &["created ada org=acme"],
                "left ada org=acme",
                "ignored: not_a_member",
                UNCHANGED,
            ),
            // key is a tombstone
            cell(
                &["created ada", "joined ada org=acme", "deleted ada"],
                "left ada org=acme",
                "ignored: after_deletion",
                UNCHANGED,
            ),
            // key is unknown: no user is made
            cell(&[], "left ada org=acme", "ignored: not_a_member", &[]),
        ],
    );
}

#[test]
fn activated_archived_reactivated() {
    let active = &["created ada", "activated ada"];
    let archived = &["created ada", "activated ada", "archived ada"];
    holds(
        &policy(),
        &[
            // user is active: the transition, if legal
            cell(
                &["created ada"],
                "activated ada",
                "applied",
                &["ada user client:active"],
            ),
            cell(active, "archived ada", "applied", &["ada user client:archived"]),
            cell(archived, "reactivated ada", "applied", &["ada user client:active"]),
            // else illegal_transition
            cell(active, "activated ada", "ignored: illegal_transition", UNCHANGED),
            cell(archived, "activated ada", "ignored: illegal_transition", UNCHANGED),
            cell(
                &["created ada"],
                "archived ada",
                "ignored: illegal_transition",
                UNCHANGED,
            ),
            cell(archived, "archived ada", "ignored: illegal_transition", UNCHANGED),
            cell(
                &["created ada"],
                "reactivated ada",
                "ignored: illegal_transition",
                UNCHANGED,
            ),
            cell(active, "reactivated ada", "ignored: illegal_transition", UNCHANGED),
            // key is a tombstone
            cell(DELETED, "activated ada", "ignored: after_deletion", UNCHANGED),
            cell(DELETED, "archived ada", "ignored: after_deletion", UNCHANGED),
            cell(DELETED, "reactivated ada", "ignored: after_deletion", UNCHANGED),
            // key is unknown: provisional user, then as active
            cell(&[], "activated ada", "applied", &["ada provisional client:active"]),
            cell(
                &[],
                "archived ada",
                "applied: illegal_transition",
                &["ada provisional client:draft"],
            ),
            cell(
                &[],
                "reactivated ada",
                "applied: illegal_transition",
                &["ada provisional client:draft"],
            ),
        ],
    );
}
