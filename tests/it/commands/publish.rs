//! Publishing lines from a file or from standard input.

use anyhow::Result;
use serde_json::json;

use super::run;
use crate::deployment::Deployment;
use crate::world::{Base, Which, cloud_event};

async fn deployment() -> Result<Deployment> {
    Deployment::around(Base::fresh(Which::Sqlite).await?).await
}

fn environment(deployment: &Deployment) -> Vec<(&str, &str)> {
    deployment
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Messages in the stream of events.
async fn stored(deployment: &Deployment) -> Result<u64> {
    Ok(deployment
        .client()
        .await?
        .get_stream("USERS")
        .await?
        .cached_info()
        .state
        .messages)
}

#[tokio::test]
async fn publishing_twice_reports_duplicates() -> Result<()> {
    let deployment = deployment().await?;
    let mut lines: Vec<_> = (0..700)
        .map(|n| cloud_event("created", &format!("{n}"), n, &json!({"user_id": format!("u{n}")})))
        .collect();
    lines.push(json!({"subject": "user.updated", "data": {"user_id": "u1"}}));
    let first = deployment.publish(&lines).await?;
    assert_eq!((&first["published"], &first["duplicates"]), (&json!(701), &json!(0)));
    assert!(
        first["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0),
        "{first}"
    );
    let second = deployment.publish(&lines).await?;
    assert_eq!(
        (&second["published"], &second["duplicates"]),
        (&json!(701), &json!(701))
    );
    assert_eq!(stored(&deployment).await?, 701);
    let finished = deployment.run(&["publish", "events-1.jsonl"]).await?.success()?;
    assert!(finished.stdout.contains("701"), "{}", finished.stdout);
    Ok(())
}

#[tokio::test]
async fn lines_come_from_standard_input_too() -> Result<()> {
    let deployment = deployment().await?;
    let input = b"\n{\"subject\":\"user.created\",\"data\":{\"user_id\":\"a\",\"email\":\"ada@x.org\"}}\n\n  \n\
        {\"subject\":\"user.updated\",\"data\":{\"user_id\":\"a\",\"phone\":\"1\"}}";
    let arguments = ["publish", "-", "--json"];
    let folder = deployment.base.folder.path();
    let finished = run(folder, &arguments, &environment(&deployment), input)
        .await?
        .success()?;
    assert_eq!(finished.json()?["published"], json!(2));
    assert_eq!(
        finished.stdout.lines().count(),
        1,
        "no progress bar without a terminal: {finished:?}"
    );
    deployment.drain().await?;
    assert_eq!(
        deployment
            .base
            .line(&["user_id", "email", "phone"], "@profiles")
            .await?,
        "a ada@x.org 1"
    );
    let empty = run(folder, &arguments, &environment(&deployment), b"")
        .await?
        .success()?;
    assert_eq!(empty.json()?["published"], json!(0));
    Ok(())
}

#[tokio::test]
async fn a_bad_line_of_a_file_is_named_and_nothing_is_published() -> Result<()> {
    let deployment = deployment().await?;
    deployment.drain().await?;
    let good = "{\"subject\":\"user.created\",\"data\":{\"user_id\":\"a\"}}";
    for (bad, expected) in [
        ("not JSON", "line 3"),
        ("{\"subject\":\"user.created\"}", "line 3"),
        ("{\"subject\":\"order.created\",\"data\":{}}", "user."),
        (
            "{\"specversion\":\"1.0\",\"type\":\"user.created\",\"data\":{}}",
            "source",
        ),
        ("{\"subject\":\"user.*\",\"data\":{}}", "wildcards"),
        ("[1]", "line 3"),
    ] {
        std::fs::write(
            deployment.base.folder.path().join("bad.jsonl"),
            format!("{good}\n\n{bad}\n{good}\n"),
        )?;
        let finished = deployment.run(&["publish", "bad.jsonl"]).await?;
        assert_eq!(finished.code, 1, "{bad}: {finished:?}");
        assert!(
            finished.stderr.contains("bad.jsonl, line 3"),
            "{bad}: {}",
            finished.stderr
        );
        assert!(finished.stderr.contains(expected), "{bad}: {}", finished.stderr);
    }
    assert_eq!(stored(&deployment).await?, 0);
    let missing = deployment.run(&["publish", "nothing.jsonl"]).await?;
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("nothing.jsonl cannot be read"),
        "{}",
        missing.stderr
    );
    Ok(())
}

#[tokio::test]
async fn publishing_without_a_broker_fails_with_the_remedy() -> Result<()> {
    let mut deployment = deployment().await?;
    std::fs::write(
        deployment.base.folder.path().join("e.jsonl"),
        "{\"subject\":\"user.created\",\"data\":{}}\n",
    )?;
    deployment.set("ROLLCALL__NATS__URL", "nats://127.0.0.1:1");
    let finished = deployment.run(&["publish", "e.jsonl"]).await?;
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(
        finished.stderr.contains("is nats-server running there"),
        "{}",
        finished.stderr
    );
    Ok(())
}
