//! What goes wrong at the broker or in another worker: letters that find no room, a consumer that somebody removes, a worker
//! that slept longer than its messages wait.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::stream::{Config, DiscardPolicy};

use super::{RECOVERY, created, reaches};
use crate::deployment::{Deployment, PATIENCE};
use crate::end_to_end::outages::complete;
use crate::harness::wait::wait_for;
use crate::harness::worker::Finished;
use crate::world::{Base, Which, on_both};

on_both!(
    letters_that_find_no_room_wait_and_delay_nobody,
    a_consumer_that_is_removed_ends_the_worker_and_is_not_made_again,
);

/// Lets the stream of dead letters take so many messages and refuse more; -1 for any number.
async fn room_for_letters(deployment: &Deployment, most: i64) -> Result<()> {
    let client = deployment.client().await?;
    let config = client.get_stream("DEAD_LETTERS").await?.cached_info().config.clone();
    client
        .update_stream(Config {
            max_messages: most,
            discard: DiscardPolicy::New,
            ..config
        })
        .await?;
    Ok(())
}

async fn letters_that_find_no_room_wait_and_delay_nobody(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..1)).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(1).await?;
    room_for_letters(&deployment, 1).await?;
    for _ in 0..3 {
        deployment.put("user.created", &[], b"not JSON").await?;
    }
    deployment.publish(&created(1..101)).await?;
    reaches(&deployment.base, "@ledger WHERE outcome = 'applied'", 101, PATIENCE).await?;
    reaches(&deployment.base, "@dead_letters", 3, PATIENCE).await?;
    worker.logged("the outbox waits", PATIENCE).await?;
    assert_eq!(deployment.dead_letters().await?.len(), 1);
    // The one that found room is forgotten with the others of its round, if they came in one.
    let waiting = deployment.base.number("count(*)", "@outbox").await?;
    assert!((2..=3).contains(&waiting), "{waiting} wait");
    room_for_letters(&deployment, -1).await?;
    reaches(&deployment.base, "@outbox", 0, RECOVERY).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let letters = deployment.dead_letters().await?;
    assert_eq!(letters.len(), 3, "each letter once");
    Ok(())
}

async fn a_consumer_that_is_removed_ends_the_worker_and_is_not_made_again(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..10)).await?;
    let mut worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(10).await?;
    worker.logged("pulling", PATIENCE).await?;
    let client = deployment.client().await?;
    client.delete_consumer_from_stream("rollcall", "USERS").await?;
    let finished = worker.finished(PATIENCE).await?;
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    ensure!(finished.stderr.contains("consumer"), "{}", finished.stderr);
    let stream = client.get_stream("USERS").await?;
    assert!(
        stream.consumer_info("rollcall").await.is_err(),
        "somebody made it again"
    );
    Ok(())
}

// SQLite has one lock for all writers: who sleeps with it in hand stops everybody, until he wakes or is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_slept_past_its_ack_wait_changes_nothing() -> Result<()> {
    let events = 2_000;
    let mut deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "20");
    deployment.publish(&created(0..events)).await?;
    let mut zombie = deployment.start(&["run", "--json"])?;
    deployment.ledger_reaches(50).await?;
    zombie.freeze().await?;
    let broker = deployment.nats.connect().await?;
    let held = broker.backlog("USERS", "rollcall").await?;
    ensure!(held.ack_pending > 0, "void: nothing was in the hands of the sleeper");
    let mut other = deployment.start(&["run", "--json"])?;
    // It may hold locks in its sleep; what it does not hold is done by the other, its own messages among it.
    wait_for(
        "what the sleeper had in hand in the hands of the other",
        PATIENCE,
        async || {
            let backlog = broker.backlog("USERS", "rollcall").await.ok()?;
            let applied = deployment.base.number("count(*)", "@ledger").await;
            (backlog.redelivered > 0 || applied.is_ok_and(|applied| applied >= events)).then_some(())
        },
    )
    .await?;
    zombie.signal("CONT")?;
    wait_for("an empty consumer", PATIENCE, async || {
        let backlog = broker.backlog("USERS", "rollcall").await.ok()?;
        (backlog.pending + backlog.ack_pending == 0).then_some(())
    })
    .await?;
    broker.close().await;
    zombie.signal("TERM")?;
    other.signal("TERM")?;
    let (zombie, other) = (zombie.finished(PATIENCE).await?, other.finished(PATIENCE).await?);
    let (one, two) = (counts(zombie)?, counts(other)?);
    assert_eq!(one.0 + two.0, events, "{one:?} {two:?}");
    ensure!(one.1 + two.1 > 0, "void: nothing came to both of them: {one:?} {two:?}");
    complete(&deployment, events).await
}

/// How many it applied, and how many were duplicates.
fn counts(finished: Finished) -> Result<(i64, i64)> {
    let outcomes = finished.success()?.json()?["outcomes"].clone();
    let count = |name: &str| outcomes[name].as_i64().with_context(|| name.to_owned());
    Ok((count("applied")?, count("duplicate")?))
}
