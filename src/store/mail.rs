//! Mails that are to be sent, and what became of them. Each small transaction of its own; nothing here sends.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{CustomerSource, Session, Store, StoreError, Tx};
use crate::domain::Person;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailKind {
    /// For a user who is new.
    Welcome,
    /// A link or code to set another password with.
    PasswordReset,
}

/// A mail that an event asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct MailOrder {
    /// CloudEvents source of the event.
    pub source: String,
    /// Its id.
    pub event_id: String,
    /// What it is about.
    pub kind: MailKind,
    /// The user's key, as the event has it.
    pub key: String,
    /// The row of the user: whoever has the key later may be somebody else. `None` while nobody is known by the key.
    pub person: Option<Uuid>,
    /// What must not be kept longer than necessary: JSON of link and code.
    pub secret: Option<String>,
    /// When it may be sent for the first time.
    pub next_at: OffsetDateTime,
}

// The secret is not to be seen.
impl std::fmt::Debug for MailOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailOrder")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A mail that is this worker's to send, for a while.
#[derive(Debug, Clone)]
pub struct DueMail {
    /// What was ordered.
    pub order: MailOrder,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// When it was ordered.
    pub ordered: OffsetDateTime,
}

/// Whom a mail is for, at the moment.
#[derive(Debug, Clone)]
pub enum Addressee {
    /// This user.
    Known(Box<Person>),
    /// Nobody is known by the key yet.
    Unknown,
    /// A user who is not there any more.
    Gone,
}

/// How a try at a mail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailEnd {
    /// The server has taken it.
    Sent,
    /// Not yet: why, and when it is tried again.
    Later(String, OffsetDateTime),
    /// Never: why.
    GivenUp(String),
}

/// What is recorded of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRecord {
    /// CloudEvents source of the event.
    pub source: String,
    /// Its id.
    pub event_id: String,
    /// What it is about.
    pub kind: MailKind,
    /// Whether a server has taken it.
    pub sent: bool,
    /// What was wrong last, as long as none has.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

impl MailKind {
    /// As stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::PasswordReset => "password_reset",
        }
    }

    /// As read from the table.
    pub(super) fn of(name: &str) -> Result<Self, StoreError> {
        match name {
            "welcome" => Ok(Self::Welcome),
            "password_reset" => Ok(Self::PasswordReset),
            _ => Err(super::columns::unreadable(
                "mail",
                "a kind that is not known to this version",
            )),
        }
    }
}

/// One small transaction; whatever goes wrong in it, its connection is not used again.
macro_rules! briefly {
    ($store:expr, $inner:ident => $work:expr) => {{
        let mut session: Session = $store.session().await?;
        let patience = session.patience();
        let unit = async {
            let mut tx = session.begin().await?;
            let done = on_both!(&mut tx, Tx, $inner => $work.await)?;
            tx.commit().await?;
            Ok(done)
        };
        let ended = patience.with(unit).await;
        if ended.is_err() {
            session.discard();
        }
        ended
    }};
}

impl Store {
    /// Takes mails that are due, the oldest first, at most `most`; until `until` other workers leave them alone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn due_mails(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        most: u32,
    ) -> Result<Vec<DueMail>, StoreError> {
        briefly!(self, tx => tx.due_mails(now, until, most))
    }

    /// Whom a mail is for: what it says comes from there, and where it goes. An order that came before its user is from
    /// now on for the first who is found by its key, also one they left.
    ///
    /// # Errors
    /// When the database cannot be read, or written.
    pub async fn addressee(&self, order: &MailOrder) -> Result<Addressee, StoreError> {
        briefly!(self, tx => tx.addressee(order))
    }

    /// The address of a customer as it is now, if there is such a customer and it has one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn customer_address(&self, source: &CustomerSource, id: &str) -> Result<Option<String>, StoreError> {
        let address: Option<String> = briefly!(self, tx => tx.customer_address(source, id))?;
        Ok(address
            .map(|address| address.trim().to_owned())
            .filter(|address| !address.is_empty()))
    }

    /// Writes down how a try ended. What is sent or given up is no longer secret: link and code go.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn mail_ended(&self, order: &MailOrder, end: &MailEnd, now: OffsetDateTime) -> Result<(), StoreError> {
        briefly!(self, tx => tx.mail_ended(order, end, now))
    }

    /// What is recorded of the mails that these events asked for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn mail_records(&self, identities: &[(&str, &str)]) -> Result<Vec<MailRecord>, StoreError> {
        briefly!(self, tx => tx.mail_records(identities))
    }

    /// How many mails wait to be sent.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn mails_waiting(&self) -> Result<u64, StoreError> {
        briefly!(self, tx => tx.mails_waiting())
    }
}
