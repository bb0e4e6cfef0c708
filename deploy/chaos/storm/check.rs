//! The checker: holds what is there against what must be there. It asks neither the worker's counters nor its code.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::Entry;
use super::people::{Fate, Holder, Person, World};
use super::streams::{Letter, Stored};

/// What is wrong, by what it would mean for the application.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Events without their effect, dead letters that are not there, rows that are missing.
    pub(crate) lost: usize,
    /// Effects that came twice.
    pub(crate) doubled: usize,
    /// Everything else that is not as it must be: wrong values, wrong reasons, rows and letters that nobody asked for.
    pub(crate) misplaced: usize,
    /// The first of them, in words.
    pub(crate) told: Vec<String>,
}

/// Findings that are told in words.
const TOLD: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Lost,
    Doubled,
    Misplaced,
}

impl Findings {
    pub(crate) fn add(&mut self, wrong: Wrong, what: impl FnOnce() -> String) {
        let (count, word) = match wrong {
            Wrong::Lost => (&mut self.lost, "lost"),
            Wrong::Doubled => (&mut self.doubled, "doubled"),
            Wrong::Misplaced => (&mut self.misplaced, "misplaced"),
        };
        *count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{word}: {}", what()));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.misplaced == 0
    }
}

/// A row of the ledger: source, id, outcome, reason.
pub(super) type LedgerRow = (String, String, String, Option<String>);

/// A row of `profiles`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(super) struct ProfileRow {
    pub(super) user_id: String,
    pub(super) profile_type: String,
    pub(super) status: String,
    pub(super) is_active: i64,
    pub(super) display_name: String,
    pub(super) email: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) organization_id: Option<String>,
    /// Of the membership that the profile points at.
    pub(super) organization_of_customer: Option<String>,
    pub(super) created_via: String,
    pub(super) created_at: String,
    pub(super) updated_at: String,
    pub(super) version: u64,
}

/// A row of `customers`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(super) struct CustomerRow {
    pub(super) user_id: String,
    pub(super) organization_id: String,
    /// Of the profile that it points at.
    pub(super) user_of_profile: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

/// The account of a run, being compared.
pub(super) struct Check<'a> {
    pub(super) entries: &'a [Option<Entry>],
    pub(super) worlds: &'a [World],
    pub(super) findings: Findings,
    /// By number: the event is in the ledger, and how often it had its effect.
    pub(super) in_ledger: Vec<bool>,
    pub(super) effects: Vec<u64>,
    /// Stories in which the other twin was stored first.
    pub(super) other_twin: BTreeSet<u32>,
}

impl<'a> Check<'a> {
    pub(super) fn new(entries: &'a [Option<Entry>], worlds: &'a [World]) -> Self {
        Self {
            entries,
            worlds,
            findings: Findings::default(),
            in_ledger: vec![false; entries.len()],
            effects: vec![0; entries.len()],
            other_twin: BTreeSet::new(),
        }
    }

    fn entry(&self, source: &str, id: &str) -> Option<(usize, &'a Entry)> {
        let number: usize = id.parse().ok()?;
        let entry = self.entries.get(number)?.as_ref()?;
        (entry.source.uri() == source).then_some((number, entry))
    }

    /// One row of the ledger.
    pub(super) fn ledger(&mut self, (source, id, outcome, reason): LedgerRow) {
        let Some((number, entry)) = self.entry(&source, &id) else {
            let what = || format!("the ledger has {source} {id}, which nobody published");
            return self.findings.add(Wrong::Misplaced, what);
        };
        if std::mem::replace(&mut self.in_ledger[number], true) {
            self.findings
                .add(Wrong::Doubled, || format!("event {id} is in the ledger twice"));
        }
        let must = match entry.fate {
            Fate::Applied => Some(("applied", None)),
            Fate::Noted(reason) => Some(("applied", Some(reason))),
            Fate::Ignored(reason) => Some(("ignored", Some(reason))),
            Fate::Rejected(reason) => Some(("rejected", Some(reason))),
            Fate::Dead(_) | Fate::Twin(_) | Fate::Unknown => None,
        };
        if must != Some((outcome.as_str(), reason.as_deref())) {
            let fate = entry.fate;
            let what = || format!("event {id} is {outcome} {reason:?} in the ledger and must be {fate:?}");
            self.findings.add(Wrong::Misplaced, what);
        }
    }

    /// One row of the application's own table.
    pub(super) fn effect(&mut self, (source, id, count): (String, String, u64)) {
        match self.entry(&source, &id) {
            Some((number, _)) => self.effects[number] += count,
            None => self.findings.add(Wrong::Misplaced, || {
                format!("an effect of {source} {id}, which nobody published")
            }),
        }
    }

    /// After every row of both: what is not there, and what came twice.
    pub(super) fn events(&mut self, stored: &Stored) {
        let mut is_stored = vec![false; self.entries.len()];
        for (_, number) in stored.all() {
            is_stored[number as usize] = true;
        }
        for (number, entry) in self.entries.iter().enumerate() {
            let Some(entry) = entry else {
                self.findings
                    .add(Wrong::Lost, || format!("event {number} was never published"));
                continue;
            };
            if !is_stored[number] {
                self.findings.add(Wrong::Lost, || {
                    format!("event {number} was acknowledged by the broker and is not in its stream")
                });
            }
            if matches!(entry.fate, Fate::Dead(_) | Fate::Twin(_) | Fate::Unknown) {
                continue;
            }
            match (self.in_ledger[number], self.effects[number]) {
                (true, 1) => {}
                (false, 0) => {
                    let fate = entry.fate;
                    let what = || format!("event {number} ({fate:?}) is not in the ledger");
                    self.findings.add(Wrong::Lost, what);
                }
                (_, 0) => self
                    .findings
                    .add(Wrong::Lost, || format!("event {number} has no effect")),
                (_, count) => self.findings.add(Wrong::Doubled, || {
                    format!("event {number} had its effect {count} times")
                }),
            }
        }
    }

