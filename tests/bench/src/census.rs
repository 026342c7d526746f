//! The census: which tokens of which storms a sensor's output holds, and how much text it spent on them.
//!
//! It reads text only, so it serves every subject of the benchmark alike.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::Error;
use crate::token::tokens;

/// What was found of one storm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The (worker, index) pairs that occurred at least once.
    pub seen: HashSet<(u32, u32)>,
}

/// Counts of all storms whose names share a prefix, over any number of output files.
#[derive(Debug, Clone)]
pub struct Census {
    prefix: String,
    storms: BTreeMap<String, Found>,
    bytes: u64,
    lines: u64,
    token_lines: u64,
    token_line_bytes: u64,
}

impl Census {
    /// An empty census of the storms whose names begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            storms: BTreeMap::new(),
            bytes: 0,
            lines: 0,
            token_lines: 0,
            token_line_bytes: 0,
        }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        self.read(BufReader::with_capacity(1 << 18, file)).map_err(Error::file("read", path))
    }

    /// Adds everything that a reader gives. Bytes that are no UTF-8 are passed over; a token has none.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(&mut self, mut reader: impl BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = reader.read_until(b'\n', &mut line)? as u64;
            if len == 0 {
                return Ok(());
            }
            self.bytes += len;
            self.lines += 1;
            self.count_line(&line, len);
        }
    }

    fn count_line(&mut self, line: &[u8], len: u64) {
        let text = String::from_utf8_lossy(line);
        let mut any = false;
        for token in tokens(&text, &self.prefix) {
            any = true;
            let seen = (token.worker, token.index);
            match self.storms.get_mut(token.storm) {
                Some(found) => {
                    found.seen.insert(seen);
                }
                None => {
                    self.storms.insert(token.storm.to_owned(), Found { seen: HashSet::from([seen]) });
                }
            }
        }
        if any {
            self.token_lines += 1;
            self.token_line_bytes += len;
        }
    }

    /// How many different execs of this storm were found.
    #[must_use]
    pub fn found(&self, storm: &str) -> u64 {
        self.storms.get(storm).map_or(0, |found| found.seen.len() as u64)
    }

    /// The lowest index found of a worker of a storm.
    #[must_use]
    pub fn first(&self, storm: &str, worker: u32) -> Option<u32> {
        let found = self.storms.get(storm)?;
        found.seen.iter().filter(|seen| seen.0 == worker).map(|seen| seen.1).min()
    }

    /// How many different execs of all storms were found.
    #[must_use]
    pub fn found_total(&self) -> u64 {
        self.storms.values().map(|found| found.seen.len() as u64).sum()
    }

    /// All bytes read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All lines read.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The mean length of the lines that hold a token, or none when there is no such line.
    #[must_use]
    pub fn token_line_mean_bytes(&self) -> Option<f64> {
        (self.token_lines > 0).then(|| self.token_line_bytes as f64 / self.token_lines as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(text: &[u8]) -> Census {
        let mut census = Census::new("run1");
        census.read(text).unwrap();
        census
    }

    #[test]
    fn a_token_that_occurs_twice_counts_once() {
        let census = census(b"run1a.0.1.\nrun1a.0.1. run1a.0.2.\nother\n");
        assert_eq!(census.found("run1a"), 2);
        assert_eq!(census.lines(), 3);
        assert_eq!(census.bytes(), 39);
    }

    #[test]
    fn storms_are_counted_apart() {
        let census = census(b"run1a.0.1. run1b.1.7. run1b.1.3.");
        assert_eq!((census.found("run1a"), census.found("run1b"), census.found("run1c")), (1, 2, 0));
        assert_eq!(census.first("run1b", 1), Some(3));
        assert_eq!(census.found_total(), 3);
    }

    #[test]
    fn bytes_that_are_no_utf8_hide_nothing() {
        assert_eq!(census(b"\xff\xfe run1a.0.1.\xff\n").found("run1a"), 1);
    }

    #[test]
    fn the_mean_is_over_lines_with_a_token() {
        assert_eq!(census(b"xxxxxxxxxxxxxxxxxxxxxxxx\nrun1a.0.1.\n").token_line_mean_bytes(), Some(11.0));
        assert_eq!(census(b"x\n").token_line_mean_bytes(), None);
    }
}
