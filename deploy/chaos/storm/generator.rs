//! Publishes the stories through whatever happens to the broker: an event is told again, under the same message id, until
//! the broker says that it has it.

use anyhow::{Result, bail};
use async_nats::jetstream;
use futures_util::{StreamExt as _, stream};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use super::journal::Journal;
use super::message::{Event, Message};
use super::plan::{Kind, shuffle};
use super::rng::Rng;
use super::stories::Stories;

/// Messages on their way to the broker; more would only wait for its disk.
const IN_FLIGHT: usize = 64;
/// How long the broker may take for one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often one is told before the run is given up.
const TRIES: usize = 300;
/// Messages that a storm of duplicates may repeat: the latest, and some of all that were.
const REMEMBERED: usize = 1_000;
const COPIES: usize = 200;

pub(super) struct Generator {
    context: jetstream::Context,
    rng: Rng,
    total: usize,
    pub(super) stories: Stories,
    pub(super) journal: Journal,
    latest: VecDeque<Message>,
    older: Vec<Message>,
    /// Held back by a storm, with the rounds that are left.
    held: Vec<(usize, Vec<Event>)>,
    copies: usize,
    pub(super) published: usize,
}

impl Generator {
    /// Its connection leads straight to the broker: the faults are the worker's.
    pub(super) async fn new(url: &str, seed: u64, total: usize, journal: &Path) -> Result<Self> {
        let client = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .connect(url)
            .await?;
        let mut context = jetstream::new(client);
        context.set_timeout(PATIENCE);
        Ok(Self {
            context,
            rng: Rng::new(seed ^ 0xfeed),
            total,
            stories: Stories::of(seed),
            journal: Journal::create(journal, total)?,
            latest: VecDeque::new(),
            older: Vec::new(),
            held: Vec::new(),
            copies: 0,
            published: 0,
        })
    }

    /// Publishes the next events, in the order in which they happened unless there is a storm.
    pub(super) async fn round(&mut self, count: usize, fault: Option<Kind>) -> Result<()> {
        let mut events = self.stories.next(count, self.total);
        if fault == Some(Kind::ReorderStorm) {
            shuffle(&mut self.rng, &mut events);
            let rounds = 1 + self.rng.below(4);
            self.held
                .push((rounds, events.split_off(events.len() - events.len() / 5)));
        }
        let mut due = Vec::new();
        self.held.retain_mut(|(rounds, held)| {
            *rounds -= usize::from(*rounds > 0);
            if *rounds == 0 {
                due.append(held);
            }
            *rounds > 0
        });
        // In the midst of the others.
        let middle = events.len() / 2;
        events.splice(middle..middle, due);
        self.publish(events, if fault == Some(Kind::DuplicateStorm) { COPIES } else { 0 })
            .await
    }

    /// Publishes a few more events, or copies when there are no more.
    pub(super) async fn trickle(&mut self, count: usize) -> Result<()> {
        let events = self.stories.next(count, self.total);
        let copies = if events.is_empty() { count.min(COPIES) } else { 0 };
        self.publish(events, copies).await
    }

    /// Publishes what is left, and what was held back.
    pub(super) async fn finish(&mut self) -> Result<()> {
        let mut events: Vec<Event> = std::mem::take(&mut self.held)
            .into_iter()
            .flat_map(|(_, held)| held)
            .collect();
        events.extend(self.stories.next(self.total, self.total));
        self.publish(events, 0).await?;
        self.journal.close()
    }

    async fn publish(&mut self, events: Vec<Event>, copies: usize) -> Result<()> {
        let mut all: Vec<(Option<Event>, Message)> = Vec::with_capacity(events.len() + copies);
        for event in events {
            let message = event.message();
            all.push((Some(event), message));
        }
        let fresh: Vec<Message> = all.iter().map(|(_, message)| message.clone()).collect();
        for _ in 0..copies {
            let Some(message) = self.somebody(&fresh) else { break };
            self.copies += 1;
            let copy = message.copy(self.copies);
            let place = self.rng.below(all.len() + 1);
            all.insert(place, (None, copy));
        }
        let context = self.context.clone();
        let mut sent = stream::iter(all)
            .map(|(event, message)| {
                let context = context.clone();
                async move { Ok::<_, anyhow::Error>((event, send(&context, message).await?)) }
            })
            .buffered(IN_FLIGHT);
        while let Some(result) = sent.next().await {
            let (event, sequence) = result?;
            if let Some(event) = event {
                self.journal.published(&event, sequence)?;
                self.published += 1;
            }
        }
        drop(sent);
        for message in fresh {
            self.remember(message);
        }
        Ok(())
    }

    /// One to be said again: of this round, of the last ones, or of long ago.
    fn somebody(&mut self, fresh: &[Message]) -> Option<Message> {
        let from = match self.rng.below(3) {
            0 if !fresh.is_empty() => fresh,
            1 if !self.older.is_empty() => &self.older,
            _ => self.latest.make_contiguous(),
        };
        (!from.is_empty()).then(|| self.rng.pick(from).clone())
    }

    fn remember(&mut self, message: Message) {
        self.latest.push_back(message);
        if self.latest.len() <= REMEMBERED {
            return;
        }
        let Some(old) = self.latest.pop_front() else { return };
        if self.older.len() < REMEMBERED {
            self.older.push(old);
        } else if self.rng.percent(2) {
            let place = self.rng.below(REMEMBERED);
            self.older[place] = old;
        }
    }
}

/// Tells it until the broker has it; its sequence in the stream.
async fn send(context: &jetstream::Context, message: Message) -> Result<u64> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let once = async {
            let sent = context
                .publish_with_headers(
                    message.subject.clone(),
                    message.headers.clone(),
                    message.payload.clone(),
                )
                .await?;
            sent.await
        };
        match tokio::time::timeout(PATIENCE, once).await {
            Ok(Ok(stored)) => return Ok(stored.sequence),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => "no answer".clone_into(&mut last),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the broker does not take message {}: {last}", message.number)
}
