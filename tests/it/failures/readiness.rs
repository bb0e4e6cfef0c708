//! What `/readyz` says while something is out of order.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{RECOVERY, created, phoned, refuse_bad_phones};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::wait::wait_for;
use crate::world::{Base, Which, on_both};

on_both!(
    the_reasons_are_told,
    a_type_that_is_held_back_is_a_reason,
    a_frozen_broker_is_noticed,
);

/// Status and body of an answer.
async fn ask(address: &str, path: &str) -> Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: rollcall\r\n\r\n").as_bytes())
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).context("a status")?.parse()?;
    let body = text.rsplit("\r\n\r\n").next().context("a body")?;
    Ok((status, serde_json::from_str(body)?))
}

/// Waits for a state of readiness: what the reasons are about, sorted; none when it is ready.
async fn becomes(address: &str, expected: &[&str], deadline: Duration) -> Result<Value> {
    wait_for(&format!("reasons {expected:?}"), deadline, async || {
        let (status, body) = ask(address, "/readyz").await.ok()?;
        let reasons = body["reasons"].as_array()?;
        let mut about: Vec<&str> = reasons.iter().filter_map(|reason| reason["what"].as_str()).collect();
        about.sort_unstable();
        let says = (status == 200) == expected.is_empty() && body["ready"] == json!(expected.is_empty());
        (says && about == expected).then_some(body)
    })
    .await
}

/// A free port, found by taking and leaving it.
async fn listening(deployment: &mut Deployment) -> Result<String> {
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    deployment.set("ROLLCALL__HTTP__LISTEN", &address);
    Ok(address)
}

async fn the_reasons_are_told(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    let address = listening(&mut deployment).await?;
    deployment.publish(&created(0..5)).await?;
    deployment.nats.kill().await?;
    let mut worker = deployment.start(&["run"])?;
    becomes(&address, &["start"], PATIENCE).await?;
    assert_eq!(ask(&address, "/healthz").await?, (200, json!({"alive": true})));
    deployment.nats.restart().await?;
    becomes(&address, &[], PATIENCE).await?;
    deployment.ledger_reaches(5).await?;

    let (profiles, hidden) = (deployment.base.table("profiles"), deployment.base.table("hidden"));
    deployment
        .base
        .execute(&format!("ALTER TABLE {profiles} RENAME TO hidden"))
        .await?;
    deployment.publish(&created(5..6)).await?;
    let body = becomes(&address, &["database"], RECOVERY).await?;
    let code = match deployment.base.which {
        Which::Sqlite => "code 1",
        Which::Postgres => "code 42P01",
    };
    let why = body["reasons"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains(code) && !why.contains("u5"), "{body}");
    assert_eq!(ask(&address, "/healthz").await?.0, 200);
    deployment
        .base
        .execute(&format!("ALTER TABLE {hidden} RENAME TO profiles"))
        .await?;
    becomes(&address, &[], RECOVERY).await?;
    deployment.nats.kill().await?;
    becomes(&address, &["broker"], RECOVERY).await?;
    worker.signal("KILL")?;
    worker.finished(PATIENCE).await?;
    Ok(())
}

async fn a_type_that_is_held_back_is_a_reason(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    let address = listening(&mut deployment).await?;
    refuse_bad_phones(&deployment.base).await?;
    deployment.publish(&phoned(0..12, "bad")).await?;
    let mut worker = deployment.start(&["run"])?;
    becomes(&address, &["user.updated"], PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}

async fn a_frozen_broker_is_noticed(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    let address = listening(&mut deployment).await?;
    deployment.publish(&created(0..5)).await?;
    let mut worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(5).await?;
    becomes(&address, &[], PATIENCE).await?;
    deployment.nats.freeze().await?;
    let began = Instant::now();
    becomes(&address, &["broker"], PATIENCE).await?;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    deployment.nats.thaw()?;
    becomes(&address, &[], Duration::from_secs(15)).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}
