//! Messages whose headers would break the client: handed out with a defect, and no obstacle to others.

use anyhow::{Context, Result, ensure};
use rollcall::jetstream::{Broker, Deliveries};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{PATIENCE, deliveries, drained, message, next, prepared, publish, settled};
use crate::harness::nats::Nats;

/// Publishes bytes that no client library would: straight into the protocol.
pub(crate) async fn publish_raw(nats: &Nats, header: &[u8], payload: &[u8]) -> Result<()> {
    let socket = TcpStream::connect(nats.url().trim_start_matches("nats://")).await?;
    let mut socket = BufReader::new(socket);
    let mut bytes = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    bytes.extend(
        format!(
            "HPUB user.created {} {}\r\n",
            header.len(),
            header.len() + payload.len()
        )
        .bytes(),
    );
    bytes.extend([header, payload, b"\r\nPING\r\n"].concat());
    socket.write_all(&bytes).await?;
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        ensure!(socket.read_line(&mut line).await? > 0, "the server hung up");
        ensure!(!line.starts_with("-ERR"), "{line}");
    }
    Ok(())
}

/// Takes the unreadable message (sequence 2) and its two neighbours, in whatever order, and settles them.
/// Returns the defect.
async fn settle_three(deliveries: &mut Deliveries, payload: &[u8]) -> Result<&'static str> {
    let mut defect = None;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let delivery = next(deliveries).await?;
        if delivery.sequence == 2 {
            assert_eq!(&delivery.payload[..], payload);
            assert_eq!(
                (delivery.subject.as_str(), delivery.stream.as_str()),
                ("user.created", "USERS")
            );
            assert!(delivery.published.unix_timestamp() > 1_700_000_000);
            defect = delivery.defect;
        } else {
            assert_eq!(delivery.defect, None);
        }
        if !seen.contains(&delivery.sequence) {
            seen.push(delivery.sequence);
        }
        // The client may be dead at this moment; then it comes again.
        drop(delivery.ack().await);
    }
    defect.context("a defect")
}

async fn surrounded(nats: &Nats, broker: &Broker, header: &[u8], payload: &[u8]) -> Result<()> {
    publish(broker, 1..=1).await?;
    publish_raw(nats, header, payload).await?;
    publish(broker, 2..=2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_break_the_connection_are_handed_out_with_a_defect() -> Result<()> {
    let table: [(&[u8], &str); 4] = [
        (b"NATS/1.0\r\nce-id: \xff\r\n\r\n", "UTF-8"),
        (b"NATS/1.0\r\nno colon\r\n\r\n", "colon"),
        (b"NATS/1.0\r\nce id: x\r\n\r\n", "visible ASCII"),
        (b"\r\n", "NATS/1.0"),
    ];
    for (header, rule) in table {
        let (nats, broker) = prepared().await?;
        let mut deliveries = deliveries(&broker).await?;
        surrounded(&nats, &broker, header, b"\x00payload").await?;
        let defect = settle_three(&mut deliveries, b"\x00payload").await?;
        assert!(defect.contains(rule), "{defect}");
        settled(&broker, &mut deliveries).await?;
    }
    Ok(())
}

/// The client library panics at this one, which ends its task; the client is replaced, for publishers too.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_kills_the_client_is_survived() -> Result<()> {
    let (nats, broker) = prepared().await?;
    let mut deliveries = deliveries(&broker).await?;
    let publisher = broker.publisher();
    surrounded(&nats, &broker, b"NATS/1.0\r\nce-id: a\rb\r\n\r\n", b"payload").await?;
    let defect = settle_three(&mut deliveries, b"payload").await?;
    assert!(defect.contains("carriage return"), "{defect}");
    settled(&broker, &mut deliveries).await?;
    publisher.publish_patiently(&message(3, "3"), PATIENCE).await?;
    let delivery = next(&mut deliveries).await?;
    assert_eq!((&delivery.payload[..], delivery.defect), (&b"3"[..], None));
    delivery.ack().await?;
    drained(&broker).await
}

/// As after a crash in the middle: the message is due again, and must be settled before anything is pulled.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_worker_looks_before_it_pulls() -> Result<()> {
    let (nats, broker) = prepared().await?;
    let mut abandoned = deliveries(&broker).await?;
    surrounded(&nats, &broker, b"NATS/1.0\r\nce-id: \xff\r\n\r\n", b"payload").await?;
    while next(&mut abandoned).await?.sequence != 2 {}
    drop(abandoned);
    let fresh = nats.connect().await?;
    let mut deliveries = deliveries(&fresh).await?;
    let first = next(&mut deliveries).await?;
    assert_eq!(first.sequence, 2, "found by looking, before the others are pulled");
    first.ack().await?;
    for _ in 0..2 {
        next(&mut deliveries).await?.ack().await?;
    }
    drained(&fresh).await
}
