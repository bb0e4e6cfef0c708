//! What is stored about keys: the root of their component, and on a root its newest position and its events.

use super::*;

fn at(second: i64) -> Position {
    let time = Timestamp {
        seconds: second,
        nanos: 0,
    };
    Position::new(time, "", Kind::Deleted, "s", "1")
}

/// A stored key: `key root`, and on a root `@second events`.
fn row(text: &str) -> KeyRow {
    let words: Vec<&str> = text.split_whitespace().collect();
    let second = words.get(2).map(|word| word[1..].parse().expect("a second"));
    KeyRow {
        key: words[0].to_owned(),
        root: words[1].to_owned(),
        holder: StoredHolder::Unknown,
        newest: second.map(at),
        events: words.get(3).map_or(0, |word| word.parse().expect("a number of events")),
    }
}

fn text(row: &KeyRow) -> String {
    let mut words = vec![row.key.clone(), row.root.clone()];
    if let Some(newest) = &row.newest {
        words.push(format!("@{}", newest.time().seconds));
    }
    if row.events > 0 {
        words.push(row.events.to_string());
    }
    words.extend((row.holder == StoredHolder::Tombstone).then(|| "+".to_owned()));
    words.join(" ")
}

/// A component of `ada` and `ben`, and one of `cid`.
const STORED: [&str; 3] = ["ada ada @5 3", "ben ada", "cid cid @7 2"];

/// The keys that are written when these components have new events (`root @second events`), these have merged
/// (`lost->kept`) and these keys are tombstones now.
fn written(components: &[&str], merged: &[&str], tombstones: &[&str]) -> Vec<String> {
    let rows: BTreeMap<String, KeyRow> = STORED.map(row).map(|row| (row.key.clone(), row)).into();
    let mut plan = Plan::default();
    for component in components {
        let (root, rest) = component.split_once(' ').expect("a root");
        let KeyRow { newest, events, .. } = row(&format!("{root} {root} {rest}"));
        let stored = Stored {
            newest,
            events,
            keys: 1,
        };
        plan.components.insert(root.to_owned(), stored);
    }
    for pair in merged {
        let (lost, kept) = pair.split_once("->").expect("two roots");
        plan.merged.insert(lost.to_owned(), kept.to_owned());
    }
    let mut new = World::default();
    for key in tombstones {
        new.admit_key(key, Holder::Tombstone);
    }
    let written = difference(&rows, &World::default(), new, &plan);
    written.keys.iter().map(text).collect()
}

#[test]
fn a_root_knows_the_newest_position_and_the_events_of_its_component() {
    assert_eq!(written(&[], &[], &[]), [""; 0]);
    assert_eq!(written(&["ada @9 4"], &[], &[]), ["ada ada @9 4"]);
    assert_eq!(written(&["ada @5 3"], &[], &[]), [""; 0], "as it was");
    // A key that is new is its own root, or belongs to the component that a rename drew it into.
    assert_eq!(written(&["dan @9 1"], &[], &["dan"]), ["dan dan @9 1 +"]);
    assert_eq!(
        written(&["ada @9 4"], &["dan->ada"], &["dan"]),
        ["ada ada @9 4", "dan ada +"]
    );
}

#[test]
fn the_root_of_a_component_that_became_part_of_another_is_a_key_like_any_other() {
    assert_eq!(written(&["ada @9 6"], &["cid->ada"], &[]), ["ada ada @9 6", "cid ada"]);
    assert_eq!(
        written(&["cid @9 6"], &["ada->cid"], &[]),
        ["ada cid", "ben cid", "cid cid @9 6"]
    );
}

#[test]
fn a_key_without_news_of_its_component_keeps_what_is_stored_of_it() {
    assert_eq!(
        written(&[], &[], &["ada", "ben", "dan"]),
        ["ada ada @5 3 +", "ben ada +", "dan dan +"]
    );
}
