//! The number of partitions changes while events wait: none is lost, none is out of order for the fold.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{PARTITIONS, created, deployment, names, nothing_lost, partition_of, said};
use crate::deployment::PATIENCE;
use crate::topology::api;
use crate::world::cloud_event;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_partitions_become_fewer_or_more() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.set(PARTITIONS, "4");
    deployment.drain().await?;
    let users: Vec<String> = (0..24).map(|n| format!("u{n}")).collect();
    deployment
        .publish(&users.iter().map(|user| created(user)).collect::<Vec<_>>())
        .await?;
    deployment.set(PARTITIONS, "2");
    let waiting = users.iter().filter(|user| partition_of(user, 4) == 3).count();
    ensure!(waiting > 0, "void: nobody is in the last partition");
    let (code, lines) = said(&deployment).await?;
    let expected = format!("warning consumer rollcall-p3 belongs to no partition; {waiting} events wait there");
    assert!(
        code == 0 && lines.iter().any(|line| line.starts_with(&expected)),
        "{lines:?}"
    );
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(24), "{counts}");
    // An hour later somebody tidies up, while a worker is at work.
    let mut worker = deployment.start(&["run"])?;
    worker.logged("working", PATIENCE).await?;
    let (_, lines) = said(&deployment).await?;
    assert!(
        lines
            .iter()
            .any(|line| line.contains("`nats consumer rm USERS rollcall-p3`")),
        "{lines:?}"
    );
    for name in ["rollcall-p2", "rollcall-p3"] {
        api(&deployment.nats, &format!("CONSUMER.DELETE.USERS.{name}"), &json!({})).await?;
    }
    worker.logged("was removed", PATIENCE).await?;
    deployment
        .publish(
            &users
                .iter()
                .map(|user| cloud_event("deleted", &format!("d{user}"), 9, &json!({"user_id": user})))
                .collect::<Vec<_>>(),
        )
        .await?;
    deployment.ledger_reaches(48).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    deployment.set(PARTITIONS, "3");
    deployment.publish(&[created("late")]).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(1), "{counts}");
    let (code, lines) = said(&deployment).await?;
    assert!(
        code == 0 && lines.iter().all(|line| line.starts_with("ok ")),
        "{lines:?}"
    );
    nothing_lost(&deployment, 49).await
}

/// Each change finds events waiting, and each user is renamed into another partition on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_partitions_become_four_and_eight_again_with_events_waiting() -> Result<()> {
    let mut deployment = deployment().await?;
    let users: Vec<(String, String)> = (0..40).map(|n| (format!("u{n}"), format!("renamed{n}"))).collect();
    deployment.set(PARTITIONS, "8");
    deployment.drain().await?;
    deployment.set(PARTITIONS, "4");
    let (code, lines) = said(&deployment).await?;
    let leftovers: Vec<&String> = lines.iter().filter(|line| line.contains("no partition")).collect();
    assert!(
        code == 0 && leftovers.len() == 4 && leftovers.iter().all(|line| line.contains("until `rollcall run`")),
        "nothing waits there, and yet something may come: {lines:?}"
    );
    deployment.set(PARTITIONS, "8");
    deployment
        .publish(&users.iter().map(|(user, _)| created(user)).collect::<Vec<_>>())
        .await?;
    deployment.set(PARTITIONS, "4");
    assert_eq!(deployment.drain().await?["outcomes"]["applied"], json!(40));
    let renamed = |(user, new): &(String, String)| {
        cloud_event(
            "renamed",
            &format!("r{user}"),
            2,
            &json!({"user_id": user, "new_user_id": new}),
        )
    };
    deployment
        .publish(&users.iter().map(renamed).collect::<Vec<_>>())
        .await?;
    deployment.set(PARTITIONS, "8");
    // Published as before the worker changes the stream, and once more after it: some overtake the renames.
    let phone = |minute: i64| {
        move |(_, new): &(String, String)| {
            let data = json!({"user_id": new, "phone": format!("+{minute}")});
            cloud_event("updated", &format!("p{minute}{new}"), minute, &data)
        }
    };
    deployment
        .publish(&users.iter().map(phone(3)).collect::<Vec<_>>())
        .await?;
    let mut worker = deployment.start(&["run"])?;
    worker.logged("working", PATIENCE).await?;
    deployment
        .publish(&users.iter().map(phone(4)).collect::<Vec<_>>())
        .await?;
    deployment.ledger_reaches(160).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let mut expected: Vec<String> = users.iter().map(|(_, new)| format!("{new} +4 4")).collect();
    expected.sort_unstable();
    let found = deployment
        .base
        .lines(&["user_id", "phone", "version"], "@profiles")
        .await?;
    assert_eq!(found, expected);
    let (code, lines) = said(&deployment).await?;
    assert!(
        code == 0 && lines.iter().all(|line| line.starts_with("ok ")),
        "{lines:?}"
    );
    nothing_lost(&deployment, 160).await
}

