//! The data of each type: which fields it has, what they may hold.
//!
//! A bad required field makes the event undecodable. Any other bad field is dropped and named, so that nobody is left
//! without a profile because one telephone number was odd.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

use super::{Read, Refusal, undecodable};
use crate::domain::event::is_address;
use crate::domain::{Body, Change, Kind, Patch};

/// Longest key, name or identifier, in Unicode scalars.
const TEXT_MAX: usize = 255;
/// Longest telephone number, in Unicode scalars.
const PHONE_MAX: usize = 64;
/// Most profile types one event may name.
const TYPES_MAX: usize = 64;
/// Largest metadata, in bytes of JSON.
const METADATA_MAX: usize = 65_536;

type Data = Map<String, Value>;

pub(super) fn read(kind: Kind, value: &Value) -> Result<Read, Refusal> {
    let Some(data) = value.as_object() else {
        return Err(undecodable("data must be a JSON object"));
    };
    let user_id = required(data, "user_id")?;
    let mut degraded = BTreeSet::new();
    let body = match kind {
        Kind::Created => Body::Created(patch(data, Null::IsAbsent, &mut degraded)?),
        Kind::Updated => Body::Updated(patch(data, Null::Clears, &mut degraded)?),
        Kind::Renamed => renamed(data, &mut degraded)?,
        Kind::Deleted => Body::Deleted,
        Kind::Joined => Body::Joined {
            organization_id: required(data, "organization_id")?,
            customer_name: match optional(data, "customer_name", text, &mut degraded) {
                Change::Set(name) => Some(name),
                Change::Keep | Change::Clear => None,
            },
        },
        Kind::Left => Body::Left {
            organization_id: required(data, "organization_id")?,
        },
        Kind::Activated => Body::Activated {
            profile_type: strict_text(data, "profile_type")?,
        },
        Kind::Archived => Body::Archived {
            profile_type: strict_text(data, "profile_type")?,
        },
        Kind::Reactivated => Body::Reactivated {
            profile_type: strict_text(data, "profile_type")?,
        },
    };
    Ok(Read {
        user_id,
        body,
        degraded,
    })
}

/// What `null` means in an optional field.
#[derive(Clone, Copy, PartialEq)]
enum Null {
    IsAbsent,
    Clears,
}

fn renamed(data: &Data, degraded: &mut BTreeSet<String>) -> Result<Body, Refusal> {
    let to = strict_text(data, "new_user_id")?;
    let mut patch = patch(data, Null::Clears, degraded)?;
    let new_email = optional(data, "new_email", address, degraded);
    let new_username = optional(data, "new_username", text, degraded);
    let says_something = to.is_some() || matches!(new_email, Change::Set(_)) || matches!(new_username, Change::Set(_));
    if !says_something {
        return Err(undecodable(
            "data must have a valid new_user_id, new_email or new_username",
        ));
    }
    if degraded.contains("new_email") && patch.email.is_keep() {
        // The flag speaks of the address that was dropped, not of the one that is kept.
        patch.email_verified = Change::Keep;
    }
    // The marks of a person are about the fields they have, not about the names an event uses for them.
    for (name, field, good) in [
        ("new_email", "email", !patch.email.is_keep()),
        ("new_username", "username", !patch.username.is_keep()),
    ] {
        if !good && degraded.remove(name) {
            degraded.insert(field.to_owned());
        }
    }
    if let Change::Set(email) = new_email {
        // A flag that came with a bad `email` was dropped with it; here it belongs to the new address.
        degraded.remove("email");
        patch.email_verified = optional(data, "email_verified", boolean, degraded);
        patch.email = Change::Set(email);
    }
    if let Change::Set(username) = new_username {
        degraded.remove("username");
        patch.username = Change::Set(username);
    }
    Ok(Body::Renamed { to, patch })
}

fn patch(data: &Data, null: Null, degraded: &mut BTreeSet<String>) -> Result<Patch, Refusal> {
    let mut patch = Patch {
        email: optional(data, "email", address, degraded),
        email_verified: optional(data, "email_verified", boolean, degraded),
        username: optional(data, "username", text, degraded),
        first_name: optional(data, "first_name", text, degraded),
        last_name: optional(data, "last_name", text, degraded),
        full_name: optional(data, "full_name", text, degraded),
        phone: optional(data, "phone", phone, degraded),
        external_id: optional(data, "external_id", text, degraded),
        active: active(data)?,
        organization_id: optional(data, "organization_id", text, degraded),
        profile_types: profile_types(data, degraded),
        metadata: optional(data, "metadata", metadata, degraded),
    };
    if degraded.contains("email") {
        // The flag speaks of the address that was dropped, not of the one that is kept.
        patch.email_verified = Change::Keep;
    }
    if null == Null::IsAbsent {
        without_clears(&mut patch);
    }
    Ok(patch)
}

