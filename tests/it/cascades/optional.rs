//! A failing optional step costs only itself, and only the users whose rows are refused; a failing required one fails its
//! event with a word about the step.

use anyhow::Result;
use rollcall::failure::{Class, fault};
use rollcall::store::Store;
use serde_json::json;

use super::{applier, cascade, inspected, noted, table, users};
use crate::world::{Base, Stream, Which, apply, on_both};

on_both!(
    an_optional_step_costs_only_the_users_whose_rows_are_refused,
    an_optional_table_that_is_gone_costs_only_its_step,
    a_required_table_that_is_gone_is_no_fault_of_the_event,
    a_required_step_fails_its_event,
);

/// The store as the brake has it.
async fn watched(base: &Base, lines: &str) -> Result<Store> {
    let cascades = inspected(base, lines).await?.cascades;
    Ok(base.store().await?.with_cascades(cascades))
}

fn people(count: i64) -> Stream {
    let mut stream = Stream::new();
    for n in 0..count {
        stream.say("created", &format!("c{n}"), 1, json!({"user_id": format!("u{n}")}));
    }
    for n in 0..count {
        let data = json!({"user_id": format!("u{n}"), "new_user_id": format!("v{n}")});
        stream.say("renamed", &format!("r{n}"), 2, data);
    }
    stream
}

async fn rows(base: &Base, name: &str, count: i64) -> Result<()> {
    table(base, name, &[]).await?;
    let series = match base.which {
        Which::Postgres => format!("generate_series(0, {}) AS s (n)", count - 1),
        Which::Sqlite => format!(
            "(WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n FROM s)",
            count - 1
        ),
    };
    base.execute(&format!(
        "INSERT INTO {name} (id, \"user\") SELECT n, 'u' || n FROM {series}"
    ))
    .await?;
    Ok(())
}

/// From now on the table takes no row of user v7.
async fn refuse_v7(base: &Base, name: &str) -> Result<()> {
    match base.which {
        Which::Postgres => {
            base.execute(&format!(
                "ALTER TABLE {name} ADD CONSTRAINT {name}_refuses CHECK (\"user\" <> 'v7')"
            ))
            .await?;
        }
        Which::Sqlite => {
            base.execute(&format!(
                "CREATE TRIGGER {name}_refuses BEFORE UPDATE ON {name} WHEN NEW.\"user\" = 'v7' \
                 BEGIN SELECT RAISE(ABORT, 'v7'); END"
            ))
            .await?;
        }
    }
    Ok(())
}

async fn an_optional_step_costs_only_the_users_whose_rows_are_refused(base: Base) -> Result<()> {
    for name in ["first", "second", "third"] {
        rows(&base, name, 20).await?;
    }
    refuse_v7(&base, "second").await?;
    let lines = [
        cascade("first", ""),
        cascade("second", "required = false"),
        cascade("third", ""),
    ];
    let applier = applier(&base, &lines.concat()).await?;
    apply(&applier, &people(20).messages).await?;
    for (name, moved) in [("first", 20), ("second", 19), ("third", 20)] {
        let found = base
            .number("count(*)", &format!("{name} WHERE \"user\" LIKE 'v%'"))
            .await?;
        assert_eq!(found, moved, "{name}");
    }
    assert_eq!(noted(&base, "r8").await?, json!({"first": 1, "second": 1, "third": 1}));
    let note = noted(&base, "r7").await?;
    assert_eq!((&note["first"], &note["third"]), (&json!(1), &json!(1)));
    assert_eq!(note["second"]["note"], json!("failed"));
    let error = note["second"]["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("the database refused") && !error.contains("v7"),
        "{error}"
    );
    Ok(())
}

async fn an_optional_table_that_is_gone_costs_only_its_step(base: Base) -> Result<()> {
    for name in ["first", "second"] {
        rows(&base, name, 3).await?;
    }
    let lines = [cascade("second", "required = false"), cascade("first", "")];
    let watched = watched(&base, &lines.concat()).await?;
    let applier = applier(&base, &lines.concat()).await?;
    watched.probe().await?;
    base.execute("DROP TABLE second").await?;
    apply(&applier, &people(3).messages).await?;
    assert_eq!(users(&base, "first").await?, "0 v0 / 1 v1 / 2 v2");
    let note = noted(&base, "r1").await?;
    assert_eq!((&note["first"], &note["second"]["note"]), (&json!(1), &json!("failed")));
    // The brake does not mind it either.
    watched.probe().await?;
    Ok(())
}

async fn a_required_table_that_is_gone_is_no_fault_of_the_event(base: Base) -> Result<()> {
    rows(&base, "first", 3).await?;
    let watched = watched(&base, &cascade("first", "")).await?;
    let applier = applier(&base, &cascade("first", "")).await?;
    base.execute("DROP TABLE first").await?;
    assert!(watched.probe().await.is_err(), "the brake holds until it is back");
    let error = apply(&applier, &people(3).messages).await.expect_err("no table");
    let found = fault(&error);
    assert_eq!((found.class, found.alone), (Class::World, Class::World));
    assert!(found.to_string().starts_with("cascade first failed: "), "{found}");
    Ok(())
}

async fn a_required_step_fails_its_event(base: Base) -> Result<()> {
    rows(&base, "first", 10).await?;
    refuse_v7(&base, "first").await?;
    let applier = applier(&base, &cascade("first", "")).await?;
    let stream = people(10);
    apply(&applier, &stream.messages[..10]).await?;
    let error = apply(&applier, &stream.messages[10..])
        .await
        .expect_err("v7 is refused");
    let found = fault(&error);
    assert_eq!((found.class, found.alone), (Class::Event, Class::Event));
    assert!(
        found
            .to_string()
            .starts_with("cascade first failed: the database refused"),
        "{found}"
    );
    assert_eq!(base.number("count(*)", "first WHERE \"user\" LIKE 'v%'").await?, 0);
    assert_eq!(base.number("count(*)", "@ledger").await?, 10);
    let neighbours: Vec<_> = stream.messages[10..]
        .iter()
        .filter(|message| message.sequence != 18)
        .cloned()
        .collect();
    apply(&applier, &neighbours).await?;
    assert_eq!(base.number("count(*)", "first WHERE \"user\" LIKE 'v%'").await?, 9);
    Ok(())
}
