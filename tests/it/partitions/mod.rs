//! Partitions: every event of a user in one of them, whatever has none with the consumer of the rest, and no event without
//! a consumer while their number changes.

mod in_place;
mod number;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use rollcall::envelope::word_of;
use serde_json::{Value, json};

use crate::broker::unreadable::publish_raw;
use crate::deployment::{Deployment, PATIENCE, header};
use crate::harness::wait::wait_for;
use crate::topology::api;
use crate::world::{Base, Which, cloud_event};

const PARTITIONS: &str = "ROLLCALL__CONSUMER__PARTITIONS";

async fn deployment() -> Result<Deployment> {
    Deployment::around(Base::fresh(Which::Sqlite).await?).await
}

/// The server's hash: FNV-1a of 32 bits.
pub(crate) fn partition_of(user: &str, partitions: u32) -> u32 {
    let hash = word_of(user).bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % partitions
}

/// The subjects of all stored messages, in order.
async fn subjects(deployment: &Deployment) -> Result<Vec<String>> {
    let broker = deployment.nats.connect().await?;
    let mut messages = broker.stored_messages("USERS").await?;
    let mut subjects = Vec::new();
    while let Some(message) = messages.next().await? {
        subjects.push(message.subject);
    }
    broker.close().await;
    Ok(subjects)
}

async fn names(deployment: &Deployment) -> Result<BTreeSet<String>> {
    let broker = deployment.nats.connect().await?;
    Ok(broker.consumer_names("USERS").await?.into_iter().collect())
}

/// What `check` says of consumers and their stream, a line each: state and message.
async fn said(deployment: &Deployment) -> Result<(i32, Vec<String>)> {
    let finished = deployment.run(&["check", "--json"]).await?;
    let report = finished.json()?;
    let findings = report["findings"].as_array().context("findings")?;
    let of_streams = findings
        .iter()
        .filter(|finding| ["consumer", "events"].contains(&finding["subject"].as_str().unwrap_or_default()));
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let lines = of_streams.map(|finding| format!("{} {}", text(finding, "state"), text(finding, "message")));
    Ok((finished.code, lines.collect()))
}

/// Every message is accounted for, and so many there are.
async fn nothing_lost(deployment: &Deployment, messages: u64) -> Result<()> {
    let report = deployment.run(&["audit", "--json"]).await?.success()?.json()?;
    let none = json!({"in_hand": 0, "not_delivered": 0, "to_be_judged": 0});
    assert_eq!(
        (&report["messages"], &report["pending"]),
        (&json!(messages), &none),
        "{report}"
    );
    Ok(())
}

