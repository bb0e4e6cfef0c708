//! One rule of a file, ready to be used: which events it is for, and where everything is in them.

use std::borrow::Cow;

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::condition::Condition;
use super::file::{self, TimeUnit};
use super::path::{Path, Scope, text};
use super::template::{Around, Template};
use crate::domain::Kind;
use crate::envelope::contract::{self, Field};

/// A rule.
#[derive(Debug, Clone)]
pub(in crate::ingress) struct Rule {
    pub(in crate::ingress) each: Option<Path>,
    conditions: Vec<Condition>,
    /// `None` for what is known and of no interest.
    pub(in crate::ingress) becomes: Option<Kind>,
    user: Path,
    source: Vec<Template>,
    id: Vec<Template>,
    time: Option<(Vec<Path>, TimeUnit)>,
    sequence: Option<Path>,
    user_id: Vec<Path>,
    pub(in crate::ingress) fields: Vec<(&'static Field, Origin)>,
    pub(in crate::ingress) previous: Vec<(String, Path)>,
    pub(in crate::ingress) set: Vec<(String, Value)>,
    pub(in crate::ingress) incomplete: bool,
}

/// Where the value of a field comes from.
#[derive(Debug, Clone)]
pub(in crate::ingress) struct Origin {
    paths: Vec<Path>,
    judged: Judged,
    clears: bool,
}

#[derive(Debug, Clone)]
enum Judged {
    Itself,
    Equals(String),
    Exists,
    Not(Box<Judged>),
}

impl file::Rule {
    /// Key by key, what this one does not say is what the base says.
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            each: self.each.or(base.each),
            user: self.user.or(base.user),
            source: self.source.or(base.source),
            id: self.id.or(base.id),
            time: self.time.or(base.time),
            sequence: self.sequence.or(base.sequence),
            user_id: self.user_id.or(base.user_id),
            fields: self.fields.or(base.fields),
            previous: self.previous.or(base.previous),
            set: self.set.or(base.set),
            incomplete: self.incomplete.or(base.incomplete),
        }
    }
}

impl Rule {
    pub(super) fn compile(event: &file::Event, defaults: &file::Rule) -> Result<Self, String> {
        let own: file::Rule = event
            .rule
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        let rule = own.over(defaults.clone());
        let becomes = match event.becomes.as_str() {
            "ignore" => None,
            name => Some(
                Kind::from_name(name).ok_or_else(|| format!("as = {name:?} is no type of event, nor \"ignore\""))?,
            ),
        };
        let required = |what: &str, list: Option<&file::OneOrMore>| match list {
            Some(list) => Ok(list.list().to_vec()),
            None if becomes.is_none() => Ok(Vec::new()),
            None => Err(format!("{what} is missing, here and in [defaults]")),
        };
        let paths = |list: &[String]| list.iter().map(|path| Path::parse(path)).collect::<Result<Vec<_>, _>>();
        let templates = |list: &[String]| {
            list.iter()
                .map(|text| Template::parse(text))
                .collect::<Result<Vec<_>, _>>()
        };
        let time = match &rule.time {
            None => None,
            Some(file::Time::At(at)) => Some((paths(at.list())?, TimeUnit::Rfc3339)),
            Some(file::Time::Counted(counted)) => Some((paths(counted.at.list())?, counted.unit)),
        };
        let optional = |path: &Option<String>| path.as_deref().map(Path::parse).transpose();
        let conditions = event
            .when
            .iter()
            .map(|(path, condition)| Condition::compile(path, condition));
        Ok(Self {
            each: optional(&rule.each)?,
            conditions: conditions.collect::<Result<_, _>>()?,
            becomes,
            user: Path::parse(rule.user.as_deref().unwrap_or("."))?,
            source: templates(&required("source", rule.source.as_ref())?)?,
            id: templates(&required("id", rule.id.as_ref())?)?,
            time,
            sequence: optional(&rule.sequence)?,
            user_id: paths(&required("user_id", rule.user_id.as_ref())?)?,
            fields: fields(becomes, rule.fields.unwrap_or_default())?,
            previous: previous(rule.previous.unwrap_or_default())?,
            set: constants(becomes, rule.set.unwrap_or_default())?,
            incomplete: rule.incomplete.unwrap_or(false),
        })
    }

