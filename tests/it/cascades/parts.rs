//! A user with very many rows: they follow a part at a time, and nobody else waits for it.

use anyhow::Result;
use rollcall::failure::{Class, fault};
use rollcall::store::cascade::Progress;
use serde_json::json;

use super::{applier, cascade, noted, table};
use crate::world::{Base, Stream, Which, apply, epoch, on_both};

on_both!(
    rows_follow_a_part_at_a_time,
    what_goes_too_follows_a_part_at_a_time_and_a_failure_keeps_the_progress,
    rows_that_were_changed_meanwhile_do_not_end_the_work,
);

const LIMIT: &str = "[worker]\nmax_rows_per_step = 100\n";

async fn rows(base: &Base, name: &str, value: &str, count: i64) -> Result<()> {
    let series = match base.which {
        Which::Postgres => format!("generate_series(1, {count}) AS s (n)"),
        Which::Sqlite => format!(
            "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
        ),
    };
    base.execute(&format!(
        "INSERT INTO {name} (id, \"user\") SELECT n, '{value}' FROM {series}"
    ))
    .await?;
    Ok(())
}

async fn count(base: &Base, name: &str, value: &str) -> Result<i64> {
    base.number("count(*)", &format!("{name} WHERE \"user\" = '{value}'"))
        .await
}

async fn rows_follow_a_part_at_a_time(base: Base) -> Result<()> {
    table(&base, "events", &[]).await?;
    rows(&base, "events", "big", 450).await?;
    rows(&base, "events", "small", 30).await?;
    let applier = applier(&base, &format!("{LIMIT}{}", cascade("events", ""))).await?;
    let store = base.store().await?.with_cascades(
        super::inspected(&base, &format!("{LIMIT}{}", cascade("events", "")))
            .await?
            .cascades,
    );
    let mut stream = Stream::new();
    stream
        .say("created", "0", 0, json!({"user_id": "big"}))
        .say("renamed", "1", 1, json!({"user_id": "big", "new_user_id": "large"}))
        .say("renamed", "2", 1, json!({"user_id": "small", "new_user_id": "little"}))
        .say("renamed", "3", 2, json!({"user_id": "large", "new_user_id": "huge"}))
        .say("renamed", "4", 2, json!({"user_id": "little", "new_user_id": "tiny"}))
        .say("created", "5", 3, json!({"user_id": "big"}));
    apply(&applier, &stream.messages[..3]).await?;
    assert_eq!(
        (
            count(&base, "events", "large").await?,
            count(&base, "events", "little").await?
        ),
        (0, 30)
    );
    assert_eq!(noted(&base, "1").await?, json!({"events": {"rows": 0, "waiting": 1}}));
    assert_eq!(
        base.line(&["user_id"], "@profiles WHERE user_id = 'large'").await?,
        "large",
        "the user is there"
    );

    // The user's next key, and whoever comes to the old one, wait; others do not.
    for waiting in [3, 5] {
        let error = apply(&applier, &stream.messages[waiting..=waiting])
            .await
            .expect_err("rows are on their way");
        let found = fault(&error);
        assert_eq!(
            (found.class, found.alone, found.page),
            (Class::Event, Class::Contended, false)
        );
    }
    apply(&applier, &stream.messages[4..5]).await?;

    let mut parts = 0;
    while store
        .go_on(epoch() + time::Duration::days(10_000), u64::MAX)
        .await
        .map_err(|halted| halted.error)?
        == Progress::Going
    {
        parts += 1;
        let done = count(&base, "events", "large").await?;
        assert_eq!(done, (parts * 100).min(450), "part {parts}");
    }
    assert_eq!(parts, 5);
    assert_eq!(noted(&base, "1").await?, json!({"events": 450}));
    assert_eq!(base.number("count(*)", "@cascade_work").await?, 0);
    apply(&applier, &stream.messages[3..4]).await?;
    apply(&applier, &stream.messages[5..]).await?;
    assert_eq!(count(&base, "events", "tiny").await?, 30);
    Ok(())
}

