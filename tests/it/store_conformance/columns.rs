//! Columns have an owner: only what the fold changed is written, so that what the application edits stands until the
//! next event about that very column.

use anyhow::Result;
use rollcall::domain::{DisplayOwner, Policy};
use serde_json::{Value, json};

use crate::world::{Base, Stream, Which, apply, on_both, said};

on_both!(
    what_the_application_edits_stands_until_an_event_about_it,
    a_refold_leaves_the_edits_of_the_application_alone,
    a_name_that_people_chose_outlives_what_a_refold_would_begin_with,
    attributes_belong_to_the_application_except_synchronised_keys,
    every_column_takes_every_kind_of_value,
    columns_and_references_of_the_application_are_left_alone,
    a_row_that_the_application_deletes_is_not_made_again,
);

const EDITED: [&str; 4] = ["status", "display_name", "phone", "attributes"];

async fn edit(base: &Base) -> Result<()> {
    let edited = base
        .execute(
            "UPDATE @profiles SET status = 'archived', display_name = 'The Boss', phone = 'edited', \
             attributes = '{\"mine\": [1, null], \"plan\": \"gold\"}' WHERE user_id = 'a'",
        )
        .await?;
    assert_eq!(edited, 1);
    Ok(())
}

fn created() -> Stream {
    let mut stream = Stream::new();
    stream.say(
        "created",
        "1",
        1,
        json!({"user_id": "a", "full_name": "Ada", "phone": "1"}),
    );
    stream
}

