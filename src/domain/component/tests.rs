use super::*;
use crate::domain::event::{Body, EventRef, Kind, Patch};
use crate::domain::position::Timestamp;

fn plan(events: &[Event], roots: &BTreeMap<String, String>, stored: &BTreeMap<String, Stored>, limit: u64) -> Plan {
    let roots = roots.iter().map(|(key, root)| (key.as_str(), root.as_str())).collect();
    let stored = stored
        .iter()
        .map(|(root, known)| (root.as_str(), known.clone()))
        .collect();
    super::plan(&events.iter().collect::<Vec<_>>(), &roots, &stored, limit)
}

fn event(id: u8, seconds: i64, key: &str, to: Option<&str>) -> Event {
    let time = Timestamp { seconds, nanos: 0 };
    let body = match to {
        Some(to) => Body::Renamed {
            to: Some(to.to_owned()),
            patch: Patch::default(),
        },
        None => Body::Deleted,
    };
    Event {
        reference: EventRef([id; 16]),
        source: "s".to_owned(),
        time,
        position: Position::new(time, "", body.kind(), "s", &id.to_string()),
        key: key.to_owned(),
        body,
        cascade_failed: false,
        degraded: BTreeSet::new(),
        backfill: false,
        inputs: crate::domain::Inputs::default(),
    }
}

fn stored(entries: &[(&str, i64, u64)]) -> BTreeMap<String, Stored> {
    entries
        .iter()
        .map(|(root, seconds, events)| {
            let time = Timestamp {
                seconds: *seconds,
                nanos: 0,
            };
            let newest = Some(Position::new(time, "", Kind::Deleted, "z", "z"));
            (
                (*root).to_owned(),
                Stored {
                    newest,
                    events: *events,
                    keys: 1,
                },
            )
        })
        .collect()
}

fn roots(keys: &[&str]) -> BTreeMap<String, String> {
    keys.iter().map(|key| ((*key).to_owned(), (*key).to_owned())).collect()
}

#[test]
fn newer_events_are_applied_in_position_order() {
    let events = [event(1, 9, "a", None), event(2, 7, "b", None), event(3, 8, "c", None)];
    let plan = plan(
        &events,
        &roots(&["a", "b", "c"]),
        &stored(&[("a", 1, 1), ("b", 6, 1)]),
        100,
    );
    assert_eq!(plan.late, []);
    assert_eq!(plan.fast, [1, 2, 0]);
    assert_eq!(plan.components["b"].events, 2);
}

#[test]
fn an_older_event_makes_its_component_late_and_no_other() {
    let events = [event(1, 5, "a", None), event(2, 9, "b", None)];
    let plan = plan(&events, &roots(&["a", "b"]), &stored(&[("a", 6, 3), ("b", 6, 1)]), 100);
    assert_eq!(plan.fast, [1]);
    assert_eq!(
        plan.late,
        [Planned {
            roots: BTreeSet::from(["a".to_owned()]),
            events: vec![0]
        }]
    );
    assert_eq!(plan.components["a"].events, 4);
}

#[test]
fn a_rename_unites_components_from_then_on() {
    // The event of `a` at 5 is newer than all of `a`; only the rename at 8 meets `b`, and it is newer than both.
    let events = [event(1, 5, "a", None), event(2, 8, "a", Some("b"))];
    let known = stored(&[("a", 4, 1), ("b", 6, 1)]);
    let first = plan(&events, &roots(&["a", "b"]), &known, 100);
    assert_eq!(first.fast, [0, 1]);
    assert_eq!(first.merged.len(), 1);
    // A rename older than what is known of `b` draws both into one fold.
    let events = [event(3, 5, "a", Some("b")), event(4, 9, "a", None)];
    let second = plan(&events, &roots(&["a", "b"]), &known, 100);
    assert_eq!(second.fast, [] as [usize; 0]);
    assert_eq!(second.late[0].roots.len(), 2);
    assert_eq!(second.late[0].events, [0, 1]);
}

