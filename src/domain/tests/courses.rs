//! What becomes of the application's rows that hold a value, after all passages of a batch.

use super::*;
use crate::domain::cascade::{Course, End, Fate, KeyKind, OnLeave, OnRename, Passage, Rule, courses, groups};

const RULE: Rule = Rule {
    key: KeyKind::UserId,
    on_rename: OnRename::Rewrite,
    on_leave: OnLeave::Delete,
};

fn by(n: u8) -> EventRef {
    EventRef([n; 16])
}

/// `1 a->b` moved, `1 a->` was cleared, `1 a+` departed; with a `?` at the end it is contested.
fn passage(text: &str) -> Passage {
    let (event, said) = text.split_once(' ').expect("an event and what it does");
    let event = by(event.parse().expect("a number"));
    let uncontested = said.trim_end_matches('?');
    let (value, fate) = match (uncontested.split_once("->"), uncontested.strip_suffix('+')) {
        (Some((value, "")), _) => (value, Fate::Cleared),
        (Some((value, to)), _) => (value, Fate::Moved(to.to_owned())),
        (None, Some(value)) => (value, Fate::Departed { mark: event }),
        (None, None) => panic!("{text} says nothing"),
    };
    Passage {
        event,
        key: KeyKind::UserId,
        value: value.to_owned(),
        fate,
        contested: said.ends_with('?'),
    }
}

fn text(course: &Course) -> String {
    let end = match &course.end {
        End::Set(value) => format!("->{value}"),
        End::Null => "->".to_owned(),
        End::Gone => "+".to_owned(),
        End::Forbidden => "!".to_owned(),
    };
    let events: Vec<String> = course.events.iter().map(|event| event.0[0].to_string()).collect();
    format!("{}{end} by {}", course.value, events.join(" "))
}

fn told(passages: &[&str], rule: Rule) -> Vec<String> {
    let passages: Vec<Passage> = passages.iter().map(|text| passage(text)).collect();
    courses(&passages, rule).courses.iter().map(text).collect()
}

#[test]
fn rows_end_where_the_last_passage_leads_them() {
    for (passages, expected) in [
        (&[][..], &[][..]),
        (&["1 a->b"], &["a->b by 1"]),
        (&["1 a->b", "2 c->d"], &["a->b by 1", "c->d by 2"]),
        // One after the other: rows that held b from the beginning go with those that came there.
        (&["1 a->b", "2 b->c"], &["a->c by 1 2", "b->c by 2"]),
        (
            &["1 a->b", "2 c->b", "3 b->d"],
            &["a->d by 1 3", "b->d by 3", "c->d by 2 3"],
        ),
        // A swap through a third value.
        (
            &["1 a->t", "2 b->a", "3 t->b"],
            &["a->b by 1 3", "b->a by 2", "t->b by 3"],
        ),
        // Rows that left before do not follow whoever came to their place.
        (&["1 a->b", "2 c->a", "3 a->d"], &["a->b by 1", "c->d by 2 3"]),
        (&["1 a+", "2 b->a", "3 a->c"], &["a+ by 1", "b->c by 2 3"]),
        (&["1 a->b", "2 b+"], &["a+ by 1 2", "b+ by 2"]),
        (&["1 a->b", "2 b->a"], &["a->a by 1 2", "b->a by 2"]),
    ] {
        assert_eq!(told(passages, RULE), expected, "{passages:?}");
    }
}

#[test]
fn rows_that_come_back_to_where_they_were_are_not_written() {
    let passages = ["1 a->b", "2 b->a"].map(passage);
    let there_and_back = courses(&passages, RULE).courses;
    assert_eq!(
        there_and_back.iter().map(Course::changes).collect::<Vec<_>>(),
        [false, true]
    );
    let gone = courses(&[passage("1 a+")], RULE).courses;
    assert!(gone[0].changes());
}