async fn what_the_application_edits_stands_until_an_event_about_it(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = created();
    apply(&applier, &stream.messages).await?;
    edit(&base).await?;
    let edited = r#"archived The Boss edited {"mine":[1,null],"plan":"gold"}"#;
    for (n, (kind, data, expected)) in [
        ("updated", json!({"user_id": "a", "username": "ada"}), edited),
        ("updated", json!({"user_id": "a", "full_name": "Ada"}), edited),
        ("renamed", json!({"user_id": "a", "new_user_id": "b"}), edited),
        ("joined", json!({"user_id": "b", "organization_id": "o"}), edited),
        (
            "updated",
            json!({"user_id": "b", "phone": "2"}),
            r#"archived The Boss 2 {"mine":[1,null],"plan":"gold"}"#,
        ),
        (
            "activated",
            json!({"user_id": "b"}),
            r#"active The Boss 2 {"mine":[1,null],"plan":"gold"}"#,
        ),
        (
            "updated",
            json!({"user_id": "b", "full_name": "A."}),
            r#"active A. 2 {"mine":[1,null],"plan":"gold"}"#,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        stream.say(kind, &format!("e{n}"), 10 + n as i64, data.clone());
        apply(&applier, &stream.messages[n + 1..]).await?;
        assert_eq!(base.line(&EDITED, "@profiles").await?, expected, "after {kind} {data}");
    }
    let columns = ["user_id", "username", "organization_id", "version"];
    assert_eq!(base.line(&columns, "@profiles").await?, "b ada o 8");
    Ok(())
}

async fn a_refold_leaves_the_edits_of_the_application_alone(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = created();
    stream.say("updated", "2", 9, json!({"user_id": "a", "username": "ada"}));
    apply(&applier, &stream.messages).await?;
    edit(&base).await?;
    stream.say(
        "updated",
        "3",
        5,
        json!({"user_id": "a", "username": "late", "last_name": "L"}),
    );
    apply(&applier, &stream.messages[2..]).await?;
    let edited = r#"archived The Boss edited {"mine":[1,null],"plan":"gold"}"#;
    assert_eq!(base.line(&EDITED, "@profiles").await?, edited);
    assert_eq!(
        base.line(&["username", "last_name", "version"], "@profiles").await?,
        "ada L 3"
    );
    Ok(())
}

async fn a_name_that_people_chose_outlives_what_a_refold_would_begin_with(base: Base) -> Result<()> {
    let applier = base
        .applier_with(|policy| policy.profiles[0].display_owner = DisplayOwner::Application)
        .await?;
    let mut stream = Stream::new();
    for user in ["a", "b"] {
        let of_user = |name: &str| json!({"user_id": user, "full_name": name});
        stream
            .say("created", &format!("{user} 3"), 30, of_user("Created"))
            // Late both, each the new beginning of the user.
            .say("updated", &format!("{user} 2"), 20, of_user("Earlier"))
            .say("updated", &format!("{user} 1"), 10, of_user("Earliest"));
    }
    apply(&applier, &[stream.messages[0].clone(), stream.messages[3].clone()]).await?;
    base.execute("UPDATE @profiles SET display_name = 'The Boss' WHERE user_id = 'a'")
        .await?;
    for (n, name) in [(1, "Earlier"), (2, "Earliest")] {
        let late = [stream.messages[n].clone(), stream.messages[n + 3].clone()];
        apply(&applier, &late).await?;
        let expected = ["a The Boss Created".to_owned(), format!("b {name} Created")];
        let names = base.lines(&["user_id", "display_name", "full_name"], "@profiles");
        assert_eq!(names.await?, expected);
    }
    Ok(())
}

async fn columns_and_references_of_the_application_are_left_alone(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = created();
    apply(&applier, &stream.messages).await?;
    base.execute("ALTER TABLE @profiles ADD COLUMN nickname text").await?;
    base.execute("UPDATE @profiles SET nickname = 'boss'").await?;
    let id = base.line(&["profile_id"], "@profiles").await?;
    let kind = if base.which == Which::Sqlite { "text" } else { "uuid" };
    base.execute(&format!(
        "CREATE TABLE notes (profile {kind} REFERENCES @profiles (profile_id) ON DELETE CASCADE)"
    ))
    .await?;
    base.execute(&format!("INSERT INTO notes VALUES ('{id}')")).await?;
    stream.say("renamed", "2", 9, json!({"user_id": "a", "new_user_id": "b"}));
    stream.say("updated", "3", 5, json!({"user_id": "a", "username": "late"}));
    for n in 1..stream.messages.len() {
        apply(&applier, &stream.messages[n..=n]).await?;
    }
    let columns = ["user_id", "username", "nickname", "profile_id"];
    assert_eq!(base.line(&columns, "@profiles").await?, format!("b late boss {id}"));
    assert_eq!(base.number("count(*)", "notes").await?, 1);
    stream.say("deleted", "4", 20, json!({"user_id": "b"}));
    apply(&applier, &stream.messages[3..]).await?;
    assert_eq!(base.number("count(*)", "notes").await?, 0);
    Ok(())
}

async fn a_row_that_the_application_deletes_is_not_made_again(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = created();
    apply(&applier, &stream.messages).await?;
    base.execute("DELETE FROM @profiles").await?;
    stream.say("updated", "2", 9, json!({"user_id": "a", "username": "ada"}));
    let settled = apply(&applier, &stream.messages[1..]).await?;
    assert_eq!(said(&settled), ["applied"]);
    assert_eq!(base.number("count(*)", "@profiles").await?, 0);
    Ok(())
}

fn with_attributes(policy: &mut Policy) {
    let rule = &mut policy.profiles[0];
    rule.attributes = object(json!({"plan": "free", "limits": {"a": 1}}));
    rule.backfill_attributes = object(json!({"plan": "legacy"}));
    rule.synchronised = vec!["locale".to_owned(), "tags".to_owned()];
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

async fn attributes_belong_to_the_application_except_synchronised_keys(base: Base) -> Result<()> {
    let applier = base.applier_with(with_attributes).await?;
    let mut stream = Stream::new();
    let metadata = json!({"locale": "de", "tags": {"x": {"y": 1}}, "other": 1});
    stream.say("created", "1", 1, json!({"user_id": "a", "metadata": metadata}));
    apply(&applier, &stream.messages).await?;
    let attributes = async || base.line(&["attributes"], "@profiles").await;
    assert_eq!(
        attributes().await?,
        r#"{"limits":{"a":1},"locale":"de","plan":"free","tags":{"x":{"y":1}}}"#
    );

    let edit = r#"{"limits": null, "locale": "fr", "mine": true, "tags": {"x": {"y": 1}, "z": 2}}"#;
    base.execute(&format!("UPDATE @profiles SET attributes = '{edit}'"))
        .await?;
    let kept = serde_json::from_str::<Value>(edit)?.to_string();
    stream.say(
        "updated",
        "2",
        2,
        json!({"user_id": "a", "metadata": {"locale": "de", "tags": {"x": {"y": 1}}}}),
    );
    apply(&applier, &stream.messages[1..]).await?;
    assert_eq!(attributes().await?, kept, "nothing that is synchronised changed");

    // An object replaces the object that was there, it does not grow into it; a key that went goes.
    stream.say(
        "updated",
        "3",
        3,
        json!({"user_id": "a", "metadata": {"tags": {"w": [1, {"v": null}]}}}),
    );
    apply(&applier, &stream.messages[2..]).await?;
    assert_eq!(
        attributes().await?,
        r#"{"limits":null,"mine":true,"tags":{"w":[1,{"v":null}]}}"#
    );

    // Null is a value of JSON like any other.
    stream.say(
        "updated",
        "4",
        4,
        json!({"user_id": "a", "metadata": {"tags": null, "locale": "it"}}),
    );
    apply(&applier, &stream.messages[3..]).await?;
    let found: Value = serde_json::from_str(&attributes().await?)?;
    assert_eq!((&found["locale"], &found["mine"]), (&json!("it"), &json!(true)));
    assert!(found["tags"].is_null(), "{found}");
    Ok(())
}

async fn every_column_takes_every_kind_of_value(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let odd = "O'Neil \"\\ \u{1F600} \u{feff}\t@x, {a} NULL \u{7f}";
    let mut stream = Stream::new();
    let all = json!({
        "user_id": odd, "email": "ada@x.org", "email_verified": true, "username": odd, "first_name": odd,
        "last_name": odd, "full_name": odd, "phone": odd, "external_id": "", "active": false, "organization_id": odd,
        "profile_types": ["client"], "metadata": {"a": [odd]}, "more": odd,
    });
    stream.say("created", "1", 1, all).say(
        "joined",
        "2",
        2,
        json!({"user_id": odd, "organization_id": odd, "customer_name": odd}),
    );
    apply(&applier, &stream.messages).await?;
    for column in [
        "user_id",
        "username",
        "first_name",
        "last_name",
        "full_name",
        "phone",
        "organization_id",
        "display_name",
    ] {
        assert_eq!(base.line(&[column], "@profiles").await?, odd, "{column}");
    }
    assert_eq!(
        base.line(&["email", "external_id", "is_active"], "@profiles").await?,
        "ada@x.org  0"
    );
    assert_eq!(base.line(&["name"], "@customers").await?, odd);
    assert_eq!(base.lines(&["user_id"], "@ledger").await?, [odd, odd]);

    let none = json!({
        "user_id": odd, "email": null, "username": null, "first_name": null, "last_name": null, "full_name": null,
        "phone": null, "external_id": null, "active": null, "organization_id": null, "metadata": null,
    });
    stream.say("updated", "3", 3, none);
    apply(&applier, &stream.messages[2..]).await?;
    let columns = [
        "email",
        "username",
        "first_name",
        "last_name",
        "full_name",
        "phone",
        "external_id",
        "organization_id",
        "is_active",
    ];
    assert_eq!(base.line(&columns, "@profiles").await?, "- - - - - - - - 1");
    assert_eq!(
        base.line(&["display_name"], "@profiles").await?,
        odd,
        "the key is what is left"
    );
    Ok(())
}
