//! The kill switch: a type of event of which too many fail is no longer buried, but held back until it is mended. It
//! counts how events ended at their first try, by type; undecodable and rejected ones have ended well for it.
//!
//! Pure but for its lock; that a type is held stands in the database, for all workers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::apply::Settled;
use crate::domain::{Kind, Reason};

/// How many of the latest events of a type are looked at.
const WINDOW: usize = 100;
/// So many of them have to fail at least, whatever the share.
const FEWEST: usize = 10;

/// What an ending means for its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Too many fail: hold the type back.
    Hold,
    /// A whole window passed with few failures: hold it back no longer.
    Free,
}

/// The latest endings of events of one type.
#[derive(Debug, Clone, Default)]
struct Window {
    failed: VecDeque<bool>,
    failures: usize,
}

impl Window {
    fn push(&mut self, failed: bool) {
        if self.failed.len() == WINDOW && self.failed.pop_front() == Some(true) {
            self.failures -= 1;
        }
        self.failed.push_back(failed);
        self.failures += usize::from(failed);
    }
}

/// See the module.
#[derive(Debug)]
pub struct KillSwitch {
    share: f64,
    endings: Mutex<Endings>,
}

#[derive(Debug, Default)]
struct Endings {
    windows: BTreeMap<Kind, Window>,
    held: BTreeSet<Kind>,
}

impl KillSwitch {
    /// Holds a type back when more than this share (0 to 1) of its latest events fail.
    pub fn new(share: f64) -> Self {
        Self {
            share,
            endings: Mutex::default(),
        }
    }

    /// So many events of a type ended otherwise than by failing.
    pub fn passed(&self, kind: Kind, count: usize) -> Change {
        self.ended(kind, false, count)
    }

    /// An event of a type failed by its own fault, for the first time.
    pub fn failed(&self, kind: Kind) -> Change {
        self.ended(kind, true, 1)
    }

    fn ended(&self, kind: Kind, failed: bool, count: usize) -> Change {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let held = endings.held.contains(&kind);
        let window = endings.windows.entry(kind).or_default();
        for _ in 0..count.min(WINDOW) {
            window.push(failed);
        }
        let too_many = window.failures >= FEWEST && window.failures as f64 > self.share * window.failed.len() as f64;
        let change = match held {
            false if too_many => Change::Hold,
            true if !too_many && window.failed.len() == WINDOW => Change::Free,
            _ => Change::None,
        };
        match change {
            Change::None => {}
            Change::Hold => {
                endings.held.insert(kind);
                endings.windows.remove(&kind);
            }
            Change::Free => {
                endings.held.remove(&kind);
                endings.windows.remove(&kind);
            }
        }
        change
    }

    /// Takes over which types are held, by name. A type whose state changes is looked at anew.
    pub fn learn(&self, names: &[String]) {
        let held: BTreeSet<Kind> = names.iter().filter_map(|name| Kind::from_name(name)).collect();
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<Kind> = endings.held.symmetric_difference(&held).copied().collect();
        for kind in changed {
            endings.windows.remove(&kind);
        }
        endings.held = held;
    }

    /// Whether any type is held back.
    pub fn holds_any(&self) -> bool {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        !endings.held.is_empty()
    }

    /// Whether a type is held back.
    pub fn is_held(&self, kind: Kind) -> bool {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        endings.held.contains(&kind)
    }

    /// The types that are held back, by name.
    pub fn held(&self) -> Vec<&'static str> {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        endings.held.iter().map(|kind| kind.name()).collect()
    }
}

/// How many of these endings are good ones, by type. What was buried because it failed again and again was told before.
pub(super) fn ended_well(endings: impl Iterator<Item = (Option<Kind>, Settled)>) -> Vec<(Kind, usize)> {
    let mut counts = [0_usize; Kind::ALL.len()];
    for (kind, settled) in endings {
        if let Some(kind) = kind.filter(|_| settled != Settled::Dead(Reason::Exhausted)) {
            counts[usize::from(kind.rank())] += 1;
        }
    }
    let counts = Kind::ALL.into_iter().zip(counts);
    counts.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_buried_after_its_last_attempt_did_not_end_well() {
        let (created, updated) = (Some(Kind::Created), Some(Kind::Updated));
        let endings = [
            (created, Settled::Applied(None)),
            (updated, Settled::Dead(Reason::Exhausted)),
            (created, Settled::Rejected(Reason::KeyTaken)),
            (updated, Settled::Duplicate),
            (created, Settled::Dead(Reason::Exhausted)),
            (None, Settled::Dead(Reason::Undecodable)),
        ];
        assert_eq!(
            ended_well(endings.into_iter()),
            [(Kind::Created, 2), (Kind::Updated, 1)]
        );
    }

    /// Plays endings: a number of good ones, or `!` and a number of bad ones; returns what changed, with its place.
    fn play(switch: &KillSwitch, endings: &[&str]) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        let mut place = 0;
        for run in endings {
            let (bad, count) = run.strip_prefix('!').map_or((false, *run), |count| (true, count));
            for _ in 0..count.parse().expect("a number") {
                place += 1;
                let change = if bad {
                    switch.failed(Kind::Created)
                } else {
                    switch.passed(Kind::Created, 1)
                };
                if change != Change::None {
                    changes.push((place, change));
                }
            }
        }
        changes
    }

    #[test]
    fn a_type_is_held_when_too_many_of_its_latest_events_fail() {
        for (endings, expected) in [
            (vec!["!9"], vec![]),
            (vec!["!10"], vec![(10, Change::Hold)]),
            (vec!["1000", "!15"], vec![]),
            (vec!["1000", "!16"], vec![(1016, Change::Hold)]),
            // Fifteen, and then the first of them leaves the window.
            (vec!["100", "!15", "85", "!15", "100"], vec![]),
            (vec!["50", "!9", "41", "!7"], vec![(107, Change::Hold)]),
            // A whole window has to pass well before it is free again; a bad one does not trip what is held.
            (vec!["!10", "99"], vec![(10, Change::Hold)]),
            (vec!["!10", "100"], vec![(10, Change::Hold), (110, Change::Free)]),
            (vec!["!10", "!50", "99"], vec![(10, Change::Hold), (145, Change::Free)]),
            (vec!["!10", "100", "!9"], vec![(10, Change::Hold), (110, Change::Free)]),
        ] {
            assert_eq!(play(&KillSwitch::new(0.15), &endings), expected, "{endings:?}");
        }
    }

    #[test]
    fn types_do_not_touch_each_other_and_what_the_database_says_counts() {
        let switch = KillSwitch::new(0.15);
        assert_eq!(play(&switch, &["!10"]), [(10, Change::Hold)]);
        assert_eq!(switch.held(), ["user.created"]);
        assert!(!switch.is_held(Kind::Updated));
        assert_eq!(switch.passed(Kind::Updated, 5_000), Change::None);
        // Another worker freed one and holds another.
        switch.learn(&["user.deleted".to_owned(), "user.of_tomorrow".to_owned()]);
        assert_eq!(switch.held(), ["user.deleted"]);
        assert_eq!(play(&switch, &["!9"]), [], "it is looked at anew");
    }
}
