//! What could not be applied, as a message a person can look at: the payload byte for byte, and in headers where it
//! came from and why it is here.

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{Reason, hex};
use crate::envelope::Incoming;
use crate::store::{Attempt, LedgerRow, Letter};

/// Longest header of ours, in characters.
const LINE_MAX: usize = 1024;

/// Longest account of one attempt, in characters: all of them have to fit beside each other.
const ATTEMPT_MAX: usize = 512;

/// Prefix of the headers that are ours.
const OURS: &str = "Rollcall-";

/// The header of a redrive: the message id of the dead letter that it brings back.
pub const REDRIVE: &str = "Rollcall-Redrive";

/// Our headers, without their prefix, and what each says; those that not every letter has begin with "where".
pub const HEADERS: &[(&str, &str)] = &[
    ("Reason", "why the message is here: one of the closed list"),
    ("Remedy", "what a person can do about it"),
    ("Error", "what was wrong, without values of the data"),
    ("Stream", "stream of the original message"),
    ("Subject", "subject of the original message"),
    ("Sequence", "its sequence within the stream"),
    ("Time", "when the broker stored it"),
    ("Attempts", "how often it was tried"),
    ("First-Attempt", "when it was tried first"),
    ("Last-Attempt", "when it was tried last"),
    ("Version", "version of the worker"),
    ("Fingerprint", "equal for letters that died of the same thing"),
    ("Message-Id", "where it had one: its Nats-Msg-Id"),
    ("Source", "where it could be read: the source of the event"),
    ("Event-Id", "where it could be read: the id of the event"),
    (
        "Payload",
        "where the payload is not the original one: what became of it",
    ),
    ("Payload-Bytes", "where the payload was left out: its length"),
    ("Payload-Sha256", "where the payload was left out: its hash"),
    ("Headers", "where headers were left out: that they were"),
];

/// Builds dead letters for one stream of events.
#[derive(Debug, Clone)]
pub struct Undertaker {
    /// Prefix of the subjects, `dead` by default: `user.created` goes to `dead.user.created`.
    pub subject_prefix: String,
    /// Name of the stream the events come from.
    pub stream: String,
}

/// What a dead letter says besides the message itself.
struct Account<'a> {
    reason: Reason,
    error: &'a str,
    identity: Option<(&'a str, &'a str)>,
    subject: &'a str,
    sequence: u64,
    published: OffsetDateTime,
    message_id: Option<&'a str>,
    attempts: &'a [Attempt],
    now: OffsetDateTime,
}

impl Undertaker {
    /// The dead letter of a message that was just delivered.
    pub fn bury(
        &self,
        message: &Incoming<'_>,
        reason: Reason,
        error: &str,
        identity: Option<(&str, &str)>,
        now: OffsetDateTime,
    ) -> Letter {
        self.bury_after(message, reason, error, &[], identity, now)
    }

    /// The dead letter of a message that was tried again and again.
    pub fn bury_after(
        &self,
        message: &Incoming<'_>,
        reason: Reason,
        error: &str,
        attempts: &[Attempt],
        identity: Option<(&str, &str)>,
        now: OffsetDateTime,
    ) -> Letter {
        let message_id = header(message.headers, "nats-msg-id");
        let account = Account {
            reason,
            error,
            identity,
            subject: message.subject,
            sequence: message.sequence,
            published: message.published,
            message_id,
            attempts,
            now,
        };
        let mut headers: Vec<(String, String)> = message.headers.iter().filter_map(carried_over).collect();
        headers.extend(self.account_headers(&account));
        self.letter(&account, headers, message.payload.to_vec())
    }

    /// The dead letter of an event that was applied until a later fold saw it differently. Its message is long
    /// acknowledged, so it is made again in structured form from the ledger.
    pub fn bury_recorded(&self, row: &LedgerRow, reason: Reason, now: OffsetDateTime) -> Letter {
        let error = "a late event changed the history that this event was applied to";
        let account = Account {
            reason,
            error,
            identity: Some((&row.source, &row.event_id)),
            subject: &row.subject,
            sequence: row.stream_sequence.unsigned_abs(),
            published: row.published,
            message_id: None,
            attempts: &[],
            now,
        };
        let mut headers = vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
        headers.extend(self.account_headers(&account));
        headers.push((format!("{OURS}Payload"), "made again from the ledger".to_owned()));
        self.letter(&account, headers, structured(row).into_bytes())
    }

