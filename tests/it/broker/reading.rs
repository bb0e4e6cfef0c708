//! Reading a stream without a durable consumer: ranges, times, and everything that breaks a connection on the way.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall::jetstream::{Broker, Manage, PullSettings, ReadSettings, StoredMessage, StreamSettings};

use super::unreadable::publish_raw;
use super::{PATIENCE, SOON, message, publish};
use crate::harness::nats::Nats;
use crate::harness::wait::wait_for;
use crate::topology::users;

const PATIENT: ReadSettings = ReadSettings {
    pull: PullSettings {
        batch: 16,
        max_bytes: 1 << 20,
        expires: Duration::from_secs(5),
        heartbeat: Duration::from_secs(1),
    },
    patience: Duration::MAX,
};

/// A server with a stream from which messages may be removed.
async fn stream() -> Result<(Nats, Broker)> {
    let nats = Nats::start().await?;
    let broker = made(&nats).await?;
    Ok((nats, broker))
}

async fn made(nats: &Nats) -> Result<Broker> {
    let broker = nats.connect().await?;
    let settings = StreamSettings {
        removal: rollcall::jetstream::Removal::Allowed,
        ..users()
    };
    broker.ensure_stream(&settings, Manage::Create).await?;
    Ok(broker)
}

async fn read(broker: &Broker, range: RangeInclusive<u64>) -> Result<Vec<StoredMessage>> {
    let mut messages = broker.stored_range("USERS", range, PATIENT);
    let mut read = Vec::new();
    let all = async {
        while let Some(message) = messages.next().await? {
            read.push(message);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.context("read in time")??;
    Ok(read)
}

fn sequences(messages: &[StoredMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.sequence).collect()
}

/// Publishes past every client, and waits until it is stored.
async fn put_raw(nats: &Nats, broker: &Broker, header: &[u8], payload: &[u8]) -> Result<()> {
    let before = broker.held("USERS").await?.last;
    publish_raw(nats, header, payload).await?;
    wait_for("a stored message", SOON, async || {
        broker.held("USERS").await.ok().filter(|held| held.last > before)
    })
    .await?;
    Ok(())
}

async fn delete(nats: &Nats, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
    let client = async_nats::connect(nats.url()).await?;
    let stream = async_nats::jetstream::new(client).get_stream("USERS").await?;
    for sequence in sequences {
        stream.delete_message(sequence).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_read_whatever_of_it_is_there() -> Result<()> {
    let (nats, broker) = stream().await?;
    let empty = broker.held("USERS").await?;
    assert_eq!((empty.first, empty.last, empty.messages), (1, 0, 0));
    assert!(read(&broker, 1..=10).await?.is_empty(), "nothing there yet");
    publish(&broker, 1..=100).await?;
    delete(&nats, [1, 2, 50, 99, 100]).await?;
    let held = broker.held("USERS").await?;
    assert_eq!((held.first, held.last, held.messages), (3, 100, 95));
    for (range, expected) in [
        (10..=20, (10..=20).collect::<Vec<_>>()),
        (1..=4, vec![3, 4]),
        (49..=51, vec![49, 51]),
        (50..=50, vec![]),
        (97..=100, vec![97, 98]),
        (99..=100, vec![]),
        (99..=1000, vec![]),
        (200..=300, vec![]),
        (0..=3, vec![3]),
        (98..=98, vec![98]),
    ] {
        assert_eq!(sequences(&read(&broker, range.clone()).await?), expected, "{range:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_a_place_in_the_stream() -> Result<()> {
    let (nats, broker) = stream().await?;
    let now = time::OffsetDateTime::from_unix_timestamp(1_893_456_000)?;
    assert_eq!(broker.first_stored_since("USERS", now).await?, 1, "an empty stream");
    publish(&broker, 1..=40).await?;
    let stored = read(&broker, 1..=40).await?;
    delete(&nats, [1, 7, 8, 9, 40]).await?;
    let nanosecond = time::Duration::NANOSECOND;
    for message in &stored {
        let sequence = message.sequence;
        let there = ![1, 7, 8, 9, 40].contains(&sequence);
        let found = broker.first_stored_since("USERS", message.published).await?;
        let next = read(&broker, found..=40).await?.first().map(|message| message.sequence);
        if there {
            assert_eq!(next, Some(sequence), "at the time of {sequence}");
        }
        let after = broker
            .first_stored_since("USERS", message.published + nanosecond)
            .await?;
        let next = read(&broker, after..=40).await?.first().map(|message| message.sequence);
        assert!(next.is_none_or(|next| next > sequence), "after {sequence}: {next:?}");
        assert!(after > sequence || !there);
    }
    let long_ago = time::OffsetDateTime::UNIX_EPOCH;
    assert!(broker.first_stored_since("USERS", long_ago).await? <= 2);
    let behind = broker.first_stored_since("USERS", now).await?;
    assert!(behind > 39 && read(&broker, behind..=100).await?.is_empty(), "{behind}");
    Ok(())
}

/// Bytes that end the connection, and those that kill the client.
const UNREADABLE: [&[u8]; 3] = [
    b"NATS/1.0\r\nce-id: \xff\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\rb\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
];
/// What the client takes for a word of the server. Newer servers take the status off.
const MISLEADING: [&[u8]; 3] = [
    b"NATS/1.0 503\r\nA: x\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\nA: x\r\n\r\n",
    b"NATS/1.0 408 Request Timeout\r\nA: x\r\n\r\n",
];

/// Some stand in a row, some between others, the last at the end.
async fn read_between_others(nats: &Nats, broker: &Broker, headers: &[&[u8]]) -> Result<()> {
    publish(broker, 1..=30).await?;
    for (n, header) in (1..).zip(headers) {
        put_raw(nats, broker, header, format!("bad {n}").as_bytes()).await?;
        if n % 2 == 0 {
            publish(broker, 100 * n..=100 * n + 19).await?;
        }
    }
    let held = broker.held("USERS").await?;
    let messages = read(broker, 1..=held.last).await?;
    assert_eq!(
        sequences(&messages),
        (1..=held.last).collect::<Vec<_>>(),
        "each once, in order"
    );
    let (bad, good): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.defect.is_some());
    let payloads: Vec<&[u8]> = bad.iter().map(|message| &message.payload[..]).collect();
    let expected: Vec<String> = (1..=headers.len()).map(|n| format!("bad {n}")).collect();
    assert_eq!(payloads, expected.iter().map(String::as_bytes).collect::<Vec<_>>());
    for message in good {
        assert_eq!(message.headers[0].0, "Nats-Msg-Id", "{message:?}");
        assert_eq!(message.headers[0].1.as_bytes(), &message.payload[..]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_no_client_can_take_are_read_like_any_other() -> Result<()> {
    let (nats, broker) = stream().await?;
    read_between_others(&nats, &broker, &UNREADABLE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_accepted_server_keeps_even_more_of_them() -> Result<()> {
    let nats = Nats::of_version("2.10.26").await?;
    let broker = made(&nats).await?;
    read_between_others(&nats, &broker, &[UNREADABLE, MISLEADING].concat()).await
}

/// What follows an unreadable message is read the same way as it is: nobody may see a difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_of_reading_see_the_same_message() -> Result<()> {
    let (nats, broker) = stream().await?;
    let large = vec![b'\xfe'; 900_000];
    let headers: [&[u8]; 5] = [
        b"NATS/1.0\r\nB: x\r\n  folded\r\nA:   blanks \r\nB: again\r\nce-type: user.created\r\n\r\n",
        b"NATS/1.0\r\nEmpty:\r\n\r\n",
        "NATS/1.0\r\nA: gr\u{fc}n: ja\r\n\r\n".as_bytes(),
        b"NATS/1.0\r\n\r\n",
        b"NATS/1.0\r\nA: large\r\n\r\n",
    ];
    for (n, header) in headers.into_iter().enumerate() {
        put_raw(&nats, &broker, b"NATS/1.0\r\nce-id: \xff\r\n\r\n", b"").await?;
        put_raw(&nats, &broker, header, if n == 4 { &large } else { b"\x00{}" }).await?;
    }
    for sequence in [2, 4, 6, 8, 10] {
        let through_client = read(&broker, sequence..=sequence).await?;
        let around = read(&broker, sequence - 1..=sequence).await?;
        assert_eq!(around.len(), 2, "{sequence} {around:?}");
        assert_eq!(through_client.len(), 1, "{sequence}");
        assert_eq!(around[1..], through_client, "message {sequence}");
        assert_eq!(around[1].defect, None);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_and_comes_is_waited_for() -> Result<()> {
    let (mut nats, broker) = stream().await?;
    publish(&broker, 1..=2000).await?;
    let mut messages = broker.stored_range("USERS", 1..=2000, PATIENT);
    let mut seen = Vec::new();
    for stop in [300, 900, 1500] {
        while seen.len() < stop {
            let next = tokio::time::timeout(SOON, messages.next()).await.context("in time")??;
            seen.push(next.context("a message")?.sequence);
        }
        nats.restart().await?;
    }
    while let Some(message) = tokio::time::timeout(PATIENCE, messages.next())
        .await
        .context("in time")??
    {
        seen.push(message.sequence);
    }
    assert_eq!(seen, (1..=2000).collect::<Vec<_>>(), "each once, in order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_has_the_end_it_was_given_and_reading_goes_on_afterwards() -> Result<()> {
    let (mut nats, broker) = stream().await?;
    publish(&broker, 1..=100).await?;
    let hasty = ReadSettings {
        patience: Duration::ZERO,
        pull: PullSettings {
            batch: 4,
            ..PATIENT.pull
        },
    };
    let mut messages = broker.stored_range("USERS", 1..=100, hasty);
    assert_eq!(messages.next().await?.context("a message")?.sequence, 1);
    nats.kill().await?;
    let mut next = 2;
    let error = loop {
        // What the client has already received is handed out first.
        match messages.next().await {
            Ok(message) => assert_eq!(message.context("a message")?.sequence, next),
            Err(error) => break error,
        }
        next += 1;
    };
    assert!(error.is_transient() && next < 100, "{error}, {next}");
    nats.restart().await?;
    while next <= 100 {
        match messages.next().await {
            Ok(message) => {
                assert_eq!(message.context("a message")?.sequence, next);
                next += 1;
            }
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    assert_eq!(messages.next().await?, None);
    Ok(())
}

/// The end was there when reading began, and is gone when it is reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_is_removed_meanwhile_is_not_waited_for() -> Result<()> {
    let (nats, broker) = stream().await?;
    publish(&broker, 1..=200).await?;
    let mut messages = broker.stored_range("USERS", 1..=200, PATIENT);
    assert_eq!(messages.next().await?.context("a message")?.sequence, 1);
    delete(&nats, 90..=200).await?;
    let rest = async {
        let mut last = 0;
        while let Some(message) = messages.next().await? {
            last = message.sequence;
        }
        anyhow::Ok(last)
    };
    let last = tokio::time::timeout(SOON, rest).await.context("an end")??;
    assert_eq!(last, 89);
    broker.publisher().publish(&message("later", "")).await?;
    assert_eq!(messages.next().await?, None, "an end is an end");
    Ok(())
}
