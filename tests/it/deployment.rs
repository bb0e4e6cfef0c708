//! The real program between a real broker and a real database.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::HeaderMap;
use async_nats::jetstream;
use rollcall::jetstream::StoredMessage;
use serde_json::Value;

use crate::harness::nats::Nats;
use crate::harness::wait::wait_for;
use crate::harness::worker::{Finished, Worker};
use crate::world::Base;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Broker, database and a folder to run in.
pub struct Deployment {
    pub base: Base,
    pub nats: Nats,
    /// What the program finds in its environment.
    pub environment: Vec<(String, String)>,
    runs: std::cell::Cell<u32>,
}

impl Deployment {
    /// With tables, without streams.
    pub async fn around(base: Base) -> Result<Self> {
        Self::with(base, Nats::start().await?).await
    }

    /// The same with a broker that was started otherwise.
    pub async fn with(base: Base, nats: Nats) -> Result<Self> {
        base.store().await?.close().await;
        let environment = vec![
            ("ROLLCALL__NATS__URL".to_owned(), nats.url()),
            ("ROLLCALL__STORE__URL".to_owned(), base.url.clone()),
            // What a killed worker had in hand comes again soon.
            ("ROLLCALL__CONSUMER__ACK_WAIT".to_owned(), "2s".to_owned()),
        ];
        Ok(Self {
            base,
            nats,
            environment,
            runs: std::cell::Cell::new(0),
        })
    }

    /// One more variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Result<Worker> {
        self.runs.set(self.runs.get() + 1);
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Worker::start(
            self.base.folder.path(),
            &format!("run-{}", self.runs.get()),
            arguments,
            &environment,
        )
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.start(arguments)?.finished(PATIENCE).await
    }

    /// Works until nothing is left; the counts that were printed.
    pub async fn drain(&self) -> Result<Value> {
        self.run(&["run", "--drain", "--json"]).await?.success()?.json()
    }

    /// Publishes lines with `rollcall publish`; the counts that were printed.
    pub async fn publish(&self, lines: &[Value]) -> Result<Value> {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        self.runs.set(self.runs.get() + 1);
        let name = format!("events-{}.jsonl", self.runs.get());
        std::fs::write(self.base.folder.path().join(&name), text.join("\n"))?;
        self.run(&["publish", &name, "--json"]).await?.success()?.json()
    }

    /// A client of the broker that knows nothing of Rollcall.
    pub async fn client(&self) -> Result<jetstream::Context> {
        Ok(jetstream::new(async_nats::connect(self.nats.url()).await?))
    }

    /// Publishes one message as another program would; says whether the broker had it already.
    pub async fn put(&self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<bool> {
        let client = self.client().await?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let payload = payload.to_vec().into();
        let sent = if headers.is_empty() {
            client.publish(subject.to_owned(), payload).await?
        } else {
            client.publish_with_headers(subject.to_owned(), map, payload).await?
        };
        Ok(sent.await?.duplicate)
    }

    /// Every message in the stream of dead letters, in order.
    pub async fn dead_letters(&self) -> Result<Vec<StoredMessage>> {
        let broker = self.nats.connect().await?;
        let mut messages = broker.stored_messages("DEAD_LETTERS").await?;
        let mut all = Vec::new();
        while let Some(message) = messages.next().await? {
            all.push(message);
        }
        broker.close().await;
        Ok(all)
    }

    /// What `rollcall dead list --json` says.
    pub async fn dead_list(&self) -> Result<Vec<Value>> {
        let finished = self.run(&["dead", "list", "--json"]).await?.success()?;
        finished
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect()
    }

    /// Waits until the ledger has at least so many events.
    pub async fn ledger_reaches(&self, count: i64) -> Result<()> {
        let what = format!("{count} events in the ledger");
        wait_for(&what, PATIENCE, async || {
            let found = self.base.number("count(*)", "@ledger").await.ok()?;
            (found >= count).then_some(())
        })
        .await
    }
}

/// The value of a header of a stored message.
pub fn header<'a>(message: &'a StoredMessage, name: &str) -> Option<&'a str> {
    message
        .headers
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}
