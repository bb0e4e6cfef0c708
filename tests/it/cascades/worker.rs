//! The same with the real program.

use anyhow::Result;
use serde_json::json;

use super::{cascade, noted, table};
use crate::deployment::{Deployment, PATIENCE, header};
use crate::harness::wait::wait_for;
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(
    a_failing_required_step_undoes_its_event_and_no_other,
    rows_that_are_too_many_follow_before_the_drain_ends,
    the_start_fails_with_every_problem_of_the_tables,
    who_holds_an_address_is_found_by_an_index,
    work_of_a_section_that_is_gone_is_told_at_the_start,
    rows_that_cannot_follow_stop_nobody_but_their_user,
);

fn write(base: &Base, lines: &str) -> Result<()> {
    std::fs::write(base.folder.path().join("config.toml"), lines)?;
    Ok(())
}

fn renames(count: i64) -> Vec<serde_json::Value> {
    let created = (0..count).map(|n| cloud_event("created", &format!("c{n}"), 1, &json!({"user_id": format!("u{n}")})));
    let renamed = (0..count).map(|n| {
        let data = json!({"user_id": format!("u{n}"), "new_user_id": format!("v{n}")});
        cloud_event("renamed", &format!("r{n}"), 2, &data)
    });
    created.chain(renamed).collect()
}

async fn a_failing_required_step_undoes_its_event_and_no_other(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "2");
    let base = &deployment.base;
    let people: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    table(base, "first", &people).await?;
    table(base, "second", &people).await?;
    let refuse = match base.which {
        Which::Postgres => "ALTER TABLE second ADD CONSTRAINT no_v7 CHECK (\"user\" <> 'v7')",
        Which::Sqlite => {
            "CREATE TRIGGER no_v7 BEFORE UPDATE ON second WHEN NEW.\"user\" = 'v7' \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
    };
    base.execute(refuse).await?;
    write(base, &format!("{}{}", cascade("first", ""), cascade("second", "")))?;
    deployment.publish(&renames(30)).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({"exhausted": 1}), "{counts}");
    assert_eq!(counts["outcomes"]["applied"], json!(59));
    for name in ["first", "second"] {
        let left = base
            .lines(&["\"user\""], &format!("{name} WHERE \"user\" LIKE 'u%'"))
            .await?;
        assert_eq!(
            left,
            ["u7"],
            "{name}: what the failing step came after is undone as well"
        );
    }
    let letters = deployment.dead_letters().await?;
    let error = header(&letters[0], "Rollcall-Error").unwrap_or_default();
    assert!(error.contains("cascade second failed: the database refused"), "{error}");
    let explained = deployment.run(&["explain", "v3"]).await?.success()?.stdout;
    assert!(
        explained.contains("u3 → v3; first 1; second 1  [idp r3]"),
        "{explained}"
    );
    let explained = deployment.run(&["explain", "v3", "--json"]).await?.success()?.json()?;
    assert_eq!(explained["cascades"], json!({"first": 1, "second": 1}));
    Ok(())
}

async fn rows_that_are_too_many_follow_before_the_drain_ends(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ROWS_PER_STEP", "10");
    let base = &deployment.base;
    table(base, "events", &["u0"; 55]).await?;
    write(base, &cascade("events", ""))?;
    deployment.publish(&renames(3)).await?;
    deployment.drain().await?;
    assert_eq!(base.number("count(*)", "events WHERE \"user\" = 'v0'").await?, 55);
    assert_eq!(noted(base, "r0").await?, json!({"events": 55}));
    Ok(())
}