#[test]
fn late_events_of_a_large_component_are_buried_and_the_others_go_on() {
    let events = [event(1, 5, "a", None), event(2, 9, "a", None)];
    let plan = plan(&events, &roots(&["a"]), &stored(&[("a", 6, 100)]), 100);
    assert_eq!(plan.too_large, [0]);
    assert_eq!(plan.fast, [1]);
    assert_eq!(plan.components["a"].events, 101);
}

/// As [`stored`], with the number of keys of each component.
fn with_keys(mut stored: BTreeMap<String, Stored>, keys: &[(&str, u64)]) -> BTreeMap<String, Stored> {
    for (root, keys) in keys {
        stored.entry((*root).to_owned()).or_default().keys = *keys;
    }
    stored
}

#[test]
fn of_two_components_the_one_with_more_keys_keeps_its_root() {
    let known = stored(&[("a", 1, 10), ("b", 2, 20)]);
    for (keys_of_a, keys_of_b, kept, lost) in [(1, 2, "b", "a"), (2, 1, "a", "b"), (2, 2, "a", "b"), (0, 1, "b", "a")] {
        let known = with_keys(known.clone(), &[("a", keys_of_a), ("b", keys_of_b)]);
        let plan = plan(&[event(1, 9, "a", Some("b"))], &roots(&["a", "b"]), &known, 100);
        assert_eq!(plan.merged, BTreeMap::from([(lost.to_owned(), kept.to_owned())]));
        let united = &plan.components[kept];
        assert_eq!((united.events, united.keys), (31, keys_of_a + keys_of_b));
        assert_eq!(plan.components.len(), 1);
    }
}

#[test]
fn components_unite_one_after_the_other() {
    // The second rename meets what the first one made, under its new root.
    let events = [
        event(1, 7, "a", Some("b")),
        event(2, 8, "a", Some("c")),
        event(3, 9, "a", None),
    ];
    let known = with_keys(stored(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]), &[("b", 2), ("c", 4)]);
    let plan = plan(&events, &roots(&["a", "b", "c"]), &known, 100);
    let merged = ["a", "b"].map(|lost| (lost.to_owned(), "c".to_owned()));
    assert_eq!(plan.merged, BTreeMap::from(merged));
    assert_eq!(plan.fast, [0, 1, 2]);
    assert_eq!(plan.components["c"].events, 6);
    assert_eq!(plan.components["c"].newest.as_ref(), Some(&events[2].position));
}

#[test]
fn a_rename_within_a_component_unites_nothing() {
    let roots = ["a", "b"].map(|key| (key.to_owned(), "a".to_owned())).into();
    let plan = plan(&[event(1, 9, "b", Some("a"))], &roots, &stored(&[("a", 4, 3)]), 100);
    assert_eq!(plan.fast, [0]);
    assert!(plan.merged.is_empty());
    assert_eq!(plan.components["a"].events, 4);
}

#[test]
fn the_newest_position_is_that_of_a_newer_event_only() {
    let events = [event(1, 5, "a", None), event(2, 7, "b", None)];
    let known = stored(&[("a", 6, 1), ("b", 6, 1)]);
    let plan = plan(&events, &roots(&["a", "b"]), &known, 100);
    assert_eq!(plan.components["a"].newest, known["a"].newest);
    assert_eq!(plan.components["b"].newest.as_ref(), Some(&events[1].position));
}

#[test]
fn a_component_of_as_many_events_as_the_limit_is_still_folded() {
    let late = [event(1, 5, "a", None)];
    for (events, too_large) in [(99, &[][..]), (100, &[0])] {
        let plan = plan(&late, &roots(&["a"]), &stored(&[("a", 6, events)]), 100);
        assert_eq!(plan.too_large, too_large, "{events} and a late one");
        assert_eq!(plan.late.is_empty(), !too_large.is_empty());
    }
    // Newer events are applied however many there are.
    let plan = plan(
        &[event(1, 9, "a", None)],
        &roots(&["a"]),
        &stored(&[("a", 6, 1_000)]),
        100,
    );
    assert_eq!((plan.fast, plan.too_large), (vec![0], vec![]));
}
