//! Too many events of a type fail: nothing of it is buried, other types flow on, and when it is mended all is applied.

use anyhow::Result;
use serde_json::json;

use super::{RECOVERY, created, phoned, reaches, refuse_bad_phones, take_bad_phones};
use crate::deployment::{Deployment, PATIENCE};
use crate::world::{Base, on_both};

on_both!(
    a_type_of_which_too_many_fail_is_held_back_until_it_is_mended,
    garbage_never_trips_it,
);

async fn a_type_of_which_too_many_fail_is_held_back_until_it_is_mended(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "2");
    deployment.publish(&created(0..40)).await?;
    deployment.drain().await?;
    refuse_bad_phones(&deployment.base).await?;
    deployment.publish(&phoned(0..30, "bad")).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    worker.logged("too many events of this type fail", PATIENCE).await?;
    reaches(&deployment.base, "@holds WHERE type = 'user.updated'", 1, RECOVERY).await?;
    // Another type flows on, and so do the good ones of this one.
    let mut more = created(40..60);
    more.extend(phoned(30..40, "good"));
    deployment.publish(&more).await?;
    reaches(&deployment.base, "@ledger", 70, RECOVERY).await?;
    reaches(&deployment.base, "@retries WHERE judged > 0", 30, PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;

    // The next worker knows of it; more attempts than there are do not bury anything.
    let rest = deployment.run(&["run", "--drain", "--json"]).await?.success()?;
    assert!(
        rest.stderr.contains("wait until what their type fails of is mended"),
        "{}",
        rest.stderr
    );
    deployment
        .base
        .execute("UPDATE @holds SET probe_at = '2000-01-01T00:00:00.000000Z'")
        .await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    reaches(
        &deployment.base,
        "@holds WHERE probe_at < '2001-01-01T00:00:00.000000Z'",
        0,
        PATIENCE,
    )
    .await?;
    assert_eq!(
        deployment.base.number("count(*)", "@holds").await?,
        1,
        "the probe failed"
    );
    assert_eq!(deployment.base.number("count(*)", "@dead_letters").await?, 0);
    assert_eq!(
        deployment.base.number("max(judged)", "@retries").await?,
        1,
        "no attempt is counted"
    );

    take_bad_phones(&deployment.base).await?;
    deployment
        .base
        .execute("UPDATE @holds SET probe_at = '2000-01-01T00:00:00.000000Z'")
        .await?;
    worker.logged("held back no longer", PATIENCE).await?;
    reaches(&deployment.base, "@ledger", 100, RECOVERY).await?;
    reaches(&deployment.base, "@retries", 0, PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(
        deployment
            .base
            .number("count(*)", "@profiles WHERE phone = 'bad'")
            .await?,
        30
    );
    assert_eq!(deployment.base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

async fn garbage_never_trips_it(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let mut events = Vec::new();
    for n in 0..60 {
        events.push(crate::world::cloud_event(
            "deleted",
            &format!("d{n}"),
            n,
            &json!({"user_id": "Administrator"}),
        ));
        events.push(crate::world::cloud_event(
            "created",
            &format!("g{n}"),
            n,
            &json!({"user_id": 7}),
        ));
    }
    deployment.publish(&events).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["rejected"], json!({"protected_user": 60}));
    assert_eq!(counts["dead"], json!({"undecodable": 60}));
    assert_eq!(deployment.base.number("count(*)", "@holds").await?, 0);
    assert_eq!(deployment.dead_letters().await?.len(), 120);
    Ok(())
}
