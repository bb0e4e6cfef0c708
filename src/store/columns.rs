//! How values of the domain stand in columns, the same in both databases.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::failures::{Attempt, Parked};
use crate::domain::{
    ActualProfile, Checkpoint, CustomerChange, Kind, Outcome, PROFILE_COLUMNS, Person, Policy, Position, ProfileChange,
    ProfileRow, Reason, Status, StoredHolder, Verdict, Via,
};

/// The number of a holder in the column `holder`.
pub(super) fn holder_number(holder: &StoredHolder) -> i16 {
    match holder {
        StoredHolder::Unknown => 0,
        StoredHolder::Active(_) => 1,
        StoredHolder::Alias(_) => 2,
        StoredHolder::Tombstone => 3,
    }
}

/// The columns `person` and `state` of a holder.
pub(super) fn holder_columns(holder: &StoredHolder) -> Result<(Option<Uuid>, Option<String>), StoreError> {
    match holder {
        StoredHolder::Unknown | StoredHolder::Tombstone => Ok((None, None)),
        StoredHolder::Alias(person) => Ok((Some(*person), None)),
        StoredHolder::Active(person) => Ok((person.row, Some(person_text(person)?))),
    }
}

pub(super) fn holder_of(number: i64, person: Option<Uuid>, state: Option<&str>) -> Result<StoredHolder, StoreError> {
    match (number, person, state) {
        (0, _, _) => Ok(StoredHolder::Unknown),
        (1, _, Some(state)) => Ok(StoredHolder::Active(Box::new(person_of(state)?))),
        (2, Some(person), _) => Ok(StoredHolder::Alias(person)),
        (3, _, _) => Ok(StoredHolder::Tombstone),
        _ => Err(unreadable("key", format!("holder {number} without what belongs to it"))),
    }
}

pub(super) fn person_text(person: &Person) -> Result<String, StoreError> {
    serde_json::to_string(person).map_err(|error| no_json("person", &error))
}

pub(super) fn person_of(state: &str) -> Result<Person, StoreError> {
    serde_json::from_str(state).map_err(|error| no_json("person", &error))
}

pub(super) fn checkpoint_text(checkpoint: &Checkpoint) -> Result<String, StoreError> {
    checkpoint.state().map_err(|error| no_json("checkpoint", &error))
}

pub(super) fn checkpoint_of(at: Vec<u8>, events: i64, state: &str) -> Result<Checkpoint, StoreError> {
    Checkpoint::restore(Position::from_bytes(at), events as u64, state).map_err(|error| no_json("checkpoint", &error))
}

pub(super) fn headers_text(headers: &[(String, String)]) -> Result<String, StoreError> {
    serde_json::to_string(headers).map_err(|error| no_json("headers", &error))
}

pub(super) fn headers_of(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("headers", &error))
}

/// The column `effects` of an event: JSON, or nothing when it changed nothing.
///
/// # Errors
/// Never in practice: effects are plain values.
pub fn effects_text(verdict: &Verdict) -> Result<Option<String>, StoreError> {
    if verdict.outcome != Outcome::Applied {
        return Ok(None);
    }
    serde_json::to_string(&verdict.effects)
        .map(Some)
        .map_err(|error| no_json("effects", &error))
}

/// The column `degraded` of an event: a JSON list of field names, or nothing when none was dropped.
///
/// # Errors
/// Never in practice: names are plain values.
pub fn degraded_text(verdict: &Verdict) -> Result<Option<String>, StoreError> {
    if verdict.degraded.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&verdict.degraded)
        .map(Some)
        .map_err(|error| no_json("degraded", &error))
}

/// Source and id of events, as they stand in a column.
pub(super) fn identities_of(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("identities", &error))
}

pub(super) fn kind_of(name: &str) -> Result<Kind, StoreError> {
    Kind::from_name(name).ok_or_else(|| unreadable("type", format!("{name:?} is not known to this version")))
}