    /// The object about the user; null where there is none.
    pub(in crate::ingress) fn user<'a>(&self, body: &'a Value, item: &'a Value) -> Cow<'a, Value> {
        let found = self.user.find(Scope { body, user: item });
        found.unwrap_or(Cow::Owned(Value::Null))
    }

    pub(in crate::ingress) fn is_for(&self, scope: Scope<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(scope))
    }

    pub(in crate::ingress) fn source(&self, scope: Scope<'_>, around: Around<'_>) -> Option<String> {
        self.source.iter().find_map(|template| template.fill(scope, around))
    }

    pub(in crate::ingress) fn id(&self, scope: Scope<'_>, around: Around<'_>) -> Option<String> {
        self.id.iter().find_map(|template| template.fill(scope, around))
    }

    pub(in crate::ingress) fn user_id(&self, scope: Scope<'_>) -> Option<String> {
        let found = self.user_id.iter().filter_map(|path| path.find(scope));
        found.filter_map(|value| text(&value)).find(|text| !text.is_empty())
    }

    /// As the provider wrote it, where that is RFC 3339; `None` if it does not say.
    pub(in crate::ingress) fn time(&self, scope: Scope<'_>, offset: UtcOffset) -> Result<Option<String>, &'static str> {
        let Some((paths, unit)) = &self.time else {
            return Ok(None);
        };
        let mut found = paths.iter().filter_map(|path| path.find(scope));
        let Some(value) = found.find(|value| !value.is_null()) else {
            return Ok(None);
        };
        instant(&value, *unit, offset)
            .map(Some)
            .ok_or("the time is not written as it has to be")
    }

    /// Padded, so that it compares as text too.
    pub(in crate::ingress) fn sequence(&self, scope: Scope<'_>) -> Option<String> {
        let found = text(self.sequence.as_ref()?.find(scope)?.as_ref())?;
        let digits = !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit());
        Some(if digits { format!("{found:0>20}") } else { found })
    }
}

impl Origin {
    /// The value; `None` where the provider says nothing of it.
    pub(in crate::ingress) fn find(&self, scope: Scope<'_>) -> Option<Value> {
        let mut cleared = self.clears;
        for path in &self.paths {
            match path.find(scope) {
                Some(value) if value.is_null() => cleared = true,
                Some(value) => return Some(self.judged.of(value.into_owned())),
                None => {}
            }
        }
        cleared.then(|| self.judged.of_nothing())
    }
}

impl Judged {
    fn of(&self, value: Value) -> Value {
        match self {
            Self::Itself => value,
            Self::Equals(wanted) => Value::Bool(text(&value).as_ref() == Some(wanted)),
            Self::Exists => Value::Bool(true),
            Self::Not(inner) => opposite(inner.of(value)),
        }
    }

    /// What it is of null, and of what is not there where that clears.
    fn of_nothing(&self) -> Value {
        match self {
            Self::Itself | Self::Equals(_) => Value::Null,
            Self::Exists => Value::Bool(false),
            Self::Not(inner) => opposite(inner.of_nothing()),
        }
    }
}

/// Senders write flags as numbers and as texts, too. What is none has no opposite.
fn opposite(value: Value) -> Value {
    contract::flag(&value).map_or(value, |flag| Value::Bool(!flag))
}

/// The fields that events of this kind may have; an update may turn out to be a rename.
fn allowed(kind: Option<Kind>) -> Vec<&'static Field> {
    match kind {
        None => Vec::new(),
        Some(Kind::Updated) => contract::fields(Kind::Renamed),
        Some(kind) => contract::fields(kind),
    }
}

