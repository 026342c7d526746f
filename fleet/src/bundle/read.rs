//! Reading a bundle: an index of its entries, then each where it lies.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use serde::Deserialize;

use super::{BundleError, BundleHead, HEAD_NAME, MAX_ENTRIES, MAX_HEAD_BYTES, SCHEMA_VERSION, entry_path};
use crate::package::header::{BLOCK, Header, Kind, name_for_messages};
use crate::package::{PackagePath, Refusal};

/// As of a package: writers pad the end to their own record size.
const MAX_PADDING_BYTES: u64 = 64 << 10;

/// A bundle, open.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    file: Arc<File>,
    head: BundleHead,
    entries: BTreeMap<PackagePath, Span>,
}

/// Where an entry's content lies.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    end: u64,
}

impl Bundle {
    /// Opens a bundle and reads all of its headers; of the contents only the head.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let io = |step| move |source| BundleError::Io { step, path: path.to_owned(), source };
        // A fifo would wait for its other end.
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io("open"))?;
        let meta = file.metadata().map_err(io("look at"))?;
        if !meta.is_file() {
            return Err(BundleError::Foreign { path: path.to_owned() });
        }
        let entries = Scan { path, file: &file, bytes: meta.len(), at: 0, number: 0 }.entries()?;
        let mut bundle =
            Self { path: path.to_owned(), file: Arc::new(file), head: BundleHead::default(), entries };
        bundle.head = bundle.read_head()?;
        Ok(bundle)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says that it carries.
    #[must_use]
    pub const fn head(&self) -> &BundleHead {
        &self.head
    }

    /// A file of the channel, by its path below the channel's url.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<EntryReader> {
        let span = *self.entries.get(&entry_path(path).ok()?)?;
        Some(EntryReader { file: Arc::clone(&self.file), at: span.start, end: span.end })
    }

    fn read_head(&self) -> Result<BundleHead, BundleError> {
        let refused = |message: String| BundleError::Head { path: self.path.clone(), message };
        let reader = self.get(HEAD_NAME).ok_or_else(|| BundleError::Foreign { path: self.path.clone() })?;
        if reader.left() > MAX_HEAD_BYTES {
            return Err(refused(format!("is longer than {MAX_HEAD_BYTES} bytes")));
        }
        let mut bytes = Vec::new();
        let mut reader = reader;
        reader.read_to_end(&mut bytes).map_err(|source| BundleError::Io {
            step: "read",
            path: self.path.clone(),
            source,
        })?;
        #[derive(Deserialize)]
        struct Form {
            schema_version: u32,
        }
        let form: Form = serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
        if form.schema_version != SCHEMA_VERSION {
            return Err(BundleError::Newer { path: self.path.clone(), version: form.schema_version });
        }
        serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))
    }
}

/// An entry's content.
#[derive(Debug)]
pub struct EntryReader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl EntryReader {
    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Passes over bytes, to the end at most. Returns how many there were.
    pub fn skip(&mut self, bytes: u64) -> u64 {
        let skipped = bytes.min(self.left());
        self.at += skipped;
        skipped
    }
}

impl Read for EntryReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// One walk over all headers.
struct Scan<'s> {
    path: &'s Path,
    file: &'s File,
    bytes: u64,
    at: u64,
    number: usize,
}

impl Scan<'_> {
    fn entries(mut self) -> Result<BTreeMap<PackagePath, Span>, BundleError> {
        let mut entries = BTreeMap::new();
        self.begins_as_a_bundle()?;
        loop {
            let block = self.block()?;
            if block.iter().all(|&b| b == 0) {
                break;
            }
            self.number += 1;
            if self.number > MAX_ENTRIES {
                return Err(BundleError::TooMany { path: self.path.to_owned() });
            }
            let name = name_for_messages(&block);
            let (path, span) = self.entry(&block).map_err(|refusal| self.refused(&name, refusal))?;
            self.empty_padding().map_err(|error| match error {
                BundleError::Archive { refusal, .. } => self.refused(&name, refusal),
                other => other,
            })?;
            if entries.insert(path, span).is_some() {
                return Err(self.refused(&name, Refusal::Duplicate));
            }
        }
        self.ends()?;
        Ok(entries)
    }

    /// Whatever else lies under the name that was given is told as such, and not as a damaged bundle.
    fn begins_as_a_bundle(&self) -> Result<(), BundleError> {
        let mut name = [0; HEAD_NAME.len() + 1];
        let is_whole = self.file.read_exact_at(&mut name, 0).is_ok();
        if is_whole && name.strip_suffix(&[0]) == Some(HEAD_NAME.as_bytes()) {
            return Ok(());
        }
        Err(BundleError::Foreign { path: self.path.to_owned() })
    }

    fn entry(&mut self, block: &[u8; BLOCK]) -> Result<(PackagePath, Span), Refusal> {
        let header = Header::parse(block)?;
        if header.kind != Kind::File {
            return Err(Refusal::Type('5'));
        }
        let path = PackagePath::parse(&header.path)?;
        let end = self.at.checked_add(header.size).filter(|end| *end <= self.bytes);
        let span = Span { start: self.at, end: end.ok_or(Refusal::Truncated)? };
        self.at = span.end;
        Ok((path, span))
    }

    fn block(&mut self) -> Result<[u8; BLOCK], BundleError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn empty_padding(&mut self) -> Result<(), BundleError> {
        let mut padding = [0; BLOCK];
        let len = usize::try_from(self.at.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        let padding = padding.get_mut(..len).unwrap_or_default();
        self.fill(padding)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(self.damaged(Refusal::Header("its padding is not empty")));
        }
        Ok(())
    }

    /// A second empty block, some padding, and no more.
    fn ends(&mut self) -> Result<(), BundleError> {
        let second = self.block()?;
        let rest = self.bytes - self.at;
        if second.iter().any(|&b| b != 0) || rest > MAX_PADDING_BYTES {
            return Err(self.damaged(Refusal::Trailing));
        }
        let mut padding = vec![0; usize::try_from(rest).unwrap_or(0)];
        self.fill(&mut padding)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(self.damaged(Refusal::Trailing));
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BundleError> {
        match self.file.read_exact_at(buffer, self.at) {
            Ok(()) => {
                self.at += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(Refusal::Truncated))
            }
            Err(source) => Err(BundleError::Io { step: "read", path: self.path.to_owned(), source }),
        }
    }

    fn damaged(&self, refusal: Refusal) -> BundleError {
        BundleError::Archive { path: self.path.to_owned(), refusal }
    }

    fn refused(&self, name: &str, refusal: Refusal) -> BundleError {
        BundleError::Entry { path: self.path.to_owned(), number: self.number, name: name.to_owned(), refusal }
    }
}
