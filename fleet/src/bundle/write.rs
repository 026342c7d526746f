//! Writing a bundle: the same bytes from the same files.

use std::io::{Read, Write};
use std::path::PathBuf;

use super::{BundleHead, HEAD_NAME, MAX_ENTRIES, entry_path};
use crate::package::error::io_error;
use crate::package::header::BLOCK;
use crate::package::{FileMode, PackageError, Refusal, pack};

/// Writes a bundle, one file of the channel after the other.
#[derive(Debug)]
pub struct BundleWriter<W: Write> {
    tar: W,
    entries: u64,
}

impl<W: Write> BundleWriter<W> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn new(to: W, head: &BundleHead) -> Result<Self, PackageError> {
        let mut writer = Self { tar: to, entries: 0 };
        let bytes = serde_json::to_vec(head).map_err(|error| io_error("write", HEAD_NAME)(error.into()))?;
        writer.add(HEAD_NAME, bytes.len() as u64, bytes.as_slice())?;
        Ok(writer)
    }

    /// Adds a file, by its path below the channel's url. The content has to have this many bytes at least.
    ///
    /// # Errors
    /// [`PackageError::Io`]; [`PackageError::Tree`] for a path that no bundle can hold; [`PackageError::Cap`].
    pub fn add(&mut self, path: &str, bytes: u64, content: impl Read) -> Result<(), PackageError> {
        let unfit = |refusal: Refusal| PackageError::Tree { path: PathBuf::from(path), refusal };
        let entry = entry_path(path).map_err(unfit)?;
        let cap = MAX_ENTRIES as u64;
        self.entries += 1;
        if self.entries > cap {
            return Err(PackageError::Cap { what: "files for one bundle", found: self.entries, cap });
        }
        pack::append(&mut self.tar, entry.as_str(), FileMode::Plain, bytes, content)
            .map_err(io_error("write", path))
    }

    /// Ends it. Only what was ended is a bundle.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn finish(mut self) -> Result<W, PackageError> {
        self.tar
            .write_all(&[0; 2 * BLOCK])
            .and_then(|()| self.tar.flush())
            .map_err(io_error("write", "the end of the bundle"))?;
        Ok(self.tar)
    }
}