/// What docs/PARTITIONS.md says of their end, with the calls that the tool makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_end_with_events_waiting_in_them() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.set(PARTITIONS, "4");
    let users: Vec<Value> = (0..30).map(|n| created(&format!("u{n}"))).collect();
    deployment.publish(&users[..20]).await?;
    deployment.drain().await?;
    deployment.publish(&users[20..]).await?;
    deployment.put("user.created", &[], br#"{"user_id":"plain"}"#).await?;
    deployment.set(PARTITIONS, "0");
    let (code, lines) = said(&deployment).await?;
    assert!(
        code == 2
            && lines
                .iter()
                .any(|line| line.contains("nobody reads them: docs/PARTITIONS.md")),
        "{lines:?}"
    );
    let mut config = api(&deployment.nats, "STREAM.INFO.USERS", &json!({})).await?["config"].take();
    config["subjects"] = json!(["user.>"]);
    config["subject_transform"] = Value::Null;
    api(&deployment.nats, "STREAM.UPDATE.USERS", &config).await?;
    deployment.set("ROLLCALL__CONSUMER__DURABLE", "anew");
    let counts = deployment.drain().await?;
    let expected = json!({"applied": 11, "duplicate": 20, "ignored": {}, "rejected": {}});
    assert_eq!(counts["outcomes"], expected, "{counts}");
    for name in names(&deployment).await?.into_iter().filter(|name| name != "anew") {
        api(&deployment.nats, &format!("CONSUMER.DELETE.USERS.{name}"), &json!({})).await?;
    }
    deployment.publish(&[created("afterwards")]).await?;
    assert_eq!(deployment.drain().await?["outcomes"]["applied"], json!(1));
    let (code, lines) = said(&deployment).await?;
    assert!(
        code == 0 && lines.iter().all(|line| line.starts_with("ok ")),
        "{lines:?}"
    );
    nothing_lost(&deployment, 32).await
}

/// Named like one of a partition, but somebody else's: what it reads tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_somebody_else_is_left_alone() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.set(PARTITIONS, "2");
    deployment.drain().await?;
    let theirs = json!({
        "stream_name": "USERS", "action": "create",
        "config": {"durable_name": "rollcall-p5", "ack_policy": "explicit", "filter_subject": "user.created.>"},
    });
    api(&deployment.nats, "CONSUMER.CREATE.USERS.rollcall-p5", &theirs).await?;
    deployment.publish(&[created("ada"), created("ben")]).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(2), "{counts}");
    let info = api(&deployment.nats, "CONSUMER.INFO.USERS.rollcall-p5", &json!({})).await?;
    assert_eq!(
        (&info["num_pending"], &info["delivered"]["consumer_seq"]),
        (&json!(2), &json!(0))
    );
    let (_, lines) = said(&deployment).await?;
    assert!(!lines.iter().any(|line| line.contains("rollcall-p5")), "{lines:?}");
    Ok(())
}

/// Another application comes to a stream that was divided before, and that still holds what no partition has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_divided_stream_had_before_is_told_to_who_comes_late() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.drain().await?;
    let long = created("ada").to_string();
    let structured = ("Content-Type", "application/cloudevents+json");
    deployment
        .put("user.created.eu.x", &[structured], long.as_bytes())
        .await?;
    deployment.drain().await?;
    deployment.set(PARTITIONS, "2");
    deployment.publish(&[created("ben")]).await?;
    deployment.drain().await?;
    deployment.set("ROLLCALL__CONSUMER__DURABLE", "late");
    let begun = deployment.run(&["run", "--drain"]).await?.success()?;
    assert!(begun.stderr.contains("no partition reads this message"), "{begun:?}");
    Ok(())
}
