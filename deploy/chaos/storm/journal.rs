//! The generator's own account: every event that was published, with what must become of it. A line of the file is
//! written when the broker has the event.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::message::{Event, Source, instant};
use super::people::Fate;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) fate: Fate,
    pub(super) story: u32,
}

pub(super) struct Journal {
    file: BufWriter<File>,
    /// By number.
    pub(super) entries: Vec<Option<Entry>>,
}

impl Journal {
    pub(super) fn create(path: &Path, events: usize) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
            entries: vec![None; events],
        })
    }

    /// The broker has it, at this sequence.
    pub(super) fn published(&mut self, event: &Event, sequence: u64) -> Result<()> {
        let line = json!({
            "number": event.number, "id": event.id, "source": event.source.uri(), "type": event.kind,
            "user": event.user, "time": instant(event.time), "data": Value::Object(event.data.clone()),
            "sequence": sequence, "must_be": format!("{:?}", event.fate),
        });
        writeln!(self.file, "{line}")?;
        self.entries[event.number as usize] = Some(Entry {
            source: event.source,
            fate: event.fate,
            story: event.story,
        });
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }
}