pub(super) fn outcome_of(name: &str) -> Result<Outcome, StoreError> {
    Outcome::from_name(name).ok_or_else(|| unreadable("outcome", format!("{name:?} is not known to this version")))
}

pub(super) fn reason_of(name: Option<&str>) -> Result<Option<Reason>, StoreError> {
    name.map(|name| {
        Reason::from_name(name).ok_or_else(|| unreadable("reason", format!("{name:?} is not known to this version")))
    })
    .transpose()
}

/// Reasons by message id.
pub(super) fn reasons_of(rows: Vec<(String, String)>) -> Result<BTreeMap<String, Reason>, StoreError> {
    rows.into_iter()
        .map(|(id, name)| match Reason::from_name(&name) {
            Some(reason) => Ok((id, reason)),
            None => Err(unreadable("reason", format!("{name:?} is not known to this version"))),
        })
        .collect()
}

/// An instant of the public columns, given in microseconds since 1970.
pub(super) fn instant(micros: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| unreadable("time", "it is none"))
}

/// From when on the ledger has to be read for what is after a position: its index knows only times.
pub(super) fn since(after: Option<&Position>) -> Result<OffsetDateTime, StoreError> {
    match after {
        Some(position) => instant(position.time().micros()),
        None => Ok(EARLIEST),
    }
}

/// Before every event: CloudEvents has no years before 0.
const EARLIEST: OffsetDateTime = time::macros::datetime!(0000-01-01 0:00 UTC);

/// Rows `(row, old place, new place)` that stand where another wants to go.
fn in_the_way(moves: impl Iterator<Item = (Uuid, Place, Place)> + Clone) -> Vec<Uuid> {
    let moving = moves.filter(|(_, old, new)| old != new);
    let wanted: BTreeSet<(String, String)> = moving.clone().filter_map(|(_, _, new)| new).collect();
    moving
        .filter(|(_, old, _)| old.as_ref().is_some_and(|old| wanted.contains(old)))
        .map(|(row, _, _)| row)
        .collect()
}

/// `problem` must not quote what is stored.
pub(super) fn unreadable(what: &'static str, problem: impl Into<String>) -> StoreError {
    StoreError::Unreadable {
        what,
        problem: problem.into(),
    }
}

/// The message of the parser quotes what it found.
fn no_json(what: &'static str, error: &serde_json::Error) -> StoreError {
    let (category, column) = (error.classify(), error.column());
    unreadable(what, format!("{category:?} error of JSON at column {column}"))
}

pub(super) fn policy_text(policy: &Policy) -> Result<String, StoreError> {
    serde_json::to_string(policy).map_err(|error| no_json("policy", &error))
}

pub(super) fn policy_of(text: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("policy", &error))
}

/// The reasons that are past when the event itself applies: later folds and redrives can take them back. What was no event,
/// or another one, stays what it was.
pub(super) const RESOLVABLE: [Reason; 10] = [
    Reason::ProtectedUser,
    Reason::KeyTaken,
    Reason::UnknownProfileType,
    Reason::SourceNotAllowed,
    Reason::CascadeFailed,
    Reason::RequirementsMissing,
    Reason::TimeInFuture,
    Reason::ComponentTooLarge,
    Reason::Exhausted,
    Reason::CrashLoop,
];

/// Appends a value as JSON text.
pub(super) fn append_json<T: serde::Serialize>(value: &T, text: &mut Vec<u8>) -> Result<(), StoreError> {
    serde_json::to_writer(text, value).map_err(|error| no_json("value", &error))
}

/// A value as JSON text.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| no_json("value", &error))
}

/// JSON text of an object.
pub(super) fn object_of(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("row", &error))
}

/// The display name that a new one may take the place of; `None` for any.
pub(super) fn name_to_replace(change: &ProfileChange) -> Option<&str> {
    change.keeps_edited_name.then_some(change.old_display_name.as_str())
}

