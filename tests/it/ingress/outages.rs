//! A broker that is slow, away or killed: what was answered 2xx is in the stream, everything else was answered 503.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::serving::{SECRET, Serving, about, address_in, signed, wait_for_status};
use crate::harness::wait::wait_for;

#[tokio::test]
async fn a_frozen_broker_is_answered_for_in_time() -> Result<()> {
    let mut serving = Serving::start().await?;
    ensure!(serving.send("m0", &about("u0")).await?.status == 204);
    serving.nats.freeze().await?;
    let mut late = Vec::new();
    for number in 1..30 {
        let id = format!("m{number}");
        let begin = now();
        let answer = serving.send(&id, &about(&id)).await?;
        let took = begin.elapsed();
        ensure!(
            answer.status == 503 && answer.head.contains("retry-after: "),
            "{answer:?}"
        );
        if took >= Duration::from_millis(800) {
            late.push(took);
        }
    }
    // The machine of a test may be too busy to look at a clock in time, once or twice.
    ensure!(late.len() <= 2, "{late:?}");
    wait_for_status(&serving, "/readyz", 503).await?;
    serving.nats.thaw()?;
    let recovered = wait_for("the broker to be heard again", Duration::from_secs(30), async || {
        (serving.send("m1", &about("m1")).await.ok()?.status == 204).then_some(())
    });
    recovered.await?;
    wait_for_status(&serving, "/readyz", 200).await?;
    let ids: Vec<_> = serving
        .events()
        .await?
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    let distinct: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    ensure!(ids.len() == distinct.len() && ids.contains(&"m1".into()), "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn with_200_requests_in_flight_a_killed_broker_loses_none_that_was_taken() -> Result<()> {
    const IN_FLIGHT: usize = 200;
    let mut serving = Serving::start().await?;
    ensure!(serving.send("first", &about("first")).await?.status == 204);
    let address = serving.address;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut senders = JoinSet::new();
    for sender in 0..IN_FLIGHT {
        let stopped = stopped.clone();
        senders.spawn(async move {
            let mut answers = Vec::new();
            let mut number = 0;
            while !*stopped.borrow() {
                let id = format!("s{sender}-{number}");
                number += 1;
                let body = about(&id);
                let headers = signed("standard-webhooks", SECRET, &id, &body, 0)?;
                let mut stream = tokio::net::TcpStream::connect(address).await?;
                let begin = now();
                let answer = super::serving::exchange(&mut stream, "/webhooks/std", &headers, &body).await?;
                answers.push((id, answer.status, begin.elapsed()));
            }
            anyhow::Ok(answers)
        });
    }
    wait_for("some to be taken", Duration::from_secs(30), async || {
        (serving.events().await.ok()?.len() > IN_FLIGHT).then_some(())
    })
    .await?;
    serving.nats.kill().await?;
    wait_for_status(&serving, "/readyz", 503).await?;
    stop.send(true)?;
    let mut answers = Vec::new();
    while let Some(sender) = senders.join_next().await {
        answers.extend(sender??);
    }
    serving.nats.restart().await?;
    let events = serving.events().await?;
    let there: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
    ensure!(there.len() == events.len(), "something is there twice");
    let (mut taken, mut refused) = (0, 0);
    for (id, status, _) in &answers {
        match status {
            204 => {
                taken += 1;
                ensure!(
                    there.contains(id.as_str()),
                    "{id} was answered 204 and is not in the stream"
                );
            }
            503 => refused += 1,
            other => anyhow::bail!("{id} was answered {other}"),
        }
    }
    ensure!(taken > IN_FLIGHT && refused > 0, "{taken} taken, {refused} refused");
    // The same requests again: what was refused comes, what was taken or stored all the same is recognised.
    wait_for_status(&serving, "/readyz", 200).await?;
    for (id, ..) in answers.iter().filter(|(_, status, _)| *status == 503).take(50) {
        wait_for("a second try to be taken", Duration::from_secs(30), async || {
            (serving.send(id, &about(id)).await.ok()?.status == 204).then_some(())
        })
        .await?;
    }
    let again = serving.events().await?;
    let distinct: BTreeSet<&str> = again.iter().filter_map(|event| event["id"].as_str()).collect();
    ensure!(distinct.len() == again.len(), "something came twice");
    Ok(())
}

#[tokio::test]
async fn it_starts_before_the_broker_and_waits_for_it() -> Result<()> {
    let mut nats = crate::harness::nats::Nats::start().await?;
    nats.kill().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("s"), SECRET)?;
    let text = format!(
        "[nats]\nurl = {:?}\n[[ingress]]\nname = \"std\"\nprovider = \"svix\"\nsecret_files = [\"s\"]",
        nats.url()
    );
    std::fs::write(folder.path().join("config.toml"), text)?;
    let arguments = ["ingress", "--listen", "127.0.0.1:0"];
    let mut worker = crate::harness::worker::Worker::start(folder.path(), "early", &arguments, &[])?;
    worker
        .logged("waiting for the broker", crate::deployment::PATIENCE)
        .await?;
    let serving = Serving {
        address: address_in(&worker.log())?,
        nats,
        folder,
        worker,
    };
    ensure!(serving.send("m1", &about("u1")).await?.status == 503);
    let mut serving = serving;
    serving.nats.restart().await?;
    wait_for_status(&serving, "/readyz", 200).await?;
    ensure!(serving.send("m1", &about("u1")).await?.status == 204);
    ensure!(serving.events().await?.len() == 1);
    Ok(())
}

fn now() -> Instant {
    rollcall::clock::monotonic()
}