#[test]
fn each_table_says_what_a_passage_makes_of_its_rows() {
    for (on_rename, moved, cleared) in [
        (OnRename::Rewrite, Some("a->b by 1"), None),
        (OnRename::Delete, Some("a+ by 1"), Some("a+ by 1")),
        (OnRename::Nullify, Some("a-> by 1"), Some("a-> by 1")),
        (OnRename::Keep, None, None),
    ] {
        let rule = Rule { on_rename, ..RULE };
        assert_eq!(
            told(&["1 a->b"], rule).first().map(String::as_str),
            moved,
            "{on_rename:?}"
        );
        assert_eq!(
            told(&["1 a->"], rule).first().map(String::as_str),
            cleared,
            "{on_rename:?}"
        );
        assert_eq!(told(&["1 a+"], rule), ["a+ by 1"], "{on_rename:?}");
    }
    for (on_leave, departed) in [
        (OnLeave::Delete, Some("a+ by 1")),
        (OnLeave::Nullify, Some("a-> by 1")),
        (OnLeave::Anonymise, Some("a->deleted-0101010101010101 by 1")),
        (OnLeave::Keep, None),
        (OnLeave::Restrict, Some("a! by 1")),
    ] {
        let rule = Rule { on_leave, ..RULE };
        assert_eq!(
            told(&["1 a+"], rule).first().map(String::as_str),
            departed,
            "{on_leave:?}"
        );
        assert_eq!(told(&["1 a->b"], rule), ["a->b by 1"], "{on_leave:?}");
    }
}

#[test]
fn what_is_put_in_the_place_of_a_person_tells_nothing_of_them() {
    for (key, expected) in [
        (KeyKind::UserId, "deleted-0101010101010101"),
        (KeyKind::Username, "deleted-0101010101010101"),
        (KeyKind::Email, "deleted-0101010101010101@example.invalid"),
    ] {
        let rule = Rule {
            key,
            on_leave: OnLeave::Anonymise,
            ..RULE
        };
        let left = Passage {
            key,
            ..passage("1 ada@example.com+")
        };
        let end = courses(&[left], rule).courses.remove(0).end;
        assert_eq!(end, End::Set(expected.to_owned()));
        assert!(expected.len() <= crate::domain::cascade::ANONYMOUS_LENGTH);
    }
}

#[test]
fn passages_of_other_keys_are_none_of_a_tables_business() {
    let of_address = Passage {
        key: KeyKind::Email,
        ..passage("1 a->b")
    };
    let both = [of_address, passage("2 a->c")];
    let by_key = |key| {
        courses(&both, Rule { key, ..RULE })
            .courses
            .iter()
            .map(text)
            .collect::<Vec<_>>()
    };
    assert_eq!(by_key(KeyKind::UserId), ["a->c by 2"]);
    assert_eq!(by_key(KeyKind::Email), ["a->b by 1"]);
    assert_eq!(by_key(KeyKind::Username), [""; 0]);
}

#[test]
fn what_is_contested_is_told_and_not_done() {
    let passages = ["1 a->b?", "2 b->c", "3 d+?"].map(passage);
    let followed = courses(&passages, RULE);
    assert_eq!(followed.courses.iter().map(text).collect::<Vec<_>>(), ["b->c by 2"]);
    assert_eq!(followed.contested, BTreeSet::from([by(1), by(3)]));
    assert_eq!(followed.asked, BTreeSet::from([by(2)]));
    // Where nothing would be done there is nothing to be contested.
    let keep = Rule {
        on_leave: OnLeave::Keep,
        ..RULE
    };
    assert_eq!(courses(&passages, keep).contested, BTreeSet::from([by(1)]));
}

#[test]
fn courses_that_share_an_event_or_meet_are_run_together() {
    let grouped = |passages: &[&str]| {
        let passages: Vec<Passage> = passages.iter().map(|text| passage(text)).collect();
        let courses = courses(&passages, RULE).courses;
        let named = |group: Vec<usize>| group.iter().map(|n| courses[*n].value.clone()).collect::<String>();
        groups(&courses).into_iter().map(named).collect::<Vec<_>>()
    };
    assert_eq!(grouped(&[]), [""; 0]);
    assert_eq!(grouped(&["1 a->x", "2 b->y", "3 c+"]), ["a", "b", "c"]);
    // One event.
    assert_eq!(grouped(&["1 a->x", "2 b->y", "1 c->z"]), ["ac", "b"]);
    // One goes where another comes from.
    assert_eq!(grouped(&["1 b->c", "2 a->b", "3 d->e"]), ["ab", "d"]);
    // … through others, whatever their order.
    assert_eq!(grouped(&["1 a->x", "2 b->y", "1 c->z", "2 d->w", "3 w->c"]), ["abcdw"]);
    assert_eq!(grouped(&["1 e->d", "2 a->b", "3 b->c", "4 d->a"]), ["abde"]);
}
