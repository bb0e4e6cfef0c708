//! What the application's tables have to follow: values of a key that a person left, and people who went.
//!
//! A *passage* says where one value of one key went by one event. On the fast path they are noted event by event, so
//! that the cut of a history into batches cannot show in what becomes of a row; on the late path they are the
//! difference between the stored world and the new one. Pure; what rows there are is for the store to find out.

mod course;
mod late;
mod template;
mod watch;

use std::collections::BTreeSet;

use super::event::EventRef;

pub(crate) use course::ANONYMOUS_LENGTH;
pub use course::{Course, Courses, End, OnLeave, OnRename, Rule, courses, groups};
pub use late::{Told, late};
pub use template::{Field, Piece, Template};
pub use watch::{Seen, Watch};

/// Which value of a person a column of the application holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The key of the user.
    UserId,
    /// The address.
    Email,
    /// The user name.
    Username,
}

impl KeyKind {
    /// As configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserId => "user_id",
            Self::Email => "email",
            Self::Username => "username",
        }
    }
}

/// Where a value went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its person has this one now.
    Moved(String),
    /// Its person has none now.
    Cleared,
    /// Its person went.
    Departed {
        /// Names the person, and tells nothing of them.
        mark: EventRef,
    },
}

/// One value that a person left, by one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Whose doing it is.
    pub event: EventRef,
    /// Which key.
    pub key: KeyKind,
    /// The value that was left.
    pub value: String,
    /// Where it went.
    pub fate: Fate,
    /// Another person holds the value as well, or has held it since: nobody can say whose the rows are.
    pub contested: bool,
}

/// One person whose key changed, or who went, by one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whose doing it is.
    pub event: EventRef,
    /// The key before.
    pub old_key: String,
    /// The key after; `None` when the person went.
    pub new_key: Option<String>,
    /// The address after, or the last one.
    pub email: Option<String>,
    /// The user name after, or the last one.
    pub username: Option<String>,
}

/// Everything that the application's tables have to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// In the order of the events.
    pub passages: Vec<Passage>,
    /// In the order of the events.
    pub turns: Vec<Turn>,
    /// Values that somebody has now and had not before.
    pub taken: Vec<String>,
    /// Everybody whose doing it is.
    pub events: BTreeSet<EventRef>,
}

impl Trail {
    /// Whether anything here is the doing of this event.
    pub fn names(&self, event: EventRef) -> bool {
        self.events.contains(&event)
    }

    /// Whether there is nothing to follow.
    pub fn is_empty(&self) -> bool {
        self.passages.is_empty() && self.turns.is_empty() && self.taken.is_empty()
    }
}