/// Profiles that hold, until they change, the key of another profile of the batch.
pub(super) fn profiles_in_the_way(changes: &[ProfileChange]) -> Vec<Uuid> {
    in_the_way(changes.iter().map(|change| {
        let row = &change.row;
        let old = place(&change.old_user_id, &row.profile_type, change.old_departed);
        (
            row.profile_id,
            old,
            place(&row.user_id, &row.profile_type, row.deleted_at.is_some()),
        )
    }))
}

/// Customers that hold, until they change, the key of another customer of the batch.
pub(super) fn customers_in_the_way(changes: &[CustomerChange]) -> Vec<Uuid> {
    in_the_way(changes.iter().map(|change| {
        let row = &change.row;
        let old = place(&change.old_user_id, &row.organization_id, change.old_departed);
        (
            row.customer_id,
            old,
            place(&row.user_id, &row.organization_id, row.deleted_at.is_some()),
        )
    }))
}

/// What is unique: a key, and a profile type or an organization. Rows of the departed stand nowhere.
type Place = Option<(String, String)>;

fn place(user_id: &str, beside: &str, departed: bool) -> Place {
    (!departed).then(|| (user_id.to_owned(), beside.to_owned()))
}

/// An instant as SQLite has it: `2026-01-31T09:00:00.000000Z`, always with six decimals so that texts sort as times.
pub(super) fn time_text(time: OffsetDateTime) -> Result<String, StoreError> {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    time.format(FORMAT).map_err(|_| unreadable("time", "it is none"))
}

/// Columns of `profiles` into which anybody can have written anything.
pub(super) struct ProfileTexts<'r> {
    pub(super) status: &'r str,
    pub(super) degraded: &'r str,
    pub(super) created_via: &'r str,
    pub(super) attributes: &'r str,
}

impl ProfileTexts<'_> {
    /// The row with these texts in it; what no fold writes is marked.
    pub(super) fn actual(self, row: ProfileRow) -> ActualProfile {
        let mut odd = 0;
        let mut mark = |column: &str| {
            let bit = PROFILE_COLUMNS.iter().position(|name| *name == column);
            odd |= bit.map_or(0, |bit| 1 << bit);
        };
        let status = Status::from_name(self.status);
        if status.is_none() {
            mark("status");
        }
        let created_via = Via::from_name(self.created_via);
        if created_via.is_none() {
            mark("created_via");
        }
        let degraded: Option<Vec<String>> = serde_json::from_str(self.degraded).ok();
        if degraded.is_none() {
            mark("degraded");
        }
        // They are the application's: what is no object there is not ours to mind.
        let attributes = serde_json::from_str(self.attributes).unwrap_or_default();
        let row = ProfileRow {
            status: status.unwrap_or(row.status),
            created_via: created_via.map_or("", Via::name),
            degraded: degraded.unwrap_or_default(),
            attributes,
            ..row
        };
        ActualProfile { row, odd }
    }
}

/// Microseconds since 1970.
pub(super) fn micros(time: OffsetDateTime) -> i64 {
    (time.unix_timestamp_nanos() / 1_000) as i64
}

/// Microseconds since 1970 of an instant as SQLite has it; what is none is like no instant that a fold writes.
pub(super) fn micros_of(text: &str) -> i64 {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).map_or(i64::MIN, micros)
}

/// The column `message` of an event that waits. JSON, because PostgreSQL could not keep every subject as it is.
pub(super) fn message_text(event: &Parked) -> Result<String, StoreError> {
    json(&(&event.subject, &event.headers))
}

/// Subject and headers of an event that waits.
pub(super) fn message_of(text: &str) -> Result<(String, Vec<(String, String)>), StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("message", &error))
}

pub(super) fn attempts_of(text: &str) -> Result<Vec<Attempt>, StoreError> {
    serde_json::from_str(text).map_err(|error| no_json("attempts", &error))
}

/// Nanoseconds since 1970; the broker counts in them, up to the year 2262.
pub(super) fn nanos(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn from_nanos(nanos: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).map_err(|_| unreadable("time", "not a time"))
}
