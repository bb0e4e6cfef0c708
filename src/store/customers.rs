//! Where customers are looked for, and what can be asked there. Names come from the configuration, are plain identifiers,
//! and are quoted here; values are always bound.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::cascade::quoted;
use super::{Store, StoreError, Tx};
use crate::domain::CustomerPlace;

/// Where customers are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSource {
    /// Whose table it is.
    pub place: CustomerPlace,
    /// The application's table, with its schema before it where one is given: plain identifiers.
    pub table: Vec<String>,
    /// Its column for the id.
    pub id_column: String,
    /// Its column for the address.
    pub email_column: String,
    /// What a customer is made of where none is found, by column; empty for none. `{uuid}`, `{email}`, `{user_id}` and
    /// `{display_name}` stand for values.
    pub make: BTreeMap<String, String>,
    /// Columns that activations require.
    pub required: Vec<String>,
}

/// A customer with an address that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCustomer {
    /// Its id as text.
    pub id: String,
    /// Its address in lower case.
    pub address: String,
    /// The organization it stands for; empty in a table of the application.
    pub organization_id: String,
}

/// A customer to be made, because none was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeCustomer {
    /// Its id.
    pub id: String,
    /// The user's key.
    pub user_id: String,
    /// Their address.
    pub email: String,
    /// What people call them.
    pub display_name: String,
    /// Time of the event, in microseconds since 1970.
    pub created_at: i64,
}

/// What a check of the application's table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The worker could not work.
    Problem(String),
    /// It could, and slowly.
    Warning(String),
}

impl CustomerSource {
    /// The rows of our own table that the application puts there.
    pub fn own() -> Self {
        Self {
            place: CustomerPlace::Own,
            table: Vec::new(),
            id_column: "customer_id".to_owned(),
            email_column: "email".to_owned(),
            make: BTreeMap::new(),
            required: Vec::new(),
        }
    }

    /// The table as it stands in a statement; `@` becomes where our tables are.
    pub(super) fn quoted_table(&self) -> String {
        match self.place {
            CustomerPlace::Own => "@customers".to_owned(),
            CustomerPlace::Application => {
                let names: Vec<String> = self.table.iter().map(|name| quoted(name)).collect();
                names.join(".")
            }
        }
    }

    /// The table as people know it.
    pub(super) fn name(&self) -> String {
        match self.place {
            CustomerPlace::Own => "customers".to_owned(),
            CustomerPlace::Application => self.table.join("."),
        }
    }

    /// The columns that have to be readable, without repetition.
    pub(super) fn read_columns(&self) -> Vec<&str> {
        let mut columns = vec![self.id_column.as_str(), self.email_column.as_str()];
        for column in &self.required {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        columns
    }

    /// The id that a customer to be made will have.
    pub fn id_of(&self, made: &MadeCustomer) -> String {
        match self.make.get(&self.id_column) {
            Some(template) if self.place == CustomerPlace::Application => filled(template, made),
            _ => made.id.clone(),
        }
    }

    /// The row of a customer to be made, by column.
    pub(super) fn row(&self, made: &MadeCustomer) -> Map<String, Value> {
        let columns = self.make.iter();
        columns
            .map(|(column, template)| (column.clone(), Value::String(filled(template, made))))
            .collect()
    }
}

/// Puts values into a template in one pass, so that a value which looks like a placeholder stays what it is.
fn filled(template: &str, made: &MadeCustomer) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let known = [
            ("{uuid}", &made.id),
            ("{email}", &made.email),
            ("{user_id}", &made.user_id),
            ("{display_name}", &made.display_name),
        ];
        if let Some((name, value)) = known.iter().find(|(name, _)| from.starts_with(name)) {
            text.push_str(value);
            rest = &from[name.len()..];
        } else {
            text.push('{');
            rest = &from[1..];
        }
    }
    text.push_str(rest);
    text
}

