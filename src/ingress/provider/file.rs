//! The format of a provider's file, as it is written. What the parts mean is said in `docs/PROVIDERS.md`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ingress::signature::Scheme;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// One line for people.
    pub about: String,
    /// An embedded provider whose rules come after those of this file, and whose other settings count where this file
    /// has none.
    pub extends: Option<String>,
    /// Status of a good request.
    pub answer: Option<u16>,
    #[serde(default)]
    pub signature: Vec<Scheme>,
    pub handshake: Option<Handshake>,
    /// What is taken out of every body before anything else is done with it.
    #[serde(default)]
    pub never_forward: Vec<String>,
    /// What the sender calls the event, for the count of unknown ones.
    pub name: Option<OneOrMore>,
    #[serde(default)]
    pub defaults: Rule,
    #[serde(default)]
    pub event: Vec<Event>,
}

/// A GET request that asks for a header's value back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// The header.
    pub header: String,
    /// The member of the JSON object that answers it.
    pub member: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(list) => list,
        }
    }
}

/// Where things are; each key of an event takes the place of the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rule {
    pub each: Option<String>,
    pub user: Option<String>,
    pub source: Option<OneOrMore>,
    pub id: Option<OneOrMore>,
    pub time: Option<Time>,
    pub sequence: Option<String>,
    pub user_id: Option<OneOrMore>,
    pub fields: Option<BTreeMap<String, Field>>,
    pub previous: Option<BTreeMap<String, String>>,
    pub set: Option<BTreeMap<String, toml::Value>>,
    pub incomplete: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    /// All of these have to hold.
    #[serde(default)]
    pub when: BTreeMap<String, Condition>,
    /// The type it becomes, or `ignore`.
    #[serde(rename = "as")]
    pub becomes: String,
    #[serde(flatten)]
    pub rule: toml::Table,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Condition {
    Is(Scalar),
    OneOf(Vec<Scalar>),
    Test(Test),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Flag(bool),
    Number(i64),
    Text(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Test {
    /// Whether something other than null is there.
    Exists(bool),
    StartsWith(String),
    /// Both are there, and not the same.
    DiffersFrom(String),
    /// Two objects that are the same but for some members.
    SameAs {
        path: String,
        except: Vec<String>,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Time {
    At(OneOrMore),
    Counted(Counted),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    pub at: OneOrMore,
    pub unit: TimeUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeUnit {
    Rfc3339,
    S,
    Ms,
    /// Date and time without an offset; the endpoint says which one it is.
    Naive,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Field {
    At(OneOrMore),
    Judged(Judged),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judged {
    pub at: OneOrMore,
    /// True if it is this text.
    pub equals: Option<String>,
    /// True if something is there; with `false`, if only null is.
    pub exists: Option<bool>,
    /// The opposite.
    #[serde(default)]
    pub negated: bool,
    /// What it is when it is not there: `null` clears it.
    pub missing: Option<String>,
}
