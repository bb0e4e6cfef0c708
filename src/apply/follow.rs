//! The application's tables follow the users: what has to be followed, and whether it can be. `steps` does it.

use std::collections::{BTreeMap, BTreeSet};

use super::Applier;
use super::notes::Notes;
use super::steps::Pass;
use crate::domain::cascade::{Fate, KeyKind, Passage, Trail, Turn};
use crate::domain::{EventRef, Kind, Timestamp};
use crate::store::cascade::Cascades;
use crate::store::{StoreError, Tx};

/// What the application's tables have to follow.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Each with the keys of its world: whoever stands there is known to it.
    pub(super) trails: Vec<(Trail, BTreeSet<String>)>,
    /// The events whose doing it is.
    pub(super) events: BTreeMap<EventRef, Named>,
    /// Events that come too late to prevent what was done already, each with what it would have prevented.
    pub(super) irreversible: BTreeMap<EventRef, Vec<String>>,
}

/// An event by its name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) source: String,
    pub(super) event_id: String,
    pub(super) kind: Kind,
    pub(super) time: Timestamp,
    /// It was in the ledger before, and a late one made it apply.
    pub(super) is_older: bool,
}

/// Identities of older events whose required step failed.
pub(super) type Blamed = BTreeSet<(String, String)>;

impl Applier {
    /// Runs what is configured. Nothing is sent to the database when nobody left or took a value: where one is only taken,
    /// it is asked whether rows are still on their way from there.
    pub(super) async fn follow(
        &self,
        tx: &mut Tx<'_>,
        followed: Followed,
        blamed: &mut Blamed,
    ) -> Result<(), StoreError> {
        let cascades = self.store.cascades();
        if followed.trails.iter().all(|(trail, _)| trail.is_empty()) && followed.irreversible.is_empty() {
            return Ok(());
        }
        let touched = touched(&followed);
        let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
        if !touched.is_empty() && tx.is_unfinished(&touched).await? {
            return Err(StoreError::Unfinished);
        }
        let passages = passages(tx, cascades, &followed.trails).await?;
        let turns: Vec<&Turn> = followed.trails.iter().flat_map(|(trail, _)| &trail.turns).collect();
        let mut pass = Pass {
            cascades,
            events: &followed.events,
            notes: Notes::default(),
            blamed,
        };
        if !passages.is_empty() {
            tx.begin_steps().await?;
            for step in &cascades.steps {
                pass.step(tx, step, &passages).await?;
            }
        }
        if !turns.is_empty() {
            for audit in &cascades.audits {
                pass.audit(tx, audit, &turns).await?;
            }
        }
        for (event, prevented) in followed.irreversible {
            tracing::warn!(
                events = prevented.len(),
                "an event came too late to prevent a cascade: cascade_irreversible"
            );
            pass.notes.irreversible(event, prevented);
        }
        let notes = pass.notes.texts(&followed.events);
        if notes.is_empty() {
            return Ok(());
        }
        tx.note_steps(&notes).await
    }
}

/// Values that are left, reached or taken: none of them may be on its way still.
fn touched(followed: &Followed) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for (trail, _) in &followed.trails {
        values.extend(trail.taken.iter().cloned());
        for passage in &trail.passages {
            values.insert(passage.value.clone());
            if let Fate::Moved(target) = &passage.fate {
                values.insert(target.clone());
            }
        }
    }
    values
}

/// All passages; contested are also those whose value somebody holds whom the batch knows nothing of.
async fn passages(
    tx: &mut Tx<'_>,
    cascades: &Cascades,
    trails: &[(Trail, BTreeSet<String>)],
) -> Result<Vec<Passage>, StoreError> {
    let mut held: BTreeMap<KeyKind, Vec<(String, String)>> = BTreeMap::new();
    for kind in [KeyKind::Email, KeyKind::Username] {
        let is_wanted = cascades.steps.iter().any(|step| step.rule.rule.key == kind);
        let all = trails.iter().flat_map(|(trail, _)| &trail.passages);
        let values: BTreeSet<&str> = all
            .filter(|passage| passage.key == kind)
            .map(|passage| passage.value.as_str())
            .collect();
        if is_wanted && !values.is_empty() {
            let values: Vec<&str> = values.into_iter().collect();
            held.insert(kind, tx.holders(kind, &values).await?);
        }
    }
    let mut passages = Vec::new();
    for (trail, keys) in trails {
        let strangers: BTreeSet<(KeyKind, &str)> = held
            .iter()
            .flat_map(|(kind, pairs)| pairs.iter().map(|(value, key)| (*kind, value, key)))
            .filter(|(_, _, key)| !keys.contains(*key))
            .map(|(kind, value, _)| (kind, value.as_str()))
            .collect();
        passages.extend(trail.passages.iter().cloned().map(|mut passage| {
            passage.contested |= strangers.contains(&(passage.key, passage.value.as_str()));
            passage
        }));
    }
    Ok(passages)
}
