//! The first fill: users of a table or a file, compared with the profiles, and a `user.created` for each who is missing.
//!
//! Everything streams: rows in pieces, keys sorted in scratch files. What is published goes the way of every event, so
//! nothing here writes to the database. Nobody is created who is known in any way, deleted users above all.

mod row;
mod sorted;
mod source;
mod survey;

use std::collections::{BTreeSet, HashSet};
use std::io;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{Body, Change, PROFILE_DETAILS, Patch, hex};
use crate::envelope::{self, Incoming, Intake, Subjects};
use crate::jetstream::{BrokerError, Outgoing, PublishWindow};
use crate::shutdown::Shutdown;
use crate::store::{Holding, KnownKey, QueryError, Store, StoreError};

pub use row::Columns;
pub use source::{Origin, SourceError};
pub use survey::{Example, Finding, Survey};

use sorted::Keys;
use source::{Row, Rows};

/// Rows looked at together.
const PIECE: usize = 1_000;
/// Profiles read together.
const PROFILES: u32 = 10_000;

/// What a backfill works with.
pub struct Backfill<'a> {
    /// Only read.
    pub store: &'a Store,
    /// Where the users are.
    pub origin: &'a Origin,
    /// Columns with other names than the fields of an event.
    pub columns: &'a Columns,
    /// How the worker will read what is published.
    pub intake: &'a Intake,
    /// The CloudEvents source of what is published.
    pub source: &'a str,
    /// What the subjects of what is published say.
    pub subjects: Subjects,
    /// When it began to read: the time of every event that it makes.
    pub began: OffsetDateTime,
    /// Keys, and addresses in lower case, that are left alone.
    pub exclude: &'a BTreeSet<String>,
    /// Examples of each finding that are kept.
    pub shown: usize,
    /// Stops it between two pieces.
    pub shutdown: &'a Shutdown,
}

