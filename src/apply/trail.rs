//! What a late event leaves for the application's tables to follow, and what it came too late to prevent. Pure.

use std::collections::BTreeSet;

use super::follow::{Followed, Named};
use super::late::Origin;
use crate::domain::cascade::{Told, late};
use crate::domain::{Effects, Entry, Outcome, Refolded, Verdict, World};
use crate::envelope::Envelope;
use crate::store::LedgerRow;

impl Named {
    /// An event of the batch.
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self {
            source: envelope.event.source.clone(),
            event_id: envelope.id.clone(),
            kind: envelope.event.body.kind(),
            time: envelope.event.time,
            is_older: false,
        }
    }

    fn recorded(row: &LedgerRow) -> Self {
        Self {
            source: row.source.clone(),
            event_id: row.event_id.clone(),
            kind: row.kind,
            time: row.position.time(),
            is_older: true,
        }
    }
}

impl Followed {
    /// One component that was folded again.
    pub(super) fn late(
        &mut self,
        stored: &World,
        refolded: &Refolded,
        entries: &[Entry],
        origins: &[Origin<'_, '_>],
        keys: BTreeSet<String>,
    ) {
        let told: Vec<Told<'_>> = entries
            .iter()
            .zip(origins)
            .zip(&refolded.verdicts)
            .map(|((entry, origin), verdict)| Told {
                event: entry.event.reference,
                verdict,
                is_news: match origin {
                    Origin::Batch(..) => true,
                    Origin::Ledger(row) => row.outcome != Outcome::Applied && verdict.outcome == Outcome::Applied,
                },
            })
            .collect();
        let trail = late(stored, &refolded.world, &told);
        let prevented: Vec<String> = origins
            .iter()
            .zip(&refolded.verdicts)
            .filter_map(|(origin, verdict)| match origin {
                Origin::Ledger(row) if would_not_have_run(row, verdict) => {
                    Some(format!("{} {}", row.source, row.event_id))
                }
                Origin::Ledger(_) | Origin::Batch(..) => None,
            })
            .collect();
        let newest = entries.iter().zip(origins).rev().find(|(_, origin)| match origin {
            Origin::Batch(..) => true,
            Origin::Ledger(row) => row.anew,
        });
        let newest = newest.map(|(entry, _)| entry.event.reference);
        for (entry, origin) in entries.iter().zip(origins) {
            let event = entry.event.reference;
            if trail.names(event) || (newest == Some(event) && !prevented.is_empty()) {
                let named = match origin {
                    Origin::Batch(_, envelope) => Named::of(envelope),
                    Origin::Ledger(row) => Named::recorded(row),
                };
                self.events.insert(event, named);
            }
        }
        if let Some(newest) = newest.filter(|_| !prevented.is_empty()) {
            self.irreversible.insert(newest, prevented);
        }
        self.trails.push((trail, keys));
    }
}

/// Whether rows followed an event that would not have moved or deleted these people, as is known now.
fn would_not_have_run(row: &LedgerRow, verdict: &Verdict) -> bool {
    let Some(noted) = &row.cascades else { return false };
    let before: Effects = row
        .effects
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let after = &verdict.effects;
    let is_same = verdict.outcome == row.outcome
        && before.key == after.key
        && before.tombstones == after.tombstones
        && before.merged == after.merged
        && names_changed(&before) == names_changed(after);
    !is_same && did_something(noted)
}

/// Whether address and user name changed.
fn names_changed(effects: &Effects) -> [bool; 2] {
    ["email", "username"].map(|name| effects.fields.iter().any(|field| field == name))
}

fn did_something(noted: &str) -> bool {
    let steps: serde_json::Map<String, serde_json::Value> = serde_json::from_str(noted).unwrap_or_default();
    steps.values().any(|note| {
        let rows = note.as_u64().or_else(|| note.get("rows")?.as_u64());
        rows.is_some_and(|rows| rows > 0) || note.get("waiting").is_some()
    })
}
