//! Reading a file in pages, and numbers in them. No number is believed: what lies outside is none.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::RpmError;

/// A file that is read by pages into one buffer.
#[derive(Debug)]
pub(super) struct Paged {
    file: File,
    /// Bytes of a page.
    pub(super) size: usize,
    /// How many there are.
    pub(super) count: u32,
    /// How many may still be read.
    left: Cell<u64>,
}

impl Paged {
    /// A file of pages of this size.
    pub(super) fn new(file: File, size: usize) -> Result<Self, RpmError> {
        if !size.is_power_of_two() || !(512..=65_536).contains(&size) {
            return Err(RpmError::Malformed("a database whose pages have no size that there is"));
        }
        let count = file.metadata()?.len() / size as u64;
        let paged =
            Self { file, size, count: u32::try_from(count).unwrap_or(u32::MAX), left: Cell::default() };
        paged.allow(paged.count);
        Ok(paged)
    }

    /// Allows a reading of so many pages. Each is looked at once in its turn and once as a part of one value at most: where more
    /// is asked for, values share their pages or lead back into themselves, and a reading would be long without end.
    pub(super) fn allow(&self, count: u32) {
        self.left.set(2 * u64::from(count) + 2);
    }

    /// Counts a page that is read.
    pub(super) fn spend(&self) -> Result<(), RpmError> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or(RpmError::Malformed("a database whose values share their pages"))?);
        Ok(())
    }

    /// Reads a page; the first has number 0.
    pub(super) fn read(&self, number: u32, page: &mut Vec<u8>) -> Result<(), RpmError> {
        self.spend()?;
        page.resize(self.size, 0);
        self.read_at(u64::from(number) * self.size as u64, page)
    }

    /// Reads some bytes.
    pub(super) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), RpmError> {
        read_at(&self.file, offset, bytes)
    }
}

impl Drop for Paged {
    fn drop(&mut self) {
        // It is read once in a while, and would count as this plugin's memory until then.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

/// Reads some bytes of a file.
pub(super) fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> Result<(), RpmError> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => RpmError::Malformed("a database that refers to what is not there"),
        _ => RpmError::Io(error),
    })
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

/// Appends to a blob, as much as is wanted of it; whether that is all.
pub(super) fn append(blob: &mut Vec<u8>, bytes: &[u8], most: usize) -> bool {
    let room = most.saturating_sub(blob.len());
    blob.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
    blob.len() >= most
}
