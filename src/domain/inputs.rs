//! What an event's outcome took from the application's data. It was asked once, is stored with the event, and is an input
//! of every later fold: what the application changes later never rewrites history.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every answer that an event ever needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Inputs {
    /// By address in lower case: the customer it led to, if one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub customers: BTreeMap<String, Option<Found>>,
    /// By organization: the application's customer row of that user there, if one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, Option<Found>>,
    /// By customer: the required columns that are not filled.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unfilled: BTreeMap<String, Vec<String>>,
    /// The activation was legal and went through when it was evaluated, whatever is required since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub met: bool,
}

/// A customer that was there, or was made because none was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its id, as text whatever its type is.
    pub id: String,
    /// The organization it stands for; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub organization_id: String,
    /// Whether the worker made it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

/// What the fold has to know of the application's data to decide about an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which customer has this address?
    Customer {
        /// The address in lower case.
        address: String,
        /// The user who is looked for.
        user: Asked,
    },
    /// Which row of `customers` that the application put there stands for this user in this organization?
    Row {
        /// The user's key.
        user_id: String,
        /// The organization.
        organization_id: String,
    },
    /// Which of these columns of a customer are not filled?
    Unfilled {
        /// The customer.
        customer: String,
        /// Columns that have to be.
        columns: Vec<String>,
    },
}

/// Who is looked for: what a customer is made of where none is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The user's key.
    pub user_id: String,
    /// The address as the provider writes it.
    pub email: String,
    /// What people call the user.
    pub display_name: String,
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Customer`] and [`Question::Row`].
    Found(Option<Found>),
    /// To [`Question::Unfilled`].
    Unfilled(Vec<String>),
}

impl Inputs {
    /// Whether nothing was ever asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Keeps an answer.
    pub fn keep(&mut self, question: &Question, answer: Answer) {
        match (question, answer) {
            (Question::Customer { address, .. }, Answer::Found(found)) => {
                self.customers.insert(address.clone(), found);
            }
            (Question::Row { organization_id, .. }, Answer::Found(found)) => {
                self.rows.insert(organization_id.clone(), found);
            }
            (Question::Unfilled { customer, .. }, Answer::Unfilled(columns)) => {
                self.unfilled.insert(customer.clone(), columns);
            }
            (Question::Unfilled { .. }, Answer::Found(_)) | (_, Answer::Unfilled(_)) => {}
        }
    }

    /// Forgets that this customer was found: there was none. Whether something was forgotten.
    pub fn forget(&mut self, id: &str) -> bool {
        let mut is_changed = false;
        for found in self.customers.values_mut().chain(self.rows.values_mut()) {
            if found.as_ref().is_some_and(|found| found.id == id) {
                *found = None;
                is_changed = true;
            }
        }
        is_changed
    }

    /// The required columns that were found empty, of whichever customer, for people to read.
    pub fn lacking(&self) -> Vec<&str> {
        self.unfilled.values().flatten().map(String::as_str).collect()
    }
}
