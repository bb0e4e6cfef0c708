//! The convergence promise as a property: over ten thousand random histories the product's fold, however the events
//! arrive and however batches are cut, ends in the world of the naive fold of the sorted history. How often each cell
//! of the table was visited is printed, and too few visits fail, so that nobody believes an empty run.

mod shelf;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use rollcall::domain::{CreateOn, DisplayOwner, OnDelete, Policy, ProfileRule, Status};
use rollcall::envelope::{Envelope, Incoming, Intake, Recorded, decode, recall};
use serde_json::{Map, Value};
use time::macros::datetime;

use crate::histories::{Dice, history, settings};
use crate::naive::{self, CELLS, Settings, World};
use shelf::{Paths, Shelf};

const HISTORIES: u64 = 10_000;
const LEAST_VISITS: u64 = 100;

type Visits = BTreeMap<(String, String), u64>;

#[test]
fn any_arrival_of_a_history_ends_in_the_world_of_its_naive_fold() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let shares: Vec<(Visits, Paths)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || share((first..HISTORIES).step_by(threads as usize))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a share of the histories converges"))
            .collect()
    });
    let (mut visits, mut paths) = (Visits::new(), Paths::default());
    for (seen, used) in shares {
        for (cell, times) in seen {
            *visits.entry(cell).or_default() += times;
        }
        paths.fast += used.fast;
        paths.late += used.late;
        paths.checkpoints += used.checkpoints;
    }
    let (report, rare) = summary(&visits, paths);
    // Straight to the terminal: the numbers are the result, and a captured one would never be seen.
    std::io::stdout()
        .write_all(report.as_bytes())
        .expect("standard output takes the report");
    assert_eq!(
        rare,
        Vec::<String>::new(),
        "cells with fewer than {LEAST_VISITS} visits"
    );
    assert!(
        paths.fast > 100_000 && paths.late > 100_000 && paths.checkpoints > 5_000,
        "both paths are taken often, and many late ones from a checkpoint: {paths:?}"
    );
}

fn share(seeds: impl Iterator<Item = u64>) -> (Visits, Paths) {
    let (mut visits, mut paths) = (Visits::new(), Paths::default());
    for seed in seeds {
        let (events, settings) = (history(seed), settings(seed));
        let expected = naive::fold(&events, &settings);
        if let Err(difference) = check(&events, &settings, &expected, seed, &mut paths) {
            panic!("seed {seed}: {}", shortest(&events, &settings, seed, difference));
        }
        for (cell, times) in expected.visits {
            *visits.entry(cell).or_default() += times;
        }
    }
    (visits, paths)
}

/// One history, all at once and in some order and cuts, against its naive fold.
fn check(events: &[Value], settings: &Settings, expected: &World, seed: u64, paths: &mut Paths) -> Result<(), String> {
    let policy = Arc::new(policy(settings));
    let envelopes = events.iter().map(envelope).collect::<Result<Vec<Envelope>, String>>()?;
    let all: Vec<usize> = (0..events.len()).collect();
    compare(
        "in one batch",
        &Shelf::arrival(&envelopes, &[all], &policy, paths)?,
        expected,
    )?;

    let mut dice = Dice::new(seed ^ 0x0dd5);
    if dice.chance(50) {
        let anyhow = arrival(&mut dice, events.len(), true);
        return compare(
            "in any order",
            &Shelf::arrival(&envelopes, &anyhow, &policy, paths)?,
            expected,
        );
    }
    let mut sorted: Vec<usize> = (0..events.len()).collect();
    sorted.sort_by(|a, b| envelopes[*a].event.position.cmp(&envelopes[*b].event.position));
    let nearly: Vec<Vec<usize>> = arrival(&mut dice, events.len(), false)
        .into_iter()
        .map(|batch| batch.into_iter().map(|index| sorted[index]).collect())
        .collect();
    compare(
        "nearly in order",
        &Shelf::arrival(&envelopes, &nearly, &policy, paths)?,
        expected,
    )
}

/// Indices in batches: each at least once, some twice; shuffled, or in order but for a few that come late.
fn arrival(dice: &mut Dice, count: usize, shuffled: bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..count).collect();
    if shuffled {
        dice.shuffle(&mut order);
    } else {
        for _ in 0..dice.below(4) {
            let moved = order.remove(dice.below(count));
            order.push(moved);
        }
    }
    for _ in 0..dice.below(2 + count / 4) {
        let copy = *dice.pick(&order);
        order.insert(dice.below(order.len() + 1), copy);
    }
    // Mostly larger ones: a late batch folds its whole component anew, and ten thousand histories have to be quick.
    let largest = *dice.pick(if count < 12 {
        &[1, 2, 4, 8]
    } else {
        &[1, 8, 16, 16, 32, 32, 100, 100]
    });
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(rest.len().min(1 + dice.below(largest)));
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

