//! A fact about a user, decoded and validated.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

use super::inputs::Inputs;
use super::position::{Position, Timestamp};

/// The ten types of event that the ledger takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `user.created`
    Created,
    /// `user.updated`
    Updated,
    /// `user.joined`
    Joined,
    /// `user.left`
    Left,
    /// `user.activated`
    Activated,
    /// `user.archived`
    Archived,
    /// `user.reactivated`
    Reactivated,
    /// `user.renamed`
    Renamed,
    /// `user.deleted`
    Deleted,
    /// `user.password_reset`: asks for a mail, means nothing to the fold
    PasswordReset,
}

impl Kind {
    /// Every kind, in the order of its rank.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Updated,
        Self::Joined,
        Self::Left,
        Self::Activated,
        Self::Archived,
        Self::Reactivated,
        Self::Renamed,
        Self::Deleted,
        Self::PasswordReset,
    ];

    /// What decides between events of one instant and sequence: a creation goes first, a deletion last.
    pub fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Updated => 1,
            Self::Joined => 2,
            Self::Left => 3,
            Self::Activated => 4,
            Self::Archived => 5,
            Self::Reactivated => 6,
            Self::Renamed => 7,
            Self::Deleted => 8,
            Self::PasswordReset => 9,
        }
    }

    /// The CloudEvents type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "user.created",
            Self::Updated => "user.updated",
            Self::Joined => "user.joined",
            Self::Left => "user.left",
            Self::Activated => "user.activated",
            Self::Archived => "user.archived",
            Self::Reactivated => "user.reactivated",
            Self::Renamed => "user.renamed",
            Self::Deleted => "user.deleted",
            Self::PasswordReset => "user.password_reset",
        }
    }

    /// The kind of a CloudEvents type, if it is one of them.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The identity `(source, id)` of an event in 16 bytes: the first half of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef(pub [u8; 16]);

impl std::fmt::Debug for EventRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl serde::Serialize for EventRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> serde::Deserialize<'de> for EventRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// What an event says of one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Nothing.
    #[default]
    Keep,
    /// It has no value any more.
    Clear,
    /// It has this value.
    Set(T),
}

impl<T> Change<T> {
    /// Whether the event says nothing of the field.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// The optional fields of `created`, `updated` and `renamed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// Electronic mail address; one unit with `email_verified`.
    pub email: Change<String>,
    /// Whether the provider has verified the address.
    pub email_verified: Change<bool>,
    /// Login name.
    pub username: Change<String>,
    /// Given name.
    pub first_name: Change<String>,
    /// Family name.
    pub last_name: Change<String>,
    /// Whole name.
    pub full_name: Change<String>,
    /// Telephone number as the provider writes it.
    pub phone: Change<String>,
    /// The provider's or the application's other id of the user.
    pub external_id: Change<String>,
    /// Whether the user may sign in.
    pub active: Change<bool>,
    /// Organization of every profile the person has, and of those made later.
    pub organization_id: Change<String>,
    /// Profile types to have; `Some(vec![])` is the explicit wish for none.
    pub profile_types: Option<Vec<String>>,
    /// Anything else the provider knows.
    pub metadata: Change<Map<String, Value>>,
}

impl Patch {
    /// Leaves out everything but first and full name and the address; returns the names of the fields that said something.
    fn reduce(&mut self) -> Vec<&'static str> {
        let whole = std::mem::take(self);
        let said = [
            ("email_verified", !whole.email_verified.is_keep()),
            ("username", !whole.username.is_keep()),
            ("last_name", !whole.last_name.is_keep()),
            ("phone", !whole.phone.is_keep()),
            ("external_id", !whole.external_id.is_keep()),
            ("active", !whole.active.is_keep()),
            ("organization_id", !whole.organization_id.is_keep()),
            ("profile_types", whole.profile_types.is_some()),
            ("metadata", !whole.metadata.is_keep()),
        ];
        self.email = whole.email;
        self.first_name = whole.first_name;
        self.full_name = whole.full_name;
        said.into_iter()
            .filter(|(_, said)| *said)
            .map(|(name, _)| name)
            .collect()
    }
}

