//! What became of an event: the closed lists of outcomes and reasons, and what it changed.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use super::inputs::Question;

/// What the fold did with an event of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It changed something.
    Applied,
    /// It changed nothing, and that is right.
    Ignored,
    /// It changed nothing, and somebody should look.
    Rejected,
}

impl Outcome {
    /// As stored in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
        }
    }

    /// As read from the ledger.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Applied, Self::Ignored, Self::Rejected]
            .into_iter()
            .find(|outcome| outcome.name() == name)
    }
}

/// Why an event was ignored, rejected or never entered the ledger, or what an applied one could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Ignored: the person is deleted.
    AfterDeletion,
    /// Ignored: the person was deleted before.
    AlreadyDeleted,
    /// Noted: the person already stands at the new key.
    AlreadyRenamed,
    /// Ignored: no such membership.
    NotAMember,
    /// Ignored or noted: the workflow does not allow the transition.
    IllegalTransition,
    /// Ignored, not in the ledger: a type that is not ours.
    UnknownType,
    /// Rejected: configuration protects the user.
    ProtectedUser,
    /// Rejected: both keys belong to real people.
    KeyTaken,
    /// Rejected: a transition of a profile type that is not configured.
    UnknownProfileType,
    /// Rejected: the source may not send this type.
    SourceNotAllowed,
    /// Rejected: a required step in the application's tables failed.
    CascadeFailed,
    /// Rejected: the linked customer lacks what an activation requires, or there is none.
    RequirementsMissing,
    /// Dead: the message is not a valid event.
    Undecodable,
    /// Dead: the same identity with other content.
    IdConflict,
    /// Dead: the event claims a time that has not come.
    TimeInFuture,
    /// Dead: a late event of a history too long to be folded again.
    ComponentTooLarge,
    /// Dead: the database refused it, alone and healthy otherwise, again and again.
    Exhausted,
    /// Dead: the worker died of it.
    CrashLoop,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::AfterDeletion,
        Self::AlreadyDeleted,
        Self::AlreadyRenamed,
        Self::NotAMember,
        Self::IllegalTransition,
        Self::UnknownType,
        Self::ProtectedUser,
        Self::KeyTaken,
        Self::UnknownProfileType,
        Self::SourceNotAllowed,
        Self::CascadeFailed,
        Self::RequirementsMissing,
        Self::Undecodable,
        Self::IdConflict,
        Self::TimeInFuture,
        Self::ComponentTooLarge,
        Self::Exhausted,
        Self::CrashLoop,
    ];

    /// The reasons that dead letters have.
    pub const LETTERS: [Self; 12] = [
        Self::ProtectedUser,
        Self::KeyTaken,
        Self::UnknownProfileType,
        Self::SourceNotAllowed,
        Self::CascadeFailed,
        Self::RequirementsMissing,
        Self::Undecodable,
        Self::IdConflict,
        Self::TimeInFuture,
        Self::ComponentTooLarge,
        Self::Exhausted,
        Self::CrashLoop,
    ];

    /// As stored, counted and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::AfterDeletion => "after_deletion",
            Self::AlreadyDeleted => "already_deleted",
            Self::AlreadyRenamed => "already_renamed",
            Self::NotAMember => "not_a_member",
            Self::IllegalTransition => "illegal_transition",
            Self::UnknownType => "unknown_type",
            Self::ProtectedUser => "protected_user",
            Self::KeyTaken => "key_taken",
            Self::UnknownProfileType => "unknown_profile_type",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::CascadeFailed => "cascade_failed",
            Self::RequirementsMissing => "requirements_missing",
            Self::Undecodable => "undecodable",
            Self::IdConflict => "id_conflict",
            Self::TimeInFuture => "time_in_future",
            Self::ComponentTooLarge => "component_too_large",
            Self::Exhausted => "exhausted",
            Self::CrashLoop => "crash_loop",
        }
    }

    /// As read from the ledger or a dead letter.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::AfterDeletion => "the user was deleted before this happened",
            Self::AlreadyDeleted => "the user was deleted before",
            Self::AlreadyRenamed => "the user already stands at the new key",
            Self::NotAMember => "the user is no member of the organization",
            Self::IllegalTransition => "the profile is not in the state that this transition starts from",
            Self::UnknownType => "the type is none of those that Rollcall knows",
            Self::ProtectedUser => "it would delete or rename a protected user",
            Self::KeyTaken => "the new key belongs to another user",
            Self::UnknownProfileType => "the profile type is not configured",
            Self::SourceNotAllowed => "its source may not send this type",
            Self::CascadeFailed => "a late event made it apply, and a required step in the application's tables failed",
            Self::RequirementsMissing => "the activation requires more of the linked customer",
            Self::Undecodable => "the message is not a valid event",
            Self::IdConflict => "another event with other content has this source and id; the first one stored stands",
            Self::TimeInFuture => "its time lies too far after the broker's",
            Self::ComponentTooLarge => "it is late, and its user's history is too long to be folded again",
            Self::Exhausted => "the database refused this one event again and again, and takes others",
            Self::CrashLoop => "the worker died again and again with this event alone in hand",
        }
    }

    /// What a person can do about it, in one line.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::AfterDeletion => "nothing to do: news of a deleted user has no effect",
            Self::AlreadyDeleted => "nothing to do: the user was deleted before",
            Self::AlreadyRenamed => "nothing to do: the user already stands at the new key",
            Self::NotAMember => "nothing to do: there was no membership to end",
            Self::IllegalTransition => {
                "check who sent it: the profile was not in the state this transition starts from"
            }
            Self::UnknownType => "nothing to do, or stop the provider from sending this type",
            Self::ProtectedUser => {
                "find out who tried; only if the event is really meant, take the key out of [worker] protected, then `rollcall dead redrive`"
            }
            Self::KeyTaken => {
                "two real users claim one key: delete or rename one at the provider; the event then applies by itself"
            }
            Self::UnknownProfileType => {
                "add the profile type to [[profiles]], then `rollcall dead redrive`; or correct it at the source"
            }
            Self::SourceNotAllowed => {
                "add the type to allow of this [[source]], then `rollcall dead redrive`; or stop the source from sending it"
            }
            Self::CascadeFailed => {
                "see which step failed and why (the worker's log names it); put that right, then `rollcall dead redrive`"
            }
            Self::RequirementsMissing => {
                "fill the required columns of the linked customer, then `rollcall dead redrive`; who has no customer is not linked by that"
            }
            Self::Undecodable => "correct the event at its source and publish it again; the error names field and rule",
            Self::IdConflict => {
                "the source used one id for two different events: publish the second again under an id of its own"
            }
            Self::TimeInFuture => {
                "set the clock of the source right and publish the event again with its true time, or `rollcall dead redrive` it when its time has come"
            }
            Self::ComponentTooLarge => {
                "the user's history is too long to be folded again in passing: `rollcall rebuild --user U` folds it and takes the event in"
            }
            Self::Exhausted => {
                "look at the code and the constraint of each attempt: change what refuses it, then `rollcall dead redrive`"
            }
            Self::CrashLoop => {
                "report it with the payload: a worker must not die of an event; `rollcall dead redrive` it with a version that does not"
            }
        }
    }
}

