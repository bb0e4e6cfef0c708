//! A replay over what is there changes nothing, and a dry run not even that.

use anyhow::Result;
use serde_json::json;

use super::tables::Compared;
use super::{CONFIG, counted, number, replayed, rich};
use crate::deployment::Deployment;
use crate::world::{Base, cloud_event, on_both};

on_both!(
    over_what_is_there_nothing_changes,
    a_letter_is_written_once_however_often_its_message_is_replayed,
    a_dry_run_tells_and_writes_nothing,
);

async fn over_what_is_there_nothing_changes(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    std::fs::write(deployment.base.folder.path().join("config.toml"), CONFIG)?;
    rich(&deployment).await?;
    let counts = deployment.drain().await?;
    // What the application wrote is nobody's business here.
    for edit in [
        "UPDATE @profiles SET status = 'archived', display_name = 'edited' WHERE profile_type = 'client'",
        "UPDATE @profiles SET attributes = '{\"mine\": true}' WHERE profile_type = 'vendor'",
        "UPDATE @customers SET name = 'edited'",
    ] {
        assert!(deployment.base.execute(edit).await? > 10, "{edit}");
    }
    let before = Compared::read(&deployment.base).await?;
    let applied_at = deployment.base.lines(&["event_id", "applied_at"], "@ledger").await?;
    let letters = deployment
        .base
        .lines(&["message_id", "created_at"], "@dead_letters")
        .await?;
    for _ in 0..2 {
        let answer = replayed(&deployment, &[]).await?;
        assert_eq!(number(&answer, "outcomes.applied"), 0, "{answer}");
        assert_eq!(answer["outcomes"]["rejected"], json!({}), "{answer}");
        assert_eq!(answer["outcomes"]["ignored"], json!({"unknown_type": 3}), "{answer}");
        assert_eq!(answer["dead"], counts["dead"], "{answer}");
        assert_eq!(number(&answer, "users"), 0, "{answer}");
        assert_eq!(counted(&answer), number(&answer, "messages"));
        Compared::read(&deployment.base)
            .await?
            .assert_same(&before, "a replay over what is there");
    }
    let base = &deployment.base;
    assert_eq!(base.lines(&["event_id", "applied_at"], "@ledger").await?, applied_at);
    assert_eq!(
        base.lines(&["message_id", "created_at"], "@dead_letters").await?,
        letters
    );
    Ok(())
}

async fn a_letter_is_written_once_however_often_its_message_is_replayed(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    // No help from the broker: it forgets message ids at once.
    deployment.set("ROLLCALL__CONSUMER__DUPLICATE_WINDOW", "100ms");
    deployment
        .publish(&[cloud_event("created", "1", 0, &json!({"user_id": "a"}))])
        .await?;
    deployment.put("user.created", &[], b"not JSON").await?;
    let conflict = cloud_event("created", "1", 0, &json!({"user_id": "a", "phone": "1"}));
    let structured = [("Content-Type", "application/cloudevents+json")];
    deployment
        .put("user.created", &structured, conflict.to_string().as_bytes())
        .await?;
    for round in 0..3 {
        // No worker ever ran: the letters are the replay's, and it publishes them before it ends.
        let answer = replayed(&deployment, &[]).await?;
        assert_eq!(
            answer["dead"],
            json!({"undecodable": 1, "id_conflict": 1}),
            "round {round}"
        );
        assert_eq!(
            deployment.base.number("count(*)", "@dead_letters").await?,
            2,
            "round {round}"
        );
        assert_eq!(deployment.base.number("count(*)", "@outbox").await?, 0, "round {round}");
        assert_eq!(deployment.dead_letters().await?.len(), 2, "round {round}");
    }
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["duplicate"], json!(1), "{counts}");
    assert_eq!(
        deployment.dead_letters().await?.len(),
        2,
        "nor does a worker send them again"
    );
    Ok(())
}

const ALL: [&str; 9] = [
    "@profiles",
    "@customers",
    "@ledger",
    "@keys",
    "@departed",
    "@dead_letters",
    "@outbox",
    "@policies",
    "@migrations",
];

async fn counts(base: &Base) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for table in ALL {
        counts.push(base.number("count(*)", table).await?);
    }
    Ok(counts)
}

async fn a_dry_run_tells_and_writes_nothing(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let user = |n: i64| json!({"user_id": format!("u{n}")});
    let events: Vec<_> = (0..10)
        .map(|n| cloud_event("created", &format!("{n}"), n, &user(n)))
        .collect();
    deployment.publish(&events).await?;
    deployment.put("user.created", &[], b"not JSON").await?;
    let mut future = cloud_event("created", "future", 0, &user(0));
    future["time"] = json!("2999-01-01T00:00:00Z");
    deployment
        .publish(&[future, cloud_event("exploded", "odd", 0, &user(0))])
        .await?;

    let empty = counts(&deployment.base).await?;
    let answer = replayed(&deployment, &["--dry-run"]).await?;
    let tell = |name: &str| number(&answer, name);
    assert_eq!((tell("messages"), tell("new"), tell("known")), (13, 10, 0), "{answer}");
    assert_eq!(answer["new_by_type"], json!({"user.created": 10}));
    assert_eq!(
        (tell("undecodable"), tell("time_in_future"), tell("unknown_type")),
        (1, 1, 1),
        "{answer}"
    );
    assert_eq!((tell("users"), &answer["dry_run"]), (10, &json!(true)));
    assert_eq!(
        counts(&deployment.base).await?,
        empty,
        "nothing is written, not even the policy"
    );
    let streams = deployment.client().await?;
    assert!(
        streams.get_stream("DEAD_LETTERS").await.is_err(),
        "nor made on the broker"
    );

    deployment.drain().await?;
    deployment
        .publish(&[
            cloud_event("updated", "10", 10, &user(3)),
            cloud_event("deleted", "11", 11, &user(3)),
            cloud_event("deleted", "12", 12, &user(4)),
        ])
        .await?;
    let conflict = cloud_event("created", "1", 0, &json!({"user_id": "u1", "phone": "1"}));
    let structured = [("Content-Type", "application/cloudevents+json")];
    deployment
        .put("user.created", &structured, conflict.to_string().as_bytes())
        .await?;
    let before = counts(&deployment.base).await?;
    let answer = replayed(&deployment, &["--dry-run"]).await?;
    let tell = |name: &str| number(&answer, name);
    assert_eq!(
        (tell("new"), tell("known"), tell("id_conflicts"), tell("users")),
        (3, 10, 1, 2),
        "{answer}"
    );
    assert_eq!(answer["new_by_type"], json!({"user.deleted": 2, "user.updated": 1}));
    assert_eq!(counts(&deployment.base).await?, before);
    let shown = deployment.run(&["replay", "--dry-run"]).await?.success()?.stdout;
    for words in [
        "user.deleted 2",
        "known            10",
        "does not predict outcomes",
        "Nothing was written",
    ] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    Ok(())
}
