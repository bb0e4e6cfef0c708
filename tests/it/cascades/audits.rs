//! One row per renamed or deleted person.

use anyhow::Result;
use serde_json::json;

use super::{applier, cascade, noted, table};
use crate::world::{Base, Stream, Which, apply, on_both};

on_both!(
    a_row_tells_who_was_renamed_or_deleted,
    a_row_that_is_refused_costs_as_much_as_configured
);

const LINES: &str = r#"
[[audit]]
table = "versions"
columns = { docname = "{old_user_id}", renamed_to = "{new_user_id}", what = "user {action}: {{x}}", at = "{time}", data = "{change}", by_event = "{event_source}/{event_id} {event_type}", mail = "{email}" }
"#;

async fn versions(base: &Base) -> Result<()> {
    let (time, data) = match base.which {
        Which::Postgres => ("timestamptz", "jsonb"),
        Which::Sqlite => ("TEXT", "TEXT"),
    };
    base.script(&format!(
        "CREATE TABLE versions (docname varchar(80) NOT NULL, renamed_to text, what text NOT NULL, at {time} NOT NULL, \
         data {data}, by_event text, mail text, made text DEFAULT 'yes' NOT NULL)"
    ))
    .await
}

async fn a_row_tells_who_was_renamed_or_deleted(base: Base) -> Result<()> {
    versions(&base).await?;
    let applier = applier(&base, LINES).await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "o'{time}\"", "email": "a@x.org"}))
        .say("updated", "2", 2, json!({"user_id": "o'{time}\"", "full_name": "A"}))
        .say("renamed", "3", 3, json!({"user_id": "o'{time}\"", "new_user_id": "b"}))
        .say("renamed", "4", 4, json!({"user_id": "b", "new_user_id": "c"}))
        .say("deleted", "5", 5, json!({"user_id": "c"}));
    apply(&applier, &stream.messages).await?;
    let columns = ["docname", "renamed_to", "what", "by_event", "mail", "made"];
    let expected = [
        "b c user renamed: {x} idp/4 user.renamed a@x.org yes",
        "c - user deleted: {x} idp/5 user.deleted a@x.org yes",
        "o'{time}\" b user renamed: {x} idp/3 user.renamed a@x.org yes",
    ];
    assert_eq!(base.lines(&columns, "versions").await?, expected);
    let (old, at) = match base.which {
        Which::Postgres => ("data ->> 'old_user_id'", "to_char(at AT TIME ZONE 'UTC', 'HH24:MI')"),
        Which::Sqlite => ("data ->> '$.old_user_id'", "substr(at, 12, 5)"),
    };
    assert_eq!(
        base.lines(&[old, at], "versions").await?,
        ["b 00:04", "c 00:05", "o'{time}\" 00:03"]
    );
    assert_eq!(noted(&base, "4").await?, json!({"audit versions": 1}));
    Ok(())
}

/// `character` without a length would be one character.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_of_a_fixed_length_get_the_whole_text() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.script("CREATE TABLE short (who char(12), code varchar(12), flags bit(3))")
        .await?;
    let lines = "[[audit]]\ntable = \"short\"\n\
                 columns = { who = \"{old_user_id}\", code = \"{old_user_id}\", flags = \"101\" }\n";
    let applier = applier(&base, lines).await?;
    let mut stream = Stream::new();
    stream.say("deleted", "1", 1, json!({"user_id": "lovelace"}));
    apply(&applier, &stream.messages).await?;
    let columns = ["rtrim(who)", "code", "flags"];
    assert_eq!(base.line(&columns, "short").await?, "lovelace lovelace 101");
    Ok(())
}

async fn a_row_that_is_refused_costs_as_much_as_configured(base: Base) -> Result<()> {
    versions(&base).await?;
    table(&base, "permissions", &["a", "x"]).await?;
    base.execute("CREATE UNIQUE INDEX versions_docname ON versions (docname)")
        .await?;
    let lines = format!("{}{LINES}required = false\n", cascade("permissions", ""));
    let optional = applier(&base, &lines).await?;
    base.execute("INSERT INTO versions (docname, what, at) VALUES ('a', 'there', '2020-01-01T00:00:00Z')")
        .await?;
    let mut stream = Stream::new();
    stream
        .say("renamed", "1", 1, json!({"user_id": "a", "new_user_id": "b"}))
        .say("renamed", "2", 1, json!({"user_id": "x", "new_user_id": "y"}));
    apply(&optional, &stream.messages).await?;
    assert_eq!(noted(&base, "1").await?["audit versions"]["note"], json!("failed"));
    assert_eq!(noted(&base, "2").await?, json!({"permissions": 1, "audit versions": 1}));
    let required = applier(&base, LINES).await?;
    let mut stream = Stream::new();
    stream.say("deleted", "3", 2, json!({"user_id": "y"})).say(
        "renamed",
        "4",
        2,
        json!({"user_id": "a", "new_user_id": "z"}),
    );
    apply(&required, &stream.messages[..1]).await?;
    base.execute("INSERT INTO versions (docname, what, at) VALUES ('b', 'there', '2020-01-01T00:00:00Z')")
        .await?;
    let error = apply(&required, &stream.messages[1..]).await.expect_err("b is there");
    let told = rollcall::failure::fault(&error).to_string();
    assert!(told.starts_with("cascade audit versions failed: "), "{told}");
    Ok(())
}
