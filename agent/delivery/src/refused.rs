//! The dead-letter file: events that a backend refused for what they are, each with the reason.
//!
//! One JSON object a line, `{"refused_at", "why", "event"}`. The file takes `max_bytes` at most and then replaces the one
//! before it, so both together never take more than twice that. A refused event that cannot be written here either is
//! counted as dropped, not as refused.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Letter<'e> {
    refused_at: Timestamp,
    why: &'e str,
    event: &'e RawValue,
}

/// The file of one sink.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
    max_bytes: u64,
    file: Option<(File, u64)>,
}

impl DeadLetters {
    pub fn new(directory: &Path, sink: &str, max_bytes: u64) -> Self {
        Self { path: directory.join("refused").join(format!("{sink}.ndjson")), max_bytes, file: None }
    }

    /// Keeps one event.
    pub fn keep(&mut self, line: &[u8], why: &str, now: Timestamp) -> io::Result<()> {
        let text = std::str::from_utf8(line).map_err(io::Error::other)?;
        let event: &RawValue = serde_json::from_str(text.trim_end())?;
        let mut letter = serde_json::to_vec(&Letter { refused_at: now, why, event })?;
        letter.push(b'\n');
        let len = letter.len() as u64;
        if len > self.max_bytes {
            return Err(io::Error::other("longer than refused_max_bytes"));
        }
        // Who has read the file may have moved or deleted it.
        let kept = self.file.take().filter(|(file, _)| self.is_at_its_path(file));
        let (file, held) = kept.map_or_else(|| self.open(), Ok)?;
        let (file, held) = if held + len <= self.max_bytes { (file, held) } else { self.turn_over()? };
        if let Err(error) = (&file).write_all(&letter) {
            // Half a line would spoil the next one.
            file.set_len(held)?;
            return Err(error);
        }
        self.file = Some((file, held + len));
        Ok(())
    }

    fn is_at_its_path(&self, file: &File) -> bool {
        let at_path = fs::metadata(&self.path).map(|there| (there.dev(), there.ino()));
        let own = file.metadata().map(|own| (own.dev(), own.ino()));
        at_path.ok().is_some_and(|there| own.is_ok_and(|own| own == there))
    }

    fn turn_over(&self) -> io::Result<(File, u64)> {
        fs::rename(&self.path, self.path.with_extension("ndjson.1"))?;
        self.open()
    }

    fn open(&self) -> io::Result<(File, u64)> {
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let held = file.metadata()?.len();
        Ok((file, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_events_are_kept_with_the_reason_within_twice_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::new(directory.path(), "siem", 500);
        for number in 0..50 {
            letters
                .keep(format!("{{\"n\":{number}}}\n").as_bytes(), "no \"n\"", Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        let read = |name: &str| fs::read_to_string(directory.path().join("refused").join(name)).unwrap();
        let (new, old) = (read("siem.ndjson"), read("siem.ndjson.1"));
        assert!(new.len() <= 500 && old.len() <= 500);
        let last: serde_json::Value = serde_json::from_str(new.lines().last().unwrap()).unwrap();
        assert_eq!((&last["event"]["n"], &last["why"]), (&49.into(), &"no \"n\"".into()));
    }

    #[test]
    fn a_file_that_somebody_moved_or_deleted_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refused/siem.ndjson");
        let mut letters = DeadLetters::new(directory.path(), "siem", 500);
        let mut keep = |number: u32| {
            let line = format!("{{\"n\":{number}}}\n");
            letters.keep(line.as_bytes(), "why", Timestamp::UNIX_EPOCH).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            (text.lines().count(), text.contains(&format!("{{\"n\":{number}}}")))
        };
        assert_eq!((keep(1), keep(2)), ((1, true), (2, true)));
        fs::remove_file(&path).unwrap();
        assert_eq!(keep(3), (1, true));
        fs::rename(&path, directory.path().join("read")).unwrap();
        assert_eq!(keep(4), (1, true));
        fs::remove_file(&path).unwrap();
        // Also when it was full.
        (5..50).for_each(|number| assert!(keep(number).1));
    }
}
