//! Every command explains itself with an example, and no wrong usage gets through.

use anyhow::Result;

use super::run;

#[tokio::test]
async fn every_command_has_help_with_an_example() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for command in [
        "",
        "run",
        "migrate",
        "check",
        "publish",
        "explain",
        "schema",
        "replay",
        "rebuild",
        "audit",
        "backfill",
        "ingress",
        "webhook verify",
        "webhook send",
        "dead list",
        "dead redrive",
        "cascade discover",
        "cascade check",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = run(folder.path(), &arguments, &[], b"").await?.success()?.stdout;
        let (_, examples) = help
            .split_once("Example")
            .unwrap_or_else(|| panic!("no example in\n{help}"));
        assert!(examples.contains(&format!("rollcall {command}")), "{examples}");
        assert!(help.contains("--config"), "{help}");
    }
    let version = run(folder.path(), &["--version"], &[], b"").await?.success()?.stdout;
    assert_eq!(version.trim(), format!("rollcall {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[tokio::test]
async fn wrong_usage_ends_with_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [
        &[][..],
        &["nonsense"],
        &["run", "--nonsense"],
        &["explain"],
        &["publish"],
        &["dead"],
        &["dead", "redrive"],
        &["dead", "redrive", "--all", "1"],
        &["cascade"],
        &["webhook"],
        &["webhook", "verify"],
        &["webhook", "send", "--endpoint", "x"],
        &["schema"],
        &["schema", "--event"],
        &["backfill"],
        &["backfill", "--from", "users.xml"],
        &["schema", "user.left", "--asyncapi"],
    ] {
        let finished = run(folder.path(), arguments, &[], b"").await?;
        assert_eq!(finished.code, 2, "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains("Usage"), "{finished:?}");
        assert_eq!(
            std::fs::read_dir(folder.path())?.count(),
            0,
            "{arguments:?} leaves nothing behind"
        );
    }
    let finished = run(folder.path(), &["schema", "user.unknown"], &[], b"").await?;
    assert_eq!(finished.code, 2);
    assert!(finished.stderr.contains("user.created, user.updated"), "{finished:?}");
    Ok(())
}
