//! Configuration, migration and the start of the worker: every problem said at once, with what to do about it.

use anyhow::Result;
use serde_json::{Value, json};

use super::run;
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::nats::Nats;
use crate::world::{Base, Which, on_both};

/// Nobody listens on this port.
const NOWHERE: &str = "nats://127.0.0.1:1";

on_both!(
    migrating_says_what_it_did,
    check_finds_nothing_where_nothing_is_wrong,
    run_without_tables_says_what_to_do,
    run_refuses_tables_of_a_newer_version,
);

async fn migrating_says_what_it_did(base: Base) -> Result<()> {
    let environment = [("ROLLCALL__STORE__URL", base.url.as_str())];
    let first = run(base.folder.path(), &["migrate", "--json"], &environment, b"")
        .await?
        .success()?;
    assert_eq!(
        first.json()?["migrations"],
        json!([
            "foundation",
            "checkpoints",
            "failures",
            "cascades",
            "customers",
            "announcements"
        ])
    );
    let second = run(base.folder.path(), &["migrate"], &environment, b"")
        .await?
        .success()?;
    assert!(second.stdout.contains("nothing to do"), "{}", second.stdout);
    assert_eq!(base.number("count(*)", "@migrations").await?, 6);
    Ok(())
}

async fn check_finds_nothing_where_nothing_is_wrong(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let before = deployment.run(&["check"]).await?.success()?;
    assert!(before.stdout.contains("does not exist yet"), "{}", before.stdout);
    assert!(
        deployment.client().await?.get_stream("USERS").await.is_err(),
        "checking makes nothing"
    );
    deployment.drain().await?;
    let found = deployment.run(&["check", "--json"]).await?.success()?.json()?;
    assert_eq!(found["ok"], json!(true), "{found}");
    let subjects: Vec<&Value> = findings(&found).iter().map(|finding| &finding["subject"]).collect();
    for subject in [
        "configuration",
        "broker",
        "events",
        "dead letters",
        "consumer",
        "database",
    ] {
        assert!(subjects.contains(&&json!(subject)), "{subject} is missing: {found}");
    }
    Ok(())
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().map(Vec::as_slice).unwrap_or_default()
}

async fn run_without_tables_says_what_to_do(base: Base) -> Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let environment = [
        ("ROLLCALL__STORE__URL", base.url.as_str()),
        ("ROLLCALL__NATS__URL", url.as_str()),
    ];
    for arguments in [&["run"][..], &["run", "--drain", "--json"]] {
        let finished = run(base.folder.path(), arguments, &environment, b"").await?;
        assert_eq!(finished.code, 2, "{finished:?}");
        assert!(finished.stderr.contains("`rollcall migrate`"), "{}", finished.stderr);
    }
    if base.which == Which::Sqlite {
        assert!(
            !base.folder.path().join("test.db").exists(),
            "only migrating makes the file"
        );
    }
    Ok(())
}

async fn run_refuses_tables_of_a_newer_version(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment
        .base
        .execute("INSERT INTO @migrations (version, name) VALUES (1000, 'of tomorrow')")
        .await?;
    let finished = deployment.run(&["run", "--drain"]).await?;
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("newer version"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn check_names_every_problem_in_one_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let environment = [
        ("ROLLCALL__NATS__URL", NOWHERE),
        ("ROLLCALL__STORE__URL", "sqlite://no/such/file.db"),
    ];
    let finished = run(folder.path(), &["check", "--json"], &environment, b"").await?;
    assert_eq!(finished.code, 2, "{finished:?}");
    let report = finished.json()?;
    assert_eq!(report["ok"], json!(false));
    for (subject, remedy) in [
        ("broker", "is nats-server running there"),
        ("database", "`rollcall migrate`"),
    ] {
        let finding = findings(&report)
            .iter()
            .find(|finding| finding["subject"] == json!(subject));
        let message = finding
            .and_then(|finding| finding["message"].as_str())
            .unwrap_or_default();
        assert!(message.contains(remedy), "{subject}: {report}");
    }
    let shown = run(folder.path(), &["check"], &environment, b"").await?;
    assert_eq!(shown.stdout.matches("problem").count(), 2, "{}", shown.stdout);
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "checking makes nothing");
    Ok(())
}

