//! The checker itself: told what must be there it is content, and it notices everything else. The plan leaves nothing out.

use std::collections::BTreeMap;

use super::check::{Check, CustomerRow, Findings, LedgerRow, ProfileRow};
use super::journal::Entry;
use super::people::{Fate, Holder, World};
use super::plan::{Database, Kind, plan};
use super::rng::Rng;
use super::rows::{customers_of, profiles_of};
use super::stories::Stories;
use super::streams::{Letter, Stored};

/// Everything that a run leaves.
#[derive(Default)]
struct Remains {
    entries: Vec<Option<Entry>>,
    worlds: Vec<World>,
    stored: Stored,
    ledger: Vec<LedgerRow>,
    effects: Vec<(String, String, u64)>,
    profiles: Vec<ProfileRow>,
    customers: Vec<CustomerRow>,
    keys: BTreeMap<String, i64>,
    letters: BTreeMap<String, (Letter, usize)>,
    unresolved: BTreeMap<u64, usize>,
}

impl Remains {
    /// Of a run in which nothing went wrong.
    fn flawless() -> Self {
        let mut stories = Stories::of(5);
        let mut events = stories.next(6_000, 6_000);
        events.sort_by_key(|event| event.number);
        let mut remains = Self::default();
        for event in events {
            let sequence = u64::from(event.number) + 1;
            remains.stored.put(sequence, Some(event.number));
            remains.entries.push(Some(Entry {
                source: event.source,
                fate: event.fate,
                story: event.story,
            }));
            let (source, id) = (event.source.uri().to_owned(), event.id.to_string());
            let mut enter = |outcome: &str, reason: Option<&str>| {
                let reason = reason.map(str::to_owned);
                remains
                    .ledger
                    .push((source.clone(), id.clone(), outcome.to_owned(), reason));
                remains.effects.push((source.clone(), id.clone(), 1));
            };
            let letter = match event.fate {
                Fate::Applied => {
                    enter("applied", None);
                    None
                }
                Fate::Noted(reason) => {
                    enter("applied", Some(reason));
                    None
                }
                Fate::Ignored(reason) => {
                    enter("ignored", Some(reason));
                    None
                }
                Fate::Rejected(reason) => {
                    enter("rejected", Some(reason));
                    Some(reason)
                }
                Fate::Dead(reason) => Some(reason),
                Fate::Twin(_) => Some("id_conflict"),
                Fate::Unknown => None,
            };
            if let Some(reason) = letter {
                remains.bury(sequence, reason);
                remains.unresolved.insert(sequence, 1);
            }
        }
        remains.settle(stories.worlds);
        remains
    }

    fn bury(&mut self, sequence: u64, reason: &str) {
        let reason = reason.to_owned();
        self.letters
            .insert(format!("letter of {sequence}"), (Letter { reason, sequence }, 1));
    }

    fn settle(&mut self, worlds: Vec<World>) {
        for person in worlds.iter().flat_map(|world| world.people.values()) {
            self.profiles.extend(profiles_of(person));
            self.customers.extend(customers_of(person));
        }
        for (key, holder) in worlds.iter().flat_map(|world| &world.keys) {
            let number = match holder {
                Holder::Active(_) => 1,
                Holder::Alias(_) => 2,
                Holder::Tombstone => 3,
            };
            self.keys.insert(key.clone(), number);
        }
        self.worlds = worlds;
    }

    fn findings(&self) -> Findings {
        let mut check = Check::new(&self.entries, &self.worlds);
        self.ledger.iter().cloned().for_each(|row| check.ledger(row));
        self.effects.iter().cloned().for_each(|row| check.effect(row));
        check.events(&self.stored);
        check.profiles(self.profiles.clone());
        check.customers(self.customers.clone());
        check.keys(&self.keys);
        check.letters(&self.letters, &self.unresolved, &self.stored);
        check.findings
    }

    /// The number of an event with this fate.
    fn one(&self, is: impl Fn(Fate) -> bool) -> u64 {
        let found = self
            .entries
            .iter()
            .position(|entry| entry.as_ref().is_some_and(|entry| is(entry.fate)));
        found.expect("among so many there is one") as u64
    }
}

#[test]
fn who_has_everything_is_content() {
    let remains = Remains::flawless();
    let findings = remains.findings();
    assert!(findings.is_clean(), "{:?}", findings.told);
    for is in [
        |fate| matches!(fate, Fate::Noted("illegal_transition")),
        |fate| matches!(fate, Fate::Noted("already_renamed")),
        |fate| matches!(fate, Fate::Ignored("after_deletion")),
        |fate| matches!(fate, Fate::Ignored("already_deleted")),
        |fate| matches!(fate, Fate::Ignored("not_a_member")),
        |fate| matches!(fate, Fate::Rejected("key_taken")),
        |fate| matches!(fate, Fate::Rejected("protected_user")),
        |fate| matches!(fate, Fate::Rejected("unknown_profile_type")),
        |fate| matches!(fate, Fate::Rejected("source_not_allowed")),
        |fate| matches!(fate, Fate::Dead("undecodable")),
        |fate| matches!(fate, Fate::Dead("time_in_future")),
        |fate| matches!(fate, Fate::Twin(_)),
        |fate| matches!(fate, Fate::Unknown),
    ] {
        remains.one(is);
    }
}

/// Damages what a run leaves.
type Damage = fn(&mut Remains);