fn without_clears(patch: &mut Patch) {
    fn absent<T>(change: &mut Change<T>) {
        if matches!(change, Change::Clear) {
            *change = Change::Keep;
        }
    }
    absent(&mut patch.email);
    absent(&mut patch.email_verified);
    absent(&mut patch.username);
    absent(&mut patch.first_name);
    absent(&mut patch.last_name);
    absent(&mut patch.full_name);
    absent(&mut patch.phone);
    absent(&mut patch.external_id);
    absent(&mut patch.active);
    absent(&mut patch.organization_id);
    absent(&mut patch.metadata);
}

/// A text of 1 to 255 characters that must be there.
fn required(data: &Data, name: &str) -> Result<String, Refusal> {
    strict_text(data, name)?.ok_or_else(|| undecodable(format!("data.{name} is missing")))
}

/// A text of 1 to 255 characters that may be absent but not bad.
fn strict_text(data: &Data, name: &str) -> Result<Option<String>, Refusal> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match text(value).filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(text)),
            None => Err(undecodable(format!(
                "data.{name} must be a string of 1 to {TEXT_MAX} characters without U+0000{}",
                found(value)
            ))),
        },
    }
}

fn active(data: &Data) -> Result<Change<bool>, Refusal> {
    match data.get("active") {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(Value::Bool(active)) => Ok(Change::Set(*active)),
        Some(value) => Err(undecodable(format!(
            "data.active must be true or false{}",
            found(value)
        ))),
    }
}

/// What was found instead, without its value.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => ", found null",
        Value::Bool(_) => ", found a boolean",
        Value::Number(_) => ", found a number",
        Value::String(_) => "",
        Value::Array(_) => ", found a list",
        Value::Object(_) => ", found an object",
    }
}

/// A field that is dropped and named when `read` finds nothing good in it.
fn optional<T>(
    data: &Data,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
    degraded: &mut BTreeSet<String>,
) -> Change<T> {
    match data.get(name) {
        None => Change::Keep,
        Some(Value::Null) => Change::Clear,
        Some(value) => {
            if let Some(good) = read(value) {
                Change::Set(good)
            } else {
                degraded.insert(name.to_owned());
                Change::Keep
            }
        }
    }
}

fn bounded(value: &Value, max: usize) -> Option<String> {
    let text = value.as_str()?;
    // Bytes bound characters from above, which spares counting the usual short ones.
    let fits = text.len() <= max || text.chars().count() <= max;
    (fits && !text.contains('\0')).then(|| text.to_owned())
}

fn text(value: &Value) -> Option<String> {
    bounded(value, TEXT_MAX)
}

fn phone(value: &Value) -> Option<String> {
    bounded(value, PHONE_MAX)
}

fn address(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_address(text)).map(str::to_owned)
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool()
}

fn metadata(value: &Value) -> Option<Data> {
    fn storable(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\0'),
            Value::Array(list) => list.iter().all(storable),
            Value::Object(object) => object.iter().all(|(key, value)| !key.contains('\0') && storable(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }
    let object = value.as_object()?;
    let fits = serde_json::to_string(object).is_ok_and(|text| text.len() <= METADATA_MAX);
    (fits && storable(value)).then(|| object.clone())
}

/// Bad elements are dropped one by one; a list with nothing left counts as absent, an empty one does not.
fn profile_types(data: &Data, degraded: &mut BTreeSet<String>) -> Option<Vec<String>> {
    let value = data.get("profile_types").filter(|value| !value.is_null())?;
    let Some(list) = value.as_array().filter(|list| list.len() <= TYPES_MAX) else {
        degraded.insert("profile_types".to_owned());
        return None;
    };
    let mut good: Vec<String> = Vec::new();
    for element in list {
        match text(element).filter(|name| !name.is_empty()) {
            Some(name) if good.contains(&name) => {}
            Some(name) => good.push(name),
            None => {
                degraded.insert("profile_types".to_owned());
            }
        }
    }
    (list.is_empty() || !good.is_empty()).then_some(good)
}
