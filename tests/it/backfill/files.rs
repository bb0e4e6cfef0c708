//! Users of a file: every kind of them, and rows that are none.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use super::{backfill, beside_a_worker, rows};
use crate::deployment::{Deployment, PATIENCE};
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(
    every_kind_of_user_is_told_and_only_the_unknown_are_made,
    lines_of_json_are_read_too,
    a_large_file_is_read_in_pieces,
    who_is_excluded_stays_out_however_the_cell_is_written,
    the_first_row_of_a_key_counts_however_it_is_spelt,
);

async fn every_kind_of_user_is_told_and_only_the_unknown_are_made(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    let folder = base.folder.path();
    let user = |id: &str, email: &str| json!({"user_id": id, "email": email});
    deployment
        .publish(&[
            cloud_event("created", "1", 1, &user("same", "same@example.com")),
            cloud_event("created", "2", 2, &user("other", "old@example.com")),
            cloud_event("created", "3", 3, &user("gone", "gone@example.com")),
            cloud_event("deleted", "4", 4, &json!({"user_id": "gone"})),
            cloud_event("created", "5", 5, &user("before", "moved@example.com")),
            cloud_event("renamed", "6", 6, &json!({"user_id": "before", "new_user_id": "after"})),
            cloud_event("created", "7", 7, &json!({"user_id": "none", "profile_types": []})),
            cloud_event("created", "8", 8, &user("lonely", "lonely@example.com")),
        ])
        .await?;
    deployment.drain().await?;
    let before = rows(base, "deleted_at IS NULL").await?;

    std::fs::write(
        folder.join("users.csv"),
        "id,email,full_name,phone,shoe_size\n\
         same,same@example.com,,,43\n\
         other,new@example.com,,,\n\
         gone,gone@example.com,,,\n\
         before,moved@example.com,,,\n\
         none,,,,\n\
         new,new@example.com,\"Augusta \"\"Ada\"\"\nKing, Countess\",,\n\
         odd,no address,,,\n\
         same,same@example.com,,,\n\
         short,cells\n\
         ,nobody@example.com,,,\n",
    )?;
    let read = ["--from", "users.csv", "--column", "user_id=id"];
    let (code, report) = backfill(&deployment, &read).await?;
    let found = &report["before"];
    assert_eq!(code, 0);
    for (name, count) in [
        ("rows", 10),
        ("same", 1),
        ("different", 1),
        ("missing", 2),
        ("orphaned", 2),
        ("deleted", 1),
        ("renamed", 1),
        ("without_profile", 1),
        ("invalid", 2),
        ("repeated", 1),
        ("degraded", 1),
    ] {
        assert_eq!(found[name], json!(count), "{name} in {report}");
    }
    assert_eq!(
        (&found["fields"], &found["unused_columns"]),
        (&json!({"email": 1}), &json!(["shoe_size"]))
    );
    let examples = &found["examples"];
    assert_eq!(
        examples["orphaned"],
        json!([{"user_id": "after"}, {"user_id": "lonely"}])
    );
    assert_eq!(examples["different"], json!([{"user_id": "other", "note": "email"}]));
    let invalid = json!([
        {"user_id": "row 11", "note": "2 cells where the first line names 5 columns"},
        {"user_id": "row 12", "note": "data.user_id is missing"},
    ]);
    assert_eq!(examples["invalid"], invalid);

    let (code, report) = beside_a_worker(&deployment, &[&read[..], &["--apply"]].concat()).await?;
    assert_eq!(
        (code, &report["published"]),
        (1, &json!(2)),
        "rows that cannot be users are a failure: {report}"
    );
    let untouched = rows(base, "user_id NOT IN ('new', 'odd')").await?;
    assert_eq!(
        untouched, before,
        "nobody else is touched, and nobody deleted comes back"
    );
    let made = base.lines(
        &["user_id", "full_name", "email", "degraded"],
        "@profiles WHERE created_via = 'backfill'",
    );
    let name = "Augusta \"Ada\"\nKing, Countess";
    assert_eq!(
        made.await?,
        [
            format!("new {name} new@example.com []"),
            "odd - - [\"email\"]".to_owned()
        ]
    );
    Ok(())
}

