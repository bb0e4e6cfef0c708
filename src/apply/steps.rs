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
            if let Some(halves) = self.part(tx, step, part).await? {
                parts.extend(halves);
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

    /// Does some of a step; returns the halves of it where it failed and they may not both be to blame.
    async fn part(
        &mut self,
        tx: &mut Tx<'_>,
        step: &Step,
        part: Vec<Course>,
    ) -> Result<Option<[Vec<Course>; 2]>, StoreError> {
        let name = step.rule.name.as_str();
        let is_safe = self.is_cut(step.rule.need, part.iter().flat_map(|course| &course.events));
        if is_safe {
            tx.savepoint().await?;
        }
        let mut forbidden = Vec::new();
        let error = match perform(tx, step, &part, self, &mut forbidden).await {
            Ok(done) => {
                if is_safe {
                    tx.release().await?;
                }
                self.count(step, &part, &done);
                return Ok(None);
            }
            Err(error) => error,
        };
        let error = bearable(error, step.rule.need, is_safe).map_err(|error| error.in_step(name))?;
        tx.undo().await?;
        let part = match halves(part, &error) {
            Ok(halves) => return Ok(Some(halves)),
            Err(part) => part,
        };
        if step.rule.need == Need::Optional {
            self.failed(name, part.iter().flat_map(|course| &course.events), &error);
            return Ok(None);
        }
        if matches!(error, StoreError::Restricted { .. }) {
            self.blame(&forbidden);
        } else if groups(&part).len() < 2 {
            self.blame(part.iter().flat_map(|course| &course.events));
        }
        Err(error.in_step(name))
    }

    pub(super) async fn audit(&mut self, tx: &mut Tx<'_>, audit: &Audit, turns: &[&Turn]) -> Result<(), StoreError> {
        let name = audit.rule.name.as_str();
        let mut parts = vec![turns.to_vec()];
        while let Some(mut part) = parts.pop() {
            let rows: Vec<Vec<Option<String>>> = part.iter().map(|turn| self.audit_row(audit, turn)).collect();
            let is_safe = self.is_cut(audit.rule.need, part.iter().map(|turn| &turn.event));
            if is_safe {
                tx.savepoint().await?;
            }
            let error = match tx.write_audit(audit, &rows).await {
                Ok(()) => {
                    if is_safe {
                        tx.release().await?;
                    }
                    for turn in part {
                        self.notes.count(turn.event, name, 1);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let error = bearable(error, audit.rule.need, is_safe).map_err(|error| error.in_step(name))?;
            tx.undo().await?;
            if part.len() > 1 && is_one_to_blame(&error) {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            } else if audit.rule.need == Need::Optional {
                self.failed(name, part.iter().map(|turn| &turn.event), &error);
            } else {
                if part.len() == 1 {
                    self.blame(part.iter().map(|turn| &turn.event));
                }
                return Err(error.in_step(name));
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

    /// Whether it has to be found out whose fault a failure is: of an optional step it costs only those, and an older event
    /// that applies only now is rejected for it.
    fn is_cut<'e>(&self, need: Need, mut events: impl Iterator<Item = &'e EventRef>) -> bool {
        need == Need::Optional || events.any(|event| self.events.get(event).is_some_and(|named| named.is_older))
    }

    /// Older events that apply only now are rejected for it; the event in hand is not to blame for them.
    fn blame<'e>(&mut self, events: impl IntoIterator<Item = &'e EventRef>) {
        let named = events.into_iter().filter_map(|event| self.events.get(event));
        let older = named.filter(|named| named.is_older);
        self.blamed
            .extend(older.map(|named| (named.source.clone(), named.event_id.clone())));
    }
}

/// Does what is to be done with the rows of some values: counts them, deletes, rewrites, puts off what is too much. Where
/// rows stand in the way, `forbidden` gets the events that must not happen.
async fn perform(
    tx: &mut Tx<'_>,
    step: &Step,
    part: &[Course],
    pass: &Pass<'_>,
    forbidden: &mut Vec<EventRef>,
) -> Result<Done, StoreError> {
    let most = pass.cascades.max_rows;
    let values: Vec<&str> = part.iter().map(|course| course.value.as_str()).collect();
    let limit = if most == 0 { u64::from(u32::MAX) } else { most + 1 };
    let rows = tx.rows_of(step, &values, limit).await?;
    let mut in_the_way = 0;
    for (course, rows) in part.iter().zip(&rows) {
        if course.end == End::Forbidden && *rows > 0 {
            in_the_way += rows;
            forbidden.extend(course.events.last());
        }
    }
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

/// An error that costs an optional step and nothing else, or that has to be found out about; all others are errors of the
/// batch.
fn bearable(error: StoreError, need: Need, is_safe: bool) -> Result<StoreError, StoreError> {
    let fault = failure::fault(&error);
    let is_the_tables = need == Need::Optional && matches!(error, StoreError::Refused(_)) && fault.is_ours();
    if is_safe && (fault.alone == Class::Event || is_the_tables) {
        Ok(error)
    } else {
        Err(error)
    }
}

/// Whether it is worth while to look for the one that failed: what is wrong with the table is wrong for all, and looking
/// for what takes too long would take as long again for every cut.
fn is_one_to_blame(error: &StoreError) -> bool {
    let fault = failure::fault(error);
    !fault.is_ours() && !fault.took_too_long()
}

/// The halves of what failed, if it is more than one that could be to blame; else what it was.
fn halves(part: Vec<Course>, error: &StoreError) -> Result<[Vec<Course>; 2], Vec<Course>> {
    let mut groups = groups(&part);
    if groups.len() < 2 || !is_one_to_blame(error) {
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
        let slow = StoreError::Refused(crate::store::Refusal {
            dialect: crate::store::Dialect::Postgres,
            code: "57014".to_owned(),
            constraint: None,
            table: None,
        });
        assert!(halves(two.clone(), &slow).is_err(), "each cut would take as long again");
        let [right, left] = halves(two, &refused).expect("two users");
        assert_eq!((left[0].value.as_str(), right[0].value.as_str()), ("a", "d"));
    }
}