/// Why a backfill did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The users cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No column holds the key of the user.
    #[error("there is no column \"{wanted}\" that holds the key of the user; there are: {found}")]
    NoKey {
        /// Its name.
        wanted: String,
        /// The columns that there are.
        found: String,
    },
    /// The profiles cannot be read.
    #[error("the profiles cannot be read")]
    Store(#[from] StoreError),
    /// An event cannot be published.
    #[error("an event cannot be published")]
    Broker(#[from] BrokerError),
    /// A scratch file cannot be written or read.
    #[error("a scratch file in the folder for temporary files cannot be used")]
    Scratch(#[source] io::Error),
    /// Somebody asked for it.
    #[error("stopped before the end")]
    Stopped,
}

impl BackfillError {
    /// What the operator said that cannot be meant: a query that is none, a column that is not there.
    pub fn is_wrong_usage(&self) -> bool {
        match self {
            Self::NoKey { .. } | Self::Source(SourceError::Query(QueryError::Wrong(_))) => true,
            Self::Source(_) | Self::Store(_) | Self::Broker(_) | Self::Scratch(_) | Self::Stopped => false,
        }
    }
}

/// A user of the source as an event would say it.
struct Candidate {
    /// Key and address as the source has them, whatever the decoder makes of them.
    names: Vec<String>,
    /// The key after prefix and case folding.
    key: String,
    says: Patch,
    subject: String,
    payload: Vec<u8>,
}

impl Backfill<'_> {
    /// Compares the source with the profiles; with a window, an event is published for every user who is missing.
    /// `progress` is told how many rows were read.
    ///
    /// # Errors
    /// [`BackfillError`]; what was published before is no reason not to begin again.
    pub async fn survey(
        &self,
        mut window: Option<&mut PublishWindow>,
        progress: impl Fn(u64),
    ) -> Result<Survey, BackfillError> {
        let mut survey = Survey::new(self.shown);
        let mut keys = Keys::default();
        let mut rows = self.origin.open(self.store).await?;
        loop {
            let piece = self.next(&mut rows, &mut survey).await?;
            let Some(piece) = piece else { break };
            let users = self.users(piece, &mut survey);
            for user in &users {
                keys.push(user.key.clone()).map_err(BackfillError::Scratch)?;
            }
            for user in self.judge(users, &mut survey).await? {
                if let Some(window) = window.as_deref_mut() {
                    window.push(self.outgoing(user)).await?;
                }
            }
            progress(survey.rows);
        }
        self.orphans(keys, &mut survey).await?;
        let matched = std::mem::take(&mut survey.matched);
        let unmatched = self.exclude.iter().map(|name| folded(name));
        survey.unmatched = unmatched.filter(|name| !matched.contains(name)).collect();
        Ok(survey)
    }

    /// The next piece, or nothing at the end.
    async fn next(&self, rows: &mut Rows, survey: &mut Survey) -> Result<Option<Vec<Row>>, BackfillError> {
        if self.shutdown.soft.is_cancelled() {
            return Err(BackfillError::Stopped);
        }
        let piece = rows.next(PIECE).await?;
        let Some(first) = piece.first() else { return Ok(None) };
        if let (0, Ok(values)) = (survey.rows, &first.values) {
            let wanted = row::key_column(self.columns);
            if !values.contains_key(wanted) {
                let found: Vec<&str> = values.keys().map(String::as_str).collect();
                return Err(BackfillError::NoKey {
                    wanted: wanted.to_owned(),
                    found: found.join(", "),
                });
            }
        }
        survey.rows += piece.len() as u64;
        Ok(Some(piece))
    }

    /// The rows that can be users, each read as the worker will read its event.
    fn users(&self, piece: Vec<Row>, survey: &mut Survey) -> Vec<Candidate> {
        let mut users = Vec::with_capacity(piece.len());
        for Row { place, values } in piece {
            let read = values.and_then(|values| {
                let (data, unused) = row::data(values, self.columns);
                survey.unused.extend(unused);
                self.event(&Value::Object(data))
            });
            match read {
                Ok((user, degraded)) => {
                    survey.note_degraded(&degraded);
                    users.push(user);
                }
                Err(problem) => survey.note(Finding::Invalid, &format!("row {place}"), problem),
            }
        }
        users
    }

    fn event(&self, data: &Value) -> Result<(Candidate, BTreeSet<String>), String> {
        let time = self.began.format(&Rfc3339).map_err(|_| "no time".to_owned())?;
        let names = ["user_id", "email"].map(|name| data[name].as_str().map(|text| text.trim().to_owned()));
        let mut event = json!({
            "specversion": "1.0",
            "type": "user.created",
            "source": self.source,
            "id": data["user_id"],
            "time": time,
            "createdvia": "backfill",
            "datacontenttype": "application/json",
            "data": data,
        });
        let payload = event.to_string().into_bytes();
        let message = Incoming {
            subject: "user.created",
            headers: &headers(),
            payload: &payload,
            stream: "",
            sequence: 0,
            published: self.began,
        };
        let envelope = match envelope::decode(&message, self.intake) {
            Ok(envelope) => envelope,
            // Without a key there is no id either; the key is what the reader of the report can mend.
            Err(_) if event["id"].is_null() => return Err("data.user_id is missing".to_owned()),
            Err(refusal) => return Err(refusal.to_string()),
        };
        let Body::Created(says) = envelope.event.body else {
            return Err("no creation".to_owned());
        };
        let key = envelope.event.key;
        // The same user is the same event, however often a backfill is begun and however the key is spelt.
        event["id"] = key.as_str().into();
        let user = Candidate {
            names: names.into_iter().flatten().collect(),
            subject: self.subjects.of("user.created", data["user_id"].as_str()),
            key,
            says,
            payload: event.to_string().into_bytes(),
        };
        Ok((user, envelope.event.degraded))
    }

    /// Notes what each user is, and returns those who are missing.
    async fn judge(&self, users: Vec<Candidate>, survey: &mut Survey) -> Result<Vec<Candidate>, BackfillError> {
        let mut seen = HashSet::new();
        let users: Vec<Candidate> = users.into_iter().filter(|user| seen.insert(user.key.clone())).collect();
        let keys: Vec<&str> = users.iter().map(|user| user.key.as_str()).collect();
        let known = self.store.known_of(&keys).await?;
        let mut missing = Vec::new();
        for (user, known) in users.into_iter().zip(known) {
            let (finding, note) = if self.excludes(&user, &mut survey.matched) {
                (Finding::Excluded, String::new())
            } else {
                compare(&known, &user.says)
            };
            if finding == Finding::Different {
                survey.note_fields(&note);
            }
            survey.note(finding, &known.key, note);
            if finding == Finding::Missing {
                missing.push(user);
            }
        }
        Ok(missing)
    }

    /// Whether somebody asked that this user be left out; by which names is noted.
    fn excludes(&self, user: &Candidate, matched: &mut BTreeSet<String>) -> bool {
        let known = user.names.iter().chain([&user.key]);
        let mut excluded = false;
        for name in known {
            if self.exclude.contains(name) || self.exclude.contains(&folded(name)) {
                excluded = true;
                matched.insert(folded(name));
            }
        }
        excluded
    }

    /// Profiles whose users the source does not have.
    async fn orphans(&self, source: Keys, survey: &mut Survey) -> Result<(), BackfillError> {
        let mut stored = Keys::default();
        let mut after = None;
        loop {
            if self.shutdown.soft.is_cancelled() {
                return Err(BackfillError::Stopped);
            }
            let page = self.store.profile_users(after, PROFILES).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (_, user) in page {
                stored.push(user).map_err(BackfillError::Scratch)?;
            }
        }
        let repeated = sorted::missing_from(stored, source, |user| {
            survey.note(Finding::Orphaned, &user, String::new());
        });
        survey.repeated = repeated.map_err(BackfillError::Scratch)?;
        Ok(())
    }

    fn outgoing(&self, user: Candidate) -> Outgoing {
        let mut hash = Sha256::new();
        hash.update(self.source);
        hash.update([0]);
        hash.update(&user.key);
        hash.update(self.began.unix_timestamp_nanos().to_be_bytes());
        Outgoing {
            subject: user.subject,
            headers: headers(),
            payload: Bytes::from(user.payload),
            message_id: format!("backfill {}", hex(&hash.finalize())),
        }
    }
}

/// Addresses are compared without regard to case, keys exactly.
fn folded(name: &str) -> String {
    if name.contains('@') {
        name.to_lowercase()
    } else {
        name.to_owned()
    }
}

fn headers() -> Vec<(String, String)> {
    vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())]
}

/// What a user of the source is, and in which fields a profile says something else. What the source does not say is no
/// difference.
fn compare(known: &KnownKey, patch: &Patch) -> (Finding, String) {
    if known.profiles.is_empty() {
        let finding = match known.holding {
            Holding::Nobody => Finding::Missing,
            Holding::User => Finding::WithoutProfile,
            Holding::Left => Finding::Renamed,
            Holding::Deleted => Finding::Deleted,
        };
        return (finding, String::new());
    }
    let said = [
        &patch.email,
        &patch.username,
        &patch.first_name,
        &patch.last_name,
        &patch.full_name,
        &patch.phone,
        &patch.external_id,
    ];
    let differs = |n: usize| match said[n] {
        Change::Set(value) => known.profiles.iter().any(|profile| profile[n].as_ref() != Some(value)),
        Change::Keep | Change::Clear => false,
    };
    let fields: Vec<&str> = (0..said.len())
        .filter(|n| differs(*n))
        .map(|n| PROFILE_DETAILS[n])
        .collect();
    if fields.is_empty() {
        (Finding::Same, String::new())
    } else {
        (Finding::Different, fields.join(", "))
    }
}
