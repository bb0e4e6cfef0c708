//! What others are told of profiles: one CloudEvent for each change of a row, written with it in one transaction.
//!
//! Pure. The relay publishes what is made here; nothing in here knows whether anybody listens.

pub mod schema;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::domain::{Difference, PROFILE_COLUMNS, Policy, ProfileChange, ProfileRow, Status, hex};
use crate::store::Announcement;

/// What happened to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// It is new.
    Created,
    /// Something of it changed that no other type tells.
    Updated,
    /// Its user has another key.
    Renamed,
    /// Its status became `active`.
    Activated,
    /// Its status became `archived`.
    Archived,
    /// It is gone, or kept as that of a departed user.
    Deleted,
}

/// Writes the announcements.
#[derive(Debug, Clone)]
pub struct Announcer {
    /// The CloudEvents source of what it says.
    pub source: String,
}

/// The batch or rebuild that made the changes: another one never has the same mark, the same one tried again has.
#[derive(Debug, Clone, Copy)]
pub struct Mark([u8; 32]);

/// Columns whose change alone is not told: they change with every event of the user, whatever it did.
const BOOKKEEPING: [&str; 2] = ["updated_at", "version"];

impl Happening {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Updated,
        Self::Renamed,
        Self::Activated,
        Self::Archived,
        Self::Deleted,
    ];

    /// The CloudEvents type, which is the subject too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "profile.created",
            Self::Updated => "profile.updated",
            Self::Renamed => "profile.renamed",
            Self::Activated => "profile.activated",
            Self::Archived => "profile.archived",
            Self::Deleted => "profile.deleted",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// When it is sent, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Created => "A profile is new.",
            Self::Updated => "Something of a profile changed that no other type tells.",
            Self::Renamed => "The user of a profile has another key.",
            Self::Activated => "The status of a profile became active, for the first time or again.",
            Self::Archived => "The status of a profile became archived.",
            Self::Deleted => "A profile is gone, or kept with deleted_at.",
        }
    }
}

impl Mark {
    /// That of a batch: the events that entered the ledger with it, by source and id.
    pub fn of_events<'a>(identities: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Sha256::new();
        for (source, id) in identities {
            hash.update((source.len() as u64).to_be_bytes());
            hash.update(source);
            hash.update((id.len() as u64).to_be_bytes());
            hash.update(id);
        }
        Self(hash.finalize().into())
    }

    /// That of a rebuild, which no event makes.
    pub fn of_time(now: OffsetDateTime) -> Self {
        Self(Sha256::digest(now.unix_timestamp_nanos().to_be_bytes()).into())
    }
}

impl Announcer {
    /// What a difference means to others, in an order that holds for each user: what goes, what changes, what is new.
    pub fn announce(
        &self,
        difference: &Difference,
        policy: &Policy,
        mark: Mark,
        now: OffsetDateTime,
    ) -> Vec<Announcement> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let mut said = Vec::new();
        let mut say = |kind: Happening, row: &ProfileRow, more: Map<String, Value>, former: Option<&str>| {
            said.push(self.message(kind, row, more, former, mark, &time));
        };
        for row in &difference.lost_profiles {
            // Those of a departed user were told when the user went.
            if row.deleted_at.is_none() {
                say(Happening::Deleted, row, Map::new(), None);
            }
        }
        for change in &difference.profiles {
            for kind in happenings(change) {
                let former = (kind == Happening::Renamed).then_some(change.old_user_id.as_str());
                say(kind, &change.row, details(kind, change), former);
            }
        }
        for row in difference.new_profiles.iter().filter(|row| row.deleted_at.is_none()) {
            say(Happening::Created, row, Map::new(), None);
            // Made and activated within one batch: whoever waits for activations hears of it all the same.
            let initial = policy.rule(&row.profile_type).map(|rule| rule.initial);
            if let Some(kind) = status_kind(row.status).filter(|_| initial != Some(row.status)) {
                let more = Map::from_iter([("old_status".to_owned(), json!(initial.map(Status::name)))]);
                say(kind, row, more, None);
            }
        }
        said
    }

    fn message(
        &self,
        kind: Happening,
        row: &ProfileRow,
        more: Map<String, Value>,
        former: Option<&str>,
        mark: Mark,
        time: &str,
    ) -> Announcement {
        let mut hash = Sha256::new();
        hash.update(mark.0);
        hash.update(row.profile_id.as_bytes());
        hash.update(kind.name());
        let id = hex(&hash.finalize()[..16]);
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("ce-specversion".to_owned(), "1.0".to_owned()),
            ("ce-type".to_owned(), kind.name().to_owned()),
            ("ce-source".to_owned(), percent_encoded(&self.source)),
            ("ce-id".to_owned(), id.clone()),
            ("ce-time".to_owned(), time.to_owned()),
            (SUBJECT.to_owned(), percent_encoded(&row.user_id)),
        ];
        if let Some(former) = former {
            headers.push((FORMER_SUBJECT.to_owned(), percent_encoded(former)));
        }
        let mut data = data(row);
        data.extend(more);
        Announcement {
            message_id: id,
            subject: kind.name().to_owned(),
            headers,
            payload: Value::Object(data).to_string().into_bytes(),
        }
    }
}

