use super::*;
use crate::domain::event::{Body, EventRef, Kind, Patch};
use crate::domain::position::Timestamp;

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
        degraded: BTreeSet::new(),
        backfill: false,
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
    let mut fast = plan.fast.clone();
    fast.sort_unstable();
    assert_eq!(fast, [0, 1, 2]);
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
