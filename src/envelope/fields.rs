//! The data of each type, read by the table of [`contract`](super::contract).
//!
//! A bad required field makes the event undecodable. Any other bad field is dropped and named, so that nobody is left
//! without a profile because one telephone number was odd.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use super::contract::{Care, Field, NAME, Rule, named};
use super::{Read, Refusal, Sealed, undecodable};
use crate::domain::event::is_address;
use crate::domain::{Body, Change, Kind, Patch};

type Data = Map<String, Value>;

pub(super) fn read(kind: Kind, value: &Value) -> Result<Read, Refusal> {
    let Some(data) = value.as_object() else {
        return Err(undecodable("data must be a JSON object"));
    };
    let user_id = required(data, &named::USER_ID)?;
    let mut degraded = BTreeSet::new();
    let mut reset = None;
    let body = match kind {
        Kind::Created => Body::Created(patch(data, Null::IsAbsent, &mut degraded)?),
        Kind::Updated => Body::Updated(patch(data, Null::Clears, &mut degraded)?),
        Kind::Renamed => renamed(data, &mut degraded)?,
        Kind::Deleted => Body::Deleted,
        Kind::PasswordReset => {
            reset = Some(Reset::read(data)?);
            Body::PasswordReset
        }
        Kind::Joined => Body::Joined {
            organization_id: required(data, &named::MEMBER_OF)?,
            customer_name: match text(data, &named::CUSTOMER_NAME, &mut degraded)? {
                Change::Set(name) => Some(name),
                Change::Keep | Change::Clear => None,
            },
        },
        Kind::Left => Body::Left {
            organization_id: required(data, &named::MEMBER_OF)?,
        },
        Kind::Activated => Body::Activated {
            profile_type: strict_text(data, &named::PROFILE_TYPE)?,
        },
        Kind::Archived => Body::Archived {
            profile_type: strict_text(data, &named::PROFILE_TYPE)?,
        },
        Kind::Reactivated => Body::Reactivated {
            profile_type: strict_text(data, &named::PROFILE_TYPE)?,
        },
    };
    Ok(Read {
        user_id,
        body,
        degraded,
        reset,
    })
}

/// What a password reset has to say, and nobody but the user is to know.
pub(super) struct Reset {
    link: Option<String>,
    code: Option<String>,
}

impl Reset {
    fn read(data: &Data) -> Result<Self, Refusal> {
        let (link, code) = (strict_text(data, &named::LINK)?, strict_text(data, &named::CODE)?);
        if link.is_none() && code.is_none() {
            return Err(undecodable("data must have a link or a code"));
        }
        Ok(Self { link, code })
    }

    /// For the mail.
    pub(super) fn sealed(&self) -> Sealed {
        Sealed(json!({ "link": self.link, "code": self.code }).to_string())
    }

    /// For the ledger, and everybody who reads it: the same shape, which decodes again.
    pub(super) fn redacted(&self, user_id: &str) -> Value {
        let mut data = json!({ "user_id": user_id });
        if self.link.is_some() {
            data["link"] = json!(REDACTED_LINK);
        }
        if self.code.is_some() {
            data["code"] = json!("redacted");
        }
        data
    }
}

/// Leads nowhere, by definition of its domain.
const REDACTED_LINK: &str = "https://redacted.invalid/";

/// What `null` means in an optional field.
#[derive(Clone, Copy, PartialEq)]
enum Null {
    IsAbsent,
    Clears,
}