/// The header that names the user.
pub const SUBJECT: &str = "ce-subject";
/// The header that names the key the user had before.
pub const FORMER_SUBJECT: &str = "ce-formersubject";

/// Which types tell a change; none for what is nobody's business.
fn happenings(change: &ProfileChange) -> Vec<Happening> {
    let departed = change.row.deleted_at.is_some();
    match (change.old_departed, departed) {
        (false, true) => return vec![Happening::Deleted],
        (true, false) => return vec![Happening::Created],
        (true, true) => return Vec::new(),
        (false, false) => {}
    }
    if is_aside(&change.old_user_id, &change.row.user_id, change.row.profile_id) {
        return Vec::new();
    }
    let mut kinds = Vec::new();
    if change.row.user_id != change.old_user_id {
        kinds.push(Happening::Renamed);
    }
    if change.row.status != change.old_status {
        kinds.extend(status_kind(change.row.status));
    }
    if kinds.is_empty() && !changed(change).iter().all(|name| BOOKKEEPING.contains(name)) {
        kinds.push(Happening::Updated);
    }
    kinds
}

/// A rebuild moves rows of others out of the way for a moment.
fn is_aside(old: &str, new: &str, profile: Uuid) -> bool {
    new.strip_prefix(old)
        .and_then(|rest| rest.strip_prefix(' '))
        .is_some_and(|rest| rest == profile.to_string())
}

fn status_kind(status: Status) -> Option<Happening> {
    match status {
        Status::Active => Some(Happening::Activated),
        Status::Archived => Some(Happening::Archived),
        Status::Draft => None,
    }
}

/// The columns that a change writes.
fn changed(change: &ProfileChange) -> Vec<&'static str> {
    let columns = PROFILE_COLUMNS.iter().enumerate();
    let mut changed: Vec<&'static str> = columns
        .filter(|(bit, _)| change.changed & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    if !change.set.is_empty() || !change.unset.is_empty() {
        changed.push("attributes");
    }
    changed
}

fn details(kind: Happening, change: &ProfileChange) -> Map<String, Value> {
    let mut more = Map::new();
    match kind {
        Happening::Created | Happening::Deleted => return more,
        Happening::Renamed => {
            more.insert("old_user_id".to_owned(), json!(change.old_user_id));
        }
        Happening::Activated | Happening::Archived => {
            more.insert("old_status".to_owned(), json!(change.old_status.name()));
        }
        Happening::Updated => {}
    }
    more.insert("changed".to_owned(), json!(changed(change)));
    more
}

/// The row as the fold would have it. `attributes` are the application's, so that nobody here knows them.
fn data(row: &ProfileRow) -> Map<String, Value> {
    let time = |micros: i64| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
    };
    let data = json!({
        "profile_id": row.profile_id,
        "user_id": row.user_id,
        "profile_type": row.profile_type,
        "status": row.status.name(),
        "is_active": row.is_active,
        "display_name": row.display_name,
        "email": row.email,
        "username": row.username,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "full_name": row.full_name,
        "phone": row.phone,
        "external_id": row.external_id,
        "organization_id": row.organization_id,
        "customer_id": row.customer_id,
        "linked_customer": row.linked_customer,
        "degraded": row.degraded,
        "created_via": row.created_via,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "version": row.version,
        "deleted_at": row.deleted_at.and_then(time),
    });
    match data {
        Value::Object(data) => data,
        _ => Map::new(),
    }
}

/// As CloudEvents wants the values of headers.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]).to_uppercase());
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
