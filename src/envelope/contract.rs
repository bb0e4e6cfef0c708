//! What the data of each type may hold, as one table: the decoder reads by it, the schemas are made from it.

use serde_json::Value;

use crate::domain::Kind;
use crate::domain::event::ADDRESS_MAX;

/// Longest source and longest id, in bytes: together they are a key of the ledger.
pub const IDENTITY_MAX: usize = 1024;
/// Longest `sequence`, in bytes.
pub const SEQUENCE_MAX: usize = 255;
/// Longest key, name or identifier, in Unicode scalars.
const TEXT_MAX: usize = 255;
/// Longest telephone number, in Unicode scalars.
const PHONE_MAX: usize = 64;

/// What a good value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A text without U+0000.
    Text {
        /// Fewest Unicode scalars.
        min: usize,
        /// Most of them.
        max: usize,
    },
    /// A text that [`crate::domain::event::is_address`] takes.
    Address {
        /// Most Unicode scalars.
        max: usize,
    },
    /// An address of the web: `http` or `https`, no blanks or controls.
    Link {
        /// Most Unicode scalars.
        max: usize,
    },
    /// A boolean.
    Flag,
    /// A list of names of profile types, 1 to 255 Unicode scalars each, without U+0000.
    Names {
        /// Most elements.
        most: usize,
    },
    /// An object whose texts and keys are without U+0000.
    Object {
        /// Most bytes as JSON without blanks.
        bytes: usize,
    },
}

/// A name: what keys, identifiers and profile types have to be.
pub(super) const NAME: Rule = Rule::Text { min: 1, max: TEXT_MAX };
const TEXT: Rule = Rule::Text { min: 0, max: TEXT_MAX };
const PHONE: Rule = Rule::Text { min: 0, max: PHONE_MAX };
/// Longest link, in Unicode scalars: what browsers and mail programs take.
const LINK_RULE: Rule = Rule::Link { max: 2000 };
/// A code of a password reset.
const CODE_RULE: Rule = Rule::Text { min: 1, max: 64 };
const ADDRESS: Rule = Rule::Address { max: ADDRESS_MAX };

/// What a missing and what a bad value lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// It must be there and good, or the event is undecodable.
    Required,
    /// It may be absent or null; when it is there and bad, the event is undecodable.
    Strict,
    /// It may be absent or null; when it is there and bad, it is dropped and named in `degraded`.
    Soft,
}

/// A field of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What a good value is.
    pub rule: Rule,
    /// What a missing and what a bad value lead to.
    pub care: Care,
    /// What it says of the user, in one line.
    pub about: &'static str,
}

const fn field(name: &'static str, rule: Rule, care: Care, about: &'static str) -> Field {
    Field {
        name,
        rule,
        care,
        about,
    }
}

/// The fields by name: `USER_ID` is `user_id`.
#[rustfmt::skip]
pub(super) mod named {
    use super::{ADDRESS, CODE_RULE, Care::{Required, Soft, Strict}, Field, LINK_RULE, NAME, PHONE, Rule, TEXT, field};

    const METADATA_RULE: Rule = Rule::Object { bytes: 65_536 };
    const NAMES: Rule = Rule::Names { most: 64 };

    pub(crate) static USER_ID: Field = field("user_id", NAME, Required, "The provider's key for the user.");
    pub(crate) static NEW_USER_ID: Field = field("new_user_id", NAME, Strict, "The key the user has from now on.");
    pub(crate) static NEW_EMAIL: Field = field("new_email", ADDRESS, Soft, "The new address; wins over email.");
    pub(crate) static NEW_USERNAME: Field = field("new_username", TEXT, Soft, "The new login name; wins over username.");
    pub(crate) static EMAIL: Field = field("email", ADDRESS, Soft, "Electronic mail address.");
    pub(crate) static EMAIL_VERIFIED: Field = field("email_verified", Rule::Flag, Soft, "Whether the provider has verified the address; one unit with it.");
    pub(crate) static USERNAME: Field = field("username", TEXT, Soft, "Login name.");
    pub(crate) static FIRST_NAME: Field = field("first_name", TEXT, Soft, "Given name.");
    pub(crate) static LAST_NAME: Field = field("last_name", TEXT, Soft, "Family name.");
    pub(crate) static FULL_NAME: Field = field("full_name", TEXT, Soft, "Whole name.");
    pub(crate) static PHONE_NUMBER: Field = field("phone", PHONE, Soft, "Telephone number, as the provider writes it.");
    pub(crate) static EXTERNAL_ID: Field = field("external_id", TEXT, Soft, "Another id of the user, the provider's or the application's.");
    pub(crate) static ACTIVE: Field = field("active", Rule::Flag, Strict, "Whether the user may sign in.");
    pub(crate) static ORGANIZATION_ID: Field = field("organization_id", TEXT, Soft, "Organization of every profile of the user; no membership.");
    pub(crate) static PROFILE_TYPES: Field = field("profile_types", NAMES, Soft, "Profile types the user has; an empty list means none.");
    pub(crate) static METADATA: Field = field("metadata", METADATA_RULE, Soft, "Anything else the provider knows.");
    pub(crate) static MEMBER_OF: Field = field("organization_id", NAME, Required, "The organization that is joined or left.");
    pub(crate) static CUSTOMER_NAME: Field = field("customer_name", TEXT, Soft, "Name of the customer that the membership makes.");
    pub(crate) static LINK: Field = field("link", LINK_RULE, Strict, "Where the user chooses another password; never stored longer than its mail.");
    pub(crate) static CODE: Field = field("code", CODE_RULE, Strict, "What the user types to choose another password; never stored longer than its mail.");
    pub(crate) static PROFILE_TYPE: Field = field("profile_type", NAME, Strict, "Which profile; the first configured type when absent.");
}

