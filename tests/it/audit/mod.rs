//! `rollcall audit`: every message is somewhere, or it is told which is not.

mod pending;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(every_kind_of_message_is_told_apart, a_hole_is_found_wherever_it_is,);

/// `rollcall audit --json` with these arguments: exit code and what it printed.
async fn audited(deployment: &Deployment, arguments: &[&str]) -> Result<(i32, Value)> {
    let finished = deployment.run(&[&["audit", "--json"], arguments].concat()).await?;
    let report = finished.json().with_context(|| format!("{finished:?}"))?;
    Ok((finished.code, report))
}

/// The numbers of the report, without those that are 0.
fn counts(report: &Value) -> Value {
    let mut counts = report.clone();
    let fields = counts.as_object_mut().expect("an object");
    for name in [
        "stream",
        "first",
        "last",
        "seconds",
        "complete",
        "continue_from",
        "holes",
        "deleted_sequences",
    ] {
        fields.remove(name);
    }
    fields.retain(|_, value| *value != json!(0) && *value != json!({}) && !value.is_null());
    counts
}

const STRUCTURED: (&str, &str) = ("Content-Type", "application/cloudevents+json");

fn user(name: &str) -> Value {
    json!({"user_id": name})
}

/// Thirteen messages of every kind; the comments are their sequences.
async fn every_kind(deployment: &Deployment) -> Result<()> {
    let mut future = cloud_event("created", "future", 0, &user("f"));
    future["time"] = json!("2999-01-01T00:00:00Z");
    deployment
        .publish(&[
            cloud_event("created", "1", 1, &user("a")),                      // 1
            cloud_event("created", "2", 2, &user("b")),                      // 2
            cloud_event("deleted", "3", 3, &user("Administrator")),          // 3
            cloud_event("deleted", "4", 4, &user("b")),                      // 4
            cloud_event("updated", "5", 5, &user("b")),                      // 5
            cloud_event("exploded", "6", 6, &user("b")),                     // 6
            future,                                                          // 7
            json!({"subject": "user.created", "data": {"user_id": "bare"}}), // 8
        ])
        .await?;
    let copy = cloud_event("created", "1", 1, &user("a")).to_string();
    let conflict = cloud_event("created", "1", 1, &user("other")).to_string();
    deployment.put("user.created", &[STRUCTURED], copy.as_bytes()).await?; // 9
    deployment
        .put("user.created", &[STRUCTURED], conflict.as_bytes())
        .await?; // 10
    deployment.put("user.created.odd", &[], b"not JSON").await?; // 11
    crate::broker::unreadable::publish_raw(&deployment.nats, b"NATS/1.0\r\nce-id: \xff\r\n\r\n", b"{}").await?; // 12
    deployment
        .publish(&[cloud_event("updated", "7", 0, &user("a"))])
        .await?; // 13, late
    Ok(())
}

async fn every_kind_of_message_is_told_apart(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    every_kind(&deployment).await?;
    deployment.drain().await?;
    let (code, report) = audited(&deployment, &[]).await?;
    let dead = json!({"time_in_future": 1, "id_conflict": 1, "undecodable": 2});
    let clean = json!({
        "messages": 13, "applied": 5, "duplicate": 1, "ignored": 1, "unknown_type": 1, "rejected": 1, "dead": dead,
        "pending": {"in_hand": 0, "not_delivered": 0, "to_be_judged": 0},
    });
    assert_eq!((code, counts(&report)), (0, clean), "{report}");
    assert_eq!((&report["holes"], &report["complete"]), (&json!([]), &json!(true)));

    let (code, part) = audited(&deployment, &["--from", "9", "--to", "11"]).await?;
    assert_eq!(
        (code, &part["messages"], &part["outlived"]),
        (0, &json!(3), &json!(null)),
        "{part}"
    );
    assert_eq!(part["dead"], json!({"id_conflict": 1, "undecodable": 1}), "{part}");

    // What comes while no worker runs is pending, of whatever kind.
    deployment
        .publish(&[
            cloud_event("created", "20", 20, &user("c")),
            cloud_event("exploded", "21", 21, &user("c")),
        ])
        .await?;
    deployment.put("user.created", &[], b"not JSON either").await?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        report["pending"],
        json!({"in_hand": 0, "not_delivered": 3, "to_be_judged": 0}),
        "{report}"
    );
    assert_eq!((code, &report["messages"]), (0, &json!(16)));
    // Also where a replay was faster than the worker.
    deployment
        .run(&["replay", "--from", "14", "--until", "14"])
        .await?
        .success()?;
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!((code, &report["applied"]), (0, &json!(6)), "{report}");
    assert_eq!(
        report["pending"],
        json!({"in_hand": 0, "not_delivered": 2, "to_be_judged": 0}),
        "{report}"
    );

    let shown = deployment.run(&["audit"]).await?.success()?.stdout;
    for words in [
        "audited 16 messages of stream USERS, sequences 1 to 16",
        "ignored    2  (unknown_type 1)",
        "dead       4  (id_conflict 1, time_in_future 1, undecodable 2)",
        "pending    2  (not delivered 2)",
        "holes      0",
    ] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    Ok(())
}

