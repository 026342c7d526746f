//! Why a package was not unpacked, or a tree is not the release that it should be.

use std::io;
use std::path::PathBuf;

use linnet_keys::Sha256Digest;
use thiserror::Error;

/// Why a package was refused. What was written until then is for the caller to remove.
#[derive(Debug, Error)]
pub enum PackageError {
    /// The archive has another length than was signed.
    #[error("the package has {found} bytes, {expected} were signed: fetch it again")]
    Length {
        /// The signed length.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// The archive has another digest than was signed.
    #[error(
        "the package has sha256 {found}, {expected} was signed: fetch it again, and look into who serves it"
    )]
    Digest {
        /// The signed digest.
        expected: Sha256Digest,
        /// The digest found.
        found: Sha256Digest,
    },
    /// The archive's form is refused; which entry, counted from 1, and its name as far as it is known.
    #[error("entry {number} of the package ({name:?}) {refusal}")]
    Entry {
        /// Its number.
        number: usize,
        /// Its name as the archive has it, undecodable bytes replaced.
        name: String,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The archive's form is refused outside of its entries.
    #[error("the package {0}")]
    Archive(Refusal),
    /// The manifest is refused.
    #[error("{key} in manifest.json: {message}")]
    Manifest {
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// More than the caps allow.
    #[error("the package has {found} {what}, at most {cap} are taken")]
    Cap {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: u64,
        /// The cap.
        cap: u64,
    },
    /// A file of a tree on disk is not as the manifest says.
    #[error("{path:?} {refusal}")]
    Tree {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The system refused a step.
    #[error("{step} {path:?}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with an archive, an entry or a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not gzip, cut, or its checksum is wrong.
    #[error("is not whole gzip: {0}")]
    Gzip(String),
    /// The tar ends before its end mark.
    #[error("ends too early")]
    Truncated,
    /// Something follows the end mark, or the gzip stream.
    #[error("goes on after its end")]
    Trailing,
    /// A header's checksum, magic or number is wrong.
    #[error("has a damaged header: {0}")]
    Header(&'static str),
    /// A link, device, fifo or extended header.
    #[error("is of type {0:?}: only regular files and directories are taken, in plain ustar headers")]
    Type(char),
    /// The path is not of the one form that is taken.
    #[error("has a path that is refused: it {why}")]
    Path {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Set-uid, set-gid or sticky.
    #[error("has special mode bits ({0:04o})")]
    Mode(u32),
    /// The first entry is another.
    #[error("is where manifest.json must be, the first")]
    ManifestNotFirst,
    /// There is no entry at all.
    #[error("holds nothing")]
    Empty,
    /// The manifest does not list it.
    #[error("is not listed in manifest.json")]
    NotListed,
    /// It came before.
    #[error("is there twice")]
    Duplicate,
    /// The manifest lists it, but it did not come or is not there.
    #[error("is listed in manifest.json but missing")]
    Missing,
    /// Another size than the manifest lists.
    #[error("has {found} bytes, manifest.json lists {expected}")]
    Size {
        /// The listed size.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// Another content than the manifest lists.
    #[error("has another content than manifest.json lists")]
    Content,
    /// On disk: not a regular file or directory, or not with the mode that it must have, or with other names.
    #[error("is not as it was unpacked: {0}")]
    Kind(&'static str),
}

pub(crate) fn io_error(
    step: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.into();
    move |source| PackageError::Io { step, path, source }
}
