//! `rollcall cascade discover` and `rollcall cascade check`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::world::{Base, cloud_event, on_both};

on_both!(columns_that_look_like_keys_of_users_are_found_and_asked_for);

async fn columns_that_look_like_keys_of_users_are_found_and_asked_for(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let people: Vec<Value> = (0..4)
        .map(|n| {
            let data =
                json!({"user_id": format!("u{n}"), "email": format!("u{n}@x.org"), "username": format!("name{n}")});
            cloud_event("created", &format!("c{n}"), 1, &data)
        })
        .collect();
    deployment.publish(&people).await?;
    deployment.drain().await?;
    let base = &deployment.base;
    base.script(
        "CREATE TABLE accounts (login text PRIMARY KEY, title text); \
         INSERT INTO accounts VALUES ('u1', 'x'), ('u2', 'y'), ('zz', 'u1'); \
         CREATE TABLE sessions (\"user\" text NOT NULL); \
         CREATE TABLE orders (placed text REFERENCES accounts (login), note text, amount integer); \
         INSERT INTO orders VALUES ('zz', 'u1', 3), ('zz', 'no', 4), ('zz', 'nobody', 5), ('zz', 'none', 5); \
         CREATE TABLE letters (target text); INSERT INTO letters VALUES ('u1@x.org'), ('u3@x.org'), ('q@x.org'); \
         CREATE TABLE wiki (editor text); INSERT INTO wiki VALUES ('name1'); \
         CREATE TABLE owners (owner text); INSERT INTO owners VALUES ('somebody else')",
    )
    .await?;
    let found = deployment
        .run(&["cascade", "discover", "--json"])
        .await?
        .success()?
        .stdout;
    let found: Vec<Value> = found.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<String> = found
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{}.{} {} {}/{} {}",
                text("table"),
                text("column"),
                text("key"),
                one["known"],
                one["sampled"],
                text("refers_to")
            )
        })
        .collect();
    let expected = [
        "accounts.login user_id 2/3 -",
        "letters.target email 2/3 -",
        "orders.placed user_id 0/1 accounts.login",
        "sessions.user user_id 0/0 -",
        "wiki.editor username 1/1 -",
    ];
    assert_eq!(told, expected);
    let checked = deployment.run(&["cascade", "check"]).await?;
    assert_eq!(checked.code, 1);
    assert!(
        checked
            .stdout
            .contains("sessions.user: its name is one that keys of users have"),
        "{}",
        checked.stdout
    );

    // What is proposed is a configuration that works.
    let proposed = deployment.run(&["cascade", "discover"]).await?.success()?.stdout;
    assert!(
        proposed.contains("table = \"sessions\"\ncolumn = \"user\"\nkey = \"user_id\"\non_rename = \"delete\""),
        "{proposed}"
    );
    let path = base.folder.path().join("config.toml");
    std::fs::write(&path, &proposed)?;
    deployment.run(&["cascade", "check"]).await?.success()?;
    deployment.run(&["check"]).await?.success()?;
    let again = deployment.run(&["cascade", "discover"]).await?.success()?.stdout;
    assert_eq!(again, "# no further column looks like a key of users\n");
    // Or they are said to be something else.
    std::fs::write(
        &path,
        "[worker]\nignored_columns = [\"accounts\", \"letters.target\", \"orders\", \"sessions.user\", \"wiki\"]\n",
    )?;
    let checked = deployment
        .run(&["cascade", "check", "--json"])
        .await?
        .success()?
        .json()?;
    assert_eq!(checked, json!({"ok": true, "missing": []}));
    Ok(())
}
