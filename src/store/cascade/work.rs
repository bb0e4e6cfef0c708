//! What is left of steps that were too large for one transaction: values whose rows are followed a part at a time. Each
//! part is a transaction of its own that keeps the progress, so that nobody waits long and a crash loses little.

use time::OffsetDateTime;

use super::{Cascades, Step};
use crate::store::failures::briefly;
use crate::store::patience::within;
use crate::store::{Session, Store, StoreError, Tx};

/// Rows in one transaction where there is no limit for an event.
pub(super) const PART: u64 = 10_000;
/// How often a part is tried in which nothing was done although there is something.
const EMPTY_TRIES: u32 = 3;

/// What the rows of a value become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkEnd {
    /// The column gets this value.
    Set(String),
    /// The column gets none.
    Null,
    /// They go.
    Gone,
}

/// The rows of one value that are still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Name of the step.
    pub step: String,
    /// The value that the rows hold.
    pub value: String,
    /// What they become.
    pub end: WorkEnd,
    /// Whose doing it is: source and id.
    pub events: Vec<(String, String)>,
    /// Rows done so far.
    pub rows: u64,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is none, or nothing that anybody here could do.
    Idle,
    /// A part was done.
    Going,
}

impl WorkEnd {
    pub(in crate::store) fn word(&self) -> &'static str {
        match self {
            Self::Set(_) => "set",
            Self::Null => "null",
            Self::Gone => "gone",
        }
    }

    pub(in crate::store) fn target(&self) -> Option<&str> {
        match self {
            Self::Set(value) => Some(value),
            Self::Null | Self::Gone => None,
        }
    }

    pub(in crate::store) fn from_words(word: &str, target: Option<String>) -> Option<Self> {
        match (word, target) {
            ("set", Some(value)) => Some(Self::Set(value)),
            ("null", None) => Some(Self::Null),
            ("gone", None) => Some(Self::Gone),
            _ => None,
        }
    }
}

impl Tx<'_> {
    /// Leaves rows for later.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_off(&mut self, work: &[Work]) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.put_off(work).await)
    }

    /// Whether rows of one of these values are still to be done, or still to come.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_unfinished(&mut self, values: &[&str]) -> Result<bool, StoreError> {
        in_tx!(self, inner => inner.is_unfinished(values).await)
    }

    async fn claim_work(&mut self, steps: &[&str], now: OffsetDateTime) -> Result<Option<(i64, Work)>, StoreError> {
        in_tx!(self, inner => inner.claim_work(steps, now).await)
    }

    async fn do_some(&mut self, step: &Step, work: &Work, most: u64) -> Result<u64, StoreError> {
        in_tx!(self, inner => inner.do_some(step, work, most).await)
    }

    async fn keep_work(&mut self, id: i64, rows: u64) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.keep_work(id, rows).await)
    }

    async fn end_work(&mut self, id: i64) -> Result<(), StoreError> {
        in_tx!(self, inner => inner.end_work(id).await)
    }

    async fn steps_noted(&mut self, source: &str, event_id: &str) -> Result<Option<String>, StoreError> {
        in_tx!(self, inner => inner.steps_noted(source, event_id).await)
    }
}

/// A part that could not be done.
#[derive(Debug)]
pub struct Halted {
    /// Which work it was of, if it came so far.
    pub work: Option<i64>,
    /// Why.
    pub error: StoreError,
}

impl Store {
    /// Does a part of what was put off and is due: `most` rows, and no more than [`Cascades::part_size`].
    ///
    /// # Errors
    /// When the database refuses; the progress so far is kept, and the same part is tried again by a later call.
    pub async fn go_on(&self, now: OffsetDateTime, most: u64) -> Result<Progress, Halted> {
        let cascades = self.cascades();
        if cascades.steps.is_empty() {
            return Ok(Progress::Idle);
        }
        let most = most.min(cascades.part_size());
        let mut work = None;
        let done = match self.session().await {
            Err(error) => Err(error),
            Ok(mut session) => {
                let patience = session.patience();
                let done = patience
                    .with(part(&mut session, cascades, (now, most), &mut work))
                    .await;
                if done.is_err() {
                    session.discard();
                }
                done
            }
        };
        done.map_err(|error| Halted { work, error })
    }

