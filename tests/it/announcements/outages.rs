//! The broker is away, the worker is killed: nothing is lost, nothing overtakes.

use anyhow::{Context as _, Result};
use rollcall::failpoint::Point;
use serde_json::{Value, json};

use super::announcing;
use super::listener::Listener;
use super::table;
use crate::deployment::PATIENCE;
use crate::harness::wait::wait_for;
use crate::world::{Base, cloud_event, on_both};

on_both!(nothing_is_lost_and_nothing_overtakes);

/// Users whose profile changes again and again, all of them in each round.
fn round(number: i64, users: i64) -> Vec<Value> {
    (0..users)
        .map(|user| {
            let data = json!({"user_id": format!("u{user}"), "phone": number.to_string()});
            let kind = if number == 0 { "created" } else { "updated" };
            cloud_event(kind, &format!("{number}-{user}"), number, &data)
        })
        .collect()
}

async fn nothing_is_lost_and_nothing_overtakes(base: Base) -> Result<()> {
    const USERS: i64 = 20;
    let mut deployment = announcing(base).await?;
    let mut listener = Listener::default();
    let mut rounds = 0..;
    let mut publish = async |deployment: &crate::deployment::Deployment| -> Result<i64> {
        let number = rounds.next().context("another round")?;
        deployment.publish(&round(number, USERS)).await?;
        Ok((number + 1) * USERS)
    };
    deployment.set("ROLLCALL__OUTBOX__BATCH", "30");

    // It dies between reading and forgetting, wherever that is.
    for point in [
        Point::OutboxRead,
        Point::LettersSent,
        Point::LettersPublished,
        Point::LettersForgotten,
    ] {
        publish(&deployment).await?;
        deployment.set("ROLLCALL_FAILPOINT", &format!("{point:?}:1"));
        let died = deployment.start(&["run"])?.finished(PATIENCE).await?;
        assert!(died.stderr.contains("failpoint"), "{died:?}");
    }
    deployment.set("ROLLCALL_FAILPOINT", "");
    let expected = publish(&deployment).await?;

    // The broker goes while the worker has everything in its tables, and not all of it is told.
    let mut worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(expected - USERS / 2).await?;
    deployment.nats.kill().await?;
    worker.logged("the outbox waits", PATIENCE).await?;
    deployment.nats.restart().await?;
    deployment.ledger_reaches(expected).await?;
    wait_for("an empty outbox", PATIENCE, async || {
        let left = deployment.base.number("count(*)", "@announcements").await.ok()?;
        (left == 0).then_some(())
    })
    .await
    .with_context(|| worker.log())?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;

    listener.listen(&deployment).await?;
    listener.is_in_order()?;
    // Copies left out, there is one for each change of a row; two events of one batch make one change.
    let heard = listener.heard.len() as i64;
    assert!((2 * USERS..=expected).contains(&heard), "{heard} of {expected}");
    assert_eq!(listener.cache, table(&deployment.base).await?);
    Ok(())
}