fn field(kind: Option<Kind>, name: &str) -> Result<Option<&'static Field>, String> {
    let find = |fields: Vec<&'static Field>| fields.into_iter().find(|field| field.name == name && name != "user_id");
    if let Some(found) = find(allowed(kind)) {
        return Ok(Some(found));
    }
    // What other types have may stand in [defaults].
    if Kind::ALL.into_iter().any(|kind| find(contract::fields(kind)).is_some()) {
        return Ok(None);
    }
    Err(format!("{name:?} is no field of any event"))
}

fn fields(
    kind: Option<Kind>,
    listed: std::collections::BTreeMap<String, file::Field>,
) -> Result<Vec<(&'static Field, Origin)>, String> {
    let mut fields = Vec::new();
    for (name, origin) in listed {
        if let Some(field) = field(kind, &name)? {
            fields.push((field, Origin::compile(&origin)?));
        }
    }
    Ok(fields)
}

fn previous(listed: std::collections::BTreeMap<String, String>) -> Result<Vec<(String, Path)>, String> {
    let mut earlier = Vec::new();
    for (name, path) in listed {
        if !matches!(name.as_str(), "email" | "username") {
            return Err(format!(
                "previous.{name}: only email and username have an earlier value"
            ));
        }
        earlier.push((name, Path::parse(&path)?));
    }
    Ok(earlier)
}

fn constants(
    kind: Option<Kind>,
    listed: std::collections::BTreeMap<String, toml::Value>,
) -> Result<Vec<(String, Value)>, String> {
    let mut set = Vec::new();
    for (name, value) in listed {
        if field(kind, &name)?.is_some() {
            let value = serde_json::to_value(value).map_err(|_| format!("set.{name} is no JSON"))?;
            set.push((name, value));
        }
    }
    Ok(set)
}

impl Origin {
    fn compile(field: &file::Field) -> Result<Self, String> {
        let (list, judged, clears) = match field {
            file::Field::At(list) => (list, Judged::Itself, false),
            file::Field::Judged(judged) => {
                let how = match (&judged.equals, judged.exists) {
                    (None, None) => Judged::Itself,
                    (None, Some(true)) => Judged::Exists,
                    (None, Some(false)) => Judged::Not(Box::new(Judged::Exists)),
                    (Some(text), None) => Judged::Equals(text.clone()),
                    (Some(_), Some(_)) => return Err("equals and exists cannot both be given".to_owned()),
                };
                let how = if judged.negated {
                    Judged::Not(Box::new(how))
                } else {
                    how
                };
                let clears = match judged.missing.as_deref() {
                    None => false,
                    Some("null") => true,
                    Some(other) => return Err(format!("missing = {other:?}: only \"null\" is possible")),
                };
                (&judged.at, how, clears)
            }
        };
        let paths = list
            .list()
            .iter()
            .map(|path| Path::parse(path))
            .collect::<Result<_, _>>()?;
        Ok(Self { paths, judged, clears })
    }
}

fn instant(value: &Value, unit: TimeUnit, offset: UtcOffset) -> Option<String> {
    let millis = match unit {
        TimeUnit::Rfc3339 => {
            let text = value.as_str()?;
            let known = OffsetDateTime::parse(text, &Rfc3339).is_ok() && text.as_bytes().get(10) == Some(&b'T');
            return known.then(|| text.to_owned());
        }
        TimeUnit::Naive => {
            let text = value.as_str()?.replacen('T', " ", 1);
            let format = format_description!(
                version = 2,
                "[year]-[month]-[day] [hour]:[minute]:[second][optional [.[subsecond]]]"
            );
            let naive = PrimitiveDateTime::parse(&text, format).ok()?;
            return naive.assume_offset(offset).format(&Rfc3339).ok();
        }
        TimeUnit::S => match value.as_i64() {
            Some(seconds) => seconds.checked_mul(1000)?,
            None => (value.as_f64()? * 1000.0) as i64,
        },
        TimeUnit::Ms => value.as_i64()?,
    };
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(format).ok()
}