fn renamed(data: &Data, degraded: &mut BTreeSet<String>) -> Result<Body, Refusal> {
    let to = strict_text(data, &named::NEW_USER_ID)?;
    let mut patch = patch(data, Null::Clears, degraded)?;
    let new_email = text(data, &named::NEW_EMAIL, degraded)?;
    let new_username = text(data, &named::NEW_USERNAME, degraded)?;
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
        patch.email_verified = flag(data, &named::EMAIL_VERIFIED, degraded)?;
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
        email: text(data, &named::EMAIL, degraded)?,
        email_verified: flag(data, &named::EMAIL_VERIFIED, degraded)?,
        username: text(data, &named::USERNAME, degraded)?,
        first_name: text(data, &named::FIRST_NAME, degraded)?,
        last_name: text(data, &named::LAST_NAME, degraded)?,
        full_name: text(data, &named::FULL_NAME, degraded)?,
        phone: text(data, &named::PHONE_NUMBER, degraded)?,
        external_id: text(data, &named::EXTERNAL_ID, degraded)?,
        active: flag(data, &named::ACTIVE, degraded)?,
        organization_id: text(data, &named::ORGANIZATION_ID, degraded)?,
        profile_types: profile_types(data, degraded),
        metadata: object(data, &named::METADATA, degraded)?,
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

/// A text that must be there.
fn required(data: &Data, field: &Field) -> Result<String, Refusal> {
    strict_text(data, field)?.ok_or_else(|| undecodable(format!("data.{} is missing", field.name)))
}

/// A text that may be absent but not bad.
fn strict_text(data: &Data, field: &Field) -> Result<Option<String>, Refusal> {
    match text(data, field, &mut BTreeSet::new())? {
        Change::Set(text) => Ok(Some(text)),
        Change::Keep | Change::Clear => Ok(None),
    }
}

fn text(data: &Data, field: &Field, degraded: &mut BTreeSet<String>) -> Result<Change<String>, Refusal> {
    read_field(data, field, degraded, |value| good_text(field.rule, value))
}

fn flag(data: &Data, field: &Field, degraded: &mut BTreeSet<String>) -> Result<Change<bool>, Refusal> {
    read_field(data, field, degraded, Value::as_bool)
}

fn object(data: &Data, field: &Field, degraded: &mut BTreeSet<String>) -> Result<Change<Data>, Refusal> {
    read_field(data, field, degraded, |value| good_object(field.rule, value))
}

/// A field in which `good` finds its value, if it is a good one.
fn read_field<T>(
    data: &Data,
    field: &Field,
    degraded: &mut BTreeSet<String>,
    good: impl Fn(&Value) -> Option<T>,
) -> Result<Change<T>, Refusal> {
    match data.get(field.name) {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(value) => match (good(value), field.care) {
            (Some(good), _) => Ok(Change::Set(good)),
            (None, Care::Soft) => {
                degraded.insert(field.name.to_owned());
                Ok(Change::Keep)
            }
            (None, Care::Required | Care::Strict) => Err(undecodable(format!(
                "data.{} must be {}{}",
                field.name,
                field.rule,
                found(value)
            ))),
        },
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

fn good_text(rule: Rule, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let good = match rule {
        // Bytes bound characters from above, which spares counting the usual short ones.
        Rule::Text { min, max } => {
            text.len() >= min && (text.len() <= max || text.chars().count() <= max) && !text.contains('\0')
        }
        Rule::Address { .. } => is_address(text),
        Rule::Link { max } => is_link(text) && text.chars().count() <= max,
        Rule::Flag | Rule::Names { .. } | Rule::Object { .. } => false,
    };
    good.then(|| text.to_owned())
}

/// Not more than that it is of the web: whoever opens it goes where the provider says.
fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control()))
}

fn good_object(rule: Rule, value: &Value) -> Option<Data> {
    fn storable(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\0'),
            Value::Array(list) => list.iter().all(storable),
            Value::Object(object) => object.iter().all(|(key, value)| !key.contains('\0') && storable(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }
    let (object, Rule::Object { bytes }) = (value.as_object()?, rule) else {
        return None;
    };
    let fits = serde_json::to_string(object).is_ok_and(|text| text.len() <= bytes);
    (fits && storable(value)).then(|| object.clone())
}

/// Bad elements are dropped one by one; a list with nothing left counts as absent, an empty one does not.
fn profile_types(data: &Data, degraded: &mut BTreeSet<String>) -> Option<Vec<String>> {
    let field = &named::PROFILE_TYPES;
    let value = data.get(field.name).filter(|value| !value.is_null())?;
    let fits = |list: &&Vec<Value>| matches!(field.rule, Rule::Names { most } if list.len() <= most);
    let Some(list) = value.as_array().filter(fits) else {
        degraded.insert(field.name.to_owned());
        return None;
    };
    let mut good: Vec<String> = Vec::new();
    for element in list {
        match good_text(NAME, element) {
            Some(name) if good.contains(&name) => {}
            Some(name) => good.push(name),
            None => {
                degraded.insert(field.name.to_owned());
            }
        }
    }
    (list.is_empty() || !good.is_empty()).then_some(good)
}
