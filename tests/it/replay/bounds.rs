//! Which part of the stream is replayed, and what is wrong usage.

use anyhow::Result;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{number, replayed};
use crate::deployment::Deployment;
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(only_the_part_that_was_asked_for_is_replayed);

async fn only_the_part_that_was_asked_for_is_replayed(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let user = |n: i64| json!({"user_id": format!("u{n}")});
    let events: Vec<_> = (1..=20)
        .map(|n| cloud_event("created", &format!("{n}"), n, &user(n)))
        .collect();
    deployment.publish(&events).await?;
    let broker = deployment.nats.connect().await?;
    let mut messages = broker.stored_messages("USERS").await?;
    let mut times = vec![String::new()];
    while let Some(message) = messages.next().await? {
        times.push(message.published.format(&Rfc3339)?);
    }
    let before = "2001-01-01T00:00:00+02:00";
    let (fifth, ninth) = (times[5].as_str(), times[9].as_str());
    for (arguments, first, last) in [
        (&[][..], 1, 20),
        (&["--from", "5"], 5, 20),
        (&["--until", "5"], 1, 5),
        (&["--from", "7", "--until", "7"], 7, 7),
        (&["--since", fifth], 5, 20),
        (&["--until", fifth], 1, 5),
        (&["--since", fifth, "--until", ninth], 5, 9),
        (&["--from", "3", "--until", ninth], 3, 9),
        (&["--since", fifth, "--until", "6"], 5, 6),
        (&["--since", before], 1, 20),
        (&["--from", "5", "--until", "1000"], 5, 20),
        (&["--since", "2999-01-01T00:00:00Z"], 21, 20),
        (&["--from", "1000"], 1000, 20),
        (&["--until", before], 1, 0),
    ] {
        let answer = replayed(&deployment, &[&["--dry-run"], arguments].concat()).await?;
        let count: u64 = if first > last { 0 } else { last + 1 - first };
        let found = (
            number(&answer, "first"),
            number(&answer, "last"),
            number(&answer, "new"),
        );
        assert_eq!(found, (first, last, count), "{arguments:?}: {answer}");
    }
    let answer = replayed(&deployment, &["--from", "5", "--until", ninth]).await?;
    assert_eq!(
        (number(&answer, "messages"), number(&answer, "outcomes.applied")),
        (5, 5)
    );
    let base = &deployment.base;
    let sequences = base.lines(&["stream_sequence"], "@ledger").await?;
    assert_eq!(sequences, ["5", "6", "7", "8", "9"]);
    let shown = deployment
        .run(&["replay", "--from", "9", "--until", "10"])
        .await?
        .success()?
        .stdout;
    for words in [
        "2 messages",
        "sequences 9 to 10",
        "applied    1",
        "duplicate  1",
        "users      1",
    ] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    let shown = deployment.run(&["replay", "--from", "21"]).await?.success()?.stdout;
    assert!(shown.contains("holds nothing of that"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn wrong_usage_is_said_before_anything_is_asked() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    deployment.set("ROLLCALL__NATS__URL", "nats://127.0.0.1:1");
    let time = "2026-01-31T09:00:00Z";
    for (arguments, word) in [
        (&["--from", "2", "--until", "1"][..], "before the beginning"),
        (
            &["--since", time, "--until", "2026-01-31T08:00:00Z"],
            "before the beginning",
        ),
        (&["--from", "1", "--since", time], "cannot be used with"),
        (&["--from", "0"], "--from"),
        (&["--from", time], "--from"),
        (&["--since", "5"], "expected a time"),
        (&["--since", "yesterday"], "expected a time"),
        (&["--until", "0"], "begin at 1"),
        (&["--until", "99999999999999999999"], "begin at 1"),
        (&["--until", "later"], "expected a sequence, or a time"),
        (&["7"], "unexpected argument"),
    ] {
        let finished = deployment.run(&[&["replay"], arguments].concat()).await?;
        assert_eq!(finished.code, 2, "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(word), "{arguments:?}: {}", finished.stderr);
        assert!(
            finished.stderr.contains("Usage") || finished.stderr.contains("--help"),
            "{finished:?}"
        );
    }
    let finished = deployment.run(&["replay"]).await?;
    assert_eq!(
        finished.code, 1,
        "a broker that is away is no wrong usage: {finished:?}"
    );
    Ok(())
}
