//! Users of a table that were there before anybody listened: two have profiles, three are missing.

use anyhow::Result;
use serde_json::{Value, json};

use super::{backfill, beside_a_worker, rows};
use crate::deployment::Deployment;
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(
    three_missing_users_are_made_and_two_stay_as_they_are,
    beginning_again_makes_nobody_twice,
    a_query_that_is_none_is_wrong_usage,
);

const CONFIG: &str = r#"
[[profiles]]
type = "user"
initial_status = "active"
display_name = ["metadata.display_name", "email"]

[profiles.attributes]
role = "user"
department = "General"
is_admin = false
is_super_admin = false
permissions = []
access_level = "basic"
created_via = "auth_trigger"
backfill = { created_via = "manual_fix" }
"#;

const USERS: [(&str, &str, &str); 7] = [
    ("u1", "one@example.com", r#"{"display_name": "One"}"#),
    ("u2", "two@example.com", "{}"),
    ("u3", "three@example.com", r#"{"display_name": "Three"}"#),
    ("u4", "four@example.com", "{}"),
    (
        "u5",
        "five@example.com",
        r#"{"display_name": "Five", "shelf": [1, 2.5]}"#,
    ),
    ("system-1", "robot@example.com", "{}"),
    ("system-2", "Postmaster@example.com", "{}"),
];

/// The application's own table of users, with columns that are nobody's business.
async fn deployment(base: Base) -> Result<(Deployment, &'static str)> {
    std::fs::write(base.folder.path().join("config.toml"), CONFIG)?;
    let (table, make) = match base.which {
        Which::Sqlite => (
            "auth_users",
            "CREATE TABLE auth_users (id TEXT PRIMARY KEY, email TEXT, raw_user_meta_data TEXT, encrypted_password TEXT)",
        ),
        Which::Postgres => (
            "auth.users",
            "CREATE SCHEMA auth; CREATE TABLE auth.users (id text PRIMARY KEY, email varchar(255), \
             raw_user_meta_data jsonb, encrypted_password text, created_at timestamptz DEFAULT now())",
        ),
    };
    let deployment = Deployment::around(base).await?;
    deployment.base.script(make).await?;
    for (id, email, metadata) in USERS {
        let row = format!("INSERT INTO {table} VALUES ('{id}', '{email}', '{metadata}', '$2a$10$secret')");
        deployment.base.execute(&row).await?;
    }
    let query = match deployment.base.which {
        Which::Sqlite => {
            "SELECT id AS user_id, email, raw_user_meta_data AS metadata, encrypted_password FROM auth_users;"
        }
        Which::Postgres => {
            "SELECT id AS user_id, email, raw_user_meta_data AS metadata, encrypted_password, created_at FROM auth.users \
             ORDER BY created_at -- the oldest first"
        }
    };
    Ok((deployment, query))
}

fn counts(survey: &Value) -> [u64; 6] {
    ["rows", "same", "different", "missing", "orphaned", "excluded"].map(|name| survey[name].as_u64().unwrap_or(999))
}

async fn three_missing_users_are_made_and_two_stay_as_they_are(base: Base) -> Result<()> {
    let (deployment, query) = deployment(base).await?;
    let base = &deployment.base;
    let created = |id: &str, email: &str, name: &str| {
        let data = json!({"user_id": id, "email": email, "metadata": {"display_name": name}});
        cloud_event("created", id, 1, &data)
    };
    deployment
        .publish(&[
            created("u1", "one@example.com", "One"),
            created("u2", "two@example.com", "Two"),
        ])
        .await?;
    deployment.drain().await?;
    // What people edit in the application.
    base.execute(
        "UPDATE @profiles SET display_name = 'The First', attributes = '{\"role\": \"owner\"}' WHERE user_id = 'u1'",
    )
    .await?;
    let existing = rows(base, "user_id IN ('u1', 'u2')").await?;
    let exclude = ["--exclude", "ROBOT@example.com", "--exclude", "system-2"];

    let dry = [&["--query", query], &exclude[..]].concat();
    let (code, report) = backfill(&deployment, &dry).await?;
    assert_eq!(
        (code, &report["dry_run"], &report["after"]),
        (0, &json!(true), &Value::Null)
    );
    assert_eq!(counts(&report["before"]), [7, 2, 0, 3, 0, 2], "{report}");
    let missing: Vec<_> = report["before"]["examples"]["missing"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|example| example["user_id"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(missing, ["u3", "u4", "u5"]);
    let unused = &report["before"]["unused_columns"];
    assert!(unused.to_string().contains("encrypted_password"), "{unused}");
    assert_eq!(
        base.number("count(*)", "@ledger").await?,
        2,
        "a dry run publishes nothing"
    );

    let (code, report) = beside_a_worker(&deployment, &[&dry, &["--apply"][..]].concat()).await?;
    assert_eq!((code, &report["published"]), (0, &json!(3)), "{report}");
    assert_eq!(counts(&report["before"]), [7, 2, 0, 3, 0, 2]);
    assert_eq!(counts(&report["after"]), [7, 5, 0, 0, 0, 2]);
    assert_eq!(
        rows(base, "user_id IN ('u1', 'u2')").await?,
        existing,
        "not a byte of them"
    );
    let attributes = |created_via: &str| {
        json!({"role": "user", "department": "General", "is_admin": false, "is_super_admin": false, "permissions": [],
               "access_level": "basic", "created_via": created_via})
        .to_string()
    };
    let made = [
        "user_id",
        "display_name",
        "status",
        "is_active",
        "email",
        "created_via",
        "attributes",
    ];
    let manual = attributes("manual_fix");
    let expected = [
        format!("u3 Three active 1 three@example.com backfill {manual}"),
        format!("u4 four@example.com active 1 four@example.com backfill {manual}"),
        format!("u5 Five active 1 five@example.com backfill {manual}"),
    ];
    assert_eq!(
        base.lines(&made, "@profiles WHERE user_id NOT IN ('u1', 'u2')").await?,
        expected
    );
    let two = base.line(&["attributes"], "@profiles WHERE user_id = 'u2'").await?;
    assert_eq!(two, attributes("auth_trigger"), "those that an event made");
    let ledger = ["source", "event_id", "backfill", "outcome"];
    assert_eq!(
        base.lines(&ledger, "@ledger WHERE backfill").await?,
        ["u3", "u4", "u5"].map(|id| format!("rollcall/backfill {id} 1 applied"))
    );
    assert!(
        !base
            .line(&["data"], "@ledger WHERE user_id = 'u3'")
            .await?
            .contains("secret")
    );

    let all = rows(base, "deleted_at IS NULL").await?;
    let (code, report) = beside_a_worker(&deployment, &[&dry, &["--apply"][..]].concat()).await?;
    assert_eq!((code, &report["published"]), (0, &json!(0)), "{report}");
    assert_eq!(rows(base, "deleted_at IS NULL").await?, all, "again changes nothing");
    Ok(())
}

async fn beginning_again_makes_nobody_twice(base: Base) -> Result<()> {
    let (deployment, query) = deployment(base).await?;
    // Nobody is at work: it publishes, and waits.
    let mut first = deployment.start(&["backfill", "--query", query, "--apply"])?;
    first
        .logged("is `rollcall run` at work?", crate::deployment::PATIENCE)
        .await?;
    first.signal("TERM")?;
    let first = first.finished(crate::deployment::PATIENCE).await?;
    assert_eq!(first.code, 1, "{first:?}");
    assert!(first.stderr.contains("stays published"), "{first:?}");

    let (code, report) = beside_a_worker(&deployment, &["--query", query, "--apply"]).await?;
    assert_eq!((code, &report["published"]), (0, &json!(0)), "{report}");
    assert_eq!(
        counts(&report["before"]),
        [7, 7, 0, 0, 0, 0],
        "it waited for what the first had published"
    );
    let base = &deployment.base;
    assert_eq!(base.number("count(*)", "@ledger").await?, 7);
    assert_eq!(base.number("sum(version)", "@profiles").await?, 7);
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

async fn a_query_that_is_none_is_wrong_usage(base: Base) -> Result<()> {
    let (deployment, query) = deployment(base).await?;
    let table = if deployment.base.which == Which::Sqlite {
        "auth_users"
    } else {
        "auth.users"
    };
    for (query, said) in [
        ("SELECT id AS user_id FROM nowhere".to_owned(), "nowhere"),
        (format!("SELECT email FROM {table}"), "user_id"),
        (format!("DELETE FROM {table} RETURNING id AS user_id"), ""),
    ] {
        let finished = deployment.run(&["backfill", "--query", &query, "--apply"]).await?;
        assert_eq!(finished.code, 2, "{query}: {finished:?}");
        assert!(
            finished.stderr.contains(said) && finished.stderr.contains("Usage"),
            "{finished:?}"
        );
    }
    let (_, report) = backfill(&deployment, &["--query", query]).await?;
    assert_eq!(report["before"]["rows"], json!(7), "nothing was deleted");
    Ok(())
}
