//! Events as the tables tell them.

use super::*;

/// Reads an event; `n` is its place in the history.
#[track_caller]
pub(super) fn event(n: usize, text: &str) -> Event {
    let mut words = text.split_whitespace();
    let kind = words
        .next()
        .and_then(|word| Kind::from_name(&format!("user.{word}")))
        .expect("a type comes first");
    let (key, to) = match words.next().expect("a key comes second").split_once("->") {
        Some((key, to)) => (key, Some(to.to_owned())),
        None => (text.split_whitespace().nth(1).unwrap_or_default(), None),
    };
    let mut said = Said::default();
    for word in words {
        said.read(word);
    }
    let named = |field: &Change<String>| match field {
        Change::Set(text) => Some(text.clone()),
        Change::Keep | Change::Clear => None,
    };
    let organization_id = named(&said.patch.organization_id);
    let body = match kind {
        Kind::Created => Body::Created(said.patch),
        Kind::Updated => Body::Updated(said.patch),
        Kind::Renamed => Body::Renamed { to, patch: said.patch },
        Kind::Deleted => Body::Deleted,
        Kind::PasswordReset => Body::PasswordReset,
        Kind::Joined => Body::Joined {
            organization_id: organization_id.expect("one joins an organization"),
            customer_name: said.name,
        },
        Kind::Left => Body::Left {
            organization_id: organization_id.expect("one leaves an organization"),
        },
        Kind::Activated => Body::Activated {
            profile_type: said.profile_type,
        },
        Kind::Archived => Body::Archived {
            profile_type: said.profile_type,
        },
        Kind::Reactivated => Body::Reactivated {
            profile_type: said.profile_type,
        },
    };
    let time = Timestamp {
        seconds: said.second.unwrap_or(n as i64),
        nanos: 0,
    };
    let id = format!("{n:04}");
    Event {
        reference: EventRef((n as u128).to_be_bytes()),
        position: Position::new(time, "", kind, &said.source, &id),
        source: said.source,
        time,
        key: key.to_owned(),
        body,
        cascade_failed: false,
        degraded: said.degraded,
        backfill: said.backfill,
        inputs: crate::domain::Inputs::default(),
    }
}

/// The words of an event after its key.
struct Said {
    patch: Patch,
    name: Option<String>,
    profile_type: Option<String>,
    degraded: BTreeSet<String>,
    backfill: bool,
    source: String,
    second: Option<i64>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            patch: Patch::default(),
            name: None,
            profile_type: None,
            degraded: BTreeSet::new(),
            backfill: false,
            source: "id".to_owned(),
            second: None,
        }
    }
}

impl Said {
    #[track_caller]
    fn read(&mut self, word: &str) {
        if let Some(second) = word.strip_prefix('@') {
            self.second = Some(second.parse().expect("a second is a number"));
            return;
        }
        if let Some(field) = word.strip_prefix('!') {
            self.degraded.insert(field.to_owned());
            return;
        }
        if word == "backfill" {
            self.backfill = true;
            return;
        }
        let (name, value) = word.split_once('=').expect("a word is name=value");
        let patch = &mut self.patch;
        match name {
            "email" => patch.email = change(value),
            "verified" => patch.email_verified = change(value),
            "username" => patch.username = change(value),
            "first_name" => patch.first_name = change(value),
            "last_name" => patch.last_name = change(value),
            "full_name" => patch.full_name = change(value),
            "phone" => patch.phone = change(value),
            "external_id" => patch.external_id = change(value),
            "active" => patch.active = change(value),
            "org" => patch.organization_id = change(value),
            "metadata" => {
                patch.metadata = match serde_json::from_str(value).expect("metadata are JSON") {
                    Value::Object(object) => Change::Set(object),
                    _ => Change::Clear,
                }
            }
            "profiles" => {
                let named = value.split(',').filter(|name| *name != "none");
                patch.profile_types = Some(named.map(str::to_owned).collect());
            }
            "name" => self.name = Some(value.to_owned()),
            "type" => self.profile_type = Some(value.to_owned()),
            "from" => value.clone_into(&mut self.source),
            other => panic!("{other} is no word of an event"),
        }
    }
}

#[track_caller]
fn change<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &str) -> Change<T> {
    if value == "null" {
        Change::Clear
    } else {
        Change::Set(value.parse().expect("a value of the field"))
    }
}
