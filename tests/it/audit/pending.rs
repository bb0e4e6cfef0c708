//! What the consumer has not settled yet, what the stream no longer has, and a worker that goes on meanwhile.

use anyhow::{Context, Result};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, AckKind, stream};
use futures_util::StreamExt as _;
use serde_json::json;

use super::{audited, counts, user};
use crate::deployment::{Deployment, PATIENCE};
use crate::failures::{created, phoned, reaches, refuse_bad_phones};
use crate::world::{Base, cloud_event, on_both};

on_both!(
    what_may_be_in_hand_is_pending,
    what_waits_for_its_next_try_is_pending,
    what_the_stream_no_longer_has_is_told,
    beside_a_worker_nothing_looks_like_a_hole,
);

/// Takes messages as a worker would, and leaves the rest to the test.
async fn taken(deployment: &Deployment, count: usize) -> Result<Vec<jetstream::Message>> {
    let client = deployment.client().await?;
    let consumer: jetstream::consumer::PullConsumer = client
        .get_consumer_from_stream("rollcall", "USERS")
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut batch = consumer.fetch().max_messages(count).messages().await?;
    let mut taken = Vec::new();
    while let Some(message) = batch.next().await {
        taken.push(message.map_err(|error| anyhow::anyhow!("{error}"))?);
    }
    assert_eq!(taken.len(), count);
    Ok(taken)
}

async fn ack(message: &jetstream::Message) -> Result<()> {
    let acked = message.double_ack_with(AckKind::Ack).await;
    acked.map_err(|error| anyhow::anyhow!("{error}"))
}

async fn what_waits_for_its_next_try_is_pending(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    refuse_bad_phones(&deployment.base).await?;
    deployment.publish(&created(0..3)).await?;
    deployment.publish(&phoned(0..2, "bad")).await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(&deployment.base, "@retries WHERE judged > 0", 2, PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (code, &report["pending"], &report["hole_count"]),
        (
            0,
            &json!({"in_hand": 0, "not_delivered": 0, "to_be_judged": 2}),
            &json!(0)
        ),
        "{report}"
    );
    Ok(())
}

async fn what_may_be_in_hand_is_pending(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__CONSUMER__ACK_WAIT", "1h");
    deployment.drain().await?;
    let users: Vec<_> = (1..=10)
        .map(|n| cloud_event("created", &format!("{n}"), n, &user(&format!("u{n}"))))
        .collect();
    deployment.publish(&users).await?;
    let hand = taken(&deployment, 6).await?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        report["pending"],
        json!({"in_hand": 6, "not_delivered": 4, "to_be_judged": 0}),
        "{report}"
    );
    assert_eq!(code, 0, "{report}");

    // Acknowledged without being stored, as no worker may: the first two are below what is acknowledged altogether.
    ack(&hand[0]).await?;
    ack(&hand[1]).await?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        report["pending"],
        json!({"in_hand": 4, "not_delivered": 4, "to_be_judged": 0}),
        "{report}"
    );
    let holes: Vec<_> = report["holes"]
        .as_array()
        .context("holes")?
        .iter()
        .map(|hole| &hole["sequence"])
        .collect();
    assert_eq!((code, holes), (1, vec![&json!(1), &json!(2)]), "{report}");

    // One in the middle: the broker says three are in hand, and four may be.
    deployment.run(&["replay", "--until", "2"]).await?.success()?;
    ack(&hand[4]).await?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (&report["hole_count"], &report["unlocated"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    assert_eq!((code, &report["pending"]["in_hand"]), (1, &json!(4)), "{report}");
    let shown = deployment.run(&["audit"]).await?;
    assert!(
        shown
            .stdout
            .contains("1 of the messages that could be in hand are lost"),
        "{shown:?}"
    );

    // Stored and acknowledged in any order is no hole.
    deployment
        .run(&["replay", "--from", "5", "--until", "5"])
        .await?
        .success()?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (code, &report["pending"]),
        (0, &json!({"in_hand": 3, "not_delivered": 4, "to_be_judged": 0})),
        "{report}"
    );
    for message in &hand[2..] {
        ack(message).await?;
    }
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (code, &report["hole_count"]),
        (1, &json!(3)),
        "all are acknowledged, three are not there: {report}"
    );
    Ok(())
}

async fn what_the_stream_no_longer_has_is_told(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    // The stream that Rollcall makes denies it; one that others made may not.
    deployment.set("ROLLCALL__CONSUMER__STREAM", "LOOSE");
    let client = deployment.client().await?;
    let config = stream::Config {
        name: "LOOSE".to_owned(),
        subjects: vec!["user.>".to_owned()],
        ..stream::Config::default()
    };
    let loose = client.create_stream(config).await?;
    let missing = deployment.run(&["audit"]).await?;
    assert_eq!(
        missing.code, 2,
        "without its consumer nobody knows what is pending: {missing:?}"
    );
    let consumer = pull::Config {
        durable_name: Some("rollcall".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    loose.create_consumer(consumer).await?;
    for n in 1..=20 {
        let payload = user(&format!("u{n}")).to_string();
        deployment.put("user.created", &[], payload.as_bytes()).await?;
    }
    let empty = deployment.run(&["audit", "--from", "21"]).await?.success()?;
    assert!(empty.stdout.contains("holds nothing of that"), "{empty:?}");
    deployment.run(&["replay"]).await?.success()?;
    for sequence in [1, 2, 3, 8, 20] {
        loose.delete_message(sequence).await?;
    }
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (code, &report["deleted"], &report["messages"]),
        (0, &json!(5), &json!(15)),
        "{report}"
    );
    assert_eq!(report["deleted_sequences"], json!([[1, 3], [8, 8], [20, 20]]));
    assert_eq!(
        (&report["applied"], &report["outlived"]),
        (&json!(15), &json!(5)),
        "{report}"
    );
    let (_, part) = audited(&deployment, &["--from", "7", "--to", "9"]).await?;
    assert_eq!(
        (&part["deleted_sequences"], &part["outlived"]),
        (&json!([[8, 8]]), &json!(null)),
        "{part}"
    );
    let shown = deployment.run(&["audit"]).await?.success()?.stdout;
    for words in ["deleted    5  (sequences 1-3, 8, 20)", "outlived   5"] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    Ok(())
}

async fn beside_a_worker_nothing_looks_like_a_hole(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "3");
    let users: Vec<_> = (0..1200)
        .map(|n| cloud_event("created", &format!("{n}"), n, &user(&format!("u{}", n % 300))))
        .collect();
    deployment.publish(&users[..400]).await?;
    let mut worker = deployment.start(&["run"])?;
    let mut pending = 0;
    for chunk in users[400..].chunks(200) {
        deployment.publish(chunk).await?;
        for _ in 0..2 {
            let (code, report) = audited(&deployment, &[]).await?;
            assert_eq!(
                (code, &report["hole_count"], &report["unlocated"]),
                (0, &json!(0), &json!(0)),
                "{report}"
            );
            let counted = &report["pending"];
            pending += counted["in_hand"].as_u64().unwrap_or_default();
            pending += counted["not_delivered"].as_u64().unwrap_or_default();
        }
    }
    assert!(pending > 0, "it was looked at in the midst of work");
    deployment.ledger_reaches(1200).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    deployment.drain().await?;
    let (code, report) = audited(&deployment, &[]).await?;
    let clean =
        json!({"messages": 1200, "applied": 1200, "pending": {"in_hand": 0, "not_delivered": 0, "to_be_judged": 0}});
    assert_eq!((code, counts(&report)), (0, clean), "{report}");
    Ok(())
}
