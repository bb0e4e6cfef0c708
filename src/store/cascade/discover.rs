//! Columns of the application that look like keys of users: by their name, by what they refer to, and by how many of
//! their values are known. Reads only.

use serde::Serialize;

use crate::domain::cascade::KeyKind;
use crate::store::{Store, StoreError};

/// Most values of a column that are looked at.
pub(in crate::store) const SAMPLE: i64 = 1_000;

/// A column of text in a table of the application.
#[derive(Debug, Clone)]
pub(in crate::store) struct TextColumn {
    /// Its schema, where the table is not found without it.
    pub(in crate::store) schema: Option<String>,
    pub(in crate::store) table: String,
    pub(in crate::store) column: String,
    pub(in crate::store) is_required: bool,
    /// `table.column` that a foreign key refers to.
    pub(in crate::store) refers_to: Option<String>,
}

/// How many of some values are known.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct Sample {
    pub(in crate::store) values: u64,
    pub(in crate::store) keys: u64,
    pub(in crate::store) emails: u64,
    pub(in crate::store) usernames: u64,
}

/// A column that looks like a key of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The table, with its schema where it is not found without it.
    pub table: String,
    /// The column.
    pub column: String,
    /// What it seems to hold: `user_id`, `email` or `username`.
    pub key: &'static str,
    /// Different values that were looked at.
    pub sampled: u64,
    /// Those of them that are known.
    pub known: u64,
    /// Its name is one that keys of users have.
    pub by_name: bool,
    /// `table.column` that a foreign key refers to.
    pub refers_to: Option<String>,
    /// It takes no null.
    pub is_required: bool,
}

impl Store {
    /// Every column that looks like a key of users, in the order of tables and columns.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        let columns = on_both!(self, Self, inner => inner.text_columns().await)?;
        let mut judged: Vec<(TextColumn, Sample, Option<KeyKind>)> = Vec::new();
        for column in columns {
            let sample = on_both!(self, Self, inner => inner.sample(&column).await)?;
            let kind = kind(&column.column, sample);
            judged.push((column, sample, kind));
        }
        let known: Vec<String> = judged
            .iter()
            .filter(|(.., kind)| kind.is_some())
            .map(|(column, ..)| format!("{}.{}", column.table, column.column))
            .collect();
        let refers = |column: &TextColumn| column.refers_to.as_ref().is_some_and(|to| known.contains(to));
        let found = judged.iter().filter_map(|(column, sample, kind)| {
            let kind = kind.or_else(|| refers(column).then_some(KeyKind::UserId))?;
            Some(candidate(column, *sample, kind))
        });
        Ok(found.collect())
    }
}

fn candidate(column: &TextColumn, sample: Sample, kind: KeyKind) -> Candidate {
    Candidate {
        table: match &column.schema {
            Some(schema) => format!("{schema}.{}", column.table),
            None => column.table.clone(),
        },
        column: column.column.clone(),
        key: kind.name(),
        sampled: sample.values,
        known: match kind {
            KeyKind::UserId => sample.keys,
            KeyKind::Email => sample.emails,
            KeyKind::Username => sample.usernames,
        },
        by_name: named(&column.column).is_some(),
        refers_to: column.refers_to.clone(),
        is_required: column.is_required,
    }
}

/// What a column holds. Half of the values have to be known; with a name that fits, any, or none where there are none.
fn kind(column: &str, sample: Sample) -> Option<KeyKind> {
    let best = [
        (KeyKind::UserId, sample.keys),
        (KeyKind::Email, sample.emails),
        (KeyKind::Username, sample.usernames),
    ]
    .into_iter()
    .rev()
    .max_by_key(|(_, known)| *known)
    .filter(|(_, known)| *known > 0);
    match (best, named(column)) {
        (Some((kind, known)), by_name) if by_name.is_some() || known * 2 >= sample.values => Some(kind),
        (None, Some(kind)) if sample.values == 0 => Some(kind),
        _ => None,
    }
}

/// What columns of this name usually hold.
fn named(column: &str) -> Option<KeyKind> {
    const USERS: [&str; 20] = [
        "user",
        "userid",
        "uid",
        "owner",
        "ownerid",
        "author",
        "authorid",
        "sender",
        "recipient",
        "assignee",
        "assignedto",
        "createdby",
        "updatedby",
        "modifiedby",
        "deletedby",
        "member",
        "memberid",
        "fromuser",
        "touser",
        "foruser",
    ];
    let plain: String = column.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    if plain.contains("email") {
        Some(KeyKind::Email)
    } else if ["username", "login", "loginname", "handle"].contains(&plain.as_str()) {
        Some(KeyKind::Username)
    } else if USERS.contains(&plain.as_str()) || plain.ends_with("userid") {
        Some(KeyKind::UserId)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyKind::{Email, UserId, Username};

    #[test]
    fn names_and_values_together_say_what_a_column_holds() {
        let sample = |values, keys, emails, usernames| Sample {
            values,
            keys,
            emails,
            usernames,
        };
        for (column, sample, expected) in [
            ("user", sample(0, 0, 0, 0), Some(UserId)),
            ("created_by", sample(0, 0, 0, 0), Some(UserId)),
            ("contact_email", sample(0, 0, 0, 0), Some(Email)),
            ("user_name", sample(0, 0, 0, 0), Some(Username)),
            ("title", sample(0, 0, 0, 0), None),
            // A name that fits with values that nobody knows is something else.
            ("user", sample(100, 0, 0, 0), None),
            ("user", sample(100, 3, 0, 0), Some(UserId)),
            ("whatever", sample(100, 49, 0, 0), None),
            ("whatever", sample(100, 50, 0, 0), Some(UserId)),
            ("whatever", sample(100, 0, 80, 0), Some(Email)),
            ("whatever", sample(100, 10, 0, 90), Some(Username)),
            // Keys that are addresses are keys first.
            ("email", sample(100, 90, 90, 0), Some(UserId)),
        ] {
            assert_eq!(kind(column, sample), expected, "{column} {sample:?}");
        }
    }
}
