//! Where something is in a body: a JSON pointer with a few steps more, because users hide in lists and in strings.

use std::borrow::Cow;

use serde_json::Value;

/// A parsed path. `/a/b` begins at the body, `a/b` at the user object, `.` is that object itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingress) struct Path {
    absolute: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member of an object, or an element of a list by its number.
    Name(String),
    /// `*`: the first member or element.
    First,
    /// `[key=value]`: the first element with that member; the value may be an absolute path.
    Where { key: String, is: Wanted },
    /// `(json)`: text is read as JSON, or as base64 of JSON; anything else stays as it is.
    Json,
    /// `(part 2)`: the second of the parts between slashes.
    Part(usize),
    /// `(host)`: the host of an address.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Text(String),
    At(Box<Path>),
}

/// The body and, within it, the object about the user.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingress) struct Scope<'a> {
    pub(in crate::ingress) body: &'a Value,
    pub(in crate::ingress) user: &'a Value,
}

impl Path {
    /// Reads a path; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("path {text:?}: {what}");
        let (absolute, mut rest) = match text {
            "." => (false, ""),
            "" => (true, ""),
            _ => text.strip_prefix('/').map_or((false, text), |rest| (true, rest)),
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let end = rest.find(['/', '[', '(']).unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            rest = tail;
            if !name.is_empty() {
                steps.push(match name {
                    "*" => Step::First,
                    name => Step::Name(name.replace("~1", "/").replace("~0", "~")),
                });
            }
            match rest.bytes().next() {
                Some(b'/') => rest = &rest[1..],
                Some(b'[') => {
                    let (inner, tail) = rest[1..].split_once(']').ok_or_else(|| wrong("a [ without ]"))?;
                    let (key, value) = inner.split_once('=').ok_or_else(|| wrong("[…] needs key=value"))?;
                    let is = if value.starts_with('/') {
                        Wanted::At(Box::new(Self::parse(value)?))
                    } else {
                        Wanted::Text(value.to_owned())
                    };
                    steps.push(Step::Where {
                        key: key.to_owned(),
                        is,
                    });
                    rest = tail.strip_prefix('/').unwrap_or(tail);
                }
                Some(_) => {
                    let (inner, tail) = rest[1..].split_once(')').ok_or_else(|| wrong("a ( without )"))?;
                    steps.push(match inner.split_once(' ') {
                        None if inner == "json" => Step::Json,
                        None if inner == "host" => Step::Host,
                        Some(("part", number)) => match number.parse::<usize>() {
                            Ok(number) if number > 0 => Step::Part(number - 1),
                            _ => return Err(wrong("(part N) counts from 1")),
                        },
                        _ => return Err(wrong("there are (json), (host) and (part N)")),
                    });
                    rest = tail.strip_prefix('/').unwrap_or(tail);
                }
                None => {}
            }
        }
        Ok(Self { absolute, steps })
    }

    /// What is there; `None` if nothing is, which is not the same as `null`.
    pub(in crate::ingress) fn find<'a>(&self, scope: Scope<'a>) -> Option<Cow<'a, Value>> {
        let begin = if self.absolute { scope.body } else { scope.user };
        let mut found = Cow::Borrowed(begin);
        for step in &self.steps {
            found = match found {
                Cow::Borrowed(value) => step.from(value, scope)?,
                Cow::Owned(value) => Cow::Owned(step.from(&value, scope)?.into_owned()),
            };
        }
        Some(found)
    }

    /// A path that [`Self::remove`] can take out of any body; the error says why it cannot.
    pub(super) fn removable(text: &str) -> Result<Self, String> {
        let path = Self::parse(text)?;
        if !path.absolute || path.steps.is_empty() {
            return Err(format!(
                "path {text:?} does not begin with / and name something of the body"
            ));
        }
        let partial = |step: &Step| matches!(step, Step::Part(_) | Step::Host);
        if path.steps.iter().any(partial) {
            return Err(format!(
                "path {text:?}: a part of a text cannot be taken out; name the whole text"
            ));
        }
        Ok(path)
    }

    /// Takes out of the body what is there.
    pub(in crate::ingress) fn remove(&self, body: &mut Value) {
        blank(&self.steps, body);
    }
}

impl Step {
    fn from<'a>(&self, value: &'a Value, scope: Scope<'_>) -> Option<Cow<'a, Value>> {
        let borrowed = |value: Option<&'a Value>| value.map(Cow::Borrowed);
        match self {
            Self::Name(name) => borrowed(member(value, name)),
            Self::First => borrowed(match value {
                Value::Object(members) => members.values().next(),
                Value::Array(elements) => elements.first(),
                _ => None,
            }),
            Self::Where { key, is } => {
                let wanted = match is {
                    Wanted::Text(text) => text.clone(),
                    Wanted::At(path) => text(path.find(scope)?.as_ref())?,
                };
                let fits = |element: &&Value| element.get(key).and_then(text).as_ref() == Some(&wanted);
                borrowed(value.as_array()?.iter().find(fits))
            }
            Self::Json => match value {
                Value::String(text) => Some(Cow::Owned(unpacked(text)?)),
                _ => Some(Cow::Borrowed(value)),
            },
            Self::Part(number) => {
                let part = value
                    .as_str()?
                    .split('/')
                    .nth(*number)
                    .filter(|part| !part.is_empty())?;
                Some(Cow::Owned(Value::from(part)))
            }
            Self::Host => {
                let address = value.as_str()?;
                let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
                let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
                Some(Cow::Owned(Value::from(host)))
            }
        }
    }
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A scalar as text.
pub(in crate::ingress) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn unpacked(text: &str) -> Option<Value> {
    let decoded = || base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).ok();
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_slice(&decoded()?).ok())
}

/// Takes out what the steps lead to; true if that is the value itself. Every element of a list is meant where a step
/// says the first: what must not be forwarded is in none of them. Elements named by number or by a member leave null
/// behind, so that the others keep their places.
fn is_meant(steps: &[Step], value: &mut Value) -> bool {
    let [step, rest @ ..] = steps else { return true };
    match (step, value) {
        (Step::Name(name), Value::Object(members)) => {
            let meant = members.get_mut(name).is_some_and(|inner| is_meant(rest, inner));
            if meant {
                members.remove(name);
            }
        }
        (Step::Name(name), Value::Array(elements)) => {
            let number = name.parse::<usize>().ok();
            if let Some(inner) = number.and_then(|number| elements.get_mut(number)) {
                blank(rest, inner);
            }
        }
        (Step::Where { key, is }, Value::Array(elements)) => {
            let fits = |element: &&mut Value| match is {
                Wanted::Text(wanted) => element.get(key).and_then(text).as_ref() == Some(wanted),
                // What is looked for stands elsewhere in the body: rather too much than too little.
                Wanted::At(_) => true,
            };
            for inner in elements.iter_mut().filter(fits) {
                blank(rest, inner);
            }
        }
        (Step::First, Value::Object(members)) => members.retain(|_, inner| !is_meant(rest, inner)),
        (Step::First, Value::Array(elements)) => elements.retain_mut(|inner| !is_meant(rest, inner)),
        (Step::Json, value) => {
            if let Value::String(text) = value {
                // Text that cannot be read cannot be searched, either.
                *value = unpacked(text).unwrap_or_default();
            }
            return is_meant(rest, value);
        }
        // A part of a text has no place of its own, see `removable`; nor is anything below a scalar.
        _ => {}
    }
    false
}

fn blank(steps: &[Step], value: &mut Value) {
    if is_meant(steps, value) {
        *value = Value::Null;
    }
}
