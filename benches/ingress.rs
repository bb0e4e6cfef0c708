//! How many verified single events a second are acknowledged by the stream and answered 2xx, beside the rate at which the
//! same events are published plainly: `cargo bench --bench ingress`. The server syncs every write, as in production.

#[path = "../tests/it/harness/mod.rs"]
mod harness;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use rollcall::clock;
use rollcall::ingress::provider::Provider;
use rollcall::ingress::signature::{Credentials, Verifier};
use rollcall::jetstream::{Manage, Outgoing, Removal, StreamSettings, WhenFull};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use harness::nats::Nats;
use harness::worker::Worker;

const EVENTS: usize = 20_000;
const SENDERS: [usize; 3] = [1, 32, 256];
const SECRET: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

fn main() -> Result<()> {
    // Test runners ask every bench what tests it has.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(report())
}

async fn report() -> Result<()> {
    say("events a second, each acknowledged by the stream")?;
    for senders in SENDERS {
        let events = if senders == 1 { EVENTS / 10 } else { EVENTS };
        let plain = plainly(senders, events).await?;
        let posted = by_webhook(senders, events).await?;
        say(&format!(
            "{senders:>4} at a time: plain publish {plain:>7.0}, webhook {posted:>7.0} ({:.0} %)",
            100.0 * posted / plain
        ))?;
    }
    Ok(())
}

fn body(sender: usize, number: usize) -> Vec<u8> {
    let body = serde_json::json!({
        "type": "user.created",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "id": format!("u{sender}-{number}"),
            "email": "ada@example.com",
            "given_name": "Ada",
            "family_name": "Example",
            "metadata": { "plan": "free" },
        },
    });
    body.to_string().into_bytes()
}

async fn plainly(senders: usize, events: usize) -> Result<f64> {
    let nats = Nats::start().await?;
    let broker = nats.connect().await?;
    let stream = StreamSettings {
        name: "USERS".to_owned(),
        subjects: vec!["user.>".to_owned()],
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_msg_size: -1,
        duplicate_window: Duration::from_mins(2),
        description: String::new(),
        when_full: WhenFull::RefuseNew,
        removal: Removal::Denied,
        transform: None,
        former_subjects: Vec::new(),
    };
    broker.ensure_stream(&stream, Manage::Create).await?;
    let begin = clock::monotonic();
    let mut running = JoinSet::new();
    for sender in 0..senders {
        let publisher = broker.publisher();
        running.spawn(async move {
            for number in 0..events / senders {
                let message = Outgoing {
                    subject: "user.created".to_owned(),
                    headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
                    payload: Bytes::from(body(sender, number)),
                    message_id: format!("{sender}-{number}"),
                };
                publisher.publish(&message).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = running.join_next().await {
        sender??;
    }
    Ok((events / senders * senders) as f64 / begin.elapsed().as_secs_f64())
}

async fn by_webhook(senders: usize, events: usize) -> Result<f64> {
    let nats = Nats::start().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("secret"), SECRET)?;
    let config = format!(
        "[nats]\nurl = {:?}\n[[ingress]]\nname = \"std\"\nprovider = \"standard-webhooks\"\nsecret_files = [\"secret\"]\nrate = 1000000",
        nats.url()
    );
    std::fs::write(folder.path().join("config.toml"), config)?;
    let mut worker = Worker::start(folder.path(), "ingress", &["ingress", "--listen", "127.0.0.1:0"], &[])?;
    worker.logged("the broker is there", Duration::from_secs(30)).await?;
    let log = worker.log();
    let line = log
        .lines()
        .find(|line| line.contains("taking webhooks"))
        .context("a line")?;
    let line: serde_json::Value = serde_json::from_str(line)?;
    let address = line["address"].as_str().context("an address")?.to_owned();
    let begin = clock::monotonic();
    let mut running = JoinSet::new();
    for sender in 0..senders {
        let address = address.clone();
        running.spawn(async move {
            let credentials = Credentials {
                secrets: vec![SecretString::from(SECRET)],
                ..Credentials::default()
            };
            let verifier = Verifier::new(&Provider::embedded("standard-webhooks")?.schemes, &credentials)?;
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            for number in 0..events / senders {
                post(&mut stream, &verifier, sender, number).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = running.join_next().await {
        sender??;
    }
    Ok((events / senders * senders) as f64 / begin.elapsed().as_secs_f64())
}

async fn post(stream: &mut TcpStream, verifier: &Verifier, sender: usize, number: usize) -> Result<()> {
    let body = body(sender, number);
    let now = clock::now().unix_timestamp() * 1000;
    let mut request = format!(
        "POST /webhooks/std HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in verifier.sign(&format!("m{sender}-{number}"), &body, now)? {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(&[request.as_bytes(), &body].concat()).await?;
    let mut answer = [0_u8; 1024];
    let length = stream.read(&mut answer).await?;
    ensure!(
        answer[..length].starts_with(b"HTTP/1.1 204"),
        "{}",
        String::from_utf8_lossy(&answer[..length])
    );
    Ok(())
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
