//! What a client of PostgreSQL says, cut into messages: a tag, a length, and a body.

/// The request for encryption, and for encryption by Kerberos: they have no tag, like the start of a session.
const UNTAGGED: usize = 4;

/// One message, whole.
pub struct Frame {
    /// As it came.
    pub bytes: Vec<u8>,
    /// The SQL in it, if there is any.
    pub statement: Option<String>,
}

/// Collects bytes until a message is whole.
pub struct Frames {
    pending: Vec<u8>,
    is_framed: bool,
    has_started: bool,
}

impl Frames {
    /// Without framing, whatever comes is a message.
    pub fn new(is_framed: bool) -> Self {
        Self {
            pending: Vec::new(),
            is_framed,
            has_started: false,
        }
    }

    /// More bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn next(&mut self) -> Option<Frame> {
        if !self.is_framed {
            let bytes = std::mem::take(&mut self.pending);
            return (!bytes.is_empty()).then_some(Frame { bytes, statement: None });
        }
        // The length counts itself, and not the tag.
        let tag = usize::from(self.has_started);
        let length = self.pending.get(tag..tag + UNTAGGED)?;
        let length = length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)) + tag;
        if self.pending.len() < length {
            return None;
        }
        let rest = self.pending.split_off(length);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let statement = if self.has_started { statement(&bytes) } else { None };
        // A request for encryption (its code begins with 1234) comes before the start and is refused by our servers.
        self.has_started |= bytes.get(4..6) != Some(&1234_u16.to_be_bytes());
        Some(Frame { bytes, statement })
    }
}

/// A simple query holds only SQL, one to be prepared has a name before it; both end with a zero.
fn statement(frame: &[u8]) -> Option<String> {
    let mut texts = frame.get(5..)?.split(|byte| *byte == 0);
    let text = match frame.first()? {
        b'Q' => texts.next()?,
        b'P' => texts.nth(1)?,
        _ => return None,
    };
    Some(String::from_utf8_lossy(text).trim().to_ascii_uppercase())
}

#[test]
fn frames_are_told_apart_however_they_arrive() {
    let mut all = Vec::new();
    all.extend([0, 0, 0, 8, 4, 210, 22, 47]);
    all.extend([0, 0, 0, 9, 0, 3, 0, 0, 0]);
    all.extend(b"Q\0\0\0\x0bcommit\0");
    all.extend(b"P\0\0\0\x13s1\0SELECT 12\0\0\0");
    all.extend(b"S\0\0\0\x04");
    let expected = [None, None, Some("COMMIT"), Some("SELECT 12"), None];
    for size in [1, 2, 7, 1000] {
        let mut frames = Frames::new(true);
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        for part in all.chunks(size) {
            frames.put(part);
            while let Some(frame) = frames.next() {
                bytes.extend(frame.bytes);
                found.push(frame.statement);
            }
        }
        assert_eq!(bytes, all);
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, expected);
    }
}
