//! Three workers share the partitions, and join, leave and die while events come that touch two of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rollcall::envelope::Subjects;
use rollcall::jetstream::{Broker, Outgoing};
use serde_json::{Value, json};

use super::flow::{deployment, events, message, publish, seed, undisturbed};
use super::outcome::{Outcome, nothing_twice};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::tell;
use crate::harness::wait::wait_for;
use crate::harness::worker::Worker;
use crate::world::{Base, Which};

const EVENTS: usize = 3_000;
const PARTITIONS: usize = 8;
/// The roles they log in with, which is how the database tells them apart.
const ROLES: [&str; 3] = ["worker_one", "worker_two", "worker_three"];

/// What happens to whom when so many of a hundred events are in the ledger.
#[derive(Debug, Clone, Copy)]
enum Change {
    Joins,
    Leaves,
    Dies,
}

const CHANGES: [(usize, usize, Change); 7] = [
    (10, 2, Change::Joins),
    (25, 0, Change::Leaves),
    (35, 0, Change::Joins),
    (45, 1, Change::Dies),
    (55, 1, Change::Joins),
    (70, 2, Change::Leaves),
    (80, 2, Change::Joins),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_that_come_and_go_end_where_one_would() -> Result<()> {
    let seed = seed()?;
    Box::pin(come_and_go(seed))
        .await
        .with_context(|| format!("ROLLCALL_TEST_SEED={seed}"))
}

async fn come_and_go(seed: u64) -> Result<()> {
    let events = events(seed, EVENTS);
    let mut base = Base::fresh(Which::Postgres).await?;
    let expected = undisturbed(base.another()?, &events)
        .await
        .context("one worker alone")?;
    for role in ROLES {
        base.execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await?;
    }
    let mut deployment = deployment(base).await?;
    deployment
        .set("ROLLCALL__CONSUMER__PARTITIONS", &PARTITIONS.to_string())
        .set("ROLLCALL__WORKER__BATCH_MAX", "40");
    let broker = deployment.nats.connect().await?;
    let publishing = async {
        for part in events.chunks(EVENTS / 20) {
            publish(&broker, part.iter().enumerate().map(of_user).collect()).await?;
            // So that workers come and go while events are on their way, and not only behind them.
            room(&broker).await?;
        }
        Ok(())
    };
    tokio::try_join!(changing(&mut deployment), publishing)?;
    deployment.drain().await?;
    Outcome::read(&deployment.base)
        .await?
        .assert_same(&expected, &format!("seed {seed}"));
    nothing_twice(&deployment, EVENTS).await?;
    let report = deployment.run(&["audit", "--json"]).await?.success()?.json()?;
    assert_eq!(
        (&report["messages"], &report["holes"]),
        (&json!(EVENTS), &json!([])),
        "{report}"
    );
    everybody_had_a_share(&deployment, &broker, seed).await
}

/// As our own publishers send it; every tenth as somebody else might.
fn of_user((number, event): (usize, &Value)) -> Outgoing {
    let plain = message(event);
    let user_id = event["data"]["user_id"].as_str().filter(|_| number % 10 != 0);
    Outgoing {
        subject: Subjects::ByUser.of(&plain.subject, user_id),
        ..plain
    }
}

async fn room(broker: &Broker) -> Result<()> {
    wait_for("room for more events", PATIENCE, async || {
        let mut waiting = 0;
        for name in names() {
            waiting += broker
                .backlog("USERS", &name)
                .await
                .map_or(0, |backlog| backlog.pending);
        }
        (waiting < (EVENTS / 20) as u64).then_some(())
    })
    .await
}

fn names() -> impl Iterator<Item = String> {
    let parts = (0..PARTITIONS).map(|number| format!("rollcall-p{number}"));
    std::iter::once("rollcall".to_owned()).chain(parts)
}

async fn changing(deployment: &mut Deployment) -> Result<()> {
    let mut workers: [Option<Worker>; 3] = [Some(start(deployment, 0)?), Some(start(deployment, 1)?), None];
    for (percent, who, change) in CHANGES {
        let count = (EVENTS * percent / 100) as i64;
        deployment.ledger_reaches(count).await.with_context(|| {
            let logs: Vec<String> = workers.iter().flatten().map(Worker::log).collect();
            logs.join("\n")
        })?;
        match (change, workers[who].take()) {
            (Change::Joins, None) => workers[who] = Some(start(deployment, who)?),
            (Change::Leaves, Some(mut worker)) => {
                worker.signal("TERM")?;
                worker.finished(PATIENCE).await?.success()?;
            }
            (Change::Dies, Some(mut worker)) => worker.kill(PATIENCE).await?,
            (change, worker) => anyhow::bail!("{who} {change:?}: {}", worker.is_some()),
        }
    }
    let all = deployment.ledger_reaches(EVENTS as i64).await;
    if let Err(error) = all {
        let mut found = Vec::new();
        let broker = deployment.nats.connect().await?;
        for name in names() {
            found.push(format!("{name} {:?}", broker.backlog("USERS", &name).await));
        }
        let held = broker.held("USERS").await?;
        let ledger = deployment.base.number("count(*)", "@ledger").await?;
        let logs: Vec<String> = workers.iter().flatten().map(Worker::log).collect();
        return Err(error.context(format!(
            "{held:?} ledger {ledger} {found:#?}\n{}",
            logs.join("\n-----\n")
        )));
    }
    for mut worker in workers.into_iter().flatten() {
        worker.signal("TERM")?;
        worker.finished(Duration::from_secs(30)).await?.success()?;
    }
    Ok(())
}

fn start(deployment: &mut Deployment, number: usize) -> Result<Worker> {
    let url = deployment
        .base
        .url
        .replacen("postgres@", &format!("{}@", ROLES[number]), 1);
    deployment.set("ROLLCALL__STORE__URL", &url);
    deployment.start(&["run"])
}

/// Or the run proves nothing.
async fn everybody_had_a_share(deployment: &Deployment, broker: &Broker, seed: u64) -> Result<()> {
    let mut shares = Vec::new();
    for role in ROLES {
        let of_role = format!("witness WHERE worker = '{role}'");
        shares.push(deployment.base.number("count(*)", &of_role).await?);
    }
    let mut read = Vec::new();
    for name in names() {
        read.push(broker.reader("USERS", &name).await?.reached.acknowledged);
    }
    let late = deployment.base.number("count(*)", "@ledger WHERE late").await?;
    let renames = deployment
        .base
        .number(
            "count(*)",
            "@ledger WHERE type = 'user.renamed' AND outcome = 'applied'",
        )
        .await?;
    tell(&format!(
        "seed {seed}: committed {shares:?}, consumers at {read:?}, {late} late, {renames} renames applied"
    ))?;
    ensure!(
        shares.iter().all(|share| 20 * share >= EVENTS as i64),
        "void: of {EVENTS} events the three committed {shares:?}, each has to commit a twentieth"
    );
    ensure!(
        read.iter().all(|place| *place > 0),
        "void: {read:?} shows a consumer that read nothing"
    );
    ensure!(renames >= 100, "void: {renames} renames");
    Ok(())
}
