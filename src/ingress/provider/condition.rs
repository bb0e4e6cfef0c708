//! What has to hold for a rule.

use serde_json::Value;

use super::file;
use super::path::{Path, Scope};

/// A path and what has to be there.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    path: Path,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    OneOf(Vec<Value>),
    Exists(bool),
    StartsWith(String),
    DiffersFrom(Path),
    SameAs { path: Path, except: Vec<String> },
}

impl Condition {
    pub(super) fn compile(path: &str, condition: &file::Condition) -> Result<Self, String> {
        let test = match condition {
            file::Condition::Is(scalar) => Test::OneOf(vec![value(scalar)]),
            file::Condition::OneOf(scalars) => Test::OneOf(scalars.iter().map(value).collect()),
            file::Condition::Test(file::Test::Exists(there)) => Test::Exists(*there),
            file::Condition::Test(file::Test::StartsWith(text)) => Test::StartsWith(text.clone()),
            file::Condition::Test(file::Test::DiffersFrom(other)) => Test::DiffersFrom(Path::parse(other)?),
            file::Condition::Test(file::Test::SameAs { path, except }) => Test::SameAs {
                path: Path::parse(path)?,
                except: except.clone(),
            },
        };
        Ok(Self {
            path: Path::parse(path)?,
            test,
        })
    }

    pub(super) fn holds(&self, scope: Scope<'_>) -> bool {
        let found = self.path.find(scope);
        let found = found.as_deref().filter(|value| !value.is_null());
        match &self.test {
            Test::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            Test::Exists(there) => found.is_some() == *there,
            Test::StartsWith(text) => found
                .and_then(Value::as_str)
                .is_some_and(|found| found.starts_with(text)),
            Test::DiffersFrom(path) => {
                let other = path.find(scope);
                let other = other.as_deref().filter(|value| !value.is_null());
                found.is_some() && other.is_some() && found != other
            }
            Test::SameAs { path, except } => {
                let other = path.find(scope);
                let (Some(Value::Object(one)), Some(Value::Object(other))) = (found, other.as_deref()) else {
                    return false;
                };
                let same = |name: &String| except.contains(name) || one.get(name) == other.get(name);
                one.keys().chain(other.keys()).all(same)
            }
        }
    }
}

fn value(scalar: &file::Scalar) -> Value {
    match scalar {
        file::Scalar::Flag(flag) => Value::Bool(*flag),
        file::Scalar::Number(number) => Value::from(*number),
        file::Scalar::Text(text) => Value::from(text.as_str()),
    }
}
