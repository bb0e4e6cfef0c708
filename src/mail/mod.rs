//! Mail: which events ask for one, and how it gets to a server.
//!
//! An order is written in the transaction of its event; sending is done later, by a task of its own with tries of its own.
//! A mail server must never delay or fail a profile, so nothing here is waited for by a batch. A mail can be sent twice
//! (the server took it, and the worker died before it had written that down), and never changes its Message-ID.

mod letter;
mod post;
mod template;

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Kind, Outcome, Verdict};
use crate::envelope::Sealed;
use crate::store::{MailKind, MailOrder};

pub use post::{Post, PostSettings, Round, Security};
pub use template::{Form, NAMES, Template, TemplateError, Values};

/// When a user is welcomed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// Not at all.
    Never,
    /// When the user is created.
    Creation,
    /// When a profile is activated for the first time.
    Activation,
}

/// Which events ask for a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// When a user is welcomed.
    pub welcome: Welcome,
    /// Older events ask for none: a replay must not write to everybody once more.
    pub max_age: Duration,
}

/// An event that was just judged, and may ask for a mail.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// Its type.
    pub kind: Kind,
    /// CloudEvents source.
    pub source: &'a str,
    /// CloudEvents id.
    pub event_id: &'a str,
    /// The user's key, as the event has it.
    pub key: &'a str,
    /// Whether a backfill made it.
    pub backfill: bool,
    /// When the broker stored the message that brought it.
    pub published: OffsetDateTime,
    /// What became of it.
    pub verdict: &'a Verdict,
    /// The row of whom it is about.
    pub concerned: Option<Uuid>,
}

/// Why mail cannot be sent as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A template that cannot be read.
    #[error("the template {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A template that is none.
    #[error("a template of {kind} in the folder \"templates\" in [mail] is wrong")]
    Template {
        /// The kind of mail.
        kind: &'static str,
        /// What is wrong.
        source: TemplateError,
    },
    /// A text without a subject.
    #[error("the first line of {kind}.txt in the folder \"templates\" in [mail] has to be \"Subject: …\"")]
    NoSubject {
        /// The kind of mail.
        kind: &'static str,
    },
    /// The sender is no address.
    #[error("\"from\" in [mail] is no address")]
    From(#[from] lettre::address::AddressError),
    /// The authorities cannot be read, or nothing can be encrypted with them.
    #[error("the certificates of \"ca_file\" in [mail] cannot be used")]
    Certificates(#[source] lettre::transport::smtp::Error),
    /// The file of authorities cannot be read.
    #[error("the file \"ca_file\" in [mail] cannot be read")]
    CaFile(#[source] std::io::Error),
}

impl Orders {
    /// The mail that an event asks for as it enters the ledger, or is redriven.
    pub fn order(&self, cause: &Cause<'_>, sealed: Option<&Sealed>, now: OffsetDateTime) -> Option<MailOrder> {
        if cause.verdict.outcome != Outcome::Applied || now - cause.published > self.max_age {
            return None;
        }
        let effects = &cause.verdict.effects;
        let is_new = effects.became_real || effects.began.as_deref() == Some("user");
        let activated = effects
            .transition
            .as_ref()
            .is_some_and(|(_, from, to)| from == "draft" && to == "active");
        let kind = match (cause.kind, self.welcome) {
            (Kind::PasswordReset, _) => MailKind::PasswordReset,
            // Whom a backfill finds has been there for long.
            (Kind::Created, Welcome::Creation) if is_new && !cause.backfill => MailKind::Welcome,
            (Kind::Activated, Welcome::Activation) if activated => MailKind::Welcome,
            _ => return None,
        };
        Some(MailOrder {
            source: cause.source.to_owned(),
            event_id: cause.event_id.to_owned(),
            kind,
            key: cause.key.to_owned(),
            person: cause.concerned,
            secret: sealed.map(|sealed| sealed.0.clone()),
            next_at: now,
        })
    }
}
