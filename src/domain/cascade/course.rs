//! What becomes of the rows that hold a value, all passages of a batch one after the other: one course per value, to be
//! run at once. Whatever the cut of the history, rows end in the same state.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fate, KeyKind, Passage};
use crate::domain::event::EventRef;

/// What happens to rows whose person has another value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRename {
    /// They get the new one.
    Rewrite,
    /// They go.
    Delete,
    /// They get none.
    Nullify,
    /// They stay as they are.
    Keep,
}

/// What happens to rows whose person went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLeave {
    /// They go.
    Delete,
    /// They get no value.
    Nullify,
    /// They get a value that tells nothing of the person.
    Anonymise,
    /// They stay as they are.
    Keep,
    /// The person cannot go while there are any.
    Restrict,
}

/// What a table wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What its column holds.
    pub key: KeyKind,
    /// When it changes.
    pub on_rename: OnRename,
    /// When the person goes.
    pub on_leave: OnLeave,
}

/// What rows become in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The column gets this value.
    Set(String),
    /// The column gets none.
    Null,
    /// They go.
    Gone,
    /// There must not be any.
    Forbidden,
}

/// What becomes of the rows that hold one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The value.
    pub value: String,
    /// What they become; the value itself when they came back to where they were.
    pub end: End,
    /// Whose doing it is, in order: each of them touches these rows once.
    pub events: Vec<EventRef>,
}

impl Course {
    /// Whether something has to be written.
    pub fn changes(&self) -> bool {
        !matches!(&self.end, End::Set(value) if *value == self.value)
    }
}

/// What a table has to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Courses {
    /// One per value.
    pub courses: Vec<Course>,
    /// Events that would touch rows, if there are any.
    pub asked: BTreeSet<EventRef>,
    /// Events that would have touched rows of which nobody can say whose they are.
    pub contested: BTreeSet<EventRef>,
}

/// Puts the passages together, as one table wants it.
pub fn courses(passages: &[Passage], rule: Rule) -> Courses {
    let mut walk = Walk::default();
    let (mut asked, mut contested) = (BTreeSet::new(), BTreeSet::new());
    for passage in passages.iter().filter(|passage| passage.key == rule.key) {
        let Some(end) = end(passage, rule) else { continue };
        if passage.contested {
            contested.insert(passage.event);
        } else {
            asked.insert(passage.event);
            walk.step(&passage.value, &end, passage.event);
        }
    }
    Courses {
        courses: walk.courses.into_values().collect(),
        asked,
        contested,
    }
}

/// What a passage makes of rows; nothing where they stay as they are.
fn end(passage: &Passage, rule: Rule) -> Option<End> {
    let mark = match &passage.fate {
        Fate::Moved(value) => return on_rename(rule.on_rename, Some(value)),
        Fate::Cleared => return on_rename(rule.on_rename, None),
        Fate::Departed { mark } => *mark,
    };
    match rule.on_leave {
        OnLeave::Delete => Some(End::Gone),
        OnLeave::Nullify => Some(End::Null),
        OnLeave::Anonymise => Some(End::Set(anonymous(rule.key, mark))),
        OnLeave::Keep => None,
        OnLeave::Restrict => Some(End::Forbidden),
    }
}

fn on_rename(choice: OnRename, value: Option<&String>) -> Option<End> {
    match choice {
        // A value that was cleared has no other: what was is still the best that is known.
        OnRename::Rewrite => value.cloned().map(End::Set),
        OnRename::Delete => Some(End::Gone),
        OnRename::Nullify => Some(End::Null),
        OnRename::Keep => None,
    }
}

/// Length of the longest value of [`anonymous`], in characters.
pub(crate) const ANONYMOUS_LENGTH: usize = 40;

/// The same for all rows of a person, and nothing can be learned from it.
fn anonymous(key: KeyKind, mark: EventRef) -> String {
    let name: String = format!("{mark:?}").chars().take(16).collect();
    match key {
        KeyKind::UserId | KeyKind::Username => format!("deleted-{name}"),
        KeyKind::Email => format!("deleted-{name}@example.invalid"),
    }
}

/// Values on their way.
#[derive(Default)]
struct Walk {
    courses: BTreeMap<String, Course>,
    /// The courses whose rows hold this value by now.
    at: BTreeMap<String, Vec<String>>,
}

impl Walk {
    fn step(&mut self, value: &str, end: &End, event: EventRef) {
        let mut origins = self.at.remove(value).unwrap_or_default();
        // Rows that held it from the beginning, unless they left before.
        if !self.courses.contains_key(value) {
            origins.push(value.to_owned());
        }
        for origin in &origins {
            let course = self.courses.entry(origin.clone()).or_insert_with(|| Course {
                value: origin.clone(),
                end: end.clone(),
                events: Vec::new(),
            });
            course.end.clone_from(end);
            course.events.push(event);
        }
        if let End::Set(value) = end {
            self.at.entry(value.clone()).or_default().extend(origins);
        }
    }
}

/// Courses that have to be run together, because they share an event or one goes where another comes from: indices.
pub fn groups(courses: &[Course]) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..courses.len()).collect();
    let mut by_event: BTreeMap<EventRef, usize> = BTreeMap::new();
    let by_value: BTreeMap<&str, usize> = courses
        .iter()
        .zip(0..)
        .map(|(course, n)| (course.value.as_str(), n))
        .collect();
    for (n, course) in courses.iter().enumerate() {
        for event in &course.events {
            let other = *by_event.entry(*event).or_insert(n);
            unite(&mut parent, n, other);
        }
        if let End::Set(value) = &course.end
            && let Some(other) = by_value.get(value.as_str())
        {
            unite(&mut parent, n, *other);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for n in 0..courses.len() {
        let root = find(&mut parent, n);
        groups.entry(root).or_default().push(n);
    }
    groups.into_values().collect()
}

fn find(parent: &mut [usize], mut n: usize) -> usize {
    while parent[n] != n {
        parent[n] = parent[parent[n]];
        n = parent[n];
    }
    n
}

fn unite(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parent, a), find(parent, b));
    parent[a.max(b)] = a.min(b);
}
