//! An event that kills the worker is found and buried; events that were merely there are not.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, AckKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::{created, phoned, reaches, refuse_bad_phones};
use crate::deployment::{Deployment, PATIENCE, header};
use crate::harness::wait::wait_for;
use crate::world::{Base, on_both};

on_both!(
    an_event_that_kills_the_worker_is_buried_and_no_other,
    an_event_that_kills_the_worker_while_it_waits_is_buried,
    an_event_that_was_applied_before_the_deaths_is_not_buried,
    a_message_that_is_in_a_batch_twice_is_one_suspect,
    a_brake_that_holds_and_a_stop_are_no_deaths,
    delivery_is_never_given_up_by_the_broker,
);

/// Starts workers that die of the event until one does not; how many died.
async fn deaths(deployment: &Deployment, worker: &[&str]) -> Result<u32> {
    for deaths in 0..12 {
        let finished = deployment.start(worker)?.finished(PATIENCE).await?;
        match finished.code {
            0 => return Ok(deaths),
            134 => {}
            other => bail!("exit code {other}\n{}", finished.stderr),
        }
    }
    bail!("twelve workers died of it")
}

async fn an_event_that_kills_the_worker_is_buried_and_no_other(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL_DIE_OF", "c150")
        .set("ROLLCALL__CONSUMER__ACK_WAIT", "1s");
    deployment.publish(&created(0..300)).await?;
    let died = deaths(&deployment, &["run", "--drain", "--json"]).await?;
    // In a batch, in a group, and three times alone.
    assert_eq!(died, 5);
    let letters = deployment.dead_letters().await?;
    assert_eq!(
        deployment.base.number("count(*)", "@ledger").await?,
        299,
        "{} letters",
        letters.len()
    );
    let [letter] = letters.as_slice() else {
        panic!("{} letters", letters.len())
    };
    assert_eq!(header(letter, "Rollcall-Reason"), Some("crash_loop"));
    assert_eq!(header(letter, "Rollcall-Event-Id"), Some("c150"));
    assert_eq!(deployment.base.number("count(*)", "@suspects").await?, 0);
    Ok(())
}

