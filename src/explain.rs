//! The whole history of a user: what each event did, and why the others did nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::recalled;
use crate::domain::{self, Effects, Entry, Holder, Person};
use crate::store::{LedgerRow, MailRecord, Store, StoreError};

/// One event of the history.
#[derive(Debug)]
pub struct Chapter {
    /// As the ledger has it.
    pub row: LedgerRow,
    /// What it changed.
    pub effects: Option<Effects>,
    /// Names of the fields that were dropped.
    pub degraded: Vec<String>,
    /// What it did to the tables of the application, by step.
    pub cascades: Option<serde_json::Map<String, serde_json::Value>>,
    /// The mails that it asked for.
    pub mails: Vec<MailRecord>,
}

/// A user and their history in position order.
#[derive(Debug)]
pub struct Explained {
    /// What the key stands for.
    pub holder: Option<Holder>,
    /// The person, if one is there.
    pub person: Option<Person>,
    /// Their events.
    pub chapters: Vec<Chapter>,
}

/// Tells the history of whoever `user_id` stands for, under all the keys they had.
///
/// # Errors
/// When the database cannot be read.
pub async fn explain(store: &Store, user_id: &str) -> Result<Explained, StoreError> {
    let (_, mut rows) = store.component(user_id).await?;
    rows.sort_by(|a, b| a.position.cmp(&b.position));
    let mut ids: Vec<i64> = rows.iter().map(|row| row.policy_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let policies: BTreeMap<i64, Arc<domain::Policy>> = store
        .policies(&ids)
        .await?
        .into_iter()
        .map(|(id, policy)| (id, Arc::new(policy)))
        .collect();
    let history: Vec<Entry> = rows
        .iter()
        .map(|row| recalled(row, &policies))
        .collect::<Result<_, _>>()?;
    let tale = domain::story(&history, user_id);
    let person = tale
        .person
        .and_then(|id| tale.world.persons.get(&id))
        .map(|person| Person::clone(person));
    let mut told: std::collections::BTreeSet<usize> = tale.entries.into_iter().collect();
    let mut mails = mails(store, &rows).await?;
    let chapters = rows
        .into_iter()
        .enumerate()
        .filter(|(index, _)| told.remove(index))
        .map(|(_, row)| Chapter {
            mails: mails
                .remove(&(row.source.clone(), row.event_id.clone()))
                .unwrap_or_default(),
            effects: row.effects.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            degraded: row
                .degraded
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            cascades: row.cascades.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            row,
        })
        .collect();
    Ok(Explained {
        holder: tale.holder,
        person,
        chapters,
    })
}

/// What is recorded of the mails of these events, by source and id.
async fn mails(store: &Store, rows: &[LedgerRow]) -> Result<BTreeMap<(String, String), Vec<MailRecord>>, StoreError> {
    let identities: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row.source.as_str(), row.event_id.as_str()))
        .collect();
    let mut mails: BTreeMap<(String, String), Vec<MailRecord>> = BTreeMap::new();
    for mail in store.mail_records(&identities).await? {
        let identity = (mail.source.clone(), mail.event_id.clone());
        mails.entry(identity).or_default().push(mail);
    }
    Ok(mails)
}