async fn the_start_fails_with_every_problem_of_the_tables(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    base.script("CREATE TABLE good (\"user\" text)").await?;
    write(
        base,
        &format!(
            "{}{}{}",
            cascade("good", ""),
            cascade("gone", ""),
            cascade("lost", "required = false")
        ),
    )?;
    deployment.publish(&renames(1)).await?;
    for command in [&["run", "--drain"][..], &["replay"], &["rebuild", "--all"]] {
        let finished = deployment.run(command).await?;
        assert_eq!(finished.code, 2, "{command:?}: {finished:?}");
        for table in ["[[cascade]] gone", "[[cascade]] lost"] {
            assert!(finished.stderr.contains(table), "{finished:?}");
        }
    }
    assert_eq!(base.number("count(*)", "@ledger").await?, 0);
    let checked = deployment.run(&["check"]).await?;
    assert_eq!(checked.code, 2);
    for line in [
        "problem  tables",
        "[[cascade]] gone: there is no such table",
        "warning  tables",
        "CREATE INDEX",
    ] {
        assert!(checked.stdout.contains(line), "{}", checked.stdout);
    }
    base.script("CREATE TABLE gone (\"user\" text); CREATE TABLE lost (\"user\" text)")
        .await?;
    assert_eq!(deployment.run(&["check"]).await?.code, 0);
    Ok(())
}

async fn who_holds_an_address_is_found_by_an_index(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    table(base, "letters", &[]).await?;
    write(base, &cascade("letters", "key = \"email\""))?;
    let checked = deployment.run(&["check"]).await?;
    assert!(
        checked.stdout.contains("no index says who holds email"),
        "{}",
        checked.stdout
    );
    deployment.run(&["migrate"]).await?.success()?;
    deployment.run(&["migrate"]).await?.success()?;
    let checked = deployment.run(&["check"]).await?.success()?;
    assert!(!checked.stdout.contains("no index"), "{}", checked.stdout);
    Ok(())
}

async fn work_of_a_section_that_is_gone_is_told_at_the_start(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    let left = "INSERT INTO @cascade_work (step, value, ending, target, events) VALUES ('gone', 'a', 'set', 'b', '[]')";
    base.execute(left).await?;
    table(base, "there", &[]).await?;
    for lines in ["", &cascade("there", "")] {
        write(base, lines)?;
        let finished = deployment.run(&["run", "--drain"]).await?;
        let remedy = "DELETE FROM cascade_work WHERE step = 'gone'";
        assert_eq!(finished.code, 2, "{finished:?}");
        assert!(finished.stderr.contains(remedy), "{finished:?}");
        let checked = deployment.run(&["check"]).await?;
        assert!(checked.code == 2 && checked.stdout.contains(remedy), "{checked:?}");
    }
    base.execute("DELETE FROM @cascade_work WHERE step = 'gone'").await?;
    deployment.drain().await?;
    Ok(())
}

/// The probe of the brake knows nothing of optional tables, nor of what only a row brings out.
async fn rows_that_cannot_follow_stop_nobody_but_their_user(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    table(base, "extra", &[]).await?;
    table(base, "needed", &["x"]).await?;
    let lines = format!("{}{}", cascade("extra", "required = false"), cascade("needed", ""));
    write(base, &lines)?;
    let mut worker = deployment.start(&["run"])?;
    let reaches = async |from: &str, count: i64| {
        wait_for(from, PATIENCE, async || {
            (base.number("count(*)", from).await.ok()? == count).then_some(())
        })
        .await
    };
    deployment.publish(&renames(1)).await?;
    reaches("@ledger", 2).await?;
    base.execute("DROP TABLE extra").await?;
    let mut steps = vec!["extra"];
    if base.which == Which::Postgres {
        base.script(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''42501''; \
             END'; CREATE TRIGGER no BEFORE UPDATE ON needed FOR EACH ROW EXECUTE FUNCTION no()",
        )
        .await?;
        steps.push("needed");
    }
    for step in &steps {
        base.execute(&format!(
            "INSERT INTO @cascade_work (step, value, ending, target, events) VALUES ('{step}', 'x', 'set', 'y', '[]')"
        ))
        .await?;
    }
    let told = steps.len().try_into()?;
    reaches("@cascade_work WHERE error LIKE 'cascade % failed: %'", told).await?;
    let more = cloud_event("created", "more", 3, &json!({"user_id": "more"}));
    deployment.publish(&[more]).await?;
    reaches("@ledger", 3).await?;
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert!(!finished.stderr.contains("the brake holds"), "{}", finished.stderr);
    Ok(())
}
