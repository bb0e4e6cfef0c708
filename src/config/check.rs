//! The checks that many keys share. Each notes what is wrong and goes on with some value of the right kind, so that all
//! problems come out at once.

use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::duration;
use super::low::Interval;
use super::problem::{At, Origins, Problem};
use super::secret::{SecretFileError, secret_file};
use super::section::Section;

/// What was given where, and what is wrong with it.
pub(super) struct Check<'a> {
    pub origins: &'a Origins,
    pub problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a problem of the key; `what` continues `"key" in [section]`.
    pub(super) fn report(&mut self, at: At, what: impl Display, remedy: impl Into<String>) {
        let header = Section::named(at.section).map(Section::header).unwrap_or_default();
        let subject = if at.key.is_empty() {
            header
        } else {
            format!("\"{}\" in {header}", at.key)
        };
        self.problems.push(Problem {
            origin: self.origins.of(at),
            what: format!("{subject} {what}"),
            remedy: remedy.into(),
        });
    }

    /// Whether the key was given, rightly or wrongly.
    pub(super) fn given(&self, at: At) -> bool {
        self.origins.given(at).is_some()
    }

    /// An integer within limits.
    pub(super) fn number<T>(&mut self, at: At, value: i64, range: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<i64>,
    {
        T::try_from(value)
            .ok()
            .filter(|number| range.contains(number))
            .unwrap_or_else(|| {
                self.report(
                    at,
                    format_args!("is {value}"),
                    format!("give {} to {}", range.start(), range.end()),
                );
                *range.start()
            })
    }

    /// A share of a whole: more than nothing, at most all.
    pub(super) fn share(&mut self, at: At, value: f64) -> f64 {
        if value > 0.0 && value <= 1.0 {
            return value;
        }
        self.report(
            at,
            format_args!("is {value}"),
            "give a share above 0, and 1 at most, such as 0.15",
        );
        1.0
    }

    /// A limit in bytes, or -1 for none.
    pub(super) fn limit<T>(&mut self, at: At, value: i64, max: T) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<i64> + From<i8>,
    {
        T::try_from(value)
            .ok()
            .filter(|number| *number == T::from(-1) || (T::from(1)..=max).contains(number))
            .unwrap_or_else(|| {
                let remedy = format!("give a number of bytes from 1 to {max}, or -1 for the server's own limit");
                self.report(at, format_args!("is {value}"), remedy);
                T::from(-1)
            })
    }

    /// A duration within limits.
    pub(super) fn duration(&mut self, at: At, value: Interval, range: RangeInclusive<Duration>) -> Duration {
        if !range.contains(&value.0) {
            let remedy = format!(
                "give {} to {}",
                duration::text(*range.start()),
                duration::text(*range.end())
            );
            self.report(at, format_args!("is {}", duration::text(value.0)), remedy);
        }
        value.0
    }

    /// A text of so many characters, none of them a control character.
    pub(super) fn text(&mut self, at: At, value: &str, characters: RangeInclusive<usize>) {
        let count = value.chars().count();
        if !characters.contains(&count) {
            let remedy = format!("give {} to {}", characters.start(), characters.end());
            self.report(at, format_args!("has {count} characters"), remedy);
        } else if value.chars().any(char::is_control) {
            self.report(at, "contains a control character", "leave it out");
        }
    }

    /// The content of a file that holds a secret, without the newline at its end.
    pub(super) fn secret_file(&mut self, at: At, path: &Path) -> Option<SecretString> {
        let (why, remedy) = match secret_file(path) {
            Ok(secret) => return Some(secret),
            Err(SecretFileError::Unreadable(error)) => (
                format!("cannot be read ({error})"),
                "name a file of text that this user may read",
            ),
            Err(error @ SecretFileError::NoSecret) => (
                error.to_string(),
                "name the file that holds the secret, and nothing else",
            ),
        };
        self.report(at, format!("names {}, which {why}", path.display()), remedy);
        None
    }

    /// The path of a file that others will read; that it can be read is found out now.
    pub(super) fn readable(&mut self, at: At, path: Option<PathBuf>) -> Option<PathBuf> {
        let path = path?;
        let opened = fs::File::open(&path).and_then(|file| file.metadata());
        let trouble = match opened {
            Ok(found) if found.is_file() => return Some(path),
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = format!("names {}, which cannot be read ({trouble})", path.display());
        self.report(at, what, "name a file that this user may read");
        None
    }
}
