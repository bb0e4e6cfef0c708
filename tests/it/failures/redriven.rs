//! What the database refused until it was buried comes back when the database takes it.

use anyhow::Result;
use serde_json::{Value, json};

use super::{PATIENCE_FOR_ATTEMPTS, created, phoned, reaches, refuse_bad_phones, take_bad_phones};
use crate::deployment::{Deployment, PATIENCE};
use crate::world::{Base, on_both};

on_both!(exhausted_events_come_back);

async fn exhausted_events_come_back(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "1");
    refuse_bad_phones(&deployment.base).await?;
    let mut events = created(0..2);
    events.extend(phoned(1..2, "bad"));
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(&deployment.base, "@dead_letters", 1, PATIENCE_FOR_ATTEMPTS).await?;
    reaches(&deployment.base, "@outbox", 0, PATIENCE).await?;

    let all = ["dead", "redrive", "--reason", "exhausted", "--json"];
    let again = deployment.run(&all).await?;
    assert_eq!(again.code, 1, "{again:?}");
    assert_eq!(again.json()?["failed"], json!({"not_in_the_ledger": 1}), "{again:?}");
    reaches(&deployment.base, "@dead_letters", 2, PATIENCE_FOR_ATTEMPTS).await?;
    reaches(&deployment.base, "@outbox", 0, PATIENCE).await?;

    // One event, however many letters it has.
    take_bad_phones(&deployment.base).await?;
    let report = deployment.run(&all).await?.success()?.json()?;
    assert_eq!(
        (&report["redriven"], &report["applied"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(
        deployment
            .base
            .number("count(*)", "@profiles WHERE phone = 'bad'")
            .await?,
        1
    );
    let resolved: Vec<Value> = deployment
        .dead_list()
        .await?
        .iter()
        .map(|letter| letter["resolved"].clone())
        .collect();
    assert_eq!(resolved, [json!(true), json!(true)]);
    Ok(())
}
