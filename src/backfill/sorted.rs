//! A set of keys that need not fit into memory: sorted runs in scratch files, read back in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _};

/// Bytes of keys in memory before a run is written.
const ROOM: usize = 32 << 20;
/// What a key takes beside its text.
const OVERHEAD: usize = 40;

/// Takes keys in any order.
#[derive(Debug)]
pub(super) struct Keys {
    gathered: Vec<String>,
    bytes: usize,
    room: usize,
    runs: Vec<File>,
}

/// Gives the keys back in the order of their bytes, as often as they came.
pub(super) struct Ordered {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(String, usize)>>,
}

impl Default for Keys {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Keys {
    fn with_room(room: usize) -> Self {
        Self {
            gathered: Vec::new(),
            bytes: 0,
            room,
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, key: String) -> io::Result<()> {
        self.bytes += key.len() + OVERHEAD;
        self.gathered.push(key);
        if self.bytes > self.room { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.gathered.sort_unstable();
        let mut out = BufWriter::new(tempfile::tempfile()?);
        for key in self.gathered.drain(..) {
            out.write_all(&(key.len() as u32).to_le_bytes())?;
            out.write_all(key.as_bytes())?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        self.bytes = 0;
        Ok(())
    }

    pub(super) fn ordered(mut self) -> io::Result<Ordered> {
        if !self.gathered.is_empty() {
            self.spill()?;
        }
        let mut ordered = Ordered {
            runs: self.runs.into_iter().map(BufReader::new).collect(),
            heads: BinaryHeap::new(),
        };
        for run in 0..ordered.runs.len() {
            ordered.advance(run)?;
        }
        Ok(ordered)
    }
}

impl Ordered {
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        let Some(Reverse((key, run))) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some(key))
    }

    /// The next key that is not `key` itself.
    pub(super) fn next_after(&mut self, key: &str) -> io::Result<Option<String>> {
        loop {
            match self.next()? {
                Some(next) if next == key => {}
                other => return Ok(other),
            }
        }
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let reader = &mut self.runs[run];
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut key = vec![0; u32::from_le_bytes(length) as usize];
        reader.read_exact(&mut key)?;
        let key = String::from_utf8(key).map_err(io::Error::other)?;
        self.heads.push(Reverse((key, run)));
        Ok(())
    }
}

/// Calls `lonely` with every key of `stored` that is not in `source`, once each; returns how often a key of `source` was
/// one that came before.
pub(super) fn missing_from(stored: Keys, source: Keys, mut lonely: impl FnMut(String)) -> io::Result<u64> {
    let (mut stored, mut source) = (stored.ordered()?, source.ordered()?);
    let (mut mine, mut other) = (stored.next()?, source.next()?);
    let mut repeated = 0;
    while let Some(key) = other.take() {
        while let Some(less) = mine.take_if(|mine| *mine < key) {
            mine = stored.next_after(&less)?;
            lonely(less);
        }
        if mine.as_ref() == Some(&key) {
            mine = stored.next_after(&key)?;
        }
        other = source.next()?;
        repeated += u64::from(other.as_ref() == Some(&key));
    }
    while let Some(key) = mine {
        mine = stored.next_after(&key)?;
        lonely(key);
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(room: usize, keys: &[&str]) -> Keys {
        let mut all = Keys::with_room(room);
        for key in keys {
            all.push((*key).to_owned()).expect("a scratch file");
        }
        all
    }

    #[test]
    fn keys_come_back_in_order_however_little_room_there_is() {
        for room in [0, 100, 1_000_000] {
            let mut ordered = keys(room, &["b", "a", "é", "", "a", "c"]).ordered().expect("files");
            let mut found = Vec::new();
            while let Some(key) = ordered.next().expect("files") {
                found.push(key);
            }
            assert_eq!(found, ["", "a", "a", "b", "c", "é"], "room {room}");
        }
    }

    #[test]
    fn what_is_missing_is_told_once_and_repetitions_are_counted() {
        for room in [0, 90, 1_000_000] {
            let stored = keys(room, &["d", "a", "a", "z", "c", "z"]);
            let source = keys(room, &["c", "b", "d", "c", "c"]);
            let mut lonely = Vec::new();
            let repeated = missing_from(stored, source, |key| lonely.push(key)).expect("files");
            assert_eq!((lonely, repeated), (vec!["a".to_owned(), "z".to_owned()], 2));
        }
    }

    #[test]
    fn nothing_is_missing_from_nothing() {
        let lonely = |_| panic!("a key");
        assert_eq!(missing_from(keys(0, &[]), keys(0, &["a"]), lonely).expect("files"), 0);
    }
}
