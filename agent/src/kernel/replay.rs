//! Records of a file in place of the kernel's, for benchmarks of everything behind the ring. Not in any release: see the
//! feature `replay`.
//!
//! ```text
//! LINNET_RECORD=FILE             keeps the records that come, up to 64 MiB
//! LINNET_REPLAY=FILE             takes these before any of the kernel's,
//! LINNET_REPLAY_PASSES=N         so often
//! ```
//!
//! In the file each record stands behind its length, both padded to 8 bytes, in the machine's byte order. A pass is the
//! same processes once more, so everything that is remembered of them is found again: what it costs to know a new host's
//! files is not measured by it. The ledger shows more records received than attempted: the kernel knows of none of these.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    time::Instant,
};

use super::ring::Enough;

/// Bytes that are kept at most.
const MOST_BYTES: u64 = 64 << 20;

/// Where records are kept or come from.
pub struct Replay {
    keeps: Option<(BufWriter<File>, u64)>,
    words: Vec<u64>,
    passes: u64,
    at: usize,
    done: u64,
    began: Option<Instant>,
}

impl Replay {
    /// What the environment asks for.
    ///
    /// # Errors
    /// When a file can't be opened.
    pub fn from_environment() -> std::io::Result<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let keeps =
            path("LINNET_RECORD").map(File::create).transpose()?.map(|file| (BufWriter::new(file), 0));
        let bytes = path("LINNET_REPLAY").map(std::fs::read).transpose()?.unwrap_or_default();
        let words = bytes.chunks_exact(8).map(|word| {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            u64::from_ne_bytes(eight)
        });
        let passes =
            std::env::var("LINNET_REPLAY_PASSES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        Ok(Self { keeps, words: words.collect(), passes, at: 0, done: 0, began: None })
    }

    /// Keeps one that came.
    pub fn keep(&mut self, record: &[u8]) {
        let Some((file, kept)) = &mut self.keeps else { return };
        if *kept >= MOST_BYTES {
            return;
        }
        let padding = record.len().next_multiple_of(8) - record.len();
        let parts =
            [&(record.len() as u64).to_ne_bytes()[..], record, [0; 8].get(..padding).unwrap_or_default()];
        for part in parts {
            let _ = file.write_all(part);
            *kept += part.len() as u64;
        }
        let _ = file.flush();
    }

    /// Gives records to `each` until it has enough. Whether there are more.
    pub fn drain(&mut self, each: &mut impl FnMut(&[u8]) -> Enough) -> bool {
        while self.passes > 0 && !self.words.is_empty() {
            let began = *self.began.get_or_insert_with(Instant::now);
            let Some((&len, rest)) = self.words.get(self.at..).and_then(<[u64]>::split_first) else {
                self.at = 0;
                self.passes -= 1;
                if self.passes == 0 {
                    let micros = began.elapsed().as_micros();
                    log::info!("replayed {} records in {micros} us", self.done);
                }
                continue;
            };
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let whole = len.div_ceil(8);
            let Some(record) =
                rest.get(..whole).and_then(|words| zerocopy::IntoBytes::as_bytes(words).get(..len))
            else {
                log::error!("the file of records is cut off");
                self.passes = 0;
                return false;
            };
            self.at += 1 + whole;
            self.done += 1;
            if each(record) == Enough::Yes {
                return true;
            }
        }
        false
    }
}