async fn an_event_that_kills_the_worker_while_it_waits_is_buried(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__ACK_WAIT", "1s");
    refuse_bad_phones(&deployment.base).await?;
    deployment.publish(&phoned(0..1, "bad")).await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(&deployment.base, "@retries WHERE judged > 0", 1, PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    deployment.set("ROLLCALL_DIE_OF", "p0");
    // Beside others, and three times alone.
    assert_eq!(deaths(&deployment, &["run", "--drain"]).await?, 4);
    let letters = deployment.dead_letters().await?;
    let reasons: Vec<_> = letters.iter().map(|letter| header(letter, "Rollcall-Reason")).collect();
    assert_eq!(reasons, [Some("crash_loop")]);
    assert_eq!(deployment.base.number("count(*)", "@retries").await?, 0);
    Ok(())
}

/// An event that waited is in hand when the database takes nothing any more: it stays this worker's for as long as that
/// takes, and is given back at the stop.
async fn a_brake_that_holds_and_a_stop_are_no_deaths(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__ACK_WAIT", "1s");
    let base = &deployment.base;
    refuse_bad_phones(base).await?;
    deployment.publish(&phoned(0..1, "bad")).await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(base, "@retries WHERE judged > 0", 1, PATIENCE).await?;
    base.execute("ALTER TABLE @profiles RENAME TO hidden").await?;
    reaches(base, "@retries WHERE in_hand", 1, PATIENCE).await?;
    let until = base.line(&["next_at"], "@retries").await?;
    wait_for("a renewed claim", PATIENCE, async || {
        let now = base.line(&["next_at"], "@retries WHERE in_hand").await.ok()?;
        (now > until).then_some(())
    })
    .await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(
        base.number("count(*)", "@retries WHERE in_hand").await?,
        0,
        "given back"
    );
    assert_eq!(base.number("max(deaths)", "@retries").await?, 0);
    Ok(())
}

async fn an_event_that_was_applied_before_the_deaths_is_not_buried(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__ACK_WAIT", "1s");
    deployment.publish(&created(0..1)).await?;
    deployment.drain().await?;
    let again = created(0..1)[0].to_string();
    let structured = ("Content-Type", "application/cloudevents+json");
    deployment.put("user.created", &[structured], again.as_bytes()).await?;
    deployment.set("ROLLCALL_DIE_OF", "c0");
    // Fresh, in a group of which it is the only one, and three times alone.
    assert_eq!(deaths(&deployment, &["run", "--drain"]).await?, 5);
    assert!(deployment.dead_letters().await?.is_empty());
    assert_eq!(deployment.base.number("count(*)", "@ledger").await?, 1);
    Ok(())
}

/// A delivery that nobody has touched for longer than the ack wait comes again, and both may be in one batch: that is one
/// suspect, in a group like any other.
async fn a_message_that_is_in_a_batch_twice_is_one_suspect(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL__CONSUMER__ACK_WAIT", "1s")
        .set("ROLLCALL__CONSUMER__MAX_ACK_PENDING", "4")
        .set("ROLLCALL__WORKER__BATCH_MAX", "4")
        .set("ROLLCALL__WORKER__LINGER", "10s")
        .set("ROLLCALL__WORKER__LANES", "1");
    deployment.drain().await?;
    deployment.publish(&created(0..6)).await?;
    // Others have all that may be in hand, so that two more wait for ever: the worker waits with its first one for them.
    let consumer: PullConsumer = deployment
        .client()
        .await?
        .get_consumer_from_stream("rollcall", "USERS")
        .await?;
    let mut taken = taken(&consumer, 4).await?;
    deployment.set("ROLLCALL_DIE_OF", "c0");
    let mut worker = deployment.start(&["run"])?;
    tokio::select! {
        started = worker.logged("working", PATIENCE) => started?,
        kept = keep(&taken) => kept?,
    }
    let suspect = taken.remove(0);
    answer(&suspect, AckKind::Nak(None)).await?;
    let died = tokio::select! {
        died = worker.finished(PATIENCE) => died?,
        kept = keep(&taken) => return kept,
    };
    assert_eq!(died.code, 134, "{died:?}");
    assert_eq!(
        deployment.base.lines(&["company", "deaths"], "@suspects").await?,
        ["2 0"]
    );
    for message in &taken {
        answer(message, AckKind::Nak(None)).await?;
    }
    deployment.set("ROLLCALL_DIE_OF", "");
    deployment.drain().await?;
    assert_eq!(deployment.base.number("count(*)", "@ledger").await?, 6);
    assert_eq!(deployment.base.number("count(*)", "@suspects").await?, 0);
    Ok(())
}

/// So many messages in the hands of somebody else.
async fn taken(consumer: &PullConsumer, count: usize) -> Result<Vec<jetstream::Message>> {
    let messages = consumer.fetch().max_messages(count).messages().await?;
    let messages: Vec<_> = messages
        .try_collect()
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(messages.len() == count, "void: {} messages", messages.len());
    Ok(messages)
}

/// Keeps them there; returns only with an error.
async fn keep(messages: &[jetstream::Message]) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        for message in messages {
            answer(message, AckKind::Progress).await?;
        }
    }
}

async fn answer(message: &jetstream::Message, kind: AckKind) -> Result<()> {
    message.ack_with(kind).await.map_err(|error| anyhow::anyhow!("{error}"))
}

async fn delivery_is_never_given_up_by_the_broker(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..1)).await?;
    deployment.run(&["run", "--drain"]).await?.success()?;
    deployment.publish(&created(1..2)).await?;
    let mut consumer: PullConsumer = deployment
        .client()
        .await?
        .get_consumer_from_stream("rollcall", "USERS")
        .await?;
    assert_eq!(consumer.info().await?.config.max_deliver, -1, "unlimited");
    // Handed back far more often than any limit would allow.
    let mut delivered = 0;
    for _ in 0..50 {
        let mut batch = consumer.fetch().max_messages(1).messages().await?;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| anyhow::anyhow!("{error}"))?;
            delivered = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.delivered;
            answer(&message, AckKind::Nak(None)).await?;
        }
    }
    assert!(delivered > 20, "{delivered}");
    let counts = deployment.drain().await?;
    assert_eq!(
        (&counts["outcomes"]["applied"], &counts["dead"]),
        (&json!(1), &json!({}))
    );
    Ok(())
}
