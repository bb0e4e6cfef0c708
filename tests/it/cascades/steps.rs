//! What each choice does to rows, and what the ledger says of it.

use anyhow::Result;
use rollcall::apply::Settled;
use serde_json::json;

use super::{applier, cascade, fill, noted, table, users};
use crate::world::{Base, Stream, apply, apply_cut, on_both};

on_both!(
    every_choice_does_what_it_says,
    swaps_and_chains_work_on_unique_columns_too,
    addresses_and_names_are_followed_unless_others_have_them,
    every_old_value_follows_and_nobody_elses,
    rows_can_stand_in_the_way_of_a_deletion,
    a_missing_counterpart_is_a_warning,
    people_nobody_knew_are_followed_as_well,
    two_columns_of_one_table_are_two_steps,
);

async fn every_choice_does_what_it_says(base: Base) -> Result<()> {
    let mut lines = String::new();
    for (name, choices) in [
        ("permissions", "on_delete = \"delete\""),
        ("sessions", "on_rename = \"delete\"\non_delete = \"delete\""),
        ("hints", "on_rename = \"nullify\"\non_delete = \"nullify\""),
        ("orders", "on_rename = \"keep\"\non_delete = \"keep\""),
        ("reviews", "on_delete = \"anonymise\""),
    ] {
        table(&base, name, &["a", "a", "b", "x"]).await?;
        lines.push_str(&cascade(name, choices));
    }
    let applier = applier(&base, &lines).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("created", "2", 2, json!({"user_id": "b"}))
        .say("renamed", "3", 3, json!({"user_id": "a", "new_user_id": "c"}));
    apply(&applier, &stream.messages).await?;
    for (name, expected) in [
        ("permissions", "1 c / 2 c / 3 b / 4 x"),
        ("sessions", "3 b / 4 x"),
        ("hints", "1 - / 2 - / 3 b / 4 x"),
        ("orders", "1 a / 2 a / 3 b / 4 x"),
        ("reviews", "1 c / 2 c / 3 b / 4 x"),
    ] {
        assert_eq!(users(&base, name).await?, expected, "{name} after the rename");
    }
    let expected = json!({"permissions": 2, "sessions": 2, "hints": 2, "reviews": 2});
    assert_eq!(noted(&base, "3").await?, expected);
    assert_eq!(noted(&base, "1").await?, json!(null));

    let mut more = stream.clone();
    more.say("deleted", "4", 4, json!({"user_id": "c"}))
        .say("deleted", "5", 5, json!({"user_id": "b"}));
    apply(&applier, &more.messages[3..]).await?;
    let mark = |name: &str| format!("deleted-{}", &hex(name)[..16]);
    let anonymous = format!("1 {a} / 2 {a} / 3 {b} / 4 x", a = mark("1"), b = mark("2"));
    for (name, expected) in [
        ("permissions", "4 x"),
        ("sessions", "4 x"),
        ("hints", "1 - / 2 - / 3 - / 4 x"),
        // Rows that kept the first key of a user are theirs as long as the user is there.
        ("orders", "1 a / 2 a / 3 b / 4 x"),
        ("reviews", anonymous.as_str()),
    ] {
        assert_eq!(users(&base, name).await?, expected, "{name} after the deletions");
    }
    let expected = json!({"permissions": 2, "sessions": 0, "hints": 0, "reviews": 2});
    assert_eq!(noted(&base, "4").await?, expected);
    let expected = json!({"permissions": 1, "sessions": 1, "hints": 1, "reviews": 1});
    assert_eq!(noted(&base, "5").await?, expected);
    Ok(())
}

/// The name under which the fold knows the event with this id.
fn hex(id: &str) -> String {
    format!("{:?}", rollcall::envelope::reference("idp", id))
}