    fn letter(&self, account: &Account<'_>, headers: Vec<(String, String)>, payload: Vec<u8>) -> Letter {
        Letter {
            message_id: self.message_id(account.sequence, account.published),
            reason: account.reason,
            stream_sequence: account.sequence as i64,
            identity: account.identity.map(|(source, id)| (source.to_owned(), id.to_owned())),
            error: account.error.to_owned(),
            subject: format!("{}.{}", self.subject_prefix, literal(account.subject)),
            headers,
            payload,
        }
    }

    /// One row per message, however often it is delivered. The time tells a stream from its successor of the same name.
    pub fn message_id(&self, sequence: u64, published: OffsetDateTime) -> String {
        // In microseconds, because that is what the ledger keeps of it.
        let micros = published.unix_timestamp_nanos() / 1_000;
        format!("dlq:{}:{sequence}:{micros}", self.stream)
    }

    fn account_headers(&self, account: &Account<'_>) -> Vec<(String, String)> {
        let now = time_text(account.now);
        let at = |attempt: Option<&Attempt>| attempt.map_or_else(|| now.clone(), |attempt| attempt.at.clone());
        let mut headers = vec![
            ("Reason", account.reason.name().to_owned()),
            ("Remedy", account.reason.remedy().to_owned()),
            ("Error", one_line(account.error)),
            ("Stream", self.stream.clone()),
            ("Subject", one_line(account.subject)),
            ("Sequence", account.sequence.to_string()),
            ("Time", time_text(account.published)),
            ("Attempts", account.attempts.len().max(1).to_string()),
            ("First-Attempt", at(account.attempts.first())),
            ("Last-Attempt", at(account.attempts.last())),
            ("Version", env!("CARGO_PKG_VERSION").to_owned()),
            ("Fingerprint", fingerprint(account)),
        ];
        headers.extend(account.message_id.map(|id| ("Message-Id", one_line(id))));
        if let Some((source, id)) = account.identity {
            headers.push(("Source", one_line(source)));
            headers.push(("Event-Id", one_line(id)));
        }
        let code = account.attempts.last().and_then(|attempt| attempt.code.as_deref());
        headers.extend(code.map(|code| ("Code", one_line(code))));
        let tries = account.attempts.iter().enumerate().map(|(n, attempt)| {
            let line: String = one_line(&format!("{} {}", attempt.at, attempt.error));
            (format!("Attempt-{}", n + 1), line.chars().take(ATTEMPT_MAX).collect())
        });
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        headers
            .chain(tries)
            .map(|(name, value)| (format!("{OURS}{name}"), value))
            .collect()
    }
}

/// Of a published letter: what its message is called in our tables. The broker knows it with its reason, see
/// [`Letter::published_id`].
pub fn message_id_of(headers: &[(String, String)]) -> Option<&str> {
    let id = header(headers, "nats-msg-id")?;
    let reason = our_header(headers, "Reason").unwrap_or_default();
    let plain = id.strip_suffix(reason).and_then(|id| id.strip_suffix(':'));
    Some(plain.unwrap_or(id))
}

/// Commands to JetStream must not be obeyed again, nobody else writes our headers, and what breaks the protocol would
/// keep the letter in the outbox for ever.
fn carried_over((name, value): &(String, String)) -> Option<(String, String)> {
    let lower = name.to_ascii_lowercase();
    let printable = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
    if lower.starts_with("rollcall-") || !printable {
        return None;
    }
    if lower.starts_with("nats-") {
        return Some((format!("{OURS}Original-{name}"), one_line(value)));
    }
    Some((name.clone(), value.replace(char::is_control, " ")))
}

/// The value of a header, by name in lower case.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Whether a message says of itself that it is a redrive.
pub fn is_redrive(headers: &[(String, String)]) -> bool {
    header(headers, REDRIVE).is_some()
}

/// The value of one of our own headers on a dead letter.
pub fn our_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    header(headers, &format!("{OURS}{name}"))
}

