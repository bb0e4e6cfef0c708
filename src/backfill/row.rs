//! From a row of the source to the data of an event. Pure.
//!
//! Only the fields of `user.created` are taken: a table of users may hold what has no place in a ledger, password hashes
//! above all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::domain::Kind;
use crate::envelope::contract::{Rule, fields};

/// Which column a field is read from, where it is not the one of its own name.
pub type Columns = BTreeMap<String, String>;

/// The data that a row stands for, and the columns that were not looked at.
pub(super) fn data(mut row: Map<String, Value>, columns: &Columns) -> (Map<String, Value>, BTreeSet<String>) {
    let mut data = Map::new();
    for field in fields(Kind::Created) {
        let column = columns.get(field.name).map_or(field.name, String::as_str);
        match row.remove(column) {
            None | Some(Value::Null) => {}
            Some(value) => {
                data.insert(field.name.to_owned(), fitting(field.rule, value));
            }
        }
    }
    (data, row.into_iter().map(|(name, _)| name).collect())
}

/// The column of the key.
pub(super) fn key_column(columns: &Columns) -> &str {
    columns.get("user_id").map_or("user_id", String::as_str)
}

/// The value as an event would say it: databases and files know fewer kinds of value, or others. What does not fit stays
/// as it is, for the decoder to judge.
fn fitting(rule: Rule, value: Value) -> Value {
    let value = match (rule, value) {
        (Rule::Names { .. }, Value::String(text)) if !text.trim_start().starts_with('[') => {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            Value::Array(names.map(|name| Value::String(name.to_owned())).collect())
        }
        (Rule::Names { .. } | Rule::Object { .. }, Value::String(text)) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        (_, value) => value,
    };
    rule.fitted(value).unwrap_or_else(|value| value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(row: Value, columns: &[(&str, &str)]) -> (Value, Vec<String>) {
        let Value::Object(row) = row else { panic!("a row") };
        let columns = columns
            .iter()
            .map(|(field, column)| ((*field).to_owned(), (*column).to_owned()))
            .collect();
        let (data, unused) = data(row, &columns);
        (Value::Object(data), unused.into_iter().collect())
    }

    #[test]
    fn values_of_tables_and_files_become_those_of_events() {
        for (column, found, expected) in [
            ("user_id", json!(17), json!("17")),
            ("email", json!("a@b.example"), json!("a@b.example")),
            ("active", json!("f"), json!(false)),
            ("active", json!(1), json!(true)),
            ("active", json!("perhaps"), json!("perhaps")),
            ("email_verified", json!("TRUE"), json!(true)),
            ("profile_types", json!("client, partner"), json!(["client", "partner"])),
            ("profile_types", json!("[]"), json!([])),
            ("profile_types", json!(""), json!([])),
            ("metadata", json!("{\"a\":1}"), json!({"a": 1})),
            ("metadata", json!("none"), json!("none")),
            ("metadata", json!({"a": 1}), json!({"a": 1})),
        ] {
            let (data, unused) = read(json!({ column: found }), &[]);
            assert_eq!(data, json!({ column: expected }), "{found}");
            assert!(unused.is_empty(), "{unused:?}");
        }
    }

    #[test]
    fn only_the_fields_of_an_event_are_taken() {
        let row = json!({"id": "1", "email": null, "encrypted_password": "$2a$", "phone": "1"});
        let (data, unused) = read(row, &[("user_id", "id")]);
        assert_eq!(data, json!({"user_id": "1", "phone": "1"}));
        assert_eq!(unused, ["encrypted_password"]);
    }
}
