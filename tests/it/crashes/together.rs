//! Two workers at once on one consumer and one PostgreSQL, each dying of SIGKILL again and again.

use anyhow::{Context as _, Result, ensure};

use super::flow::{EVENTS, Flow, KILLS, deployment, events, seed, undisturbed};
use super::outcome::{Outcome, nothing_twice};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::tell;
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::histories::Dice;
use crate::world::{Base, Which};

/// The roles they log in with, which is how the database tells them apart.
const ROLES: [&str; 2] = ["worker_one", "worker_two"];
/// Most deliveries, to both, between one kill and the next.
const LONGEST_PAUSE: usize = 350;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_are_killed_at_random_moments_change_nothing() -> Result<()> {
    let seed = seed()?;
    storm(seed).await.with_context(|| format!("ROLLCALL_TEST_SEED={seed}"))
}

async fn storm(seed: u64) -> Result<()> {
    let events = events(seed, EVENTS);
    let mut base = Base::fresh(Which::Postgres).await?;
    let expected = undisturbed(base.another()?, &events).await.context("undisturbed")?;
    for role in ROLES {
        base.execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await?;
    }
    let mut deployment = deployment(base).await?;
    let flow = Flow::through(&deployment).await?;
    let ((kills, with_messages), ()) = tokio::try_join!(
        killing(&mut deployment, &flow, Dice::new(seed)),
        flow.publish(&events, Dice::new(seed + 1))
    )?;
    deployment.drain().await?;
    Outcome::read(&deployment.base)
        .await?
        .assert_same(&expected, &format!("{kills} kills, seed {seed}"));
    nothing_twice(&deployment, EVENTS).await?;
    let mut shares = Vec::new();
    for role in ROLES {
        shares.push(
            deployment
                .base
                .number("count(*)", &format!("witness WHERE worker = '{role}'"))
                .await?,
        );
    }
    tell(&format!(
        "seed {seed}: {kills} kills, {with_messages} of them with a batch in hand; committed {shares:?}"
    ))?;
    ensure!(
        with_messages >= KILLS,
        "void: only {with_messages} of {kills} kills hit a worker with messages in hand, {KILLS} have to"
    );
    ensure!(
        shares.iter().all(|share| 5 * share >= EVENTS as i64),
        "void: of {EVENTS} events the two committed {shares:?}, each has to commit a fifth"
    );
    Ok(())
}

/// Kills one or the other until there are no more events; how often, and how often with messages in its hands.
async fn killing(deployment: &mut Deployment, flow: &Flow, mut dice: Dice) -> Result<(usize, usize)> {
    let mut workers = [start(deployment, 0)?, start(deployment, 1)?];
    let (mut kills, mut with_messages) = (0, 0);
    loop {
        let before = flow.look().await?;
        flow.flows_on(before, 1 + dice.below(LONGEST_PAUSE) as u64)
            .await
            .with_context(|| workers.each_ref().map(Worker::log).join("\n"))?;
        if flow.has_ended(flow.look().await?) {
            return Ok((kills, with_messages));
        }
        // In turn: whoever is chosen by chance more often would seldom be alive.
        let chosen = kills % 2;
        with_messages += usize::from(kill(deployment, &mut workers[chosen], ROLES[chosen]).await?);
        kills += 1;
        workers[chosen] = start(deployment, chosen)?;
    }
}

fn start(deployment: &mut Deployment, number: usize) -> Result<Worker> {
    let url = deployment
        .base
        .url
        .replacen("postgres@", &format!("{}@", ROLES[number]), 1);
    deployment.set("ROLLCALL__STORE__URL", &url);
    deployment.start(&["run"])
}

/// Kills a worker; true if it had messages in its hands. The consumer cannot tell whose the unacknowledged ones are, so
/// the worker is frozen first and the database asked: an open transaction is a batch, and nothing is acknowledged before
/// its commit. A worker that waits for a lock, or between commit and acknowledgement, does not count.
async fn kill(deployment: &Deployment, worker: &mut Worker, role: &str) -> Result<bool> {
    worker.freeze().await?;
    let of_role = |state: &str| format!("pg_stat_activity WHERE usename = '{role}' AND {state}");
    let running = of_role("state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock'");
    wait_for("the statements of a frozen worker", PATIENCE, async || {
        let running = deployment.base.number("count(*)", &running).await.ok()?;
        (running == 0).then_some(())
    })
    .await?;
    let open = deployment
        .base
        .number("count(*)", &of_role("state = 'idle in transaction'"))
        .await?;
    worker.kill(PATIENCE).await?;
    Ok(open > 0)
}
