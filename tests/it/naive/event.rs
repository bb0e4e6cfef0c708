//! Reading one structured event: its position, and its optional fields with bad ones told apart.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Settings;

/// The nine types, in the order of their rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Created,
    Updated,
    Joined,
    Left,
    Activated,
    Archived,
    Reactivated,
    Renamed,
    Deleted,
}

impl Kind {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "user.created" => Self::Created,
            "user.updated" => Self::Updated,
            "user.joined" => Self::Joined,
            "user.left" => Self::Left,
            "user.activated" => Self::Activated,
            "user.archived" => Self::Archived,
            "user.reactivated" => Self::Reactivated,
            "user.renamed" => Self::Renamed,
            "user.deleted" => Self::Deleted,
            _ => return None,
        })
    }

    /// The last word of the type, as the table's rows are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Activated => "activated",
            Self::Archived => "archived",
            Self::Reactivated => "reactivated",
            Self::Renamed => "renamed",
            Self::Deleted => "deleted",
        }
    }

    pub(super) fn is_transition(self) -> bool {
        matches!(self, Self::Activated | Self::Archived | Self::Reactivated)
    }

    /// Whether data of this type may carry the fields of an update.
    pub(super) fn carries_fields(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Renamed)
    }
}

/// The `sequence` extension: absent, then numbers, then other texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sequence {
    Absent,
    /// Digits without leading zeros, of any length: fewer digits are the smaller number.
    Number {
        length: usize,
        digits: String,
    },
    Text(Vec<u8>),
}

impl Sequence {
    pub(super) fn read(text: &str) -> Self {
        if text.is_empty() {
            Self::Absent
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = text.trim_start_matches('0').to_owned();
            Self::Number {
                length: digits.len(),
                digits,
            }
        } else {
            Self::Text(text.as_bytes().to_vec())
        }
    }
}

/// `(time in nanoseconds, sequence, rank, source, id)`, compared left to right.
pub(super) type Position = (i128, Sequence, Kind, String, String);

/// An optional field as the event has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given<T> {
    Absent,
    Null,
    Good(T),
    Bad,
}

/// One event of the ledger.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) position: Position,
    /// Microseconds since 1970.
    pub(super) micros: i64,
    pub(super) user_id: String,
    pub(super) new_user_id: Option<String>,
    /// Of a transition: the type it names, or the first configured.
    pub(super) profile_type: String,
    /// The known elements of the list; `None` where absent or nothing was left.
    pub(super) profile_types: Option<Vec<String>>,
    pub(super) from_backfill: bool,
    data: Value,
}

impl Event {
    pub(super) fn read(value: &Value, settings: &Settings) -> Option<Self> {
        let kind = Kind::read(value["type"].as_str()?)?;
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let (source, id) = (text(&value["source"]), text(&value["id"]));
        let nanos = OffsetDateTime::parse(&text(&value["time"]), &Rfc3339)
            .ok()?
            .unix_timestamp_nanos();
        let data = value["data"].clone();
        let first = settings.types.first().map(|first| first.name.clone());
        let mut event = Self {
            kind,
            position: (
                nanos,
                Sequence::read(&text(&value["sequence"])),
                kind,
                source.clone(),
                id.clone(),
            ),
            source,
            id,
            micros: i64::try_from(nanos.div_euclid(1000)).ok()?,
            user_id: text(&data["user_id"]),
            new_user_id: data["new_user_id"]
                .as_str()
                .filter(|_| kind == Kind::Renamed)
                .map(str::to_owned),
            profile_type: data["profile_type"]
                .as_str()
                .map(str::to_owned)
                .or(first)
                .unwrap_or_default(),
            profile_types: None,
            from_backfill: value["createdvia"] == "backfill",
            data,
        };
        event.profile_types = match event.profile_types_given(settings).0 {
            Given::Good(list) => Some(list),
            _ => None,
        };
        Some(event)
    }

    /// The list with unknown elements dropped, and whether any was. Nothing left of a list that was not empty is `Bad`.
    pub(super) fn profile_types_given(&self, settings: &Settings) -> (Given<Vec<String>>, bool) {
        let known = |element: &Value| settings.types.iter().any(|known| *element == known.name.as_str());
        match self.raw("profile_types") {
            None => (Given::Absent, false),
            Some(Value::Null) => (Given::Null, false),
            Some(Value::Array(list)) => {
                let kept: Vec<String> = list
                    .iter()
                    .filter(|e| known(e))
                    .filter_map(|e| e.as_str().map(str::to_owned))
                    .collect();
                let dropped = kept.len() < list.len();
                if kept.is_empty() && dropped {
                    (Given::Bad, true)
                } else {
                    (Given::Good(kept), dropped)
                }
            }
            Some(_) => (Given::Bad, true),
        }
    }

    /// A text of at most `limit` Unicode scalars without U+0000.
    pub(super) fn text(&self, name: &str, limit: usize) -> Given<String> {
        match self.raw(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(Value::String(text)) if text.chars().count() <= limit && !text.contains('\0') => {
                Given::Good(text.clone())
            }
            Some(_) => Given::Bad,
        }
    }

    /// An address: at most 320 scalars, something on both sides of an `@`.
    pub(super) fn email(&self, name: &str) -> Given<String> {
        match self.text(name, 320) {
            Given::Good(text) => match text.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Given::Good(text),
                _ => Given::Bad,
            },
            other => other,
        }
    }

    pub(super) fn flag(&self, name: &str) -> Given<bool> {
        match self.raw(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(Value::Bool(flag)) => Given::Good(*flag),
            Some(_) => Given::Bad,
        }
    }

    /// An object without U+0000 in any key or text of it.
    pub(super) fn object(&self, name: &str) -> Given<Value> {
        match self.raw(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value @ Value::Object(_)) if !has_nul(value) => Given::Good(value.clone()),
            Some(_) => Given::Bad,
        }
    }

    /// The organization that a `joined` or `left` is about.
    pub(super) fn organization(&self) -> String {
        self.data["organization_id"].as_str().unwrap_or_default().to_owned()
    }

    fn raw(&self, name: &str) -> Option<&Value> {
        self.data.get(name)
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}
