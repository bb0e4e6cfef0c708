//! Steps and audit rows, in the transaction of the profiles, in the configured order, all of a batch at once. A required
//! step that fails fails its event; an optional one costs only itself.

use std::collections::{BTreeMap, BTreeSet};

use super::follow::{Blamed, Named};
use super::notes::Notes;
use crate::domain::EventRef;
use crate::domain::cascade::{Course, Courses, End, Passage, Turn, courses, groups};
use crate::failure::{self, Class};
use crate::store::cascade::{Audit, Cascades, Expect, Need, Step, Work, WorkEnd};
use crate::store::{StoreError, Tx};

/// What was done with some courses.
struct Done {
    /// Rows of each.
    rows: Vec<u64>,
    /// Those that are done later.
    waiting: BTreeSet<usize>,
}

/// A pass over the steps.
pub(super) struct Pass<'a> {
    pub(super) cascades: &'a Cascades,
    pub(super) events: &'a BTreeMap<EventRef, Named>,
    pub(super) notes: Notes,
    pub(super) blamed: &'a mut Blamed,
}

impl Pass<'_> {
    pub(super) async fn step(&mut self, tx: &mut Tx<'_>, step: &Step, passages: &[Passage]) -> Result<(), StoreError> {
        let Courses {
            courses,
            asked,
            contested,
        } = courses(passages, step.rule.rule);
        let name = step.rule.name.as_str();
        if !contested.is_empty() {
            tracing::warn!(
                step = name,
                events = contested.len(),
                "a value is held by others too: nothing is done, ambiguous"
            );
        }
        for event in contested {
            self.notes.say(event, name, "ambiguous");
        }
        for event in &asked {
            self.notes.count(*event, name, 0);
        }
        let mut parts = if courses.is_empty() { Vec::new() } else { vec![courses] };
        while let Some(part) = parts.pop() {
            if step.rule.need == Need::Required {
                let done = perform(tx, step, &part, self).await;
                let done =
                    done.map_err(|error| self.blame(error, name, part.iter().flat_map(|course| &course.events)))?;
                self.count(step, &part, &done);
                continue;
            }
            tx.savepoint().await?;
            match perform(tx, step, &part, self).await {
                Ok(done) => {
                    tx.release().await?;
                    self.count(step, &part, &done);
                }
                Err(error) => {
                    let error = borne(error, name)?;
                    tx.undo().await?;
                    match halves(part, &error) {
                        Ok(halves) => parts.extend(halves),
                        Err(part) => self.failed(name, part.iter().flat_map(|course| &course.events), &error),
                    }
                }
            }
        }
        if step.rule.expect == Expect::Rows {
            let missing: Vec<EventRef> = asked
                .into_iter()
                .filter(|event| self.notes.is_nothing(*event, name))
                .collect();
            for event in missing {
                tracing::warn!(step = name, "a row was expected and there is none: sync_warning");
                self.notes.say(event, name, "sync_warning");
            }
        }
        Ok(())
    }

    pub(super) async fn audit(&mut self, tx: &mut Tx<'_>, audit: &Audit, turns: &[&Turn]) -> Result<(), StoreError> {
        let name = audit.rule.name.as_str();
        let mut parts = vec![turns.to_vec()];
        while let Some(mut part) = parts.pop() {
            let rows: Vec<Vec<Option<String>>> = part.iter().map(|turn| self.audit_row(audit, turn)).collect();
            if audit.rule.need == Need::Required {
                let written = tx.write_audit(audit, &rows).await;
                written.map_err(|error| self.blame(error, name, part.iter().map(|turn| &turn.event)))?;
            } else {
                tx.savepoint().await?;
                if let Err(error) = tx.write_audit(audit, &rows).await {
                    let error = borne(error, name)?;
                    tx.undo().await?;
                    if part.len() > 1 && !failure::fault(&error).is_ours() {
                        let second = part.split_off(part.len() / 2);
                        parts.extend([second, part]);
                    } else {
                        self.failed(name, part.iter().map(|turn| &turn.event), &error);
                    }
                    continue;
                }
                tx.release().await?;
            }
            for turn in part {
                self.notes.count(turn.event, name, 1);
            }
        }
        Ok(())
    }

    fn audit_row(&self, audit: &Audit, turn: &Turn) -> Vec<Option<String>> {
        let templates = audit.rule.templates.iter();
        let Some(named) = self.events.get(&turn.event) else {
            return templates.map(|_| None).collect();
        };
        templates
            .map(|template| template.render(|field| super::notes::field(field, turn, named)))
            .collect()
    }

    fn count(&mut self, step: &Step, part: &[Course], done: &Done) {
        for ((n, course), rows) in part.iter().enumerate().zip(&done.rows) {
            for event in &course.events {
                if done.waiting.contains(&n) {
                    self.notes.wait(*event, &step.rule.name);
                } else {
                    self.notes.count(*event, &step.rule.name, *rows);
                }
            }
        }
    }

    fn failed<'e>(&mut self, step: &str, events: impl Iterator<Item = &'e EventRef>, error: &StoreError) {
        let fault = failure::fault(error);
        tracing::warn!(step, error = %fault, "an optional step failed; the event goes on without it");
        for event in events.collect::<BTreeSet<_>>() {
            self.notes.fail(*event, step, &fault.to_string());
        }
    }

    /// Older events that apply only now are rejected for it; the event in hand is not to blame for them.
    fn blame<'e>(&mut self, error: StoreError, step: &str, events: impl Iterator<Item = &'e EventRef>) -> StoreError {
        if failure::fault(&error).alone == Class::Event {
            let older = events
                .filter_map(|event| self.events.get(event))
                .filter(|named| named.is_older);
            self.blamed
                .extend(older.map(|named| (named.source.clone(), named.event_id.clone())));
        }
        error.in_step(step)
    }
}