fn created(user: &str) -> Value {
    cloud_event("created", user, 1, &json!({"user_id": user}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_a_user_lands_in_one_partition_by_every_way_in() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.set(PARTITIONS, "8");
    let users: Vec<String> = (0..40).map(|n| format!("user {n}.*@example.com")).collect();
    let mut events: Vec<Value> = users.iter().map(|user| created(user)).collect();
    for user in &users {
        let id = format!("r {user}");
        events.push(cloud_event(
            "renamed",
            &id,
            2,
            &json!({"user_id": user, "new_username": "n"}),
        ));
        events.push(json!({"subject": "user.updated", "data": {"user_id": user, "phone": "1"}}));
    }
    // Before there is a stream, and once more beside a worker.
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run"])?;
    worker.logged("working", PATIENCE).await?;
    let file = deployment.base.folder.path().join("users.csv");
    std::fs::write(&file, "user_id\nfilled\nuser 1.*@example.com\n")?;
    deployment
        .run(&["backfill", "--from", "users.csv", "--apply"])
        .await?
        .success()?;
    // A redrive sends the event again as it came, not under the subject that the letter has.
    let protected = cloud_event("deleted", "p", 3, &json!({"user_id": "Administrator"}));
    deployment.publish(&[protected]).await?;
    deployment.ledger_reaches(122).await?;
    wait_for("a dead letter", PATIENCE, async || {
        (deployment.dead_letters().await.ok()?.len() == 1).then_some(())
    })
    .await?;
    deployment.run(&["dead", "redrive", "--all", "--json"]).await?.json()?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let found = subjects(&deployment).await?;
    assert_eq!((found.len(), &found[121]), (123, &found[122]));
    let mut partitions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for subject in &found {
        let words: Vec<&str> = subject.split('.').collect();
        let ["user", _, partition, user] = words.as_slice() else {
            anyhow::bail!("{subject} has no partition")
        };
        partitions
            .entry((*user).to_owned())
            .or_default()
            .insert((*partition).to_owned());
    }
    for user in users.iter().map(String::as_str).chain(["filled"]) {
        let expected = BTreeSet::from([partition_of(user, 8).to_string()]);
        assert_eq!(partitions.get(&word_of(user)), Some(&expected), "{user}");
    }
    let used: BTreeSet<&String> = partitions.values().flatten().collect();
    assert_eq!(used.len(), 8, "{partitions:?}");
    let counts = deployment.drain().await?;
    assert_eq!(
        counts["outcomes"]["applied"],
        json!(0),
        "the worker did all of it: {counts}"
    );
    nothing_lost(&deployment, 123).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_partition_goes_on_where_the_only_consumer_was() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.publish(&[created("a"), created("b")]).await?;
    deployment.drain().await?;
    // These wait while partitions begin.
    deployment.publish(&[created("c")]).await?;
    deployment.put("user.created.eu", &[], br#"{"user_id":"d"}"#).await?;
    deployment.set(PARTITIONS, "4");
    let (code, lines) = said(&deployment).await?;
    assert_eq!(code, 0, "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("`rollcall run` changes that")),
        "{lines:?}"
    );
    assert_eq!(names(&deployment).await?.len(), 1, "checking changes nothing");
    let counts = deployment.drain().await?;
    let expected = json!({"applied": 2, "duplicate": 0, "ignored": {}, "rejected": {}});
    assert_eq!(counts["outcomes"], expected, "{counts}");
    // Plain ones stay welcome; longer ones would have no consumer, and the broker says so.
    deployment.put("user.created", &[], br#"{"user_id":"e"}"#).await?;
    assert!(
        deployment
            .put("user.created.eu.west", &[], br#"{"user_id":"f"}"#)
            .await
            .is_err()
    );
    deployment.publish(&[created("g")]).await?;
    let poison = format!("user.created.{}", word_of("h"));
    deployment.put(&poison, &[], b"no JSON").await?;
    let counts = deployment.drain().await?;
    assert_eq!(
        (&counts["outcomes"]["applied"], &counts["dead"]),
        (&json!(2), &json!({"undecodable": 1}))
    );
    let letters = deployment.dead_letters().await?;
    let origin = format!("user.created.{}.{}", partition_of("h", 4), word_of("h"));
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0], "Rollcall-Subject"), Some(origin.as_str()));
    assert_eq!(letters[0].subject, format!("dead.{origin}"));
    let expected = ["rollcall", "rollcall-p0", "rollcall-p1", "rollcall-p2", "rollcall-p3"];
    assert_eq!(names(&deployment).await?, expected.map(str::to_owned).into());
    let (code, lines) = said(&deployment).await?;
    assert!(
        code == 0 && lines.iter().all(|line| line.starts_with("ok ")),
        "{lines:?}"
    );
    nothing_lost(&deployment, 7).await?;
    // What is there already comes again by replay, whatever its subject.
    let replayed = deployment.run(&["replay", "--json"]).await?.success()?.json()?;
    assert_eq!(replayed["outcomes"]["duplicate"], json!(6), "{replayed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_left_without_a_consumer_is_applied_first() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.drain().await?;
    deployment
        .put("user.created.eu.west", &[], br#"{"user_id":"f"}"#)
        .await?;
    deployment.set(PARTITIONS, "2");
    let refused = deployment.run(&["run", "--drain"]).await?;
    assert_eq!(refused.code, 2, "{refused:?}");
    for word in [
        "user.created.eu.west in message 1",
        "work without partitions until it is applied",
    ] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    let config = &api(&deployment.nats, "STREAM.INFO.USERS", &json!({})).await?["config"];
    assert_eq!(
        (&config["subjects"], config.get("subject_transform")),
        (&json!(["user.>"]), None)
    );
    assert_eq!(names(&deployment).await?.len(), 1);
    deployment.set(PARTITIONS, "1");
    assert_eq!(deployment.drain().await?["outcomes"]["applied"], json!(1));
    deployment.set(PARTITIONS, "2");
    assert_eq!(deployment.drain().await?["outcomes"]["applied"], json!(0));
    nothing_lost(&deployment, 1).await?;
    // Back again is somebody's decision: the difference is told, and nothing changed.
    deployment.set(PARTITIONS, "0");
    let refused = deployment.run(&["run", "--drain"]).await?;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("if partitions made it"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_to_change_is_compared_and_refused() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment.drain().await?;
    deployment.set(PARTITIONS, "2").set("ROLLCALL__NATS__MANAGE", "false");
    let (code, lines) = said(&deployment).await?;
    let text = lines.join("\n");
    assert_eq!(code, 2, "{text}");
    for word in [
        "subjects: wanted user.*, user.*.*, found user.>",
        "subject_transform: wanted user.*.* → user.{{wildcard(1)}}.{{partition(2,2)}}.{{wildcard(2)}}, found none",
        "filter_subjects: wanted user.*, user.*.*, found all subjects",
        "nats consumer add USERS rollcall-p1 --pull",
        "--filter 'user.*.1.>'",
    ] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let refused = deployment.run(&["run", "--drain"]).await?;
    assert!(
        refused.code == 2 && refused.stderr.contains("subject_transform"),
        "{refused:?}"
    );
    assert_eq!(names(&deployment).await?.len(), 1);
    // Nor are subjects and a transform that somebody gave the stream, whatever we may change of our own.
    deployment.set("ROLLCALL__NATS__MANAGE", "true");
    for (field, theirs) in [
        ("subjects", json!(["user.>", "hr.>"])),
        ("subject_transform", json!({"src": "user.>", "dest": "user.>"})),
    ] {
        let before = api(&deployment.nats, "STREAM.INFO.USERS", &json!({})).await?["config"].take();
        let mut changed = before.clone();
        changed[field] = theirs;
        api(&deployment.nats, "STREAM.UPDATE.USERS", &changed).await?;
        for command in [&["check"][..], &["run", "--drain"], &["publish", "none.jsonl"]] {
            std::fs::write(deployment.base.folder.path().join("none.jsonl"), "")?;
            let refused = deployment.run(command).await?;
            let said = format!("{}{}", refused.stdout, refused.stderr);
            assert!(
                refused.code == 2 && said.contains(&format!("{field}: wanted")),
                "{command:?} {refused:?}"
            );
        }
        let found = api(&deployment.nats, "STREAM.INFO.USERS", &json!({})).await?["config"].take();
        assert_eq!(
            (&found[field], &found["max_bytes"]),
            (&changed[field], &changed["max_bytes"])
        );
        api(&deployment.nats, "STREAM.UPDATE.USERS", &before).await?;
    }
    Ok(())
}

/// A message that the client library cannot take is looked for near the place the consumer has reached: what lies between
/// belongs to others, and there may be more of it than is ever looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_message_is_found_behind_those_of_other_partitions() -> Result<()> {
    let mut deployment = deployment().await?;
    deployment
        .set(PARTITIONS, "2")
        .set("ROLLCALL__WORKER__BATCH_MAX", "500")
        .set("ROLLCALL__CONSUMER__MAX_ACK_PENDING", "500");
    deployment.publish(&[created("begins the stream")]).await?;
    deployment.put("user.created", &[], br#"{"user_id":"first"}"#).await?;
    let users: Vec<Value> = (0..1_100).map(|n| created(&format!("u{n}"))).collect();
    deployment.publish(&users).await?;
    publish_raw(&deployment.nats, b"NATS/1.0\r\nce-id: \xff\r\n\r\n", b"{}").await?;
    let counts = deployment.drain().await?;
    assert_eq!(
        (&counts["outcomes"]["applied"], &counts["dead"]),
        (&json!(1_102), &json!({"undecodable": 1}))
    );
    nothing_lost(&deployment, 1_103).await
}
