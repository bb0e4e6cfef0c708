//! A replay beside a running worker, through outages, and stopped half-way.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{counted, number, replayed};
use crate::deployment::{Deployment, PATIENCE};
use crate::workers::history;
use crate::world::{Base, Stream, Tables, Which, apply_cut, cloud_event, on_both};

on_both!(
    beside_a_worker_it_ends_in_the_right_tables,
    a_stop_comes_between_two_batches_and_says_how_to_go_on,
    outages_are_waited_out,
    a_broken_header_does_not_stop_it,
);

/// The events as lines to be published.
fn lines(stream: &Stream) -> Result<Vec<Value>> {
    let parsed = stream
        .messages
        .iter()
        .map(|message| serde_json::from_slice(&message.payload));
    Ok(parsed.collect::<Result<_, _>>()?)
}

async fn beside_a_worker_it_ends_in_the_right_tables(mut base: Base) -> Result<()> {
    let stream = history(600, 31);
    let expected = {
        let alone = base.another()?;
        apply_cut(&alone.applier().await?, &stream, 1000).await?;
        Tables::read(&alone).await?
    };
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "5");
    let lines = lines(&stream)?;
    deployment.publish(&lines[..200]).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    // Both have the same to do, over and over, while more comes in.
    let mut applied = 0;
    for chunk in lines[200..].chunks(100) {
        let replay = deployment.start(&["replay", "--json"])?;
        deployment.publish(chunk).await?;
        let answer = replay.finished(PATIENCE).await?.success()?.json()?;
        assert_eq!(counted(&answer), number(&answer, "messages"), "{answer}");
        applied += number(&answer, "outcomes.applied");
    }
    deployment.ledger_reaches(600).await?;
    worker.signal("TERM")?;
    let by_worker = worker.finished(PATIENCE).await?.success()?.json()?;
    deployment.drain().await?;
    Tables::read(&deployment.base)
        .await?
        .assert_same(&expected, "a worker and a replay");
    let by_worker = number(&by_worker, "outcomes.applied");
    assert!(by_worker > 0, "the worker had its share: {by_worker} beside {applied}");
    Ok(())
}

fn users(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let user = |n: usize| json!({"user_id": format!("u{n}")});
    numbers
        .map(|n| cloud_event("created", &format!("{n}"), n as i64, &user(n)))
        .collect()
}

async fn a_stop_comes_between_two_batches_and_says_how_to_go_on(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..2000)).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "5");
    let mut replay = deployment.start(&["replay", "--until", "1990", "--json"])?;
    deployment.ledger_reaches(20).await?;
    replay.signal("INT")?;
    let stopped = replay.finished(PATIENCE).await?;
    assert_eq!(stopped.code, 1, "{stopped:?}");
    let answer = stopped.json()?;
    let done = deployment.base.number("count(*)", "@ledger").await? as u64;
    assert!(done < 1990, "the stop came in the middle");
    assert_eq!(number(&answer, "outcomes.applied"), done, "{answer}");
    assert_eq!(
        (number(&answer, "continue_from"), &answer["complete"]),
        (done + 1, &json!(false))
    );

    let mut replay = deployment.start(&["replay", "--until", "1990"])?;
    deployment.ledger_reaches(done as i64 + 1).await?;
    replay.signal("TERM")?;
    let stopped = replay.finished(PATIENCE).await?;
    let (_, command) = stopped.stdout.split_once("continue with: ").context("how to go on")?;
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    assert_eq!(
        (stopped.code, &arguments[..2]),
        (1, &["replay", "--from"][..]),
        "{stopped:?}"
    );
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "500");
    deployment.run(&arguments).await?.success()?;
    let base = &deployment.base;
    assert_eq!(base.number("count(*)", "@profiles WHERE version = 1").await?, 1990);
    assert_eq!(base.number("max(stream_sequence)", "@ledger").await?, 1990);
    Ok(())
}

async fn outages_are_waited_out(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    // More than the client has in memory at any time, or it would not need the broker any more.
    deployment.publish(&users(0..6000)).await?;
    deployment
        .set("ROLLCALL__WORKER__BATCH_MAX", "5")
        .set("ROLLCALL__STORE__LOCK_TIMEOUT", "100ms");
    let mut replay = deployment.start(&["replay", "--json"])?;
    deployment.ledger_reaches(20).await?;
    deployment.nats.restart().await?;
    match deployment.base.which {
        Which::Sqlite => {
            let mut writer = <sqlx::SqliteConnection as sqlx::Connection>::connect(&deployment.base.url).await?;
            sqlx::query("BEGIN EXCLUSIVE").execute(&mut writer).await?;
            replay.logged("does not take events", PATIENCE).await?;
            sqlx::query("ROLLBACK").execute(&mut writer).await?;
        }
        Which::Postgres => {
            deployment.base.server.as_mut().context("a server")?.kill().await?;
            replay.logged("does not take events", PATIENCE).await?;
            deployment.base.server.as_mut().context("a server")?.restart().await?;
        }
    }
    deployment.nats.kill().await?;
    replay.logged("waiting for the broker", PATIENCE).await?;
    deployment.nats.restart().await?;
    let finished = replay.finished(PATIENCE).await?.success()?;
    let told = finished.stderr.matches("the database does not take events").count();
    assert_eq!(told, 1, "told once: {}", finished.stderr);
    let answer = finished.json()?;
    assert_eq!(
        (counted(&answer), number(&answer, "messages")),
        (6000, 6000),
        "{answer}"
    );
    let base = &deployment.base;
    assert_eq!(base.number("count(*)", "@profiles WHERE version = 1").await?, 6000);
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

async fn a_broken_header_does_not_stop_it(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..50)).await?;
    for header in [
        &b"NATS/1.0\r\nce-id: \xff\r\n\r\n"[..],
        b"NATS/1.0\r\nce-id: a\rb\r\n\r\n",
    ] {
        crate::broker::unreadable::publish_raw(&deployment.nats, header, b"payload").await?;
        deployment.publish(&users(50..60)).await?;
    }
    deployment.publish(&users(60..100)).await?;
    let answer = replayed(&deployment, &[]).await?;
    assert_eq!(
        (number(&answer, "outcomes.applied"), &answer["dead"]),
        (100, &json!({"undecodable": 2}))
    );
    let letters = deployment.dead_letters().await?;
    assert_eq!(letters.len(), 2);
    assert!(
        letters.iter().all(|letter| &letter.payload[..] == b"payload"),
        "byte for byte"
    );
    Ok(())
}
