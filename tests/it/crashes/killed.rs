//! A worker that dies of SIGKILL again and again, with messages in its hands, ends where one ends that lives.

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use super::flow::{ACK_WAIT, EVENTS, Flow, KILLS, deployment, events, seed, undisturbed};
use super::outcome::{Outcome, nothing_twice};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::tell;
use crate::histories::Dice;
use crate::world::{Base, on_both};

/// Most deliveries of a life after which it ends.
const LONGEST_LIFE: usize = 500;

on_both!(kills_at_random_moments_change_nothing);

async fn kills_at_random_moments_change_nothing(base: Base) -> Result<()> {
    let seed = seed()?;
    storm(base, seed)
        .await
        .with_context(|| format!("ROLLCALL_TEST_SEED={seed}"))
}

async fn storm(mut base: Base, seed: u64) -> Result<()> {
    let events = events(seed, EVENTS);
    let expected = undisturbed(base.another()?, &events).await.context("undisturbed")?;
    let which = base.which;
    let deployment = deployment(base).await?;
    let flow = Flow::through(&deployment).await?;
    let (Toll { kills, with_messages }, ()) = tokio::try_join!(
        killing(&deployment, &flow, Dice::new(seed)),
        flow.publish(&events, Dice::new(seed + 1))
    )?;
    tell(&format!(
        "seed {seed} on {which:?}: {kills} kills, {with_messages} of them with messages in hand"
    ))?;
    deployment.drain().await?;
    Outcome::read(&deployment.base)
        .await?
        .assert_same(&expected, &format!("{kills} kills, seed {seed}"));
    nothing_twice(&deployment, EVENTS).await?;
    ensure!(
        with_messages >= KILLS,
        "void: only {with_messages} of {kills} kills hit a worker with messages in hand, {KILLS} have to"
    );
    Ok(())
}

#[derive(Default)]
struct Toll {
    kills: usize,
    with_messages: usize,
}

/// One life after the other, until there are no more events.
async fn killing(deployment: &Deployment, flow: &Flow, mut dice: Dice) -> Result<Toll> {
    let mut toll = Toll::default();
    let mut before = flow.at_rest().await?;
    while !flow.has_ended(before) {
        let began = Instant::now();
        let mut worker = deployment.start(&["run"])?;
        flow.flows_on(before, 1 + dice.below(LONGEST_LIFE) as u64)
            .await
            .with_context(|| worker.log())?;
        worker.kill(PATIENCE).await?;
        let lived = began.elapsed();
        let after = flow.at_rest().await?;
        toll.kills += 1;
        toll.with_messages += usize::from(after.in_hand_since(before) > 0 && lived < ACK_WAIT);
        before = after;
    }
    Ok(toll)
}
