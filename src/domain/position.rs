//! Where an event stands in the history: one order-preserving byte key.
//!
//! Compared as bytes, in Rust and in both databases alike, so that no collation or timestamp type
//! takes part in ordering. Layout: seconds (8 bytes, sign flipped), nanoseconds (4), sequence,
//! rank (1), source, id.

use super::event::Kind;

/// An instant in nanosecond precision: seconds since 1970-01-01T00:00:00Z and 0 to 999,999,999 ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// The nanoseconds after `seconds`.
    pub nanos: u32,
}

impl Timestamp {
    /// Microseconds since 1970, finer parts cut off: what the public time columns hold.
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1_000)
    }
}

/// The byte key of `(time, sequence, rank, source, id)`; `Ord` is the order of the fold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Vec<u8>);

impl Position {
    /// The position of an event. `sequence` is the CloudEvents extension, empty when absent.
    pub fn new(time: Timestamp, sequence: &str, kind: Kind, source: &str, id: &str) -> Self {
        let mut key = Vec::with_capacity(20 + sequence.len() + source.len() + id.len());
        key.extend_from_slice(&((time.seconds as u64) ^ (1 << 63)).to_be_bytes());
        key.extend_from_slice(&time.nanos.to_be_bytes());
        push_sequence(&mut key, sequence);
        key.push(kind.rank());
        push_text(&mut key, source);
        push_text(&mut key, id);
        Self(key)
    }

    /// The instant that the key begins with; 1970 when the bytes are no key.
    pub fn time(&self) -> Timestamp {
        let (seconds, nanos) = match (
            self.0.first_chunk::<8>(),
            self.0.get(8..12).and_then(|nanos| nanos.first_chunk()),
        ) {
            (Some(seconds), Some(nanos)) => (u64::from_be_bytes(*seconds), u32::from_be_bytes(*nanos)),
            _ => (1 << 63, 0),
        };
        Timestamp {
            seconds: (seconds ^ (1 << 63)) as i64,
            nanos,
        }
    }

    /// The key as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key as it was stored by [`Position::as_bytes`].
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Absent sorts first, then numbers by value, then other texts by their bytes.
fn push_sequence(key: &mut Vec<u8>, sequence: &str) {
    if sequence.is_empty() {
        key.push(0);
    } else if sequence.bytes().all(|byte| byte.is_ascii_digit()) {
        // Without leading zeros a longer number is a greater one, so its length goes first.
        let digits = sequence.trim_start_matches('0');
        key.push(1);
        key.extend_from_slice(&(digits.len() as u32).to_be_bytes());
        key.extend_from_slice(digits.as_bytes());
    } else {
        key.push(2);
        push_text(key, sequence);
    }
}

/// Terminated so that a prefix sorts before what it begins; a NUL inside is escaped to keep the order.
fn push_text(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

/// Bytes in hexadecimal, lower case: keeps their order.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: u32, sequence: &str, kind: Kind, source: &str, id: &str) -> Position {
        Position::new(Timestamp { seconds, nanos }, sequence, kind, source, id)
    }

    #[test]
    fn positions_sort_by_time_sequence_rank_source_and_id() {
        let sorted = [
            at(-62_135_596_800, 0, "", Kind::Created, "s", "1"),
            at(-1, 999_999_999, "", Kind::Created, "s", "1"),
            at(0, 0, "", Kind::Created, "s", "1"),
            at(0, 0, "", Kind::Updated, "s", "1"),
            at(0, 0, "", Kind::Deleted, "a", "1"),
            at(0, 0, "", Kind::Deleted, "a", "10"),
            at(0, 0, "", Kind::Deleted, "a", "2"),
            at(0, 0, "", Kind::Deleted, "aa", "1"),
            at(0, 0, "0", Kind::Created, "s", "1"),
            at(0, 0, "2", Kind::Deleted, "s", "1"),
            at(0, 0, "010", Kind::Created, "s", "1"),
            at(0, 0, "99999999999999999999999999", Kind::Created, "s", "1"),
            at(0, 0, "-1", Kind::Created, "s", "1"),
            at(0, 0, "10a", Kind::Created, "s", "1"),
            at(0, 0, "a", Kind::Created, "s", "1"),
            at(0, 0, "a\0", Kind::Created, "s", "1"),
            at(0, 0, "ab", Kind::Created, "s", "1"),
            at(0, 0, "é", Kind::Created, "s", "1"),
            at(0, 1, "", Kind::Created, "s", "1"),
            at(1, 0, "", Kind::Created, "s", "1"),
        ];
        for pair in sorted.windows(2) {
            assert!(pair[0] < pair[1], "{:?} must sort before {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_is_no_key_has_a_time_all_the_same() {
        let key = at(1_769_850_000, 7, "", Kind::Created, "s", "1");
        assert_eq!(key.time().nanos, 7);
        for length in 0..12 {
            let cut = Position::from_bytes(key.as_bytes()[..length].to_vec());
            assert_eq!(cut.time(), Timestamp { seconds: 0, nanos: 0 }, "{length} bytes");
        }
    }

    #[test]
    fn numbers_compare_by_value_and_leave_the_tie_to_the_rank() {
        assert!(at(0, 0, "007", Kind::Created, "s", "1") < at(0, 0, "7", Kind::Updated, "s", "1"));
        assert!(at(0, 0, "7", Kind::Created, "s", "1") < at(0, 0, "007", Kind::Updated, "s", "1"));
        assert_eq!(
            at(0, 0, "007", Kind::Left, "s", "1"),
            at(0, 0, "7", Kind::Left, "s", "1")
        );
    }
}
