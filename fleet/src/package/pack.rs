//! Making a package, the same bytes from the same files: plain ustar headers, no owner, no time, the manifest first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use super::MANIFEST_NAME;
use super::error::{PackageError, Refusal, io_error};
use super::header::BLOCK;
use super::manifest::{FileMode, Manifest, ManifestFile, ManifestHead};
use super::path::PackagePath;
use linnet_keys::Sha256Digest;

const BUFFER_BYTES: usize = 64 << 10;
const NAME_BYTES: usize = 100;

/// Collects files, then writes the package.
#[derive(Debug)]
pub struct Packer {
    head: ManifestHead,
    files: Vec<(ManifestFile, PathBuf)>,
}

impl Packer {
    /// A package without files yet.
    #[must_use]
    pub fn new(head: ManifestHead) -> Self {
        Self { head, files: Vec::new() }
    }

    /// Adds the file at `source` as `path`. It is read now for its digest, and again by [`Packer::write`].
    ///
    /// # Errors
    /// [`PackageError::Io`], and [`PackageError::Tree`] for a path that no ustar header can hold.
    pub fn add(&mut self, path: PackagePath, mode: FileMode, source: &Path) -> Result<(), PackageError> {
        split(path.as_str())?;
        let mut file = File::open(source).map_err(io_error("open", source))?;
        let mut hash = Sha256::new();
        let bytes = io::copy(&mut file, &mut hash).map_err(io_error("read", source))?;
        let sha256 = Sha256Digest::from_bytes(hash.finalize().into());
        self.files.push((ManifestFile { path, mode, bytes, sha256 }, source.to_owned()));
        Ok(())
    }

    /// Writes the package and says what is in it. The files come in the order of their paths.
    ///
    /// # Errors
    /// [`PackageError`]; a file that changed since it was added is one.
    pub fn write(mut self, to: impl Write) -> Result<Manifest, PackageError> {
        self.files.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
        let manifest = Manifest::of(self.head, self.files.iter().map(|(file, _)| file.clone()).collect())?;
        let mut tar = GzBuilder::new().mtime(0).write(to, Compression::best());
        let written = |path: &str| io_error("write", PathBuf::from(path));

        let bytes = manifest.as_bytes();
        append(&mut tar, MANIFEST_NAME, FileMode::Plain, bytes.len() as u64, bytes)
            .map_err(written(MANIFEST_NAME))?;
        for (file, source) in &self.files {
            let content = File::open(source).map_err(io_error("open", source))?;
            let mut content = Hashed { content, hash: Sha256::new() };
            append(&mut tar, file.path.as_str(), file.mode, file.bytes, &mut content)
                .map_err(written(file.path.as_str()))?;
            if Sha256Digest::from_bytes(content.hash.finalize().into()) != file.sha256 {
                return Err(PackageError::Tree { path: source.clone(), refusal: Refusal::Content });
            }
        }
        tar.write_all(&[0; 2 * BLOCK])
            .and_then(|()| tar.finish()?.flush())
            .map_err(written("the package"))?;
        Ok(manifest)
    }
}

struct Hashed {
    content: File,
    hash: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// One file as header, content and padding.
pub(crate) fn append(
    tar: &mut impl Write,
    path: &str,
    mode: FileMode,
    bytes: u64,
    content: impl Read,
) -> io::Result<()> {
    let header = header(path, mode, bytes).ok_or_else(|| io::Error::other("does not fit a ustar header"))?;
    tar.write_all(&header)?;
    let mut content = content.take(bytes);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut written = 0;
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            count => {
                tar.write_all(buffer.get(..count).unwrap_or_default())?;
                written += count as u64;
            }
        }
    }
    if written != bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter meanwhile"));
    }
    let padding = usize::try_from(bytes.wrapping_neg() % BLOCK as u64).unwrap_or(0);
    tar.write_all([0; BLOCK].get(..padding).unwrap_or_default())
}

/// A path as prefix and name; at a slash, where it is longer than a name can be.
fn split(path: &str) -> Result<(&str, &str), PackageError> {
    if path.len() <= NAME_BYTES {
        return Ok(("", path));
    }
    path.match_indices('/')
        .filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
        .find(|(prefix, name)| name.len() <= NAME_BYTES && prefix.len() <= 155)
        .ok_or_else(|| PackageError::Tree {
            path: path.into(),
            refusal: Refusal::Path { why: "does not fit a ustar header: 155 bytes, a slash, 100 bytes" },
        })
}

fn header(path: &str, mode: FileMode, bytes: u64) -> Option<[u8; BLOCK]> {
    let (prefix, name) = split(path).ok()?;
    let mut block = [0; BLOCK];
    let mut put = |at: usize, value: &[u8]| -> Option<()> {
        block.get_mut(at..at + value.len())?.copy_from_slice(value);
        Some(())
    };
    put(0, name.as_bytes())?;
    put(100, format!("{:07o}", mode.bits()).as_bytes())?;
    put(108, b"0000000")?;
    put(116, b"0000000")?;
    // Eleven octal digits: 8 GiB.
    put(124, Some(format!("{bytes:011o}")).filter(|digits| digits.len() == 11)?.as_bytes())?;
    put(136, b"00000000000")?;
    put(148, b"        ")?;
    put(156, b"0")?;
    put(257, b"ustar\x0000")?;
    put(345, prefix.as_bytes())?;
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block.get_mut(148..156)?.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(block)
}