/// Does what is to be done with the rows of some values: counts them, deletes, rewrites, puts off what is too much.
async fn perform(tx: &mut Tx<'_>, step: &Step, part: &[Course], pass: &Pass<'_>) -> Result<Done, StoreError> {
    let most = pass.cascades.max_rows;
    let values: Vec<&str> = part.iter().map(|course| course.value.as_str()).collect();
    let limit = if most == 0 { u64::from(u32::MAX) } else { most + 1 };
    let rows = tx.rows_of(step, &values, limit).await?;
    let forbidden = part
        .iter()
        .zip(&rows)
        .filter(|(course, _)| course.end == End::Forbidden);
    let in_the_way: u64 = forbidden.map(|(_, rows)| rows).sum();
    if in_the_way > 0 {
        return Err(StoreError::Restricted { rows: in_the_way });
    }
    let waiting = if most == 0 || !step.can_wait() {
        BTreeSet::new()
    } else {
        too_many(part, &rows, most)
    };
    let now = || {
        let all = part.iter().zip(&rows).enumerate();
        all.filter(|(n, (course, rows))| **rows > 0 && course.changes() && !waiting.contains(n))
            .map(|(_, (course, _))| course)
    };
    let gone: Vec<&str> = now()
        .filter(|course| course.end == End::Gone)
        .map(|course| course.value.as_str())
        .collect();
    if !gone.is_empty() {
        tx.remove_rows(step, &gone).await?;
    }
    let pairs: Vec<(&str, Option<&str>)> = now()
        .filter_map(|course| match &course.end {
            End::Set(target) => Some((course.value.as_str(), Some(target.as_str()))),
            End::Null => Some((course.value.as_str(), None)),
            End::Gone | End::Forbidden => None,
        })
        .collect();
    if !pairs.is_empty() {
        tx.rewrite_rows(step, &pairs).await?;
    }
    let work: Vec<Work> = waiting
        .iter()
        .filter_map(|n| put_off(&step.rule.name, &part[*n], pass.events))
        .collect();
    tx.put_off(&work).await?;
    Ok(Done { rows, waiting })
}

