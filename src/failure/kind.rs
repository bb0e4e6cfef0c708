//! What a code means for us: the words in which the tables of codes are written.

use super::{Class, Pace};

/// The meaning of a code. Everything else that is said about a failure follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Away, overloaded, starting, cut off: it passes by itself. What was asked may have been done; the ledger decides.
    Passing,
    /// A disk, memory or a limit is full, or something stalls: it passes when somebody makes room.
    Full,
    /// Set-up, rights, schema, damage: somebody has to put it right.
    SetUp,
    /// No table of ours has the code.
    Unknown,
    /// Somebody else was faster or holds what we need.
    Contended,
    /// It took too long. In a batch that may be its size; alone, while all else works, it is the event.
    TooLong,
    /// The schema changed under a prepared statement: another connection has not prepared it yet.
    Stale,
    /// A stored row is odd. The events of its component wait for it to be put right; all others go on.
    Odd,
    /// Rows of one user are still on their way; the events of this user wait, all others go on.
    Waits,
    /// A value or a rule of the application: this event is refused.
    Event,
    /// Something the event depends on is missing or in the way, and may come or go.
    Dependent,
    /// A bug of ours that one event brings out.
    Bug,
}

impl Kind {
    pub(super) fn class(self) -> Class {
        match self {
            Self::Passing | Self::Full | Self::SetUp | Self::Unknown => Class::World,
            Self::Contended | Self::TooLong | Self::Stale | Self::Odd => Class::Contended,
            Self::Waits | Self::Event | Self::Dependent | Self::Bug => Class::Event,
        }
    }

    pub(super) fn alone(self) -> Class {
        match self {
            Self::Passing | Self::Full | Self::SetUp | Self::Unknown | Self::Stale => Class::World,
            Self::Contended | Self::Odd | Self::Waits => Class::Contended,
            Self::TooLong | Self::Event | Self::Dependent | Self::Bug => Class::Event,
        }
    }

    pub(super) fn pace(self) -> Pace {
        match self {
            Self::TooLong | Self::Odd | Self::Dependent => Pace::Slow,
            Self::Passing
            | Self::Full
            | Self::SetUp
            | Self::Unknown
            | Self::Contended
            | Self::Stale
            | Self::Waits
            | Self::Event
            | Self::Bug => Pace::Usual,
        }
    }

    /// Whether somebody has to be told: it does not pass by itself, or it should never have happened.
    pub(super) fn pages(self) -> bool {
        match self {
            Self::Full | Self::SetUp | Self::Unknown | Self::Odd | Self::Bug => true,
            Self::Passing
            | Self::Contended
            | Self::TooLong
            | Self::Stale
            | Self::Waits
            | Self::Event
            | Self::Dependent => false,
        }
    }

    /// What to do, for whoever is told.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Passing | Self::Contended | Self::TooLong | Self::Stale | Self::Waits => "nothing: it is tried again",
            Self::Full => "make room: free disk, raise the limit, or end what holds it; work then goes on by itself",
            Self::SetUp => "put the set-up right (`rollcall check` finds what is wrong); work then goes on by itself",
            Self::Unknown => {
                "this version does not know the code, so it waits and buries nothing: look into the log of the \
                 server, put the cause right, and report the code so that the next version knows it"
            }
            Self::Odd => {
                "a stored row was changed by hand or by another version; the events of this user wait until it is \
                 put back (`rollcall explain` and `rollcall rebuild` help)"
            }
            Self::Event | Self::Dependent => "look at the dead letter; redrive it when the cause is gone",
            Self::Bug => "a bug: report it with the code and the version; the event ends in the dead letters",
        }
    }
}
