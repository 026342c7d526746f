//! `history.ndjson`: what the updater did, one line each step, for people.
//!
//! Nothing is decided by it, so a line that cannot be written or read stops nothing. At 512 KiB the file becomes
//! `history.ndjson.1`, and the one before is gone: together they never take more than 1 MiB.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const MAX_BYTES: u64 = 512 << 10;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// The state that was entered, or a word of the operator's: `pin`, `disable`.
    pub event: String,
    /// The release it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The release that it takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Entry {
    /// A line without details.
    #[must_use]
    pub fn new(at: Timestamp, event: impl Into<String>) -> Self {
        Self { at, event: event.into(), release: None, from: None, why: None }
    }
}

/// Appends a line; a cut one that a crash left is ended first.
///
/// # Errors
/// What the system said.
pub fn append(path: &Path, entry: &Entry) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() > MAX_BYTES) {
        fs::rename(path, older(path))?;
    }
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path)?;
    if !ends_with_newline(&mut file)? {
        line.insert(0, b'\n');
    }
    file.write_all(&line)
}

fn ends_with_newline(file: &mut fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The newest `most` lines, oldest first. Lines that are no entries are passed over.
///
/// # Errors
/// What the system said; a missing file is an empty history.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in [older(path), path.to_owned()] {
        let mut text = Vec::new();
        match fs::File::open(&path) {
            Ok(file) => file.take(4 * MAX_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        entries
            .extend(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
    }
    let spare = entries.len().saturating_sub(most);
    Ok(entries.split_off(spare))
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("ndjson.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_costs_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.ndjson");
        append(&path, &Entry::new(Timestamp::UNIX_EPOCH, "one")).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":\"19").unwrap();
        append(&path, &Entry::new(Timestamp::UNIX_EPOCH, "two")).unwrap();
        let events: Vec<_> = read(&path, 10).unwrap().into_iter().map(|entry| entry.event).collect();
        assert_eq!(events, ["one", "two"]);
        assert_eq!(read(&path, 1).unwrap()[0].event, "two");
    }

    #[test]
    fn the_files_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.ndjson");
        let entry = Entry { why: Some("x".repeat(4000)), ..Entry::new(Timestamp::UNIX_EPOCH, "filled") };
        for _ in 0..400 {
            append(&path, &entry).unwrap();
        }
        let total: u64 =
            fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 2 * (MAX_BYTES + 8192), "{total}");
        assert!(read(&path, usize::MAX).unwrap().len() > 120);
    }
}
