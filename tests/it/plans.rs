//! Tables grow from empty under prepared statements, before anybody analyses them: no plan of a batch may read a whole
//! table, at any size.

use anyhow::Result;
use rollcall::store::Queue;
use serde_json::json;

use crate::world::{Base, Stream, Which, apply};

/// Tables that every batch touches.
const HOT: &str = "'keys', 'ledger', 'profiles', 'customers', 'dead_letters', 'outbox', 'announcements', 'departed'";

/// Batches of everything, some of it late, about users of a growing number.
fn stream(batches: i64, size: i64) -> Stream {
    let mut stream = Stream::new();
    for batch in 0..batches {
        for n in 0..size / 4 {
            let user = format!("u{batch}-{n}");
            let id = |what: &str| format!("{user}-{what}");
            let minute = batch * 10;
            stream
                .say(
                    "created",
                    &user,
                    minute,
                    json!({"user_id": user, "email": format!("{user}@x.org")}),
                )
                .say(
                    "joined",
                    &id("join"),
                    minute + 1,
                    json!({"user_id": user, "organization_id": "o"}),
                );
            let before = format!("u{}-{n}", batch - 1);
            match n % 5 {
                0 => stream.say(
                    "renamed",
                    &id("r"),
                    minute + 2,
                    json!({"user_id": before, "new_user_id": id("new")}),
                ),
                1 => stream.say("deleted", &id("d"), minute + 2, json!({"user_id": before})),
                2 => stream.say("updated", &id("u"), 0, json!({"user_id": before, "phone": "late"})),
                3 => stream.say(
                    "left",
                    &id("l"),
                    minute + 2,
                    json!({"user_id": before, "organization_id": "o"}),
                ),
                _ => stream.say(
                    "updated",
                    &id("u"),
                    minute + 2,
                    json!({"user_id": before, "phone": "1"}),
                ),
            };
            if n % 2 == 0 {
                stream.message("user.created", Vec::new(), b"not JSON");
            } else {
                stream.say(
                    "activated",
                    &id("x"),
                    minute + 3,
                    json!({"user_id": before, "profile_type": "none"}),
                );
            }
        }
    }
    stream
}

async fn scans(base: &Base) -> Result<Vec<String>> {
    // Counters are sent when a session ends or falls idle; the caller has closed its sessions.
    base.lines(
        &["relname", "seq_scan"],
        &format!("pg_stat_user_tables WHERE relname IN ({HOT})"),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_batch_reads_a_whole_table_that_was_never_analysed() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    base.store().await?.close().await;
    let server = base.server.as_ref().expect("a server");
    server.sql("postgres", "ALTER SYSTEM SET autovacuum = off")?;
    server.sql("postgres", "SELECT pg_reload_conf()")?;
    let before = scans(&base).await?;
    assert_eq!(before.len(), 8, "{before:?}");

    // Statements get their generic plans after five uses: eight batches of 1,000, then small ones.
    let store = base.store().await?;
    let applier = base
        .applier_for(rollcall::wiring::policy(&rollcall::config::Config::default()), 100_000)
        .await?;
    let all = stream(9, 1000);
    for batch in all.messages[..8000].chunks(1000).chain(all.messages[8000..].chunks(10)) {
        apply(&applier, batch).await?;
        for queue in [Queue::Letters, Queue::Announcements] {
            let rows = store.outbox(queue, 20).await?;
            store
                .published(queue, &rows.iter().map(|row| row.outbox_id).collect::<Vec<_>>())
                .await?;
            let ids: Vec<String> = rows.into_iter().map(|row| row.message_id).collect();
            store.resolved(&ids).await?;
        }
    }
    store.component("u7-0").await?;
    assert_eq!(base.number("count(*)", "@ledger").await?, 9000 - 9 * 125);
    store.close().await;
    drop(applier);
    assert_eq!(
        base.number("count(*)", "pg_stat_user_tables WHERE last_analyze IS NOT NULL")
            .await?,
        0
    );

    // What the test itself read.
    let own = "SELECT count(*) FROM rollcall.ledger";
    let explained = server.sql("test_1", &format!("EXPLAIN {own}"))?;
    let allowed = u32::from(explained.contains("Seq Scan"));
    let deadline = std::time::Duration::from_secs(20);
    let flushed = crate::harness::wait::wait_for("the statistics", deadline, async || {
        let written = base
            .number("n_tup_ins", "pg_stat_user_tables WHERE relname = 'ledger'")
            .await
            .ok()?;
        (written == 9000 - 9 * 125).then_some(())
    });
    flushed.await?;
    let after = scans(&base).await?;
    for (before, after) in before.iter().zip(&after) {
        let count = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|n| n.parse::<u32>().ok())
                .expect("a count")
        };
        let own = if after.starts_with("ledger") { allowed } else { 0 };
        assert!(
            count(after) <= count(before) + own,
            "whole tables were read: {before} → {after}"
        );
    }
    Ok(())
}
