//! A gzip'd tar as a sequence of entries, read once from front to back.
//!
//! Nothing is sought, kept or guessed. The caller reads each entry's content to its end before it asks for the next.
//! Memory is one buffer, whatever the archive says.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::bufread::GzDecoder;

use super::error::{PackageError, Refusal};
use super::header::{BLOCK, Header, name_for_messages};

const BUFFER_BYTES: usize = 64 << 10;
/// Writers pad the end to their own record size; 20 blocks are usual. What goes beyond is hiding something.
const MAX_PADDING_BYTES: usize = 64 << 10;

/// Reads a file by position, so that the descriptor's own offset, which others may share, does not matter.
pub(super) struct Positioned<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Positioned<'a> {
    pub(super) fn new(file: &'a File, end: u64) -> Self {
        Self { file, at: 0, end }
    }
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The entries of a package.
pub(super) struct Archive<'a> {
    gzip: GzDecoder<BufReader<Positioned<'a>>>,
    /// Entries seen, the current one included.
    pub(super) number: usize,
    /// The current entry's name, for messages.
    name: String,
    /// What the current entry's content and padding still have.
    content: u64,
    padding: usize,
}

impl<'a> Archive<'a> {
    pub(super) fn new(file: Positioned<'a>) -> Self {
        let gzip = GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file));
        Self { gzip, number: 0, name: String::new(), content: 0, padding: 0 }
    }

    /// The next entry's header; `None` at the end mark.
    pub(super) fn next(&mut self) -> Result<Option<Header>, PackageError> {
        let mut block = [0; BLOCK];
        let padding = self.padding;
        if let Some(padding) = block.get_mut(..padding) {
            fill(&mut self.gzip, padding).map_err(|refusal| self.refuse(refusal))?;
            if padding.iter().any(|&b| b != 0) {
                return Err(self.refuse(Refusal::Header("its padding is not empty")));
            }
        }
        fill(&mut self.gzip, &mut block).map_err(PackageError::Archive)?;
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        self.number += 1;
        self.name = name_for_messages(&block);
        let header = Header::parse(&block).map_err(|refusal| self.refuse(refusal))?;
        self.name = String::from_utf8_lossy(&header.path).into_owned();
        self.content = header.size;
        self.padding = usize::try_from(header.size.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        Ok(Some(header))
    }

    /// Reads some of the current entry's content; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PackageError> {
        let left = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..left).filter(|b| !b.is_empty()) else { return Ok(0) };
        match retried(&mut self.gzip, buffer) {
            Ok(0) => Err(self.refuse(Refusal::Truncated)),
            Ok(count) => {
                self.content -= count as u64;
                Ok(count)
            }
            Err(error) => Err(self.refuse(gzip_refusal(&error))),
        }
    }

    /// After the end mark's first block: the second, padding, the gzip stream's checksum, and nothing behind it.
    pub(super) fn finish(mut self) -> Result<(), PackageError> {
        let mut block = [0; BLOCK];
        fill(&mut self.gzip, &mut block).map_err(PackageError::Archive)?;
        let mut padding = 0;
        loop {
            if block.iter().any(|&b| b != 0) || padding > MAX_PADDING_BYTES {
                return Err(PackageError::Archive(Refusal::Trailing));
            }
            block = [0; BLOCK];
            match retried(&mut self.gzip, &mut block) {
                Ok(0) => break,
                Ok(count) => padding += count,
                Err(error) => return Err(PackageError::Archive(gzip_refusal(&error))),
            }
        }
        let mut rest = self.gzip.into_inner();
        match retried(&mut rest, &mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(PackageError::Archive(Refusal::Trailing)),
            Err(error) => Err(PackageError::Archive(gzip_refusal(&error))),
        }
    }

    /// The current entry is refused.
    pub(super) fn refuse(&self, refusal: Refusal) -> PackageError {
        PackageError::Entry { number: self.number, name: self.name.clone(), refusal }
    }
}

fn retried(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<(), Refusal> {
    from.read_exact(buffer).map_err(|error| gzip_refusal(&error))
}

fn gzip_refusal(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Refusal::Truncated,
        _ => Refusal::Gzip(error.to_string()),
    }
}
