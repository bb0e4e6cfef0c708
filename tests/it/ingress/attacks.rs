//! The edge under attack: whatever is done to it, good requests are served and memory stays what it was.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::serving::{SECRET, Serving, about, closed, connect_from, exchange, reply, signed};
use crate::harness::nats::Nats;
use crate::harness::wait::wait_for;

/// The most that an attack may cost, in kilobytes.
const ROOM: u64 = 32 * 1024;

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_cut_off() -> Result<()> {
    let serving = Serving::with(Nats::start().await?, "body_timeout = \"500ms\"").await?;
    let mut slow = TcpStream::connect(serving.address).await?;
    let mut silent = TcpStream::connect(serving.address).await?;
    let mut body = TcpStream::connect(serving.address).await?;
    slow.write_all(b"POST /webhooks/std HTTP/1.1\r\nhost: te").await?;
    body.write_all(b"POST /webhooks/std HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{")
        .await?;
    ensure!(reply(&mut body).await?.status == 408);
    closed(&mut body, Duration::from_secs(2)).await?;
    // Five seconds are the limit of a head; a machine that is busy is given some more.
    closed(&mut slow, Duration::from_secs(15)).await?;
    closed(&mut silent, Duration::from_secs(15)).await?;
    ensure!(serving.send("m1", &about("u1")).await?.status == 204);
    Ok(())
}

