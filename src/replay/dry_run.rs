//! What a replay would meet, told without writing anything: decodes, and asks what the ledger has.
//!
//! No outcomes are predicted: what becomes of an event depends on every other event of its user.

use std::collections::{BTreeMap, HashMap};

use super::Users;
use crate::envelope::Refusal;
use crate::jetstream::StoredMessages;
use crate::reading::{End, InHand, Reading};
use crate::shutdown::Shutdown;
use crate::store::{Entered, Store, StoreError};

/// What was met.
#[derive(Debug)]
pub struct Surveyed {
    /// Messages looked at.
    pub messages: u64,
    /// Messages whose event the ledger does not have, by type. Copies of one event count one by one.
    pub new: BTreeMap<&'static str, u64>,
    /// Messages whose event the ledger has.
    pub known: u64,
    /// Messages that differ from what the ledger has under their source and id.
    pub id_conflicts: u64,
    /// Messages that are no event.
    pub undecodable: u64,
    /// Messages whose time lies too far after the broker's.
    pub in_future: u64,
    /// Messages of types that are not Rollcall's.
    pub unknown_type: u64,
    /// Whose events are new.
    pub users: Users,
    /// The sequence to go on from.
    pub next: u64,
    /// Whether that is the end.
    pub end: End,
}

/// Looks at the messages in order until none is left or it is stopped; the arguments are those of
/// [`super::replay`], but for the store, which is only read.
pub async fn survey(
    store: &Store,
    reading: Reading<'_>,
    mut messages: StoredMessages,
    first: u64,
    shutdown: &Shutdown,
    progress: impl Fn(u64),
) -> Surveyed {
    let mut surveyed = Surveyed {
        messages: 0,
        new: BTreeMap::new(),
        known: 0,
        id_conflicts: 0,
        undecodable: 0,
        in_future: 0,
        unknown_type: 0,
        users: Users::default(),
        next: first,
        end: End::Complete,
    };
    surveyed.end = loop {
        let batch = match reading.next(&mut messages, shutdown).await {
            Ok(batch) => batch,
            Err(end) => break end,
        };
        if let Err(error) = surveyed.look_at(&batch, store).await {
            break End::Unanswered(error);
        }
        progress(surveyed.next - 1);
    };
    surveyed
}

impl Surveyed {
    async fn look_at(&mut self, batch: &[InHand], store: &Store) -> Result<(), StoreError> {
        let identities: Vec<(&str, &str)> = batch
            .iter()
            .filter_map(|in_hand| in_hand.decoded.as_ref().ok())
            .map(|envelope| (envelope.event.source.as_str(), envelope.id.as_str()))
            .collect();
        let entered = store.entered(&identities).await?;
        let entered: HashMap<(&str, &str), &Entered> = entered
            .iter()
            .map(|entered| ((entered.source.as_str(), entered.event_id.as_str()), entered))
            .collect();
        for in_hand in batch {
            self.messages += 1;
            self.next = in_hand.message.sequence + 1;
            match &in_hand.decoded {
                Err(Refusal::UnknownType(_)) => self.unknown_type += 1,
                Err(Refusal::TimeInFuture { .. }) => self.in_future += 1,
                Err(Refusal::Undecodable(_)) => self.undecodable += 1,
                Ok(envelope) => match entered.get(&(envelope.event.source.as_str(), envelope.id.as_str())) {
                    Some(entered) if envelope.repeats(&entered.content, entered.position.time()) => self.known += 1,
                    Some(_) => self.id_conflicts += 1,
                    None => {
                        *self.new.entry(envelope.event.body.kind().name()).or_default() += 1;
                        self.users.note(&envelope.event.key);
                    }
                },
            }
        }
        Ok(())
    }
}
