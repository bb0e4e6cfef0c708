//! One person: what is known of them, their profiles, their memberships.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use super::event::{Change, Event, EventRef, Patch};
use super::linking::Link;
use super::policy::Policy;
use super::profile::{self, Profile};

/// How a person came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Some event spoke of them before their creation did.
    Implicit,
    /// Their creation.
    Event,
    /// A creation that a backfill made.
    Backfill,
}

impl Via {
    /// As stored in `created_via`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Event => "event",
            Self::Backfill => "backfill",
        }
    }

    /// As stored, read back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Implicit, Self::Event, Self::Backfill]
            .into_iter()
            .find(|via| via.name() == name)
    }

    pub(super) fn of_creation(event: &Event) -> Self {
        if event.backfill { Self::Backfill } else { Self::Event }
    }
}

/// What the provider says of a person; `None` is unknown or cleared.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields of the events, explained there")]
pub struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// A membership: one customer row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    /// The name the last join gave, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The profile type that stands for it.
    pub profile_type: String,
    /// Position of the last join, in hexadecimal: its order is the order of the bytes.
    pub joined: String,
    /// Time of the first join, in microseconds since 1970.
    pub created_at: i64,
    /// Time of the last join, in microseconds since 1970.
    pub updated_at: i64,
    /// The event of the first join.
    pub made_by: EventRef,
    /// The row that the application had for it: that is the one it is kept in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Uuid>,
    /// The stored row it is kept in; the fold carries it along and never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Uuid>,
}

/// A person, real or provisional, present or (where configuration keeps them) departed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The current key, or the last one.
    pub key: String,
    /// The event that began the person.
    pub began: EventRef,
    /// Known only from news, not yet created.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// How they came to be known.
    pub via: Via,
    /// What is known of them.
    pub fields: Fields,
    /// Fields whose last value was bad and dropped.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub degraded: BTreeSet<String>,
    /// Their profiles by type.
    #[serde(default)]
    pub profiles: BTreeMap<String, Box<Profile>>,
    /// Their memberships by organization.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customers: BTreeMap<String, Customer>,
    /// The customer they were linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Events applied so far.
    pub version: u64,
    /// Time of the last applied event, in microseconds since 1970.
    pub updated_at: i64,
    /// Time of the deletion, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<i64>,
    /// The name under which the keys refer to the person; the fold carries it along and never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Uuid>,
    /// Keys that point here; kept beside the keys themselves, so not stored again.
    #[serde(skip)]
    pub aliases: BTreeSet<String>,
}

impl Fields {
    /// Names of the fields in which two states differ.
    pub(super) fn differing(&self, other: &Self) -> Vec<Cow<'static, str>> {
        [
            ("email", self.email != other.email),
            ("email_verified", self.email_verified != other.email_verified),
            ("username", self.username != other.username),
            ("first_name", self.first_name != other.first_name),
            ("last_name", self.last_name != other.last_name),
            ("full_name", self.full_name != other.full_name),
            ("phone", self.phone != other.phone),
            ("external_id", self.external_id != other.external_id),
            ("active", self.active != other.active),
            ("organization_id", self.organization_id != other.organization_id),
            ("metadata", self.metadata != other.metadata),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name.into())
        .collect()
    }

    fn patch(&mut self, patch: &Patch) {
        self.patch_email(patch);
        set(&mut self.username, &patch.username);
        set(&mut self.first_name, &patch.first_name);
        set(&mut self.last_name, &patch.last_name);
        set(&mut self.full_name, &patch.full_name);
        set(&mut self.phone, &patch.phone);
        set(&mut self.external_id, &patch.external_id);
        set(&mut self.active, &patch.active);
        set(&mut self.organization_id, &patch.organization_id);
        set(&mut self.metadata, &patch.metadata);
    }

    /// A flag belongs to the address it came with: a new address without one starts unverified.
    fn patch_email(&mut self, patch: &Patch) {
        let is_new = match &patch.email {
            Change::Keep => false,
            Change::Clear => self.email.is_some(),
            Change::Set(email) => self.email.as_ref() != Some(email),
        };
        set(&mut self.email, &patch.email);
        if is_new {
            self.email_verified = None;
        }
        set(&mut self.email_verified, &patch.email_verified);
        if self.email.is_none() {
            self.email_verified = None;
        }
    }
}

