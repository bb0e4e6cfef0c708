//! The rows that go in and out of the store beside the folded world.

use std::borrow::Cow;
use time::OffsetDateTime;

use super::{MailOrder, StoreError, columns};
use crate::domain::{self, Checkpoint, Difference, Kind, Outcome, Position, Reason, Verdict};

/// An event that enters the ledger.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the ledger, explained in docs/SCHEMA.md")]
#[expect(clippy::struct_excessive_bools, reason = "four independent columns")]
pub struct NewEntry<'a> {
    pub source: &'a str,
    pub event_id: &'a str,
    pub user_id: &'a str,
    pub key: &'a str,
    pub new_key: Option<&'a str>,
    pub kind: Kind,
    pub states_time: bool,
    pub sequence: &'a str,
    pub position: &'a Position,
    pub backfill: bool,
    pub content: &'a [u8; 32],
    pub data: &'a str,
    pub verdict: Verdict,
    pub policy_id: i64,
    pub late: bool,
    pub subject: Cow<'a, str>,
    pub stream_sequence: i64,
    pub published: OffsetDateTime,
    pub reduced: bool,
    pub inputs: Option<String>,
}

/// What the ledger has under an identity.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the ledger, explained in docs/SCHEMA.md")]
pub struct Known {
    pub source: String,
    pub event_id: String,
    pub content: Vec<u8>,
    pub position: Position,
    pub outcome: Outcome,
    pub key: String,
    pub new_key: Option<String>,
}

/// What the ledger says of an identity, for those who only look.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the ledger, explained in docs/SCHEMA.md")]
pub struct Entered {
    pub source: String,
    pub event_id: String,
    pub content: Vec<u8>,
    pub position: Position,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub stream_sequence: i64,
    pub published: OffsetDateTime,
}

/// An event as the ledger keeps it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the ledger, explained in docs/SCHEMA.md")]
#[expect(clippy::struct_excessive_bools, reason = "independent columns, and a mark")]
pub struct LedgerRow {
    pub source: String,
    pub event_id: String,
    pub user_id: String,
    pub key: String,
    pub new_key: Option<String>,
    pub kind: Kind,
    pub sequence: String,
    pub position: Position,
    pub backfill: bool,
    pub data: String,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub effects: Option<String>,
    pub degraded: Option<String>,
    pub policy_id: i64,
    pub late: bool,
    pub subject: String,
    pub stream_sequence: i64,
    pub published: OffsetDateTime,
    pub reduced: bool,
    pub cascades: Option<String>,
    pub inputs: Option<String>,
    /// Not a column: the inputs as they are since something was asked that never had been before.
    pub answered: Option<String>,
    /// Not a column: it is evaluated anew, as if it had never been, by today's policy and today's answers.
    pub anew: bool,
}

/// An event of the ledger that a later fold sees differently.
#[derive(Debug, Clone)]
pub struct Changed {
    /// CloudEvents source.
    pub source: String,
    /// CloudEvents id.
    pub event_id: String,
    /// What is to stand there now.
    pub verdict: Verdict,
    /// The policy it is evaluated by.
    pub policy_id: i64,
    /// What is known of the application's data for it.
    pub inputs: Option<String>,
}

/// A dead letter, to be published by the relay.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Deterministic: one row per message.
    pub message_id: String,
    /// Why it is dead.
    pub reason: Reason,
    /// Sequence of the message in its stream.
    pub stream_sequence: i64,
    /// Source and id of the event, where they could be read.
    pub identity: Option<(String, String)>,
    /// What is wrong, without data values.
    pub error: String,
    /// Where it is published.
    pub subject: String,
    /// With these headers.
    pub headers: Vec<(String, String)>,
    /// And this payload.
    pub payload: Vec<u8>,
}

impl Letter {
    /// Under which message id it is published: the same letter is never sent twice, and one with another reason is another
    /// letter for the broker, which drops what it knows already.
    pub fn published_id(&self) -> String {
        format!("{}:{}", self.message_id, self.reason.name())
    }
}

/// What others are told of a profile, to be published by the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of the table `announcements`, explained in docs/SCHEMA.md"
)]
pub struct Announcement {
    pub message_id: String,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

/// A dead letter that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLetter {
    /// Its message id.
    pub message_id: String,
    /// Sequence of the message that it is about.
    pub stream_sequence: u64,
}

/// What waits to be published, each in a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Dead letters, in any order.
    Letters,
    /// What others are told of profiles, in order for each user.
    Announcements,
}

impl Queue {
    /// The table, as the SQL names it.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Letters => "@outbox",
            Self::Announcements => "@announcements",
        }
    }
}

/// A message that waits to be published.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the outbox, explained in docs/SCHEMA.md")]
pub struct OutboxRow {
    pub outbox_id: i64,
    pub message_id: String,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

/// A stored checkpoint, without its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Root of the component.
    pub root: String,
    /// Position of the last event in it.
    pub at: Position,
    /// How many events it stands for.
    pub events: u64,
}

/// What becomes of checkpoints.
#[derive(Debug, Clone, Default)]
pub struct Checkpoints {
    /// To be stored: mark and state.
    pub made: Vec<(Mark, String)>,
    /// To be forgotten.
    pub stale: Vec<Mark>,
}

impl Checkpoints {
    /// Notes what becomes of the checkpoints of one component that was folded again from `begun` events to `total`.
    ///
    /// # Errors
    /// When a checkpoint cannot be written as text.
    pub fn keep(
        &mut self,
        root: &str,
        begun: u64,
        stored: &[Mark],
        made: Vec<Checkpoint>,
        total: u64,
    ) -> Result<(), StoreError> {
        let (good, wrong): (Vec<&Mark>, Vec<&Mark>) = stored
            .iter()
            .partition(|mark| mark.root == root && mark.events <= begun);
        self.stale.extend(wrong.into_iter().cloned());
        let events: Vec<u64> = good
            .iter()
            .map(|mark| mark.events)
            .chain(made.iter().map(|checkpoint| checkpoint.events))
            .collect();
        let redundant = domain::redundant(&events, total);
        for (index, mark) in good.iter().enumerate() {
            if redundant.contains(&index) {
                self.stale.push(Mark::clone(mark));
            }
        }
        for (index, checkpoint) in (good.len()..).zip(made) {
            if !redundant.contains(&index) {
                let state = columns::checkpoint_text(&checkpoint)?;
                let mark = Mark {
                    root: root.to_owned(),
                    at: checkpoint.at,
                    events: checkpoint.events,
                };
                self.made.push((mark, state));
            }
        }
        Ok(())
    }
}

/// Everything a batch writes.
#[derive(Debug, Clone, Default)]
pub struct Decided<'a> {
    /// Keys, profiles and customers.
    pub difference: Difference,
    /// Events that enter the ledger.
    pub entries: Vec<NewEntry<'a>>,
    /// Events of the ledger that are seen differently now.
    pub changed: Vec<Changed>,
    /// Dead letters.
    pub letters: Vec<Letter>,
    /// What others are told; empty unless it is configured.
    pub announcements: Vec<Announcement>,
    /// Mails that events ask for; empty unless it is configured.
    pub mails: Vec<MailOrder>,
    /// Identities whose dead letters are resolved: the event is applied after all.
    pub resolved: Vec<(String, String)>,
    /// Checkpoints of components that were folded again.
    pub checkpoints: Checkpoints,
    /// Roots of components whose checkpoints are all to be forgotten.
    pub stale_components: Vec<String>,
}