#[tokio::test]
async fn oversized_and_endless_bodies_and_header_bombs_are_refused() -> Result<()> {
    let serving = Serving::start().await?;
    let before = serving.memory()?;
    let mut stated = TcpStream::connect(serving.address).await?;
    stated
        .write_all(b"POST /webhooks/std HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999999\r\n\r\n")
        .await?;
    ensure!(reply(&mut stated).await?.status == 413, "refused before it is read");
    let mut endless = TcpStream::connect(serving.address).await?;
    endless
        .write_all(b"POST /webhooks/std HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    for _ in 0..100 {
        if endless.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let answer = reply(&mut endless).await;
    ensure!(
        answer.as_ref().map_or(true, |answer| answer.status == 413),
        "{answer:?}"
    );
    let exactly = vec![b' '; 262_144];
    ensure!(
        serving.post("std", &[], &exactly).await?.status == 401,
        "as much as is allowed is read"
    );
    ensure!(
        serving
            .post("std", &[], &[exactly.as_slice(), b" "].concat())
            .await?
            .status
            == 413
    );
    let after = serving.memory()?;
    ensure!(after < before + ROOM, "{before} kB became {after} kB");
    let serving = Serving::with(Nats::start().await?, "body_max = 300000").await?;
    for endpoint in ["std", "nobody"] {
        ensure!(
            serving.post(endpoint, &[], &vec![b' '; 300_000]).await?.status == 401,
            "{endpoint}"
        );
        ensure!(
            serving.post(endpoint, &[], &vec![b' '; 300_001]).await?.status == 413,
            "{endpoint}"
        );
    }
    let many: Vec<(String, String)> = (0..100).map(|n| (format!("x-{n}"), "1".to_owned())).collect();
    ensure!(
        serving.post("std", &many, b"{}").await?.status == 431,
        "too many headers"
    );
    let long = vec![("x-long".to_owned(), "y".repeat(100_000))];
    let answer = serving.post("std", &long, b"{}").await;
    ensure!(
        answer.as_ref().map_or(true, |answer| answer.status == 431),
        "a long header: {answer:?}"
    );
    ensure!(serving.send("m1", &about("u1")).await?.status == 204);
    Ok(())
}

#[tokio::test]
async fn five_thousand_connections_keep_nobody_out() -> Result<()> {
    let serving = Serving::start().await?;
    ensure!(serving.send("m0", &about("u0")).await?.status == 204);
    let before = serving.memory()?;
    let mut silent = Vec::new();
    for number in 0..5_000_u32 {
        // From many addresses, and some from that of the good sender.
        let mut stream = connect_from((number % 200) as u8 + 1, serving.address).await?;
        if number % 3 == 0 {
            let _ = stream.write_all(b"POST /webhooks/std HTTP/1.1\r\nhost: te").await;
        }
        silent.push(stream);
        if number % 500 == 499 {
            let id = format!("m{number}");
            let answer = serving.send(&id, &about(&id)).await?;
            ensure!(answer.status == 204, "after {number} connections: {answer:?}");
        }
    }
    let during = serving.memory()?;
    ensure!(during < before + ROOM, "{before} kB became {during} kB");
    ensure!(serving.stored("USERS").await?.len() == 11);
    drop(silent);
    Ok(())
}

/// A header can list hundreds of signatures; each used to cost a pass over the body, which was seconds for one request.
#[tokio::test]
async fn a_header_full_of_signatures_costs_one_pass_over_the_body() -> Result<()> {
    let serving = Serving::start().await?;
    let body = vec![b'x'; 256 * 1024];
    let short = "v1,AAAA ".repeat(1_900);
    let long = format!("v1,{}= ", "A".repeat(43)).repeat(300);
    let before = serving.worker.processor_time()?;
    for signatures in [short, long] {
        let mut headers = signed("standard-webhooks", SECRET, "m", &body, 0)?;
        for (name, value) in &mut headers {
            if name == "webhook-signature" {
                value.clone_from(&signatures);
            }
        }
        for endpoint in ["std", "nobody"] {
            for _ in 0..10 {
                ensure!(
                    serving.post(endpoint, &headers, &body).await?.status == 401,
                    "{endpoint}"
                );
            }
        }
    }
    let after = serving.worker.processor_time()?;
    // What reading them costs, with room: a pass for each signature takes far longer.
    ensure!(after < before + Duration::from_secs(3), "{before:?} became {after:?}");
    ensure!(serving.send("m1", &about("u1")).await?.status == 204);
    Ok(())
}

#[tokio::test]
async fn replays_have_no_effect_and_guesses_are_slowed_down() -> Result<()> {
    let serving = Serving::with_both(Nats::start().await?, "rate = 15", "rate = 20").await?;
    let body = about("u1");
    let headers = signed("standard-webhooks", SECRET, "m1", &body, 0)?;
    for _ in 0..5 {
        ensure!(serving.post("std", &headers, &body).await?.status == 204);
    }
    ensure!(serving.stored("USERS").await?.len() == 1, "replays are recognised");
    let mut guessing = connect_from(9, serving.address).await?;
    let (mut refused, mut limited) = (0, 0);
    for _ in 0..200 {
        match exchange(&mut guessing, "/webhooks/std", &[], b"{}").await? {
            answer if answer.status == 401 => refused += 1,
            answer if answer.status == 503 && answer.head.contains("retry-after: 1") => limited += 1,
            answer => anyhow::bail!("{answer:?}"),
        }
    }
    ensure!(refused >= 20 && limited > 0, "{refused} looked at, {limited} not");
    // Another address is not made to wait for it.
    ensure!(serving.send("m2", &about("u2")).await?.status == 204);
    // An unknown endpoint has the limits of the most generous one, not some of its own.
    let mut elsewhere = connect_from(10, serving.address).await?;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(exchange(&mut elsewhere, "/webhooks/x", &[], b"{}").await?.status);
    }
    ensure!(statuses[..20] == [401; 20] && statuses.contains(&503), "{statuses:?}");
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_for_whom_it_speaks() -> Result<()> {
    let serving = Serving::with(
        Nats::start().await?,
        "rate = 5\n[http]\ntrusted_proxies = [\"127.0.0.7\"]",
    )
    .await?;
    let forwarded = |address: &str| vec![("X-Forwarded-For".to_owned(), address.to_owned())];
    let mut proxy = connect_from(7, serving.address).await?;
    for number in 0..30 {
        let headers = forwarded(&format!("203.0.113.250, 198.51.100.{number}"));
        let answer = exchange(&mut proxy, "/webhooks/std", &headers, b"{}").await?;
        ensure!(answer.status == 401, "each address has its own allowance: {answer:?}");
    }
    let mut liar = connect_from(8, serving.address).await?;
    let mut limited = 0;
    for number in 0..30 {
        let headers = forwarded(&format!("198.51.100.{number}"));
        limited += u32::from(exchange(&mut liar, "/webhooks/std", &headers, b"{}").await?.status == 503);
    }
    ensure!(limited > 0, "nobody else is believed");
    Ok(())
}

#[tokio::test]
async fn a_stop_answers_what_is_in_hand() -> Result<()> {
    let mut serving = Serving::start().await?;
    let mut stream = TcpStream::connect(serving.address).await?;
    let body = about("u1");
    let headers = signed("standard-webhooks", SECRET, "m1", &body, 0)?;
    let half = body.len() / 2;
    let mut head = format!(
        "POST /webhooks/std HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in &headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&body[..half]).await?;
    // It has read the head when a second request on a new connection is answered.
    ensure!(serving.send("m2", &about("u2")).await?.status == 204);
    serving.worker.signal("TERM")?;
    wait_for("the listener to close", Duration::from_secs(10), async || {
        TcpStream::connect(serving.address).await.is_err().then_some(())
    })
    .await?;
    stream.write_all(&body[half..]).await?;
    ensure!(reply(&mut stream).await?.status == 204);
    let finished = serving.worker.finished(crate::deployment::PATIENCE).await?.success()?;
    ensure!(finished.json().context("counts")?["std"]["events"] == 2);
    Ok(())
}
