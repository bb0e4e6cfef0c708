//! Late events: rows follow the difference between what is stored and what should be; what was done is not undone.

use anyhow::Result;
use serde_json::json;

use super::{applier, cascade, noted, table, users};
use crate::world::{Base, Stream, Which, apply, apply_cut, on_both, said};

on_both!(
    a_late_rename_is_followed,
    a_late_rename_whose_key_somebody_has_held_since_is_ambiguous,
    a_late_deletion_comes_too_late_for_a_cascade,
    an_older_event_that_applies_at_last_is_followed,
    an_older_event_whose_required_step_fails_is_rejected,
    an_older_event_is_not_to_blame_for_another,
);

async fn a_late_rename_is_followed(base: Base) -> Result<()> {
    table(&base, "permissions", &["ada", "countess"]).await?;
    let applier = applier(&base, &cascade("permissions", "")).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "ada"}))
        .say("updated", "3", 3, json!({"user_id": "countess", "full_name": "C"}))
        .say("renamed", "2", 2, json!({"user_id": "ada", "new_user_id": "countess"}));
    apply_cut(&applier, &stream, 1).await?;
    assert_eq!(users(&base, "permissions").await?, "1 countess / 2 countess");
    assert_eq!(noted(&base, "2").await?, json!({"permissions": 1}));
    Ok(())
}

async fn a_late_rename_whose_key_somebody_has_held_since_is_ambiguous(base: Base) -> Result<()> {
    table(&base, "permissions", &["a"]).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("updated", "2", 2, json!({"user_id": "a", "full_name": "A"}))
        .say("updated", "3", 3, json!({"user_id": "a", "phone": "1"}))
        .say("created", "5", 5, json!({"user_id": "a", "full_name": "Other"}))
        .say("renamed", "4", 4, json!({"user_id": "a", "new_user_id": "b"}));
    apply_cut(&applier, &stream, 1).await?;
    assert_eq!(
        users(&base, "permissions").await?,
        "1 a",
        "whose row it is nobody can say"
    );
    assert_eq!(
        noted(&base, "4").await?,
        json!({"permissions": {"rows": 0, "note": "ambiguous"}})
    );
    Ok(())
}

async fn a_late_deletion_comes_too_late_for_a_cascade(base: Base) -> Result<()> {
    table(&base, "permissions", &["a"]).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("renamed", "3", 3, json!({"user_id": "a", "new_user_id": "b"}))
        .say("deleted", "2", 2, json!({"user_id": "a"}));
    apply_cut(&applier, &stream, 1).await?;
    assert_eq!(
        users(&base, "permissions").await?,
        "",
        "the rows of the person go wherever they are"
    );
    assert_eq!(
        noted(&base, "3").await?,
        json!({"permissions": 1}),
        "what was done stays said"
    );
    let expected = json!({"permissions": 1, "cascade_irreversible": ["idp 3"]});
    assert_eq!(noted(&base, "2").await?, expected);
    Ok(())
}

/// A rename that was refused, and a late deletion that makes room for it.
fn room_at_last() -> Stream {
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("created", "2", 1, json!({"user_id": "b"}))
        .say("renamed", "4", 4, json!({"user_id": "a", "new_user_id": "b"}))
        .say("deleted", "3", 3, json!({"user_id": "b"}));
    stream
}

async fn an_older_event_that_applies_at_last_is_followed(base: Base) -> Result<()> {
    table(&base, "permissions", &["a", "b"]).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let settled = apply_cut(&applier, &room_at_last(), 1).await?;
    assert_eq!(said(&settled)[2..], ["rejected key_taken", "applied"]);
    assert_eq!(
        base.line(&["outcome"], "@ledger WHERE event_id = '4'").await?,
        "applied"
    );
    // The row at b may be of the one who left or, for a while already, of the one who came.
    assert_eq!(users(&base, "permissions").await?, "1 b / 2 b");
    assert_eq!(noted(&base, "4").await?, json!({"permissions": 1}));
    assert_eq!(
        noted(&base, "3").await?,
        json!({"permissions": {"rows": 0, "note": "ambiguous"}})
    );
    Ok(())
}

async fn an_older_event_whose_required_step_fails_is_rejected(base: Base) -> Result<()> {
    table(&base, "permissions", &["a"]).await?;
    let refuse = match base.which {
        Which::Postgres => "ALTER TABLE permissions ADD CONSTRAINT no_b CHECK (\"user\" <> 'b')",
        Which::Sqlite => {
            "CREATE TRIGGER no_b BEFORE UPDATE ON permissions WHEN NEW.\"user\" = 'b' \
             BEGIN SELECT RAISE(ABORT, 'no b'); END"
        }
    };
    base.execute(refuse).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let mut stream = room_at_last();
    let settled = apply_cut(&applier, &stream, 1).await?;
    assert_eq!(
        said(&settled)[2..],
        ["rejected key_taken", "applied"],
        "the deletion is not to blame"
    );
    let columns = ["outcome", "reason"];
    assert_eq!(
        base.line(&columns, "@ledger WHERE event_id = '4'").await?,
        "rejected cascade_failed"
    );
    let open = "@dead_letters WHERE event_id = '4' AND resolved_at IS NULL";
    assert_eq!(base.line(&["reason"], open).await?, "cascade_failed");
    assert_eq!(users(&base, "permissions").await?, "1 a");
    // Both letters are sent, the one of before and the one that tells the new reason.
    let letters = base.lines(&["message_id"], "@outbox").await?;
    let reasons: Vec<&str> = letters.iter().filter_map(|id| id.rsplit(':').next()).collect();
    assert_eq!(reasons, ["cascade_failed", "key_taken"], "{letters:?}");
    // It stays so in every later fold.
    stream.say("updated", "5", 2, json!({"user_id": "a", "full_name": "A"}));
    apply(&applier, &stream.messages[4..]).await?;
    assert_eq!(
        base.line(&columns, "@ledger WHERE event_id = '4'").await?,
        "rejected cascade_failed"
    );
    assert_eq!(base.line(&["user_id", "full_name"], "@profiles").await?, "a A");
    Ok(())
}

/// A late deletion makes two older renames apply; the table of audit rows refuses one of them.
async fn an_older_event_is_not_to_blame_for_another(base: Base) -> Result<()> {
    base.execute("CREATE TABLE versions (docname varchar(80) NOT NULL CHECK (docname <> 'm'))")
        .await?;
    let lines = "[[audit]]\ntable = \"versions\"\ncolumns = { docname = \"{old_user_id}\" }\n";
    let applier = applier(&base, lines).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("created", "2", 1, json!({"user_id": "b"}))
        .say("created", "m", 1, json!({"user_id": "m"}))
        .say("renamed", "4", 4, json!({"user_id": "a", "new_user_id": "b"}))
        .say("renamed", "5", 5, json!({"user_id": "m", "new_user_id": "a"}))
        .say("deleted", "3", 3, json!({"user_id": "b"}));
    let settled = apply_cut(&applier, &stream, 1).await?;
    assert_eq!(
        said(&settled)[3..],
        ["rejected key_taken", "rejected key_taken", "applied"]
    );
    let outcomes = base
        .lines(
            &["event_id", "outcome", "reason"],
            "@ledger WHERE event_id IN ('3', '4', '5')",
        )
        .await?;
    assert_eq!(outcomes, ["3 applied -", "4 applied -", "5 rejected cascade_failed"]);
    assert_eq!(base.lines(&["docname"], "versions").await?, ["a", "b"]);
    Ok(())
}