/// What is compared with the address in the database: as we fold case, and as a database does that knows only ASCII.
pub(super) fn needles(addresses: &[(&str, &str)]) -> Vec<String> {
    let both = addresses
        .iter()
        .flat_map(|(folded, written)| [(*folded).to_owned(), written.to_ascii_lowercase()]);
    let unique: std::collections::BTreeSet<String> = both.collect();
    unique.into_iter().collect()
}

/// What the database found, if it is what we look for: its rules for upper and lower case are not ours.
pub(super) fn confirmed(mut found: Vec<FoundCustomer>, addresses: &[(&str, &str)]) -> Vec<FoundCustomer> {
    found.retain(|customer| addresses.iter().any(|(folded, _)| *folded == customer.address));
    found.sort_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
    found.dedup();
    found
}

impl Store {
    /// Whether the table where customers are looked for is as it has to be.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn check_customers(&self, source: &CustomerSource) -> Result<Vec<Remark>, StoreError> {
        match self {
            Self::Postgres(inner) => inner.check_customers(source).await,
            Self::Sqlite(inner) => inner.check_customers(source).await,
        }
    }
}

impl Tx<'_> {
    /// The customers with these addresses, by address and id; each is given in lower case and as it is written. Where
    /// customers are made, nobody else looks for the same addresses until this transaction ends.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn find_customers(
        &mut self,
        source: &CustomerSource,
        addresses: &[(&str, &str)],
    ) -> Result<Vec<FoundCustomer>, StoreError> {
        let found = in_tx!(self, inner => inner.find_customers(source, &needles(addresses)).await)?;
        Ok(confirmed(found, addresses))
    }

    /// The application's rows of our table `customers` for these users and organizations: user, organization, id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn find_rows(
        &mut self,
        memberships: &[(&str, &str)],
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        in_tx!(self, inner => inner.find_rows(memberships).await)
    }

    /// Which of these rows of our table `customers` are nobody's, or stand under one of these users; nobody else takes them
    /// until this transaction ends.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rows_to_be_had(&mut self, rows: &[Uuid], users: &[&str]) -> Result<Vec<Uuid>, StoreError> {
        in_tx!(self, inner => inner.rows_to_be_had(rows, users).await)
    }

    /// Which of the required columns are filled, in the order of the source, for each of these customers that is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn filled_columns(
        &mut self,
        source: &CustomerSource,
        customers: &[&str],
    ) -> Result<BTreeMap<String, Vec<bool>>, StoreError> {
        in_tx!(self, inner => inner.filled_columns(source, customers).await)
    }

    /// Makes customers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn make_customers(&mut self, source: &CustomerSource, made: &[MadeCustomer]) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.make_customers(source, made).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> MadeCustomer {
        MadeCustomer {
            id: "7".to_owned(),
            user_id: "u1".to_owned(),
            email: "{uuid}@example.com".to_owned(),
            display_name: "Ada".to_owned(),
            created_at: 0,
        }
    }

    #[test]
    fn a_template_is_filled_once() {
        for (template, expected) in [
            ("CUST-{uuid}", "CUST-7"),
            ("{email}", "{uuid}@example.com"),
            ("{display_name} ({user_id})", "Ada (u1)"),
            ("{other} {", "{other} {"),
            ("", ""),
        ] {
            assert_eq!(filled(template, &made()), expected, "{template}");
        }
    }

    #[test]
    fn what_only_the_database_takes_for_the_same_is_left_out() {
        let customer = |id: &str, address: &str| FoundCustomer {
            id: id.to_owned(),
            address: address.to_owned(),
            organization_id: String::new(),
        };
        let found = vec![customer("2", "a@x"), customer("1", "a@x"), customer("3", "i@x")];
        let confirmed = confirmed(found, &[("a@x", "A@X")]);
        assert_eq!(confirmed, [customer("1", "a@x"), customer("2", "a@x")]);
        assert_eq!(needles(&[("ä@x", "Ä@X")]), ["Ä@x", "ä@x"]);
    }
}