async fn lines_of_json_are_read_too(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let folder = deployment.base.folder.path();
    let known = json!({"user_id": "lonely"});
    deployment.publish(&[cloud_event("created", "1", 1, &known)]).await?;
    std::fs::write(
        folder.join("users.jsonl"),
        "{\"user_id\": 17, \"active\": 1, \"metadata\": {\"display_name\": \"Seventeen\"}}\n\n{broken\n\
         {\"user_id\": \"someone\"}\n",
    )?;
    std::fs::write(folder.join("not.txt"), "someone\n\n")?;
    let read = [
        "--from",
        "users.jsonl",
        "--exclude-file",
        "not.txt",
        "--source",
        "https://app.example/",
    ];
    let (code, report) = beside_a_worker(&deployment, &[&read[..], &["--apply", "--show", "1"]].concat()).await?;
    assert_eq!((code, &report["after"]["same"]), (1, &json!(1)), "{report}");
    let place = &report["before"]["examples"]["invalid"][0]["user_id"];
    assert_eq!(place, &json!("row 3"));
    let made = deployment
        .base
        .line(&["source", "event_id"], "@ledger WHERE user_id = '17'")
        .await?;
    assert_eq!(made, "https://app.example/backfill 17");
    let shown = deployment
        .run(&["backfill", "--from", "users.jsonl"])
        .await?
        .success()?
        .stdout;
    for words in ["orphaned         1", "row 3  (no JSON object", "Nothing was written"] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    Ok(())
}

async fn a_large_file_is_read_in_pieces(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let mut text = "user_id,email\n".to_owned();
    for n in 0..5_000 {
        writeln!(text, "u{n},u{n}@example.com")?;
    }
    std::fs::write(deployment.base.folder.path().join("users.csv"), text)?;
    let (code, report) = beside_a_worker(&deployment, &["--from", "users.csv", "--apply"]).await?;
    assert_eq!((code, &report["published"]), (0, &json!(5_000)), "{report}");
    assert_eq!(
        (&report["after"]["same"], &report["after"]["orphaned"]),
        (&json!(5_000), &json!(0))
    );
    assert_eq!(deployment.base.number("count(*)", "@profiles").await?, 5_000);
    Ok(())
}

async fn who_is_excluded_stays_out_however_the_cell_is_written(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let folder = deployment.base.folder.path();
    deployment
        .publish(&[cloud_event("created", "1", 1, &json!({"user_id": "known"}))])
        .await?;
    deployment.drain().await?;
    std::fs::write(
        folder.join("users.csv"),
        "user_id , email\nu1, Robot@Example.com \nu2,robot@localhost\n robot-3 ,\n known , known@example.com\n new , new@example.com\n",
    )?;
    let exclude = [
        "--exclude",
        "robot@example.com",
        "--exclude",
        "robot@localhost",
        "--exclude",
        "robot-3",
    ];
    let read = [&["--from", "users.csv", "--apply"], &exclude[..]].concat();
    // Nobody has this name, so somebody would be made who was meant by it.
    let misspelt = [&read[..], &["--exclude", "robto-4"]].concat();
    let refused = deployment.run(&[&["backfill"], &misspelt[..]].concat()).await?;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("not in the source: robto-4"), "{refused:?}");
    let (code, report) = backfill(&deployment, &["--from", "users.csv", "--exclude", "robto-4"]).await?;
    assert_eq!(
        (code, &report["before"]["unmatched_excludes"]),
        (0, &json!(["robto-4"]))
    );

    let (code, report) = beside_a_worker(&deployment, &read).await?;
    assert_eq!((code, &report["published"]), (0, &json!(1)), "{report}");
    assert_eq!(report["before"]["excluded"], json!(3), "{report}");
    let made = deployment
        .base
        .lines(&["user_id"], "@profiles ORDER BY user_id")
        .await?;
    assert_eq!(made, ["known", "new"]);
    Ok(())
}

/// Further apart than what is looked at together, and with keys that are the same only without regard to case.
async fn the_first_row_of_a_key_counts_however_it_is_spelt(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__USER_ID_IS_EMAIL", "true");
    let mut text = "user_id,full_name\nAda@Example.com,The First\n".to_owned();
    for n in 0..1_500 {
        writeln!(text, "u{n}@example.com,")?;
    }
    writeln!(text, "ada@example.com,The Second")?;
    std::fs::write(deployment.base.folder.path().join("users.csv"), text)?;
    // Nobody is at work until everything is published, or the second row would find the first one known.
    let mut filling = deployment.start(&["backfill", "--from", "users.csv", "--apply", "--json"])?;
    filling.logged("is `rollcall run` at work?", PATIENCE).await?;
    let mut worker = deployment.start(&["run"])?;
    let report = filling.finished(PATIENCE).await?.success()?.json()?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(report["before"]["repeated"], json!(1), "{report}");
    let base = &deployment.base;
    let ada = "WHERE user_id = 'ada@example.com'";
    assert_eq!(
        base.line(&["full_name", "version"], &format!("@profiles {ada}"))
            .await?,
        "The First 1"
    );
    assert_eq!(base.number("count(*)", "@ledger").await?, 1_501);
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_read_ends_it() -> Result<()> {
    let deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    for name in ["users.jsonl", "users.csv"] {
        std::fs::create_dir(deployment.base.folder.path().join(name))?;
        let ended = deployment.run(&["backfill", "--from", name]).await?;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains(&format!("{name} cannot be read")), "{ended:?}");
    }
    Ok(())
}
