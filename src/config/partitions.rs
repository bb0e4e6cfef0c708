//! `[consumer] partitions`, and what the stream takes with them: nothing that no consumer would read.

use super::check::Check;
use super::problem::At;
use super::{low, names};

/// Every worker reads every partition; more of them cost more than they bring.
const MOST: u16 = 64;
/// Longest name of the durable, so that `-p63` has room behind it.
const LONGEST_NAME: usize = 250;

/// How many, if the users are divided at all.
pub(super) fn partitions(check: &mut Check<'_>, low: &low::Consumer) -> Option<u16> {
    let at = At::new("consumer", "partitions");
    let partitions = Some(check.number(at, low.partitions, 0..=MOST)).filter(|number| *number > 1)?;
    if low.durable.len() > LONGEST_NAME {
        let remedy = format!("give at most {LONGEST_NAME}: consumers of partitions are called after it");
        let what = format!("has {} bytes", low.durable.len());
        check.report(At::new("consumer", "durable"), what, remedy);
    }
    Some(partitions)
}

/// The subjects with at most three words: `user.<type>`, and `user.<type>.<word>`, which is stored with its partition.
pub(super) fn subjects(check: &mut Check<'_>, subjects: &[String]) -> Vec<String> {
    let at = At::new("consumer", "subjects");
    let mut narrowed: Vec<String> = Vec::new();
    for subject in subjects.iter().filter(|subject| names::is_subject(subject)) {
        let words: Vec<&str> = subject.split('.').collect();
        let taken = match words.as_slice() {
            [user, ">"] => vec![format!("{user}.*"), format!("{user}.*.*")],
            // Our own publishers say in a third word whose event it is.
            [user, kind] => vec![subject.clone(), format!("{user}.{kind}.*")],
            [user, kind, ">"] => vec![format!("{user}.{kind}.*")],
            [_, _, _] => vec![subject.clone()],
            _ => {
                let remedy = "with partitions the stream takes user.<type> and user.<type>.<word>: leave it out";
                check.report(
                    at,
                    format_args!("contains {subject:?}, which has more than three words"),
                    remedy,
                );
                continue;
            }
        };
        narrowed.extend(taken);
    }
    narrowed.sort_unstable();
    narrowed.dedup();
    for (index, subject) in narrowed.iter().enumerate() {
        if let Some(other) = narrowed[..index].iter().find(|other| names::overlap(other, subject)) {
            let remedy = format!("leave out {subject:?}");
            let what = format!("takes {other:?}, which partitions need, and {subject:?}");
            check.report(at, what, remedy);
        }
    }
    narrowed
}
