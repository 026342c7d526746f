//! The rotating file.
//!
//! Invariants:
//! - every line in it is whole: a batch that the disk could take only half of is taken back, and the tail that a power
//!   loss left half-written is cut off when the file is opened;
//! - the current file and its `keep` predecessors never take more than `max_bytes * (keep + 1)`, but for a single line that is longer
//!   than `max_bytes`. (A batch that is longer is divided; where the disk fills up between its parts, the whole of it counts as dropped,
//!   although its first part is there: the count errs on the side of loss.)
//! - rotation is by rename, so that a reader that follows the file finds the rest of it under `.1`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Sink, SinkError};

/// Events name users and arguments: not for everybody.
const MODE: u32 = 0o640;
/// How far back the last line end is looked for; no event is longer.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Lines in a file that is renamed away when it is full.
pub struct RotatingFile {
    path: PathBuf,
    name: String,
    file: File,
    len: u64,
    max_bytes: u64,
    keep: u32,
}

impl RotatingFile {
    /// Opens or makes the file and its directory.
    ///
    /// # Errors
    /// When either can't be made or written.
    pub fn open(path: &Path, max_bytes: u64, keep: u32) -> Result<Self, SinkError> {
        let name = path.display().to_string();
        let wrap = |error| SinkError::new(name.clone(), error);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(wrap)?;
        }
        let mut file = open(path).map_err(wrap)?;
        let len = cut_torn_line(&mut file).map_err(wrap)?;
        Ok(Self { path: path.to_owned(), name, file, len, max_bytes, keep })
    }

    fn make_ready(&mut self, more: u64) -> io::Result<()> {
        self.reopen_if_replaced()?;
        if self.len > 0 && self.len + more > self.max_bytes {
            self.rotate()?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for index in (0..self.keep).rev() {
            let from = if index == 0 { self.path.clone() } else { numbered(&self.path, index) };
            match fs::rename(&from, numbered(&self.path, index + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.len = self.file.metadata()?.len();
        Ok(())
    }

    /// An operator may have moved or removed the file; what is written then would be in a file without a name.
    fn reopen_if_replaced(&mut self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let ours = self.file.metadata()?;
        let named = fs::metadata(&self.path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            // It may have been cut (`copytruncate`): to go back to where it ended before would fill it with nothing.
            if ours.is_file() {
                self.len = ours.len();
            }
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        self.file = open(&self.path)?;
        self.len = cut_torn_line(&mut self.file)?;
        Ok(())
    }
}

impl Sink for RotatingFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, lines: &[u8], _kinds: &[u8]) -> Result<(), SinkError> {
        let mut rest = lines;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.piece_len(rest));
            self.write_piece(piece).map_err(|error| SinkError::new(self.name.clone(), error))?;
            rest = after;
        }
        Ok(())
    }
}

impl RotatingFile {
    /// Bytes of whole lines that a file of the bound's size can hold: all of them, but where the bound is smaller than a batch.
    fn piece_len(&self, lines: &[u8]) -> usize {
        let most = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        if lines.len() <= most {
            return lines.len();
        }
        let end_of = |position: Option<usize>| position.map(|at| at + 1);
        let fitting = lines.get(..most).and_then(|head| end_of(head.iter().rposition(|&byte| byte == b'\n')));
        // A line that is longer than a whole file may be goes into one of its own.
        fitting.or_else(|| end_of(lines.iter().position(|&byte| byte == b'\n'))).unwrap_or(lines.len())
    }

    fn write_piece(&mut self, lines: &[u8]) -> io::Result<()> {
        self.make_ready(lines.len() as u64)?;
        if let Err(error) = self.file.write_all(lines) {
            if let Err(undo) = self.file.set_len(self.len) {
                log::error!("{}: a half-written batch could not be taken back: {undo}", self.name);
            }
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)
}

fn numbered(path: &Path, index: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{index}"));
    PathBuf::from(name)
}

/// Cuts what follows the last line end, and gives the length that is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        // A FIFO or a device that an operator put there has no length to mend.
        return Ok(0);
    }
    let len = metadata.len();
    let start = len.saturating_sub(MAX_LINE_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    Read::by_ref(file).take(MAX_LINE_BYTES).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
    let kept = if start > 0 && whole == 0 { len } else { start + whole };
    if kept < len {
        log::warn!("cutting {} bytes of a line that was not finished", len - kept);
        file.set_len(kept)?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(directory: &Path, max_bytes: u64, keep: u32) -> RotatingFile {
        RotatingFile::open(&directory.join("events"), max_bytes, keep).unwrap()
    }

    #[test]
    fn a_full_file_is_rotated_and_only_the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = sink(directory.path(), 10, 2);
        for line in ["1234567\n", "2234567\n", "3234567\n", "4234567\n"] {
            sink.write(line.as_bytes(), &[]).unwrap();
        }
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("events"), "4234567\n");
        assert_eq!(read("events.1"), "3234567\n");
        assert_eq!(read("events.2"), "2234567\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_batch_that_is_longer_than_a_file_may_be_is_divided_between_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = sink(directory.path(), 10, 9);
        sink.write(b"123\n456\n789\n0\nlonger than ten\nx\n", &[]).unwrap();
        let mut whole = Vec::new();
        for name in ["events.3", "events.2", "events.1", "events"] {
            let part = fs::read_to_string(directory.path().join(name)).unwrap();
            assert!(part.len() <= 10 || part.lines().count() == 1, "{part:?}");
            whole.extend(part.lines().map(str::to_owned).collect::<Vec<_>>());
        }
        assert_eq!(whole, ["123", "456", "789", "0", "longer than ten", "x"]);
    }

    #[test]
    fn without_predecessors_the_file_starts_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = sink(directory.path(), 10, 0);
        sink.write(b"1234567\n", &[]).unwrap();
        sink.write(b"2234567\n", &[]).unwrap();
        assert_eq!(fs::read(directory.path().join("events")).unwrap(), b"2234567\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_last_line_is_cut_when_the_file_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("events"), "{\"a\":1}\n{\"b\"").unwrap();
        let mut sink = sink(directory.path(), 1000, 1);
        sink.write(b"{}\n", &[]).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("events")).unwrap(), "{\"a\":1}\n{}\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = sink(directory.path(), 1000, 1);
        sink.write(b"1\n", &[]).unwrap();
        fs::rename(directory.path().join("events"), directory.path().join("taken")).unwrap();
        sink.write(b"2\n", &[]).unwrap();
        assert_eq!(fs::read(directory.path().join("events")).unwrap(), b"2\n");
        assert_eq!(fs::read(directory.path().join("taken")).unwrap(), b"1\n");
    }
}