/// What happened, by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The user exists.
    Created(Patch),
    /// Some of the user's fields changed.
    Updated(Patch),
    /// The user's key, address or login name changed.
    Renamed {
        /// The new key, if the key changed.
        to: Option<String>,
        /// The new address and login name are part of the patch.
        patch: Patch,
    },
    /// The user is gone.
    Deleted,
    /// The user wants another password. What the mail needs to know is no part of the event that is folded.
    PasswordReset,
    /// The user became a member of an organization.
    Joined {
        /// Which one.
        organization_id: String,
        /// The name of the customer that this makes.
        customer_name: Option<String>,
    },
    /// The user is no longer a member of an organization.
    Left {
        /// Which one.
        organization_id: String,
    },
    /// A profile goes from draft to active.
    Activated {
        /// Default: the first configured type.
        profile_type: Option<String>,
    },
    /// A profile goes from active to archived.
    Archived {
        /// Default: the first configured type.
        profile_type: Option<String>,
    },
    /// A profile goes from archived to active.
    Reactivated {
        /// Default: the first configured type.
        profile_type: Option<String>,
    },
}

impl Body {
    /// The type of the event.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Created(_) => Kind::Created,
            Self::Updated(_) => Kind::Updated,
            Self::Renamed { .. } => Kind::Renamed,
            Self::Deleted => Kind::Deleted,
            Self::PasswordReset => Kind::PasswordReset,
            Self::Joined { .. } => Kind::Joined,
            Self::Left { .. } => Kind::Left,
            Self::Activated { .. } => Kind::Activated,
            Self::Archived { .. } => Kind::Archived,
            Self::Reactivated { .. } => Kind::Reactivated,
        }
    }
}

/// One event, ready to be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Identity in short.
    pub reference: EventRef,
    /// CloudEvents source.
    pub source: String,
    /// When it happened at the source.
    pub time: Timestamp,
    /// Where it stands in the history.
    pub position: Position,
    /// The user's key, prefixed and folded as configuration says.
    pub key: String,
    /// What happened.
    pub body: Body,
    /// It was once rejected because a required step in the application's tables failed: an input of every later fold.
    pub cascade_failed: bool,
    /// Names of the optional fields that were dropped because their value was bad.
    pub degraded: BTreeSet<String>,
    /// Whether a backfill made the event.
    pub backfill: bool,
    /// What its outcome takes from the application's data, as far as that was asked.
    pub inputs: Inputs,
}

impl Event {
    /// The same creation with `user_id`, `first_name`, `full_name` and `email` only, the rest marked as dropped; nothing for
    /// other types and where there is no rest.
    pub fn reduced(&self) -> Option<Self> {
        let mut event = self.clone();
        let Body::Created(patch) = &mut event.body else {
            return None;
        };
        let dropped = patch.reduce();
        if dropped.is_empty() {
            return None;
        }
        event.degraded.extend(dropped.into_iter().map(str::to_owned));
        Some(event)
    }

    /// The key that a rename goes to, as the ledger keeps it.
    pub fn new_key(&self) -> Option<&str> {
        match &self.body {
            Body::Renamed { to, .. } => to.as_deref(),
            _ => None,
        }
    }

    /// The other key that the event names, whatever becomes of it; links two keys into one component.
    pub fn other_key(&self) -> Option<&str> {
        match &self.body {
            Body::Renamed { to: Some(to), .. } if *to != self.key => Some(to),
            _ => None,
        }
    }
}

/// Longest electronic mail address, in Unicode scalars.
pub const ADDRESS_MAX: usize = 320;

/// Whether a text can be an electronic mail address: one `@` with something on both sides, no blanks or controls,
/// at most [`ADDRESS_MAX`] characters. Deliberately loose: the provider has to send mail there, not we.
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && text.chars().count() <= ADDRESS_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
