//! A COMMIT that is cut on its way, or whose answer is: nobody knows what happened, and the ledger does.

use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::failure::{Class, class};
use serde_json::json;

use super::{Line, creation};
use crate::deployment::{Deployment, PATIENCE};
use crate::end_to_end::outages::{complete, users};
use crate::harness::proxy::{Deed, Proxy};
use crate::world::{Base, Which, apply, said};

/// An effect that is not the same when it happens twice.
const COUNTING: &str = "CREATE TABLE app_seen (user_id text PRIMARY KEY, times int NOT NULL); \
    CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
    INSERT INTO app_seen VALUES (NEW.user_id, 1) ON CONFLICT (user_id) DO UPDATE SET times = app_seen.times + 1; \
    RETURN NEW; END'; \
    CREATE TRIGGER app AFTER INSERT OR UPDATE ON @profiles FOR EACH ROW EXECUTE FUNCTION app()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_cut_is_done_once_whichever_way_it_went() -> Result<()> {
    let line = Line::new().await?;
    line.base.script(COUNTING).await?;
    let applier = line.applier(2, Duration::from_secs(10)).await?;
    for (n, (deed, stored, again)) in [
        (Deed::LoseRequest, 0, "applied"),
        (Deed::LoseReply, 1, "duplicate"),
        (Deed::LoseReply, 1, "duplicate"),
        (Deed::LoseRequest, 0, "applied"),
    ]
    .into_iter()
    .enumerate()
    {
        line.proxy.plan("COMMIT", deed);
        let error = apply(&applier, &[creation(n)]).await.err().context("a cut")?;
        assert_eq!((error.code(), class(&error)), ("io", Class::World), "{deed:?}");
        assert_eq!(line.proxy.done().len(), n + 1);
        let event = format!("@ledger WHERE event_id = '{n}'");
        assert_eq!(line.base.number("count(*)", &event).await?, stored, "{deed:?}");
        assert_eq!(said(&apply(&applier, &[creation(n)]).await?), [again], "{deed:?}");
        assert_eq!(line.base.number("count(*)", &event).await?, 1);
    }
    assert_eq!(line.base.number("sum(times)", "app_seen").await?, 4);
    line.nothing_is_open().await
}

/// The program itself, with many of its commits cut one way or the other: every event once, nothing buried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_commits_are_cut_applies_everything_once() -> Result<()> {
    const EVENTS: usize = 300;
    const CUTS: usize = 12;
    let base = Base::fresh(Which::Postgres).await?;
    let mut deployment = Deployment::around(base).await?;
    deployment.base.script(COUNTING).await?;
    deployment.publish(&users(0..EVENTS)).await?;
    let proxy = Proxy::before(&deployment.base.url).await?;
    for n in 0..CUTS {
        // In pairs: while the brake holds, every other COMMIT is that of a probe.
        proxy.plan("COMMIT", if n % 4 < 2 { Deed::LoseReply } else { Deed::LoseRequest });
    }
    deployment
        .set("ROLLCALL__STORE__URL", proxy.url())
        .set("ROLLCALL__WORKER__BATCH_MAX", "10");
    let counts = deployment.drain().await?;
    assert_eq!(proxy.done().len(), CUTS, "every cut was made");
    // Half of the cut commits had happened: what they held came again.
    let outcomes = &counts["outcomes"];
    let told = outcomes["applied"].as_u64().unwrap_or(0) + outcomes["duplicate"].as_u64().unwrap_or(0);
    assert!(told >= EVENTS as u64, "{counts}");
    assert_ne!(outcomes["duplicate"], json!(0), "{counts}");
    assert_eq!(deployment.base.number("sum(times)", "app_seen").await?, EVENTS as i64);
    assert_eq!(deployment.base.number("max(times)", "app_seen").await?, 1);
    complete(&deployment, EVENTS as i64).await
}

/// A stop while a beginning is on its way: the program ends in time and leaves no transaction open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_while_a_transaction_begins_leaves_nothing_open() -> Result<()> {
    let line = Line::new().await?;
    let Line { base, proxy } = line;
    let mut deployment = Deployment::around(base).await?;
    deployment.publish(&users(0..20)).await?;
    deployment
        .set("ROLLCALL__STORE__URL", proxy.url())
        .set("ROLLCALL__WORKER__GRACE", "1s");
    proxy.plan("BEGIN", Deed::HoldReply);
    let mut worker = deployment.start(&["run", "--json"])?;
    crate::harness::wait::wait_for("a beginning", PATIENCE, async || {
        (!proxy.done().is_empty()).then_some(())
    })
    .await?;
    worker.signal("TERM")?;
    let finished = worker.finished(Duration::from_secs(10)).await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let line = Line {
        proxy,
        base: deployment.base,
    };
    line.nothing_is_open().await?;
    line.proxy.release();
    deployment.base = line.base;
    deployment.drain().await?;
    complete(&deployment, 20).await
}