/// Which courses have to wait, so that no more than `most` rows are touched: the largest, unless others come from where
/// they go, or go where they come from. Those are done at once, whatever it takes.
fn too_many(part: &[Course], rows: &[u64], most: u64) -> BTreeSet<usize> {
    let changing = || {
        part.iter()
            .zip(rows)
            .enumerate()
            .filter(|(_, (course, rows))| course.changes() && **rows > 0)
    };
    let total: u64 = changing().map(|(_, (_, rows))| *rows).sum();
    if total <= most {
        return BTreeSet::new();
    }
    let sources: BTreeSet<&str> = changing().map(|(_, (course, _))| course.value.as_str()).collect();
    let target = |course: &Course| match &course.end {
        End::Set(target) => Some(target.clone()),
        End::Null | End::Gone | End::Forbidden => None,
    };
    let targets: BTreeSet<String> = changing().filter_map(|(_, (course, _))| target(course)).collect();
    let is_free = |course: &Course| {
        !targets.contains(&course.value) && target(course).is_none_or(|target| !sources.contains(target.as_str()))
    };
    let (mut free, bound): (Vec<_>, Vec<_>) = changing().partition(|(_, (course, _))| is_free(course));
    free.sort_by_key(|(_, (_, rows))| **rows);
    let mut room = most.saturating_sub(bound.iter().map(|(_, (_, rows))| **rows).sum());
    let mut waiting = BTreeSet::new();
    for (n, (_, rows)) in free {
        match room.checked_sub(*rows) {
            Some(left) => room = left,
            None => {
                waiting.insert(n);
            }
        }
    }
    waiting
}

fn put_off(step: &str, course: &Course, events: &BTreeMap<EventRef, Named>) -> Option<Work> {
    let end = match &course.end {
        End::Set(target) => WorkEnd::Set(target.clone()),
        End::Null => WorkEnd::Null,
        End::Gone => WorkEnd::Gone,
        End::Forbidden => return None,
    };
    let named = course.events.iter().filter_map(|event| events.get(event));
    Some(Work {
        step: step.to_owned(),
        value: course.value.clone(),
        end,
        events: named
            .map(|named| (named.source.clone(), named.event_id.clone()))
            .collect(),
        rows: 0,
    })
}

/// An error that costs an optional step and nothing else; all others are errors of the batch.
fn borne(error: StoreError, step: &str) -> Result<StoreError, StoreError> {
    let fault = failure::fault(&error);
    let is_the_tables = matches!(error, StoreError::Refused(_)) && fault.is_ours();
    if fault.alone == Class::Event || is_the_tables {
        Ok(error)
    } else {
        Err(error.in_step(step))
    }
}

/// The halves of what failed, if it is more than one that could be to blame; else what it was.
fn halves(part: Vec<Course>, error: &StoreError) -> Result<[Vec<Course>; 2], Vec<Course>> {
    let mut groups = groups(&part);
    if groups.len() < 2 || failure::fault(error).is_ours() {
        return Err(part);
    }
    let second: BTreeSet<usize> = groups.split_off(groups.len() / 2).into_iter().flatten().collect();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (n, course) in part.into_iter().enumerate() {
        if second.contains(&n) {
            right.push(course);
        } else {
            left.push(course);
        }
    }
    Ok([right, left])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(value: &str, target: Option<&str>) -> Course {
        Course {
            value: value.to_owned(),
            end: target.map_or(End::Gone, |target| End::Set(target.to_owned())),
            events: vec![EventRef([value.as_bytes()[0]; 16])],
        }
    }

    #[test]
    fn what_is_too_much_waits_unless_others_are_bound_to_it() {
        let chain = [
            course("a", Some("b")),
            course("b", Some("c")),
            course("d", None),
            course("e", Some("f")),
        ];
        for (rows, most, expected) in [
            ([1, 1, 1, 1], 4, &[][..]),
            ([1, 1, 1, 9], 10, &[3]),
            ([1, 1, 9, 9], 10, &[2, 3]),
            ([1, 1, 2, 9], 10, &[3]),
            // a goes where b comes from: both are done at once.
            ([90, 90, 0, 0], 10, &[]),
            ([90, 90, 1, 1], 10, &[2, 3]),
            // Without rows at b nothing is in the way.
            ([90, 0, 1, 1], 10, &[0]),
        ] {
            let waiting: Vec<usize> = too_many(&chain, &rows, most).into_iter().collect();
            assert_eq!(waiting, expected, "{rows:?} of {most}");
        }
    }

    #[test]
    fn a_part_is_cut_between_users_only() {
        let refused = StoreError::Restricted { rows: 1 };
        let chain = vec![course("a", Some("b")), course("b", Some("c"))];
        assert!(halves(chain.clone(), &refused).is_err(), "a goes where b comes from");
        let two = vec![course("a", Some("b")), course("d", None)];
        let [right, left] = halves(two, &refused).expect("two users");
        assert_eq!((left[0].value.as_str(), right[0].value.as_str()), ("a", "d"));
    }
}