    /// Lets work wait that was refused.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_aside(&self, work: i64, error: &str, until: OffsetDateTime) -> Result<(), StoreError> {
        briefly!(self, tx => tx.set_aside(work, error, until))
    }

    /// How many values wait for their rows to be done, without those that were refused and wait for somebody.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_work(&self) -> Result<u64, StoreError> {
        briefly!(self, tx => tx.count_work())
    }

    /// Steps with work that none of these names is: nobody would do it, and its users would wait for ever. Each with the
    /// number of values.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn orphaned_work(&self, steps: &[&str]) -> Result<Vec<(String, u64)>, StoreError> {
        let found = within(self.patience(), async {
            on_both!(self, Self, inner => inner.steps_at_work().await)
        })
        .await?;
        let orphans = found.into_iter().filter(|(step, _)| !steps.contains(&step.as_str()));
        Ok(orphans.map(|(step, values)| (step, values as u64)).collect())
    }
}

async fn part(
    session: &mut Session,
    cascades: &Cascades,
    (now, most): (OffsetDateTime, u64),
    working: &mut Option<i64>,
) -> Result<Progress, StoreError> {
    let names: Vec<&str> = cascades.steps.iter().map(|step| step.rule.name.as_str()).collect();
    let mut tx = session.begin().await?;
    let Some((id, work)) = tx.claim_work(&names, now).await? else {
        return Ok(Progress::Idle);
    };
    let Some(step) = cascades.steps.iter().find(|step| step.rule.name == work.step) else {
        return Ok(Progress::Idle);
    };
    *working = Some(id);
    tx.begin_steps().await?;
    let (done, is_end) = pass(&mut tx, step, &work, most)
        .await
        .map_err(|error| error.in_step(&work.step))?;
    let rows = work.rows + done;
    if is_end {
        tx.end_work(id).await?;
        let mut notes = Vec::new();
        for (source, event_id) in &work.events {
            let before = tx.steps_noted(source, event_id).await?;
            let text = finished(before.as_deref(), &work.step, rows);
            notes.extend(text.map(|text| (source.clone(), event_id.clone(), text)));
        }
        tx.note_steps(&notes).await?;
    } else {
        tx.keep_work(id, rows).await?;
    }
    tx.commit().await?;
    Ok(Progress::Going)
}

/// Does some of the rows; how many, and whether that was the end. A part that comes to fewer than it might does not say
/// so: the application may have deleted or changed some of those that were picked.
async fn pass(tx: &mut Tx<'_>, step: &Step, work: &Work, most: u64) -> Result<(u64, bool), StoreError> {
    for _ in 0..EMPTY_TRIES {
        let done = tx.do_some(step, work, most).await?;
        if done >= most {
            return Ok((done, false));
        }
        let left = tx.rows_of(step, &[&work.value], 1).await?;
        let is_end = left.iter().all(|rows| *rows == 0);
        if is_end || done > 0 {
            return Ok((done, is_end));
        }
    }
    // What the table keeps, by a trigger of its own for example, is not to be had.
    tracing::warn!(
        step = work.step.as_str(),
        "rows of the application stay as they are: their table keeps them"
    );
    Ok((0, true))
}

/// The note of an event with what was done of a step in the end.
fn finished(noted: Option<&str>, step: &str, rows: u64) -> Option<String> {
    let mut note: serde_json::Value = serde_json::from_str(noted?).ok()?;
    let entry = note.get_mut(step)?;
    let before = entry
        .as_u64()
        .or_else(|| entry.get("rows")?.as_u64())
        .unwrap_or_default();
    let waiting = entry
        .get("waiting")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or_default();
    *entry = match waiting {
        0 | 1 => (before + rows).into(),
        more => serde_json::json!({ "rows": before + rows, "waiting": more - 1 }),
    };
    Some(note.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_later_is_added_to_what_was_done_at_once() {
        for (noted, expected) in [
            (r#"{"a":1,"t":{"rows":5,"waiting":1}}"#, Some(r#"{"a":1,"t":12}"#)),
            (
                r#"{"t":{"rows":5,"waiting":2}}"#,
                Some(r#"{"t":{"rows":12,"waiting":1}}"#),
            ),
            (r#"{"t":{"waiting":1}}"#, Some(r#"{"t":7}"#)),
            (r#"{"a":1}"#, None),
            ("nonsense", None),
        ] {
            assert_eq!(finished(Some(noted), "t", 7).as_deref(), expected, "{noted}");
        }
        assert_eq!(finished(None, "t", 7), None);
    }
}