async fn swaps_and_chains_work_on_unique_columns_too(base: Base) -> Result<()> {
    for name in ["settings", "plain"] {
        table(&base, name, &["a", "b", "c"]).await?;
    }
    base.execute("CREATE UNIQUE INDEX settings_one ON settings (\"user\")")
        .await?;
    let lines = format!("{}{}", cascade("settings", ""), cascade("plain", ""));
    let applier = applier(&base, &lines).await?;
    let mut stream = Stream::new();
    for (id, user) in [("1", "a"), ("2", "b"), ("3", "c")] {
        stream.say("created", id, 1, json!({"user_id": user}));
    }
    // a and b change places; c goes to d, and a newcomer comes to c and goes to e.
    for (id, from, to) in [("4", "a", "x"), ("5", "b", "a"), ("6", "x", "b"), ("7", "c", "d")] {
        let minute = id.parse::<i64>()?;
        stream.say("renamed", id, minute, json!({"user_id": from, "new_user_id": to}));
    }
    apply(&applier, &stream.messages).await?;
    for name in ["settings", "plain"] {
        assert_eq!(users(&base, name).await?, "1 b / 2 a / 3 d", "{name}");
    }
    assert_eq!(noted(&base, "4").await?, json!({"settings": 1, "plain": 1}));
    assert_eq!(noted(&base, "5").await?, json!({"settings": 1, "plain": 1}));
    assert_eq!(noted(&base, "6").await?, json!({"settings": 1, "plain": 1}));
    Ok(())
}

async fn addresses_and_names_are_followed_unless_others_have_them(base: Base) -> Result<()> {
    table(&base, "letters", &["a@x.org", "both@x.org", "b@x.org"]).await?;
    table(&base, "handles", &["ada", "bob"]).await?;
    let lines = format!(
        "{}{}",
        cascade("letters", "key = \"email\"\non_delete = \"delete\""),
        cascade("handles", "key = \"username\"\non_delete = \"nullify\"")
    );
    let applier = applier(&base, &lines).await?;
    let mut stream = Stream::new();
    stream
        .say(
            "created",
            "1",
            1,
            json!({"user_id": "a", "email": "a@x.org", "username": "ada"}),
        )
        .say(
            "created",
            "2",
            1,
            json!({"user_id": "b", "email": "both@x.org", "username": "bob"}),
        )
        .say("created", "3", 1, json!({"user_id": "c", "email": "both@x.org"}))
        .say(
            "updated",
            "4",
            2,
            json!({"user_id": "a", "email": "new@x.org", "username": "countess"}),
        )
        .say("updated", "5", 3, json!({"user_id": "b", "email": "b2@x.org"}))
        .say("updated", "6", 4, json!({"user_id": "a", "email": null}))
        .say("deleted", "7", 5, json!({"user_id": "b"}));
    // One at a time, so that others are known only to the database.
    apply_cut(&applier, &stream, 1).await?;
    assert_eq!(users(&base, "letters").await?, "1 new@x.org / 2 both@x.org / 3 b@x.org");
    assert_eq!(users(&base, "handles").await?, "1 countess / 2 -");
    assert_eq!(noted(&base, "4").await?, json!({"letters": 1, "handles": 1}));
    assert_eq!(
        noted(&base, "5").await?,
        json!({"letters": {"rows": 0, "note": "ambiguous"}})
    );
    assert_eq!(
        noted(&base, "6").await?,
        json!(null),
        "an address that is gone leaves rows where they are"
    );
    assert_eq!(noted(&base, "7").await?, json!({"letters": 0, "handles": 1}));
    Ok(())
}

async fn every_old_value_follows_and_nobody_elses(base: Base) -> Result<()> {
    // Rows at b and c are of nobody yet; the application may have been quicker.
    table(&base, "permissions", &["a", "b", "c", "d"]).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("renamed", "2", 2, json!({"user_id": "a", "new_user_id": "b"}))
        .say("renamed", "3", 3, json!({"user_id": "b", "new_user_id": "c"}))
        .say("created", "4", 4, json!({"user_id": "b"}));
    apply(&applier, &stream.messages).await?;
    assert_eq!(users(&base, "permissions").await?, "1 c / 2 c / 3 c / 4 d");
    assert_eq!(noted(&base, "2").await?, json!({"permissions": 1}));
    assert_eq!(noted(&base, "3").await?, json!({"permissions": 2}));
    // The application writes an old key once more, and one that is somebody else's now.
    fill(&base, "permissions", &["a", "b"]).await?;
    stream.say("renamed", "5", 5, json!({"user_id": "c", "new_user_id": "e"}));
    apply(&applier, &stream.messages[4..]).await?;
    assert_eq!(users(&base, "permissions").await?, "1 e / 1 e / 2 b / 2 e / 3 e / 4 d");
    Ok(())
}