/// Groups letters that died of the same thing: same reason, error and type of event.
fn fingerprint(account: &Account<'_>) -> String {
    let kind: Vec<&str> = account.subject.split('.').take(2).collect();
    let digest = Sha256::digest(format!(
        "{}\n{}\n{}",
        account.reason.name(),
        account.error,
        kind.join(".")
    ));
    hex(&digest[..8])
}

fn structured(row: &LedgerRow) -> String {
    let mut event = serde_json::json!({
        "specversion": "1.0",
        "type": row.kind.name(),
        "source": row.source,
        "id": row.event_id,
        "time": position_time(row),
        "data": "data",
    });
    if !row.sequence.is_empty() {
        event["sequence"] = row.sequence.clone().into();
    }
    if row.backfill {
        event["createdvia"] = "backfill".into();
    }
    // The data goes in as it was stored, byte for byte.
    let data = serde_json::value::RawValue::from_string(row.data.clone());
    let mut parts: Vec<String> = Vec::new();
    for (name, value) in event.as_object().into_iter().flatten() {
        let value = match (&data, name.as_str()) {
            (Ok(data), "data") => data.get().to_owned(),
            _ => value.to_string(),
        };
        parts.push(format!("\"{name}\":{value}"));
    }
    format!("{{{}}}", parts.join(","))
}

fn position_time(row: &LedgerRow) -> String {
    let time = row.position.time();
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .map(time_text)
        .unwrap_or_default()
}

fn time_text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

/// A header of ours is one line that leaves room for the others.
fn one_line(text: &str) -> String {
    text.chars()
        .take(LINE_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A subject that can be published to: the broker delivers some that it would not take from us.
fn literal(subject: &str) -> String {
    let clean = |c: char| {
        if c.is_control() || c.is_whitespace() || matches!(c, '*' | '>') {
            '_'
        } else {
            c
        }
    };
    let tokens = subject
        .split('.')
        .map(|token| token.chars().map(clean).collect::<String>());
    let tokens = tokens.map(|token| if token.is_empty() { "_".to_owned() } else { token });
    tokens.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_can_be_published_whatever_its_message_brought() {
        let headers = [
            ("Nats-Msg-Id".to_owned(), "x".repeat(64_000)),
            ("bad name".to_owned(), "1".to_owned()),
            ("X-Lines".to_owned(), "a\r\nb".to_owned()),
            ("Rollcall-Reason".to_owned(), "forged".to_owned()),
        ];
        let message = Incoming {
            subject: "user.created.\u{1}.*",
            headers: &headers,
            payload: b"{}",
            stream: "USERS",
            sequence: 7,
            published: OffsetDateTime::UNIX_EPOCH,
        };
        let undertaker = Undertaker {
            subject_prefix: "dead".to_owned(),
            stream: "USERS".to_owned(),
        };
        let letter = undertaker.bury(&message, Reason::Undecodable, "odd", None, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(letter.subject, "dead.user.created._._");
        assert_eq!(our_header(&letter.headers, "reason"), Some("undecodable"));
        assert_eq!(our_header(&letter.headers, "message-id").map(str::len), Some(LINE_MAX));
        assert_eq!(header(&letter.headers, "x-lines"), Some("a  b"));
        assert_eq!(header(&letter.headers, "bad name"), None);
    }

    #[test]
    fn every_header_of_ours_is_listed() {
        let message = Incoming {
            subject: "user.created",
            headers: &[("Nats-Msg-Id".to_owned(), "m".to_owned())],
            payload: b"{}",
            stream: "USERS",
            sequence: 7,
            published: OffsetDateTime::UNIX_EPOCH,
        };
        let undertaker = Undertaker {
            subject_prefix: "dead".to_owned(),
            stream: "USERS".to_owned(),
        };
        let identity = Some(("s", "1"));
        let letter = undertaker.bury(
            &message,
            Reason::IdConflict,
            "odd",
            identity,
            OffsetDateTime::UNIX_EPOCH,
        );
        let ours = letter.headers.iter().filter_map(|(name, _)| name.strip_prefix(OURS));
        for name in ours.clone().filter(|name| !name.starts_with("Original-")) {
            assert!(HEADERS.iter().any(|(listed, _)| *listed == name), "{name}");
        }
        for (name, about) in HEADERS.iter().filter(|(_, about)| !about.starts_with("where")) {
            assert!(ours.clone().any(|found| found == *name), "{name}: {about}");
        }
    }
}