    /// The world that a key belongs to.
    fn world(&self, key: &str) -> Option<(u32, &'a World)> {
        let story: u32 = key.strip_prefix('s')?.split('.').next()?.parse().ok()?;
        Some((story, self.worlds.get(story as usize)?))
    }

    /// Who stands at this key, with their story, if somebody must.
    pub(super) fn standing(&self, key: &str) -> Option<(u32, &'a World, &'a Person)> {
        let (story, world) = self.world(key)?;
        match world.keys.get(key)? {
            Holder::Active(_) => Some((story, world, world.person(key)?)),
            Holder::Alias(_) | Holder::Tombstone => None,
        }
    }

    /// What each key stands for: 1 a person, 2 an alias, 3 a tombstone; keys that are merely mentioned stand for nobody.
    pub(super) fn keys(&mut self, found: &BTreeMap<String, i64>) {
        for (key, holder) in self.worlds.iter().flat_map(|world| &world.keys) {
            let must = match holder {
                Holder::Active(_) => 1,
                Holder::Alias(_) => 2,
                Holder::Tombstone => 3,
            };
            if found.get(key) != Some(&must) {
                let is = found.get(key);
                self.findings.add(Wrong::Misplaced, || {
                    format!("key {key} stands for {is:?} and must for {must}")
                });
            }
        }
        let known = |key: &String| self.world(key).is_some_and(|(_, world)| world.keys.contains_key(key));
        let strange: Vec<&String> = found.keys().filter(|key| !known(key)).collect();
        for key in strange {
            self.findings
                .add(Wrong::Misplaced, || format!("key {key} must stand for nobody"));
        }
    }

    /// The dead letters: those in the stream by message id, and the sequences of those that the table has as unresolved.
    pub(super) fn letters(
        &mut self,
        letters: &BTreeMap<String, (Letter, usize)>,
        unresolved: &BTreeMap<u64, usize>,
        stored: &Stored,
    ) {
        let mut by_sequence: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for (id, (letter, times)) in letters {
            by_sequence.entry(letter.sequence).or_default().push(&letter.reason);
            if *times > 1 {
                self.findings.add(Wrong::Doubled, || {
                    format!("dead letter {id} is {times} times in its stream")
                });
            }
        }
        let mut rejected: BTreeSet<u32> = BTreeSet::new();
        for (sequence, number) in stored.all() {
            let Some(Some(entry)) = self.entries.get(number as usize) else {
                continue;
            };
            let found = by_sequence.remove(&sequence).unwrap_or_default();
            let open = unresolved.get(&sequence).copied().unwrap_or_default();
            if matches!(entry.fate, Fate::Rejected(_)) && !found.is_empty() {
                // Of several copies one was the first; the others are duplicates.
                if !rejected.insert(number) {
                    self.findings.add(Wrong::Doubled, || {
                        format!("two messages of event {number} have a dead letter")
                    });
                }
            }
            self.letters_of(number, entry, &found, open);
        }
        for (sequence, reasons) in by_sequence {
            let what = || format!("a dead letter ({reasons:?}) of message {sequence}, which is not in the stream");
            self.findings.add(Wrong::Misplaced, what);
        }
        for (number, entry) in self.entries.iter().enumerate() {
            if let Some(Entry {
                fate: Fate::Rejected(reason),
                ..
            }) = entry
                && !rejected.contains(&(number as u32))
            {
                self.findings.add(Wrong::Lost, || {
                    format!("event {number} is rejected {reason} without a dead letter")
                });
            }
        }
    }

    /// The letters of one stored message, and how many of them are unresolved.
    fn letters_of(&mut self, number: u32, entry: &Entry, found: &[&str], open: usize) {
        let conflict = match entry.fate {
            Fate::Twin(_) => !self.other_twin.contains(&entry.story),
            _ => self.other_twin.contains(&entry.story),
        };
        let must = match entry.fate {
            Fate::Dead(reason) => Some(reason),
            _ if conflict => Some("id_conflict"),
            Fate::Rejected(reason) => {
                let wrong = found.iter().find(|is| **is != reason);
                if let Some(wrong) = wrong {
                    let what = || format!("event {number} has a dead letter {wrong} instead of {reason}");
                    self.findings.add(Wrong::Misplaced, what);
                }
                if (open == 1) == found.is_empty() || open > 1 {
                    let letters = found.len();
                    let what = || format!("event {number} ({reason}): {letters} dead letters, {open} unresolved");
                    self.findings.add(Wrong::Misplaced, what);
                }
                return;
            }
            _ => None,
        };
        match (must, found) {
            (Some(reason), [only]) if *only == reason => {}
            (Some(reason), []) => {
                let what = || format!("a message of event {number} has no dead letter {reason}");
                self.findings.add(Wrong::Lost, what);
            }
            (Some(reason), several) => {
                let wrong = if several.iter().all(|is| *is == reason) {
                    Wrong::Doubled
                } else {
                    Wrong::Misplaced
                };
                let what = || format!("event {number} must have one dead letter {reason} and has {several:?}");
                self.findings.add(wrong, what);
            }
            // While an older event was missing the key was still in use; that letter is resolved.
            (None, found) if open == 0 && found.iter().all(|reason| *reason == "key_taken") => {}
            (None, found) => {
                let fate = entry.fate;
                let what = || format!("event {number} must be {fate:?} and has the dead letters {found:?}");
                self.findings.add(Wrong::Misplaced, what);
            }
        }
    }
}
