//! A running `rollcall ingress` between a real broker and whoever posts to it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall::ingress::provider::Provider;
use rollcall::ingress::signature::{Credentials, Verifier};
use rollcall::jetstream::StoredMessage;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::deployment::PATIENCE;
use crate::harness::nats::Nats;
use crate::harness::wait::wait_for;
use crate::harness::worker::{Finished, Worker};

/// The secret of the endpoint `std`, of Standard Webhooks.
pub(super) const SECRET: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
/// The secret of the endpoint `okta`, in a header.
pub(super) const STATIC: &str = "example-static-secret-32-bytes-min-0001";

/// The running program.
pub(super) struct Serving {
    pub(super) nats: Nats,
    pub(super) folder: TempDir,
    pub(super) worker: Worker,
    pub(super) address: SocketAddr,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Serving {
    pub(super) async fn start() -> Result<Self> {
        Self::with(Nats::start().await?, "").await
    }

    /// With more lines for the endpoint `std`; other sections may follow.
    pub(super) async fn with(nats: Nats, more: &str) -> Result<Self> {
        Self::with_both(nats, "", more).await
    }

    /// With more lines for the endpoint `okta`, and for `std`.
    pub(super) async fn with_both(nats: Nats, okta: &str, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write_configuration(folder.path(), &nats, okta, more)?;
        let arguments = ["ingress", "--listen", "127.0.0.1:0", "--json"];
        let worker = Worker::start(folder.path(), "ingress", &arguments, &[])?;
        let mut serving = Self {
            nats,
            folder,
            worker,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        serving.worker.logged("the broker is there", PATIENCE).await?;
        serving.address = address_in(&serving.worker.log())?;
        Ok(serving)
    }

    /// Posts a body to an endpoint with these headers.
    pub(super) async fn post(&self, endpoint: &str, headers: &[(String, String)], body: &[u8]) -> Result<Reply> {
        let mut stream = TcpStream::connect(self.address).await?;
        exchange(&mut stream, &format!("/webhooks/{endpoint}"), headers, body).await
    }

    /// Posts a body to `std` as its sender would, under this id.
    pub(super) async fn send(&self, id: &str, body: &[u8]) -> Result<Reply> {
        self.post("std", &signed("standard-webhooks", SECRET, id, body, 0)?, body)
            .await
    }

    /// Every message of a stream, in order.
    pub(super) async fn stored(&self, stream: &str) -> Result<Vec<StoredMessage>> {
        let broker = self.nats.connect().await?;
        let mut messages = broker.stored_messages(stream).await?;
        let mut all = Vec::new();
        while let Some(message) = messages.next().await? {
            all.push(message);
        }
        broker.close().await;
        Ok(all)
    }

    /// The data of every event, in order.
    pub(super) async fn events(&self) -> Result<Vec<serde_json::Value>> {
        let stored = self.stored("USERS").await?;
        stored
            .iter()
            .map(|message| Ok(serde_json::from_slice(&message.payload)?))
            .collect()
    }

    /// The kilobytes of memory that it occupies.
    pub(super) fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.worker.pid()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }

    /// Stops it; what it has counted.
    pub(super) async fn stop(mut self) -> Result<Finished> {
        self.worker.signal("TERM")?;
        self.worker.finished(PATIENCE).await?.success()
    }
}

fn write_configuration(folder: &Path, nats: &Nats, okta: &str, more: &str) -> Result<()> {
    std::fs::write(folder.join("std.secret"), format!("{SECRET}\n"))?;
    std::fs::write(folder.join("okta.secret"), format!("{STATIC}\n"))?;
    let text = format!(
        "[nats]\nurl = {:?}\n\n[[ingress]]\nname = \"okta\"\nprovider = \"okta\"\nsecret_files = [\"okta.secret\"]\n{okta}\n\n\
         [[ingress]]\nname = \"std\"\nprovider = \"standard-webhooks\"\nsecret_files = [\"std.secret\"]\n{more}\n",
        nats.url()
    );
    Ok(std::fs::write(folder.join("config.toml"), text)?)
}

/// From the log line of the start.
pub(super) fn address_in(log: &str) -> Result<SocketAddr> {
    let line = log
        .lines()
        .find(|line| line.contains("taking webhooks"))
        .context("a line")?;
    let event: serde_json::Value = serde_json::from_str(line)?;
    Ok(event["address"].as_str().context("an address")?.parse()?)
}

/// The headers of a sender, so many seconds from now.
pub(super) fn signed(
    provider: &str,
    secret: &str,
    id: &str,
    body: &[u8],
    seconds: i64,
) -> Result<Vec<(String, String)>> {
    let credentials = Credentials {
        secrets: vec![SecretString::from(secret)],
        ..Credentials::default()
    };
    let verifier = Verifier::new(&Provider::embedded(provider)?.schemes, &credentials)?;
    let now = (rollcall::clock::now().unix_timestamp() + seconds) * 1000;
    Ok(verifier.sign(id, body, now)?)
}

/// A body about one user.
pub(super) fn about(user: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "type": "user.created",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": { "id": user, "email": format!("{}@example.com", user.len()) },
    });
    body.to_string().into_bytes()
}

/// One request and its answer; the connection stays as it is.
pub(super) async fn exchange(
    stream: &mut TcpStream,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Reply> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    // Whoever answers before the end may close before it is written.
    let _ = stream.write_all(&bytes).await;
    reply(stream).await
}

/// Reads an answer with a content-length, or with none.
pub(super) async fn reply(stream: &mut TcpStream) -> Result<Reply> {
    let reading = async {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                bail!("closed without an answer");
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(Ok(0), str::parse::<usize>)?;
        let mut body = bytes.split_off(end + 4);
        while body.len() < length && stream.read_buf(&mut body).await? > 0 {}
        Ok(Reply {
            status,
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    tokio::time::timeout(PATIENCE, reading).await?
}

/// A connection from another address of this machine.
pub(super) async fn connect_from(last: u8, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))?;
    Ok(tokio::time::timeout(Duration::from_secs(10), socket.connect(to)).await??)
}

/// Waits until the other side has closed.
pub(super) async fn closed(stream: &mut TcpStream, within: Duration) -> Result<()> {
    let mut bytes = [0_u8; 256];
    let end = async { while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(within, end)
        .await
        .context("the connection is still open")
}

/// Asks until the answer has this status.
pub(super) async fn wait_for_status(serving: &Serving, path: &str, status: u16) -> Result<()> {
    wait_for(&format!("{path} to answer {status}"), PATIENCE, async || {
        let mut stream = TcpStream::connect(serving.address).await.ok()?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())
            .await
            .ok()?;
        (reply(&mut stream).await.ok()?.status == status).then_some(())
    })
    .await
}