async fn a_hole_is_found_wherever_it_is(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    every_kind(&deployment).await?;
    deployment.drain().await?;
    for lost in [
        "@ledger WHERE event_id = '2'",
        "@ledger WHERE source = 'nats://USERS'",
        "@dead_letters WHERE stream_sequence IN (3, 7, 10, 11, 12)",
    ] {
        assert!(
            deployment.base.execute(&format!("DELETE FROM {lost}")).await? > 0,
            "{lost}"
        );
    }
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(code, 1, "{report}");
    let holes = report["holes"].as_array().context("holes")?;
    let found: Vec<_> = holes
        .iter()
        .map(|hole| (hole["sequence"].as_u64(), hole["missing"].as_str()))
        .collect();
    let expected = [
        (2, "event"),
        (3, "letter"),
        (7, "event"),
        (8, "event"),
        (10, "conflict"),
        (11, "burial"),
        (12, "burial"),
    ];
    let expected: Vec<_> = expected
        .map(|(sequence, missing)| (Some(sequence), Some(missing)))
        .into();
    assert_eq!(found, expected, "{report}");
    assert_eq!(
        (&report["hole_count"], &holes[5]["subject"]),
        (&json!(7), &json!("user.created.odd"))
    );
    let messages = deployment
        .nats
        .connect()
        .await?
        .stored_messages("USERS")
        .await?
        .next()
        .await?;
    let year = messages.context("a message")?.published.year().to_string();
    assert!(
        holes[0]["time"].as_str().is_some_and(|time| time.starts_with(&year)),
        "{report}"
    );

    let finished = deployment.run(&["audit", "--from", "11", "--to", "11"]).await?;
    assert_eq!(finished.code, 1);
    for words in [
        "holes      1",
        "  11  ",
        "user.created.odd: no event, and not among the dead letters",
    ] {
        assert!(
            finished.stdout.contains(words),
            "{words} is missing in\n{}",
            finished.stdout
        );
    }
    // The others stand as before, and a replay fills what can be filled; a letter cannot be written twice.
    let (code, _) = audited(&deployment, &["--from", "4", "--to", "6"]).await?;
    assert_eq!(code, 0);
    deployment.run(&["replay"]).await?.success()?;
    let (code, report) = audited(&deployment, &[]).await?;
    let left: Vec<_> = report["holes"]
        .as_array()
        .context("holes")?
        .iter()
        .map(|hole| &hole["sequence"])
        .collect();
    assert_eq!((code, left), (1, vec![&json!(3)]), "{report}");
    Ok(())
}

#[tokio::test]
async fn wrong_usage_and_a_missing_set_up_end_with_2() -> Result<()> {
    let deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    for (arguments, word) in [
        (&["--from", "2", "--to", "1"][..], "lies behind"),
        (&["--from", "0"], "--from"),
        (&["--to", "now"], "--to"),
        (&["--until", "3"], "unexpected argument"),
        (&[], "stream USERS does not exist"),
    ] {
        let finished = deployment.run(&[&["audit"], arguments].concat()).await?;
        assert_eq!(finished.code, 2, "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(word), "{arguments:?}: {}", finished.stderr);
    }
    deployment.drain().await?;
    let empty = deployment.run(&["audit"]).await?.success()?;
    assert!(empty.stdout.contains("holds nothing of that"), "{empty:?}");
    let (code, report) = audited(&deployment, &[]).await?;
    assert_eq!(
        (code, &report["messages"], &report["complete"]),
        (0, &json!(0), &json!(true))
    );
    Ok(())
}
