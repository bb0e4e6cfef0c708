//! The database is lost. What the stream holds makes the same one again.

use anyhow::{Context, Result};
use serde_json::json;

use super::tables::Compared;
use super::{CONFIG, counted, number, replayed, rich};
use crate::deployment::Deployment;
use crate::world::{Base, Which, on_both};

on_both!(a_lost_database_is_made_again, without_tables_nothing_is_replayed);

/// Drops everything, as a failing disk or a mistaken command would.
fn lose(base: &Base) -> Result<()> {
    match (&base.server, base.which) {
        (Some(server), _) => {
            let name = base.url.rsplit('/').next().context("a name")?;
            server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"))?;
            server.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        }
        (None, Which::Sqlite) => {
            for ending in ["", "-wal", "-shm"] {
                let file = format!("{}{ending}", base.url.trim_start_matches("sqlite://"));
                if std::path::Path::new(&file).exists() {
                    std::fs::remove_file(file)?;
                }
            }
        }
        (None, Which::Postgres) => anyhow::bail!("a database without its server"),
    }
    Ok(())
}

async fn a_lost_database_is_made_again(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    std::fs::write(deployment.base.folder.path().join("config.toml"), CONFIG)?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "7");
    rich(&deployment).await?;
    deployment.drain().await?;
    let lost = Compared::read(&deployment.base).await?;
    let letters = deployment.dead_letters().await?.len();

    // The history is worth the test only if everything is in it.
    for table in [
        "profiles",
        "customers",
        "links",
        "ledger",
        "keys",
        "departed",
        "dead_letters",
    ] {
        assert!(lost.rows(table) > 10, "{table}: {}", lost.rows(table));
    }
    assert_eq!(lost.rows("outbox"), 0);
    for (what, from) in [
        ("late", "@ledger WHERE late"),
        ("rejected", "@ledger WHERE outcome = 'rejected'"),
        ("ignored", "@ledger WHERE outcome = 'ignored'"),
        ("degraded", "@ledger WHERE degraded IS NOT NULL"),
        ("bare", "@ledger WHERE source = 'nats://USERS'"),
        ("key_taken", "@dead_letters WHERE reason = 'key_taken'"),
        ("protected", "@dead_letters WHERE reason = 'protected_user'"),
        ("undecodable", "@dead_letters WHERE reason = 'undecodable'"),
        ("id_conflict", "@dead_letters WHERE reason = 'id_conflict'"),
        ("future", "@dead_letters WHERE reason = 'time_in_future'"),
        (
            "a broken header",
            "@dead_letters WHERE error LIKE '%break the protocol%'",
        ),
    ] {
        assert!(deployment.base.number("count(*)", from).await? > 0, "{what}");
    }

    lose(&deployment.base)?;
    deployment.run(&["migrate"]).await?.success()?;
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "50");
    let answer = replayed(&deployment, &[]).await?;
    Compared::read(&deployment.base)
        .await?
        .assert_same(&lost, "the database made again");
    let held = deployment.nats.connect().await?.held("USERS").await?;
    assert_eq!(number(&answer, "messages"), held.messages, "{answer}");
    assert_eq!(counted(&answer), held.messages, "{answer}");
    assert_eq!(
        (&answer["complete"], &answer["continue_from"]),
        (&json!(true), &json!(null))
    );
    let applied = number(&answer, "users");
    assert!(
        applied > 50 && applied < number(&answer, "outcomes.applied"),
        "{answer}"
    );
    assert_eq!(
        deployment.dead_letters().await?.len(),
        letters,
        "the broker knows the letters by their ids"
    );

    // The worker finds nothing left to do, and nothing wrong.
    let counts = deployment.drain().await?;
    assert_eq!(counted(&counts), 0, "{counts}");
    Ok(())
}

async fn without_tables_nothing_is_replayed(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let nothing = deployment.run(&["replay"]).await?;
    assert_eq!(nothing.code, 2, "no stream: {nothing:?}");
    assert!(nothing.stderr.contains("USERS"), "{nothing:?}");
    deployment.publish(&[]).await?;
    lose(&deployment.base)?;
    for arguments in [&["replay"][..], &["replay", "--dry-run"]] {
        let finished = deployment.run(arguments).await?;
        assert_eq!(finished.code, 2, "{finished:?}");
        assert!(finished.stderr.contains("`rollcall migrate`"), "{finished:?}");
    }
    Ok(())
}