async fn rows_can_stand_in_the_way_of_a_deletion(base: Base) -> Result<()> {
    table(&base, "permissions", &["a", "b"]).await?;
    table(&base, "debts", &["a"]).await?;
    let lines = format!(
        "{}{}",
        cascade("permissions", "on_delete = \"delete\""),
        cascade("debts", "on_delete = \"restrict\"")
    );
    let applier = applier(&base, &lines).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("created", "2", 1, json!({"user_id": "b"}))
        .say("deleted", "3", 2, json!({"user_id": "b"}))
        .say("deleted", "4", 3, json!({"user_id": "a"}));
    apply(&applier, &stream.messages[..3]).await?;
    let error = apply(&applier, &stream.messages[3..])
        .await
        .expect_err("there is a debt");
    let told = rollcall::failure::fault(&error).to_string();
    assert_eq!(told, "cascade debts failed: 1 rows stand in the way of the deletion");
    assert_eq!(users(&base, "permissions").await?, "1 a", "nothing of it is done");
    assert_eq!(noted(&base, "3").await?, json!({"permissions": 1, "debts": 0}));
    base.execute("DELETE FROM debts").await?;
    assert_eq!(apply(&applier, &stream.messages[3..]).await?, [Settled::Applied(None)]);
    assert_eq!(users(&base, "permissions").await?, "");
    Ok(())
}

async fn a_missing_counterpart_is_a_warning(base: Base) -> Result<()> {
    table(&base, "desk_users", &["a"]).await?;
    let applier = applier(
        &base,
        &cascade("desk_users", "on_delete = \"delete\"\nexpect_rows = true"),
    )
    .await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("created", "2", 1, json!({"user_id": "b"}))
        .say("deleted", "3", 2, json!({"user_id": "a"}))
        .say("deleted", "4", 2, json!({"user_id": "b"}));
    apply(&applier, &stream.messages).await?;
    assert_eq!(noted(&base, "3").await?, json!({"desk_users": 1}));
    let expected = json!({"desk_users": {"rows": 0, "note": "sync_warning"}});
    assert_eq!(noted(&base, "4").await?, expected);
    Ok(())
}

async fn people_nobody_knew_are_followed_as_well(base: Base) -> Result<()> {
    table(&base, "permissions", &["old", "gone", "merged", "kept"]).await?;
    let applier = applier(&base, &cascade("permissions", "on_delete = \"delete\"")).await?;
    let mut stream = Stream::new();
    stream
        .say("renamed", "1", 1, json!({"user_id": "old", "new_user_id": "new"}))
        .say("deleted", "2", 2, json!({"user_id": "gone"}))
        // The news of kept came before the rename that brings merged there: they are one.
        .say("updated", "3", 3, json!({"user_id": "kept", "full_name": "K"}))
        .say("created", "4", 4, json!({"user_id": "merged"}))
        .say("renamed", "5", 5, json!({"user_id": "merged", "new_user_id": "kept"}));
    apply(&applier, &stream.messages).await?;
    assert_eq!(users(&base, "permissions").await?, "1 new / 3 kept / 4 kept");
    Ok(())
}

async fn two_columns_of_one_table_are_two_steps(base: Base) -> Result<()> {
    base.script(
        "CREATE TABLE notifications (sender text, \"select\" text); \
         CREATE INDEX n_sender ON notifications (sender); CREATE INDEX n_select ON notifications (\"select\"); \
         INSERT INTO notifications VALUES ('a', 'a'), ('a', 'b'), ('b', 'a'), ('b', 'b')",
    )
    .await?;
    let step = |column: &str| {
        format!("[[cascade]]\ntable = \"notifications\"\ncolumn = \"{column}\"\non_delete = \"delete\"\n")
    };
    let applier = applier(&base, &format!("{}{}", step("sender"), step("select"))).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a"}))
        .say("deleted", "2", 2, json!({"user_id": "a"}));
    apply(&applier, &stream.messages).await?;
    assert_eq!(base.line(&["sender", "\"select\""], "notifications").await?, "b b");
    let expected = json!({"notifications.sender": 2, "notifications.select": 1});
    assert_eq!(noted(&base, "2").await?, expected);
    Ok(())
}
