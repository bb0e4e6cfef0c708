//! Dead letters brought back: chosen, made into messages again, published at a steady rate, and looked after.
//!
//! Publishes and looks, nothing else: the worker decides what becomes of an event, and resolves its letters.

mod choice;
mod revive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::dead_letters::{header, our_header};
use crate::domain::Reason;
use crate::envelope::Subjects;
use crate::jetstream::{Broker, BrokerError, ReadSettings};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

pub use choice::{Choice, FIRST, Fate, fate, first_ones, hopeless, is_the_same_again};
pub use revive::{Letter, Unfit, revive};

/// How many letters are looked up at a time.
const CHUNK: usize = 256;

/// Where the letters are and how they are brought back.
pub struct Redrive<'a> {
    /// The broker.
    pub broker: &'a Broker,
    /// The store, which knows what is resolved.
    pub store: &'a Store,
    /// The stream of dead letters.
    pub stream: &'a str,
    /// What sets the message ids of this run apart from those of others.
    pub run: &'a str,
    /// What the subjects of what is published say.
    pub subjects: Subjects,
    /// How many are published in a second.
    pub rate: u32,
    /// How one message is tried.
    pub patience: Duration,
    /// How the stream is read.
    pub reading: ReadSettings,
    /// Ends it early.
    pub shutdown: &'a Shutdown,
}

/// What was asked for.
#[derive(Debug, Default)]
pub struct Chosen {
    /// The newest letter of each event, in the order of the stream.
    pub letters: Vec<Letter>,
    /// Letters that cannot be brought back, by their number.
    pub unfit: BTreeMap<u64, Unfit>,
    /// Events that are applied since.
    pub resolved: u64,
}

/// Why nothing more can be brought back.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The broker.
    #[error("dead letters cannot be read or published")]
    Broker(#[from] BrokerError),
    /// The database.
    #[error("the database does not say what became of them")]
    Store(#[from] StoreError),
}

impl Redrive<'_> {
    /// Reads every dead letter and keeps what is asked for.
    ///
    /// # Errors
    /// When broker or database do not answer.
    pub async fn choose(&self, choice: &Choice, seen: impl Fn(u64)) -> Result<Chosen, RedriveError> {
        let mut messages = self.broker.stored_messages(self.stream).await?;
        let mut newest: BTreeMap<(String, String), Letter> = BTreeMap::new();
        let mut named: BTreeSet<(String, String)> = BTreeSet::new();
        let mut chosen = Chosen::default();
        while let Some(message) = messages.next().await? {
            seen(message.sequence);
            match revive(&message, self.run) {
                Ok((letter, _)) => {
                    let identity = (letter.source.clone(), letter.event_id.clone());
                    if choice.names(letter.sequence, &letter.message_id) {
                        named.insert(identity.clone());
                    }
                    newest.insert(identity, letter);
                }
                Err(unfit) => {
                    let reason = our_header(&message.headers, "reason").and_then(Reason::from_name);
                    let id = header(&message.headers, "nats-msg-id").unwrap_or_default();
                    if choice.takes_unread(message.sequence, id, message.published, reason) {
                        chosen.unfit.insert(message.sequence, unfit);
                    }
                }
            }
        }
        newest.retain(|identity, letter| named.contains(identity) && choice.takes(letter));
        let mut letters: Vec<Letter> = newest.into_values().collect();
        letters.sort_by_key(|letter| letter.sequence);
        for part in letters.chunks(CHUNK) {
            let ids: Vec<String> = part.iter().map(|letter| letter.message_id.clone()).collect();
            let resolved: BTreeSet<String> = self.store.resolved(&ids).await?.into_iter().collect();
            let open = part.iter().filter(|letter| !resolved.contains(&letter.message_id));
            chosen.letters.extend(open.cloned());
        }
        chosen.resolved = (letters.len() - chosen.letters.len()) as u64;
        Ok(chosen)
    }

    /// Publishes the events of these letters, by their numbers; returns which were published. Stops when it is told to, and
    /// leaves out what has gone from the stream since.
    ///
    /// # Errors
    /// When the broker does not take one.
    pub async fn publish(&self, wanted: &BTreeSet<u64>, sent: impl Fn()) -> Result<BTreeSet<u64>, RedriveError> {
        let mut published = BTreeSet::new();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(published);
        };
        let sender = self.broker.publisher();
        let mut turn = tokio::time::interval(Duration::from_secs(1) / self.rate.max(1));
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut messages = self.broker.stored_range(self.stream, *first..=*last, self.reading);
        while let Some(message) = messages.next().await? {
            if !wanted.contains(&message.sequence) {
                continue;
            }
            let Ok((letter, mut outgoing)) = revive(&message, self.run) else {
                continue;
            };
            // The letter has the subject under which it was stored, with a partition that is the stream's to say.
            if self.subjects == Subjects::ByUser {
                outgoing.subject = self.subjects.of(letter.kind.name(), Some(&letter.user_id));
            }
            tokio::select! {
                biased;
                () = self.shutdown.soft.cancelled() => break,
                _ = turn.tick() => {}
            }
            sender.publish_patiently(&outgoing, self.patience).await?;
            published.insert(message.sequence);
            sent();
        }
        Ok(published)
    }

    /// What became of the events of these letters, in their order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fates(&self, letters: &[&Letter]) -> Result<Vec<Fate>, RedriveError> {
        let mut fates = Vec::new();
        for part in letters.chunks(CHUNK) {
            let identities: Vec<(&str, &str)> = part
                .iter()
                .map(|letter| (letter.source.as_str(), letter.event_id.as_str()))
                .collect();
            let entered = self.store.entered(&identities).await?;
            let known: BTreeMap<(&str, &str), _> = entered
                .iter()
                .map(|entered| ((entered.source.as_str(), entered.event_id.as_str()), entered))
                .collect();
            fates.extend(identities.iter().map(|identity| fate(known.get(identity).copied())));
        }
        Ok(fates)
    }
}