async fn what_goes_too_follows_a_part_at_a_time_and_a_failure_keeps_the_progress(base: Base) -> Result<()> {
    let lines = format!("{LIMIT}{}", cascade("events", "on_delete = \"delete\""));
    table(&base, "events", &[]).await?;
    rows(&base, "events", "big", 250).await?;
    let applier = applier(&base, &lines).await?;
    let store = base
        .store()
        .await?
        .with_cascades(super::inspected(&base, &lines).await?.cascades);
    let mut stream = Stream::new();
    stream.say("deleted", "1", 1, json!({"user_id": "big"}));
    apply(&applier, &stream.messages).await?;
    let later = epoch() + time::Duration::days(10_000);
    assert_eq!(
        store.go_on(later, u64::MAX).await.map_err(|halted| halted.error)?,
        Progress::Going
    );
    assert_eq!(count(&base, "events", "big").await?, 150);
    let (refuse, again) = match base.which {
        Which::Postgres => (
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER no BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION no()",
            "DROP TRIGGER no ON events",
        ),
        Which::Sqlite => (
            "CREATE TRIGGER no BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER no",
        ),
    };
    base.script(refuse).await?;
    let halted = store.go_on(later, u64::MAX).await.expect_err("the trigger refuses");
    assert_eq!(fault(&halted.error).alone, Class::Event);
    let work = halted.work.expect("it came so far");
    store
        .set_aside(work, "refused", later + time::Duration::minutes(1))
        .await?;
    assert_eq!(
        store.go_on(later, u64::MAX).await.map_err(|halted| halted.error)?,
        Progress::Idle
    );
    assert_eq!(store.count_work().await?, 0, "nobody waits for what is refused");
    base.script(again).await?;
    let later = later + time::Duration::minutes(2);
    while store.go_on(later, u64::MAX).await.map_err(|halted| halted.error)? == Progress::Going {}
    assert_eq!(count(&base, "events", "big").await?, 0);
    assert_eq!(noted(&base, "1").await?, json!({"events": 250}));
    Ok(())
}

/// A trigger stands for the application, which takes a row away between the look and the write: fewer rows are done than
/// were picked, and that is not the end.
async fn rows_that_were_changed_meanwhile_do_not_end_the_work(base: Base) -> Result<()> {
    let lines = format!("{LIMIT}{}", cascade("events", ""));
    table(&base, "events", &[]).await?;
    rows(&base, "events", "big", 450).await?;
    let applier = applier(&base, &lines).await?;
    let store = base
        .store()
        .await?
        .with_cascades(super::inspected(&base, &lines).await?.cascades);
    let mut stream = Stream::new();
    stream.say("renamed", "1", 1, json!({"user_id": "big", "new_user_id": "large"}));
    apply(&applier, &stream.messages).await?;
    let keep = match base.which {
        Which::Postgres => {
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id = 7 THEN RETURN NULL; END IF; \
             RETURN NEW; END'; CREATE TRIGGER keep BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION keep()"
        }
        Which::Sqlite => "CREATE TRIGGER keep BEFORE UPDATE ON events WHEN OLD.id = 7 BEGIN SELECT RAISE(IGNORE); END",
    };
    base.script(keep).await?;
    let later = epoch() + time::Duration::days(10_000);
    while store.go_on(later, u64::MAX).await.map_err(|halted| halted.error)? == Progress::Going {}
    assert_eq!(base.lines(&["id"], "events WHERE \"user\" = 'big'").await?, ["7"]);
    assert_eq!(count(&base, "events", "large").await?, 449);
    assert_eq!(
        base.number("count(*)", "@cascade_work").await?,
        0,
        "what the table keeps blocks nobody"
    );
    assert_eq!(noted(&base, "1").await?, json!({"events": 449}));
    Ok(())
}
