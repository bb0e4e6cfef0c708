//! Stopping at any moment is safe, and two workers at once are as good as one.

use anyhow::Result;
use serde_json::{Value, json};

use super::outages::{complete, users};
use crate::deployment::{Deployment, PATIENCE};
use crate::workers::history;
use crate::world::{Base, Tables, apply_cut, on_both};

on_both!(
    a_stop_in_the_middle_of_work_finishes_what_is_in_hand,
    a_kill_at_any_moment_loses_nothing,
    two_workers_drain_one_consumer,
    a_worker_stops_at_once_when_there_is_nothing_to_do,
);

async fn a_stop_in_the_middle_of_work_finishes_what_is_in_hand(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..2000)).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "5");
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(20).await?;
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    let done = deployment.base.number("count(*)", "@ledger").await?;
    assert!(done < 2000, "the stop came in the middle");
    assert_eq!(
        finished.json()?["outcomes"]["applied"],
        json!(done),
        "what was begun is finished and counted"
    );
    // Nothing was left in hand: all acknowledged or handed back, so the next worker need not wait for anything.
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(2000 - done), "{counts}");
    assert_eq!(counts["outcomes"]["duplicate"], json!(0), "{counts}");
    complete(&deployment, 2000).await
}

async fn a_kill_at_any_moment_loses_nothing(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..1000)).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "10");
    for target in [1, 150, 300, 450] {
        let mut worker = deployment.start(&["run"])?;
        deployment.ledger_reaches(target).await?;
        worker.signal("KILL")?;
        worker.finished(PATIENCE).await?;
    }
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({}));
    complete(&deployment, 1000).await
}

async fn two_workers_drain_one_consumer(mut base: Base) -> Result<()> {
    let stream = history(400, 5);
    let expected = {
        let alone = base.another()?;
        apply_cut(&alone.applier().await?, &stream, 1000).await?;
        Tables::read(&alone).await?
    };
    let mut deployment = Deployment::around(base).await?;
    let lines: Vec<Value> = stream
        .messages
        .iter()
        .map(|message| serde_json::from_slice(&message.payload))
        .collect::<Result<_, _>>()?;
    deployment.publish(&lines).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "8");
    let workers = [
        deployment.start(&["run", "--drain", "--json"])?,
        deployment.start(&["run", "--drain", "--json"])?,
    ];
    let mut counted = 0;
    for worker in workers {
        let outcomes = worker.finished(PATIENCE).await?.success()?.json()?["outcomes"].clone();
        let sum = |reasons: &Value| -> i64 {
            reasons
                .as_object()
                .into_iter()
                .flat_map(|map| map.values())
                .filter_map(Value::as_i64)
                .sum()
        };
        counted += outcomes["applied"].as_i64().unwrap_or_default();
        counted += sum(&outcomes["ignored"]) + sum(&outcomes["rejected"]);
    }
    assert_eq!(counted, 400, "every event had its effect in one of the two");
    Tables::read(&deployment.base)
        .await?
        .assert_same(&expected, "two workers");
    Ok(())
}

async fn a_worker_stops_at_once_when_there_is_nothing_to_do(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    for signal in ["TERM", "INT"] {
        let mut worker = deployment.start(&["run"])?;
        worker.logged("working", PATIENCE).await?;
        let began = tokio::time::Instant::now();
        worker.signal(signal)?;
        worker.finished(PATIENCE).await?.success()?;
        assert!(began.elapsed().as_secs() < 10, "the grace period is no waiting time");
    }
    Ok(())
}
