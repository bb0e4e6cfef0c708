//! The worker ends at every failpoint between the fetch of a message and its acknowledgement, while events flow.
//!
//! `ROLLCALL_TEST_REPEATS=20 cargo nextest run failpoints` does it twenty times instead of twice.

use anyhow::{Context as _, Result, ensure};
use rollcall::failpoint::Point;

use super::flow::{Flow, deployment, events, seed, undisturbed};
use super::outcome::{Outcome, nothing_twice};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::tell;
use crate::harness::wait::wait_for;
use crate::histories::Dice;
use crate::world::{Base, on_both};

/// The shell's code of a process that ended with SIGABRT.
const ABORTED: i32 = 128 + 6;
/// A batch with late events and a letter takes about so many statements; each of them is a point of its own.
const STATEMENTS: u32 = 16;
/// Other points end the worker when it gets there for the first time, or one of the next few.
const LATEST: usize = 3;
/// More than a life uses up, or a point might not be met before there are no more events.
const EVENTS_PER_DEATH: usize = 40;

on_both!(a_death_at_every_failpoint_changes_nothing);

async fn a_death_at_every_failpoint_changes_nothing(mut base: Base) -> Result<()> {
    let seed = seed()?;
    let repeats = match std::env::var("ROLLCALL_TEST_REPEATS") {
        Ok(text) => text.parse().context("ROLLCALL_TEST_REPEATS")?,
        Err(_) => 2,
    };
    let mut dice = Dice::new(seed);
    let deaths = deaths(repeats, &mut dice);
    ensure!(
        Point::ALL.len() >= 15 && deaths.len() >= repeats * Point::ALL.len(),
        "too few points"
    );
    let which = base.which;
    let context = format!("{} deaths on {which:?}, ROLLCALL_TEST_SEED={seed}", deaths.len());
    let events = events(seed, EVENTS_PER_DEATH * deaths.len());
    let expected = undisturbed(base.another()?, &events).await.context("undisturbed")?;
    let mut deployment = deployment(base).await?;
    let flow = Flow::through(&deployment).await?;
    tokio::try_join!(dying(&mut deployment, &flow, &deaths), flow.publish(&events, dice))
        .with_context(|| context.clone())?;
    deployment.drain().await?;
    Outcome::read(&deployment.base).await?.assert_same(&expected, &context);
    nothing_twice(&deployment, events.len())
        .await
        .with_context(|| context.clone())?;
    tell(&context)
}

/// Where the worker is to end, and at which time it gets there; in random order.
fn deaths(repeats: usize, dice: &mut Dice) -> Vec<(Point, u32)> {
    let mut deaths = Vec::new();
    for _ in 0..repeats {
        for point in Point::ALL {
            match point {
                Point::Statement => deaths.extend((1..=STATEMENTS).map(|time| (*point, time))),
                _ => deaths.push((*point, 1 + dice.below(LATEST) as u32)),
            }
        }
    }
    dice.shuffle(&mut deaths);
    deaths
}

/// An event that was alone in hand at three deaths is buried, which is right, and would not be here: who had two has to
/// survive one life before the next death.
async fn spare_the_endangered(deployment: &mut Deployment) -> Result<()> {
    let endangered = "@suspects WHERE company = 1 AND deaths > 0";
    if deployment.base.number("count(*)", endangered).await? == 0 {
        return Ok(());
    }
    deployment.set("ROLLCALL_FAILPOINT", "");
    let mut worker = deployment.start(&["run"])?;
    wait_for("an end of suspicion", PATIENCE, async || {
        let left = deployment.base.number("count(*)", endangered).await.ok()?;
        (left == 0).then_some(())
    })
    .await
    .with_context(|| worker.log())?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}

/// One life for each death, then one without, which works until there are no more events.
async fn dying(deployment: &mut Deployment, flow: &Flow, deaths: &[(Point, u32)]) -> Result<()> {
    for (point, time) in deaths {
        spare_the_endangered(deployment).await?;
        deployment.set("ROLLCALL_FAILPOINT", &format!("{point:?}:{time}"));
        let worker = deployment.start(&["run"])?;
        let ended = worker.finished(PATIENCE).await;
        let ended = ended.with_context(|| format!("{point:?} is not met {time} times"))?;
        let last_words = format!("\"failpoint\",\"point\":\"{point:?}\"");
        ensure!(
            ended.code == ABORTED && ended.stderr.contains(&last_words),
            "{point:?} is not what ended the worker: {}\n{}",
            ended.code,
            ended.stderr
        );
    }
    deployment.set("ROLLCALL_FAILPOINT", "");
    let mut worker = deployment.start(&["run"])?;
    flow.ends().await.with_context(|| worker.log())?;
    worker.kill(PATIENCE).await
}
