//! Rebuilding as an operator meets it.

use anyhow::Result;
use serde_json::json;

use crate::deployment::Deployment;
use crate::world::{Base, Tables, cloud_event, on_both};

on_both!(
    a_dry_run_tells_and_a_rebuild_mends,
    wrong_usage_and_strangers_are_told,
    what_was_too_large_is_taken_in
);

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

async fn what_was_too_large_is_taken_in(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_COMPONENT_EVENTS", "3");
    let update = |user: &str, id: &str, minute: i64| {
        cloud_event(
            "updated",
            &format!("{user}{id}"),
            minute,
            &json!({"user_id": user, "phone": id}),
        )
    };
    let mut events = Vec::new();
    for user in ["ada", "ben"] {
        events.extend((10..14).map(|minute| update(user, &minute.to_string(), minute)));
        events.push(cloud_event(
            "created",
            &format!("{user}-late"),
            1,
            &json!({"user_id": user, "full_name": "Late"}),
        ));
    }
    // One by one, so that the late ones come late.
    deployment
        .set("ROLLCALL__WORKER__LANES", "1")
        .set("ROLLCALL__WORKER__BATCH_MAX", "1");
    deployment.publish(&events).await?;
    deployment.drain().await?;
    let base = &deployment.base;
    let open = "@dead_letters WHERE resolved_at IS NULL AND reason = 'component_too_large'";
    assert_eq!(base.number("count(*)", open).await?, 2);

    let told = deployment.run(&["rebuild", "--all", "--dry-run"]).await?.success()?;
    assert!(
        told.stdout.contains("2 late events of long histories wait"),
        "{}",
        told.stdout
    );
    assert_eq!(base.number("count(*)", open).await?, 2, "a dry run changes nothing");
    let one = deployment
        .run(&["rebuild", "--user", "ada", "--json"])
        .await?
        .success()?;
    let total: serde_json::Value = serde_json::from_str(one.stdout.lines().last().unwrap_or_default())?;
    assert_eq!(
        (&total["late_taken_in"], &total["late_waiting"]),
        (&json!(1), &json!(1))
    );
    let rows = base
        .lines(&["user_id", "full_name", "created_via", "phone"], "@profiles")
        .await?;
    assert_eq!(rows, ["ada Late event 13", "ben - implicit 13"]);
    let all = deployment.run(&["rebuild", "--all"]).await?.success()?;
    assert!(
        all.stdout.contains("1 late events of long histories are applied now"),
        "{}",
        all.stdout
    );
    assert_eq!(base.number("count(*)", open).await?, 0);
    assert_eq!(
        base.number("count(*)", "@profiles WHERE created_via = 'event'").await?,
        2
    );
    Ok(())
}