/// What an applied event changed, for `rollcall explain`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effects {
    /// The person began with this event: `user` or `provisional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// A provisional user became a real one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub became_real: bool,
    /// Fields whose value changed, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Cow<'static, str>>,
    /// The key moved: from, to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<(String, String)>,
    /// A key that became an alias without a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The key of the other person that was merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// Profile types made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles_made: Vec<String>,
    /// A transition: profile type, from, to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<(String, String, String)>,
    /// The organization joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// The organization left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// The customer linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<String>,
    /// That customer was made, because there was none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub customer_made: bool,
    /// Keys that became tombstones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<String>,
}

/// What the fold says of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Applied, ignored or rejected.
    pub outcome: Outcome,
    /// Why not, or what an applied event could not do.
    pub reason: Option<Reason>,
    /// What changed; empty unless applied.
    pub effects: Effects,
    /// Names of the fields that were dropped, by the decoder or by the policy.
    pub degraded: Vec<String>,
    /// What the fold would have to know and was not told: the verdict is none before they are answered.
    pub questions: Vec<Question>,
}

impl Verdict {
    pub(super) fn applied(effects: Effects) -> Self {
        Self {
            outcome: Outcome::Applied,
            reason: None,
            effects,
            degraded: Vec::new(),
            questions: Vec::new(),
        }
    }

    pub(super) fn noted(effects: Effects, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Applied,
            reason: Some(reason),
            effects,
            degraded: Vec::new(),
            questions: Vec::new(),
        }
    }

    pub(super) fn ignored(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Ignored,
            reason: Some(reason),
            effects: Effects::default(),
            degraded: Vec::new(),
            questions: Vec::new(),
        }
    }

    pub(super) fn rejected(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Rejected,
            reason: Some(reason),
            effects: Effects::default(),
            degraded: Vec::new(),
            questions: Vec::new(),
        }
    }
}
