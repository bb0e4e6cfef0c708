//! Another program that follows the announcements with a durable consumer of its own, and keeps a cache by them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::deployment::Deployment;

/// One announcement as it was received.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) user: String,
    pub(super) sequence: u64,
    pub(super) data: Value,
}

/// What it has heard so far.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) heard: Vec<Heard>,
    /// Ids that it knows: a copy is not looked at.
    known: BTreeSet<String>,
    /// The profiles, as a cache would have them.
    pub(super) cache: BTreeMap<String, Value>,
}

impl Listener {
    /// Takes what waits for it now, until nothing comes for a while.
    pub(super) async fn listen(&mut self, deployment: &Deployment) -> Result<()> {
        let stream = deployment.client().await?.get_stream("PROFILES").await?;
        let settings = pull::Config {
            durable_name: Some("cache".to_owned()),
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer("cache", settings).await?;
        loop {
            let mut messages = consumer
                .fetch()
                .max_messages(500)
                .expires(Duration::from_millis(500))
                .messages()
                .await?;
            let mut some = false;
            while let Some(message) = messages.next().await {
                let message = message.map_err(|error| anyhow::anyhow!(error))?;
                some = true;
                self.take(&message)?;
                message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
            }
            if !some {
                return Ok(());
            }
        }
    }

    fn take(&mut self, message: &async_nats::jetstream::Message) -> Result<()> {
        let headers = message.headers.as_ref().context("headers")?;
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let heard = Heard {
            kind: header("ce-type").context("ce-type")?,
            id: header("ce-id").context("ce-id")?,
            user: header("ce-subject").context("ce-subject")?,
            sequence: header("ce-sequence").context("ce-sequence")?.parse()?,
            data: serde_json::from_slice(&message.payload)?,
        };
        ensure!(message.subject.as_str() == heard.kind, "{heard:?}");
        ensure!(header("Nats-Msg-Id").as_deref() == Some(&heard.id), "{heard:?}");
        ensure!(header("ce-specversion").as_deref() == Some("1.0"));
        ensure!(header("ce-source").as_deref() == Some("rollcall"));
        if !self.known.insert(heard.id.clone()) {
            return Ok(());
        }
        let data = &heard.data;
        let profile = data["profile_id"].as_str().context("profile_id")?.to_owned();
        if heard.kind == "profile.deleted" {
            self.cache.remove(&profile);
        } else {
            let fields = ["user_id", "status", "email", "display_name", "phone"];
            self.cache
                .insert(profile, json!(fields.map(|field| data[field].clone())));
        }
        self.heard.push(heard);
        Ok(())
    }

    /// Fails unless everything about each profile came in its order.
    pub(super) fn is_in_order(&self) -> Result<()> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for heard in &self.heard {
            let profile = heard.data["profile_id"].as_str().unwrap_or_default();
            let before = last.insert(profile, heard.sequence);
            ensure!(before.is_none_or(|before| before < heard.sequence), "{heard:?}");
        }
        Ok(())
    }
}