/// What was done to it, how, and what of it must be found: lost, doubled, misplaced.
const DAMAGES: &[(&str, Damage, [bool; 3])] = &[
    ("no effect", |all| drop(all.effects.pop()), [true, false, false]),
    ("an effect twice", |all| all.effects[7].2 = 2, [false, true, false]),
    (
        "an event that never came in",
        |all| {
            let (source, id, ..) = all.ledger.remove(20);
            all.effects.retain(|effect| (&effect.0, &effect.1) != (&source, &id));
        },
        [true, false, false],
    ),
    (
        "an event of nobody's",
        |all| {
            all.ledger
                .push(("https://one.example.com".into(), "x".into(), "applied".into(), None));
        },
        [false, false, true],
    ),
    (
        "another outcome",
        |all| all.ledger[30].2 = "rejected".into(),
        [false, false, true],
    ),
    ("a profile less", |all| drop(all.profiles.pop()), [true, false, false]),
    (
        "a profile of nobody's",
        |all| {
            let mut row = all.profiles[0].clone();
            row.profile_type = "pilot".into();
            all.profiles.push(row);
        },
        [false, false, true],
    ),
    (
        "a status",
        |all| all.profiles[3].status = "gone".into(),
        [false, false, true],
    ),
    (
        "a version too many",
        |all| all.profiles[4].version += 1,
        [false, true, false],
    ),
    (
        "an address",
        |all| all.profiles[5].email = Some("x".into()),
        [false, false, true],
    ),
    (
        "a membership less",
        |all| drop(all.customers.pop()),
        [true, false, false],
    ),
    (
        "a name",
        |all| all.customers[2].name = Some("x".into()),
        [false, false, true],
    ),
    (
        "a key",
        |all| {
            all.keys.insert("s3.0".into(), 9);
        },
        [false, false, true],
    ),
    (
        "a key of nobody's",
        |all| {
            all.keys.insert("s3.9y".into(), 1);
        },
        [false, false, true],
    ),
    (
        "no letter of what is dead",
        |all| {
            let number = all.one(|fate| matches!(fate, Fate::Dead(_)));
            all.letters.remove(&format!("letter of {}", number + 1));
        },
        [true, false, false],
    ),
    (
        "no letter of what is rejected",
        |all| {
            let number = all.one(|fate| matches!(fate, Fate::Rejected(_)));
            all.letters.remove(&format!("letter of {}", number + 1));
            all.unresolved.remove(&(number + 1));
        },
        [true, false, false],
    ),
    (
        "a letter for another reason",
        |all| {
            let number = all.one(|fate| matches!(fate, Fate::Dead(_)));
            all.bury(number + 1, "exhausted");
        },
        [false, false, true],
    ),
    (
        "a letter of what is good",
        |all| {
            let number = all.one(|fate| fate == Fate::Applied);
            all.bury(number + 1, "crash_loop");
        },
        [false, false, true],
    ),
    (
        "a letter twice",
        |all| {
            let first = all.letters.values_mut().next();
            first.expect("there are letters").1 = 2;
        },
        [false, true, false],
    ),
    (
        "a rejection that counts as resolved",
        |all| {
            let number = all.one(|fate| matches!(fate, Fate::Rejected(_)));
            all.unresolved.remove(&(number + 1));
        },
        [false, false, true],
    ),
    (
        "an event that the broker forgot",
        |all| {
            let last = all.entries.len();
            all.entries.push(all.entries[last - 1].clone());
        },
        [true, false, false],
    ),
];

#[test]
fn every_damage_is_noticed() {
    for (what, damage, expected) in DAMAGES {
        let mut remains = Remains::flawless();
        damage(&mut remains);
        let found = remains.findings();
        let is = [found.lost > 0, found.doubled > 0, found.misplaced > 0];
        assert_eq!(is, *expected, "{what}: {:?}", found.told);
    }
}

/// A letter that went out while an older event was missing, and was resolved when that came, is no fault.
#[test]
fn what_was_resolved_is_forgiven() {
    let mut remains = Remains::flawless();
    let number = remains.one(|fate| fate == Fate::Applied);
    remains.bury(number + 1, "key_taken");
    assert!(remains.findings().is_clean());
    remains.unresolved.insert(number + 1, 1);
    assert_eq!(remains.findings().misplaced, 1);
}

/// Whichever of the twins was first, the other one is buried.
#[test]
fn either_twin_may_win() {
    let mut remains = Remains::flawless();
    let twin = remains.one(|fate| matches!(fate, Fate::Twin(_)));
    let row = remains.profiles.iter_mut().find(|row| {
        row.user_id
            .starts_with(&format!("s{}.", story_of(&remains.entries, twin)))
    });
    let row = row.expect("twins have a profile");
    row.full_name = Some("Other Twin".into());
    row.display_name = "Other Twin".into();
    assert!(remains.findings().lost > 0, "the letter of the first is missing");
    let letter = remains.letters.remove(&format!("letter of {}", twin + 1));
    assert!(letter.is_some());
    remains.unresolved.remove(&(twin + 1));
    remains.bury(twin, "id_conflict");
    remains.unresolved.insert(twin, 1);
    let findings = remains.findings();
    assert!(findings.is_clean(), "{:?}", findings.told);
}

fn story_of(entries: &[Option<Entry>], number: u64) -> u32 {
    entries[number as usize].as_ref().map_or(0, |entry| entry.story)
}

#[test]
fn every_kind_is_planned() {
    for database in [Database::Postgres, Database::Sqlite] {
        for seed in 0..50 {
            let plan = plan(&mut Rng::new(seed), 30, database);
            assert_eq!(plan.len(), 30);
            for kind in Kind::ALL {
                assert_eq!(
                    plan.contains(kind),
                    kind.exists_on(database),
                    "{kind:?} on {database:?}"
                );
            }
        }
        let many = plan(&mut Rng::new(1), 1_000, database);
        let of = |kind| many.iter().filter(|other| **other == kind).count();
        assert!(of(Kind::WorkerKill) >= 290, "{}", of(Kind::WorkerKill));
    }
}