fn compare(how: &str, actual: &World, expected: &World) -> Result<(), String> {
    let verdicts = differing(&actual.verdicts, &expected.verdicts);
    let users = differing(&actual.users, &expected.users);
    let aliases = differing(&actual.aliases, &expected.aliases);
    let departed = |world: &World| {
        let mut texts: Vec<String> = world.departed.iter().map(|departed| format!("{departed:#?}")).collect();
        texts.sort();
        texts
    };
    let gone = (departed(actual), departed(expected));
    let mut text = format!("{verdicts}{users}{aliases}");
    if actual.tombstones != expected.tombstones {
        let (product, naive) = (&actual.tombstones, &expected.tombstones);
        text = format!("{text}tombstones: product {product:?}, naive {naive:?}\n");
    }
    if gone.0 != gone.1 {
        text = format!(
            "{text}departed: product {}\nnaive {}\n",
            gone.0.join("\n"),
            gone.1.join("\n")
        );
    }
    if text.is_empty() {
        Ok(())
    } else {
        Err(format!("{how}\n{text}"))
    }
}

fn differing<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    actual: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> String {
    let keys: std::collections::BTreeSet<&K> = actual.keys().chain(expected.keys()).collect();
    let different = keys.into_iter().filter(|key| actual.get(key) != expected.get(key));
    different.fold(String::new(), |text, key| {
        format!(
            "{text}{key:?}: product {:#?}\nnaive {:#?}\n",
            actual.get(key),
            expected.get(key)
        )
    })
}

/// The failure again with every event left out that it does not need.
fn shortest(events: &[Value], settings: &Settings, seed: u64, difference: String) -> String {
    let (mut events, mut difference) = (events.to_vec(), difference);
    let mut index = 0;
    while index < events.len() {
        let mut fewer = events.clone();
        fewer.remove(index);
        let expected = naive::fold(&fewer, settings);
        match check(&fewer, settings, &expected, seed, &mut Paths::default()) {
            Err(still) => (events, difference, index) = (fewer, still, 0),
            Ok(()) => index += 1,
        }
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    format!("{difference}\n{settings:?}\n{}", lines.join("\n"))
}

fn summary(visits: &Visits, paths: Paths) -> (String, Vec<String>) {
    let mut report = format!(
        "\n{HISTORIES} histories; {} events on the fast path, {} folded anew on the late one, \
         which began {} times at a checkpoint\n",
        paths.fast, paths.late, paths.checkpoints
    );
    let mut rare = Vec::new();
    for (row, columns) in CELLS {
        let times = |column: &&str| {
            visits
                .get(&(row.to_owned(), (*column).to_owned()))
                .copied()
                .unwrap_or_default()
        };
        let cells: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} {}", times(column)))
            .collect();
        report = format!("{report}  {row}: {}\n", cells.join(", "));
        let few = columns.iter().filter(|column| times(column) < LEAST_VISITS);
        rare.extend(few.map(|column| format!("{row} / {column}")));
    }
    let listed = |cell: &(String, String)| {
        CELLS
            .iter()
            .any(|(row, columns)| *row == cell.0 && columns.contains(&cell.1.as_str()))
    };
    rare.extend(
        visits
            .keys()
            .filter(|cell| !listed(cell))
            .map(|cell| format!("{cell:?} is not listed")),
    );
    (report, rare)
}

/// The event through the product's own decoder, which must also make it again from what the ledger keeps.
fn envelope(event: &Value) -> Result<Envelope, String> {
    let headers = [("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
    let payload = event.to_string();
    let message = Incoming {
        subject: event["type"].as_str().unwrap_or_default(),
        headers: &headers,
        payload: payload.as_bytes(),
        stream: "USERS",
        sequence: 1,
        published: datetime!(2040-01-01 0:00 UTC),
    };
    let envelope = decode(&message, &Intake::default()).map_err(|refusal| format!("{event}: {refusal}"))?;
    let recorded = Recorded {
        kind: envelope.event.body.kind(),
        source: &envelope.event.source,
        id: &envelope.id,
        key: envelope.event.key.clone(),
        new_key: envelope.event.new_key().map(str::to_owned),
        position: envelope.event.position.clone(),
        data: &envelope.data,
        reduced: false,
        inputs: rollcall::domain::Inputs::default(),
        backfill: envelope.event.backfill,
    };
    let recalled = recall(recorded).map_err(|refusal| format!("{event}: {refusal}"))?;
    if recalled != envelope.event {
        return Err(format!("{event} is recalled as {recalled:?}"));
    }
    Ok(envelope)
}

fn policy(settings: &Settings) -> Policy {
    let first = settings
        .types
        .first()
        .map(|first| first.name.clone())
        .unwrap_or_default();
    let sources = [
        "full_name",
        "first_name + last_name",
        "metadata.display_name",
        "username",
        "email",
        "user_id",
    ];
    let rule = |setting: &naive::TypeSetting| ProfileRule {
        name: setting.name.clone(),
        initial: match setting.initial.as_str() {
            "draft" => Status::Draft,
            "active" => Status::Active,
            _ => Status::Archived,
        },
        create_on: if setting.on_activation {
            CreateOn::Activation
        } else {
            CreateOn::Creation
        },
        activation_creates: setting.activation_creates.clone(),
        requires: Vec::new(),
        attributes: Map::new(),
        backfill_attributes: Map::new(),
        synchronised: Vec::new(),
        display_name: sources.map(str::to_owned).to_vec(),
        display_owner: DisplayOwner::Worker,
    };
    Policy {
        protected: settings.protected.clone(),
        profiles: settings.types.iter().map(rule).collect(),
        customer_type: settings.customer_type.clone().unwrap_or(first),
        on_delete: if settings.archive_on_delete {
            OnDelete::Archive
        } else {
            OnDelete::Delete
        },
        key_is_email: false,
        sources: Vec::new(),
        lookup: None,
    }
}