fn set<T: Clone>(field: &mut Option<T>, change: &Change<T>) {
    match change {
        Change::Keep => {}
        Change::Clear => *field = None,
        Change::Set(value) => *field = Some(value.clone()),
    }
}

impl Person {
    /// A person nothing is known of yet.
    pub(super) fn new(key: &str, event: &Event, via: Via) -> Self {
        Self {
            key: key.to_owned(),
            began: event.reference,
            provisional: via == Via::Implicit,
            via,
            fields: Fields::default(),
            degraded: BTreeSet::new(),
            profiles: BTreeMap::new(),
            customers: BTreeMap::new(),
            link: None,
            version: 0,
            updated_at: event.time.micros(),
            deleted_at: None,
            row: None,
            aliases: BTreeSet::new(),
        }
    }

    /// Applies the fields of an event; display names follow in [`Person::rename_profiles`].
    pub(super) fn patch(&mut self, patch: &Patch) {
        self.fields.patch(patch);
        if let Change::Set(_) | Change::Clear = patch.organization_id {
            for profile in self.profiles.values_mut() {
                profile.organization_id.clone_from(&self.fields.organization_id);
            }
        }
        for (name, good) in [
            ("email", !patch.email.is_keep()),
            ("email_verified", !patch.email_verified.is_keep()),
            ("username", !patch.username.is_keep()),
            ("first_name", !patch.first_name.is_keep()),
            ("last_name", !patch.last_name.is_keep()),
            ("full_name", !patch.full_name.is_keep()),
            ("phone", !patch.phone.is_keep()),
            ("external_id", !patch.external_id.is_keep()),
            ("organization_id", !patch.organization_id.is_keep()),
            ("profile_types", patch.profile_types.is_some()),
            ("metadata", !patch.metadata.is_keep()),
        ] {
            if good {
                self.degraded.remove(name);
            }
        }
    }

    /// Makes a profile of each type that is configured and missing; returns those made.
    pub(super) fn make_profiles<'a>(
        &mut self,
        types: impl Iterator<Item = &'a str>,
        event: &Event,
        policy: &Policy,
    ) -> Vec<String> {
        let mut made = Vec::new();
        for name in types {
            let Some(rule) = policy.rule(name).filter(|_| !self.profiles.contains_key(name)) else {
                continue;
            };
            let synchronised = profile::synchronised(rule, &self.fields);
            let mut attributes = profile::initial_attributes(rule, self.via);
            attributes.extend(synchronised.clone());
            self.profiles.insert(
                name.to_owned(),
                Box::new(Profile {
                    status: rule.initial,
                    organization_id: self.fields.organization_id.clone(),
                    display_name: profile::display_name(rule, &self.key, &self.fields),
                    synchronised,
                    created_at: event.time.micros(),
                    made_by: event.reference,
                    row: None,
                    attributes,
                }),
            );
            made.push(name.to_owned());
        }
        made
    }

    /// Brings display names and synchronised attributes of the profiles of these types into step with the fields.
    pub(super) fn refresh(&mut self, is_meant: impl Fn(&String) -> bool, before: (&str, &Fields), policy: &Policy) {
        let Self {
            key, fields, profiles, ..
        } = self;
        for (name, profile) in profiles.iter_mut().filter(|(name, _)| is_meant(name)) {
            let Some(rule) = policy.rule(name) else {
                continue;
            };
            if let Some(display_name) = profile::renewed_display_name(rule, before, (key, fields)) {
                profile.display_name = display_name;
            }
            if before.1.metadata != fields.metadata {
                let synchronised = profile::synchronised(rule, fields);
                // A row that is not stored yet is made with what its attributes have become.
                for name in profile.synchronised.keys() {
                    profile.attributes.remove(name);
                }
                profile.attributes.extend(synchronised.clone());
                profile.synchronised = synchronised;
            }
        }
    }

    /// Whether the person may sign in and has not departed.
    pub(super) fn is_enabled(&self) -> bool {
        self.fields.active != Some(false) && self.deleted_at.is_none()
    }

    /// The person as it is stored: without what is stored elsewhere.
    pub(super) fn stripped(&self) -> Self {
        let mut person = self.clone();
        person.strip();
        person
    }

    /// Takes away what is stored elsewhere.
    pub(super) fn strip(&mut self) {
        self.aliases.clear();
        for profile in self.profiles.values_mut() {
            profile.attributes.clear();
        }
    }
}