/// The fields of `created`, `updated` and `renamed`.
static PATCH: [&Field; 13] = [
    &named::USER_ID,
    &named::EMAIL,
    &named::EMAIL_VERIFIED,
    &named::USERNAME,
    &named::FIRST_NAME,
    &named::LAST_NAME,
    &named::FULL_NAME,
    &named::PHONE_NUMBER,
    &named::EXTERNAL_ID,
    &named::ACTIVE,
    &named::ORGANIZATION_ID,
    &named::PROFILE_TYPES,
    &named::METADATA,
];

/// What a rename is about: at least one of them must be there and good.
pub static RENAMES: [&Field; 3] = [&named::NEW_USER_ID, &named::NEW_EMAIL, &named::NEW_USERNAME];

/// What a password reset is about: at least one of them must be there.
pub static RESETS: [&Field; 2] = [&named::LINK, &named::CODE];

impl Rule {
    /// The value in the form that a field of this rule has, where another is only written otherwise: numbers for texts,
    /// and what databases, files and providers have for a flag. `Err` is what does not fit, as it is.
    ///
    /// # Errors
    /// The value itself.
    pub fn fitted(&self, value: Value) -> Result<Value, Value> {
        match (self, value) {
            (Self::Text { .. } | Self::Address { .. } | Self::Link { .. }, Value::Number(number)) => {
                Ok(Value::String(number.to_string()))
            }
            (Self::Flag, value) => flag(&value).map(Value::Bool).ok_or(value),
            (Self::Text { .. } | Self::Address { .. } | Self::Link { .. }, value @ Value::String(_))
            | (Self::Names { .. }, value @ Value::Array(_))
            | (Self::Object { .. }, value @ Value::Object(_)) => Ok(value),
            (_, value) => Err(value),
        }
    }
}

/// What a value means as a flag; `None` if nothing.
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "1" => Some(true),
            "false" | "f" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The fields that the data of a type may have, `user_id` first. Others are kept in the ledger and not looked at.
pub fn fields(kind: Kind) -> Vec<&'static Field> {
    match kind {
        Kind::Created | Kind::Updated => PATCH.to_vec(),
        Kind::Renamed => [&PATCH[..1], &RENAMES, &PATCH[1..]].concat(),
        Kind::Deleted => vec![&named::USER_ID],
        Kind::PasswordReset => [&PATCH[..1], &RESETS].concat(),
        Kind::Joined => vec![&named::USER_ID, &named::MEMBER_OF, &named::CUSTOMER_NAME],
        Kind::Left => vec![&named::USER_ID, &named::MEMBER_OF],
        Kind::Activated | Kind::Archived | Kind::Reactivated => vec![&named::USER_ID, &named::PROFILE_TYPE],
    }
}

/// What a good value is, as the error of a bad one says it.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { min: 0, max } => write!(f, "a string of at most {max} characters without U+0000"),
            Self::Text { min, max } => write!(f, "a string of {min} to {max} characters without U+0000"),
            Self::Address { max } => write!(f, "an electronic mail address of at most {max} characters"),
            Self::Link { max } => write!(f, "an http or https address of at most {max} characters"),
            Self::Flag => f.write_str("true or false"),
            Self::Names { most } => write!(f, "a list of at most {most} names of profile types"),
            Self::Object { bytes } => write!(f, "an object of at most {bytes} bytes as JSON"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flag_is_what_databases_and_files_write_for_one() {
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!(false), Some(false)),
            (json!(1), Some(true)),
            (json!(0), Some(false)),
            (json!(2), None),
            (json!(1.5), None),
            (json!("true"), Some(true)),
            (json!("T"), Some(true)),
            (json!("yes"), Some(true)),
            (json!("1"), Some(true)),
            (json!("FALSE"), Some(false)),
            (json!("f"), Some(false)),
            (json!("no"), Some(false)),
            (json!("0"), Some(false)),
            (json!("on"), None),
            (json!(""), None),
            (json!(null), None),
            (json!([true]), None),
        ] {
            assert_eq!(flag(&value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_only_written_otherwise_is_fitted() {
        let text = Rule::Text { min: 0, max: 255 };
        let address = Rule::Address { max: 255 };
        let link = Rule::Link { max: 255 };
        for rule in [text, address, link] {
            assert_eq!(rule.fitted(json!(17)), Ok(json!("17")));
            assert_eq!(rule.fitted(json!("17")), Ok(json!("17")));
            for other in [json!(true), json!(null), json!(["17"]), json!({"a": 17})] {
                assert_eq!(rule.fitted(other.clone()), Err(other));
            }
        }
        assert_eq!(Rule::Flag.fitted(json!("yes")), Ok(json!(true)));
        assert_eq!(Rule::Flag.fitted(json!("perhaps")), Err(json!("perhaps")));
        for rule in [named::PROFILE_TYPES.rule, named::METADATA.rule] {
            let (list, object) = (json!(["a"]), json!({"a": 1}));
            let (good, bad) = if matches!(rule, Rule::Names { .. }) {
                (list, object)
            } else {
                (object, list)
            };
            assert_eq!(rule.fitted(good.clone()), Ok(good));
            assert_eq!(rule.fitted(bad.clone()), Err(bad));
            assert_eq!(rule.fitted(json!("a")), Err(json!("a")));
        }
    }
}