#[tokio::test]
async fn check_says_what_differs_and_changes_nothing() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    deployment.drain().await?;
    deployment
        .set("ROLLCALL__CONSUMER__MAX_ACK_PENDING", "4321")
        .set("ROLLCALL__CONSUMER__DUPLICATE_WINDOW", "33s");
    let finished = deployment.run(&["check"]).await?;
    assert_eq!(finished.code, 2, "{finished:?}");
    for word in ["max_ack_pending", "4321", "duplicate_window"] {
        assert!(
            finished.stdout.contains(word),
            "{word} is missing in\n{}",
            finished.stdout
        );
    }
    let refused = deployment.run(&["run", "--drain"]).await?;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("duplicate_window"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn nothing_is_made_where_nothing_is_to_be_managed() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    deployment.set("ROLLCALL__NATS__MANAGE", "false");
    std::fs::write(
        deployment.base.folder.path().join("e.jsonl"),
        "{\"subject\":\"user.created\",\"data\":{}}\n",
    )?;
    for arguments in [&["run", "--drain"][..], &["publish", "e.jsonl"], &["check"]] {
        let finished = deployment.run(arguments).await?;
        assert_eq!(finished.code, 2, "{arguments:?}: {finished:?}");
        assert!(
            format!("{}{}", finished.stdout, finished.stderr).contains("USERS"),
            "{finished:?}"
        );
    }
    assert!(deployment.client().await?.get_stream("USERS").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_named_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bad = "[nats]\nurll = \"nats://x:1\"\n[wroker]\n[worker]\nlanes = 0\nlinger = \"5 parsecs\"\n";
    std::fs::write(folder.path().join("config.toml"), bad)?;
    let environment = [("ROLLCALL__STORE__SCHEMMA", "x")];
    for command in [
        &["check"][..],
        &["run"],
        &["migrate"],
        &["dead", "list"],
        &["explain", "u1"],
    ] {
        let finished = run(folder.path(), command, &environment, b"").await?;
        assert_eq!(finished.code, 2, "{command:?}: {finished:?}");
        let said = format!("{}{}", finished.stdout, finished.stderr);
        for word in [
            "line 2",
            "\"urll\"",
            "\"url\"",
            "line 3",
            "wroker",
            "[worker]",
            "\"lanes\"",
            "1 to 64",
            "linger",
            "ROLLCALL__STORE__SCHEMMA",
        ] {
            assert!(said.contains(word), "{command:?}: {word} is missing in\n{said}");
        }
    }
    let finished = run(folder.path(), &["--config", "other.toml", "check"], &[], b"").await?;
    assert_eq!(finished.code, 2);
    assert!(
        finished.stdout.contains("other.toml does not exist"),
        "{}",
        finished.stdout
    );
    Ok(())
}

#[tokio::test]
async fn the_environment_overrides_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("config.toml"),
        "[store]\nurl = \"sqlite://file.db\"\n",
    )?;
    std::fs::write(folder.path().join("url"), "sqlite://secret.db\n")?;
    run(folder.path(), &["migrate"], &[], b"").await?.success()?;
    run(
        folder.path(),
        &["migrate"],
        &[("ROLLCALL__STORE__URL", "sqlite://variable.db")],
        b"",
    )
    .await?
    .success()?;
    std::fs::write(
        folder.path().join("other.toml"),
        "[store]\nurl_file = \"url\"\ntable_prefix = \"rc_\"\n",
    )?;
    run(folder.path(), &["migrate", "--config", "other.toml"], &[], b"")
        .await?
        .success()?;
    for file in ["file.db", "variable.db", "secret.db"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_never_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("password"), "hidden-one\n")?;
    let file = "[nats]\nurl = \"nats://127.0.0.1:1\"\nuser = \"u\"\npassword_file = \"password\"\n\
        [store]\nurl = \"postgres://u:hidden-two@127.0.0.1:1/db?password=hidden-three\"\n[telemetry]\nlog = \"trace\"\n";
    std::fs::write(folder.path().join("config.toml"), file)?;
    for command in [
        &["check"][..],
        &["check", "--json"],
        &["migrate"],
        &["explain", "u1"],
        &["dead", "list"],
    ] {
        let finished = run(folder.path(), command, &[("RUST_LOG", "trace")], b"").await?;
        assert_ne!(finished.code, 0, "{command:?}: nothing is there");
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!said.contains("hidden-"), "{command:?}:\n{said}");
    }
    let environment = [
        ("ROLLCALL__STORE__URL", "mysql://u:hidden-four@h/d"),
        ("ROLLCALL__NATS__TOKEN", "hidden-five"),
    ];
    let finished = run(folder.path(), &["run"], &environment, b"").await?;
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(!finished.stderr.contains("hidden-"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn run_waits_for_a_broker_and_stops_when_told() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    deployment.set("ROLLCALL__NATS__URL", NOWHERE);
    let mut worker = deployment.start(&["run"])?;
    worker.logged("waiting for the broker", PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}
