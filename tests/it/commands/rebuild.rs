//! Rebuilding as an operator meets it.

use anyhow::Result;
use serde_json::json;

use crate::deployment::Deployment;
use crate::world::{Base, Tables, cloud_event, on_both};

on_both!(a_dry_run_tells_and_a_rebuild_mends, wrong_usage_and_strangers_are_told,);

async fn a_dry_run_tells_and_a_rebuild_mends(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let users = ["ada", "ben", "eve"];
    let events: Vec<_> = users
        .iter()
        .map(|user| cloud_event("created", user, 1, &json!({"user_id": user, "full_name": user})))
        .collect();
    deployment.publish(&events).await?;
    deployment.drain().await?;
    let base = &deployment.base;
    let before = Tables::read(base).await?;
    let healthy = deployment.run(&["rebuild", "--all"]).await?.success()?;
    assert_eq!(healthy.stdout.trim(), "3 histories folded again: nothing was wrong");

    base.execute("UPDATE @profiles SET phone = '0' WHERE user_id <> 'eve'")
        .await?;
    base.execute("DELETE FROM @profiles WHERE user_id = 'eve'").await?;
    let told = deployment.run(&["rebuild", "--all", "--dry-run"]).await?;
    assert_eq!(told.code, 1, "{}", told.stderr);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "ada: 1 wrong in profiles (phone)",
            "ben: 1 wrong in profiles (phone)",
            "eve: 1 missing from profiles",
            "3 histories folded again: 3 not as the ledger says; nothing was changed",
        ]
    );
    let one = deployment
        .run(&["rebuild", "--user", "ada", "--json"])
        .await?
        .success()?;
    let objects: Vec<serde_json::Value> = one.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(
        (&objects[0]["users"], &objects[0]["columns"]),
        (&json!(["ada"]), &json!(["phone"]))
    );
    assert_eq!(
        (&objects[1]["wrong"], &objects[1]["dry_run"]),
        (&json!(1), &json!(false))
    );
    let rest = deployment.run(&["rebuild", "--all"]).await?.success()?;
    assert!(
        rest.stdout
            .ends_with("3 histories folded again: 2 were not as the ledger says and are put right\n"),
        "{}",
        rest.stdout
    );
    Tables::read(base).await?.assert_same(&before, "after the rebuild");
    Ok(())
}

async fn wrong_usage_and_strangers_are_told(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    for wrong in [&["rebuild"][..], &["rebuild", "--all", "--user", "ada"]] {
        assert_eq!(deployment.run(wrong).await?.code, 2, "{wrong:?}");
    }
    deployment
        .publish(&[cloud_event("created", "1", 1, &json!({"user_id": "ada"}))])
        .await?;
    deployment.drain().await?;
    let stranger = deployment.run(&["rebuild", "--user", "nobody"]).await?;
    assert_eq!(
        (stranger.code, stranger.stdout.trim()),
        (1, "nobody: nobody is known by this key")
    );
    deployment
        .base
        .execute("UPDATE @profiles SET user_id = 'stranger', profile_type = 'other'")
        .await?;
    let all = deployment.run(&["rebuild", "--all"]).await?.success()?;
    assert!(all.stdout.contains("ada: 1 missing from profiles"), "{}", all.stdout);
    Ok(())
}
