//! Why the spool does not do what it was asked.

use std::{
    io,
    path::{Path, PathBuf},
};

use linnet_fleet::lock::LockError;
use rustix::io::Errno;

/// See each.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("spool {directory:?}: {source}")]
    Locked {
        /// The spool.
        directory: PathBuf,
        /// By whom.
        source: LockError,
    },
    /// A segment of a version that this program does not know. Nothing was changed.
    #[error(
        "{path:?} is a spool segment of version {found}, this program knows version 1: run the newer agent until it has \
         delivered it, move it away, or name another spool.directory"
    )]
    Version {
        /// The segment.
        path: PathBuf,
        /// The version that it says.
        found: u32,
    },
    /// The readers' positions are of a version that this program does not know.
    #[error(
        "{path:?} is of version {found}, this program knows version 1: move the spool away, or run the newer agent"
    )]
    StateVersion {
        /// The file.
        path: PathBuf,
        /// The version that it says.
        found: u32,
    },
    /// More than a record may hold.
    #[error("a batch of {bytes} bytes is longer than a record may be ({most})")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// No room on the disk or in the quota. Nothing of the batch stays behind.
    #[error("{path:?}: no space left: free some, or lower spool.max_bytes")]
    Full {
        /// The segment.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{what} {path:?}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SpoolError {
    /// Wraps an error of a path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path }
            }
            _ => Self::Io { what, path, source },
        }
    }
}

/// Whether it is the disk that does not give a file back, or the file system on it that is damaged: that does not pass, as a lack of
/// descriptors or memory does, nor is it somebody's to permit.
pub(crate) fn is_of_the_disk(error: &io::Error) -> bool {
    let lasts = [Errno::IO, Errno::ISDIR, Errno::UCLEAN, Errno::BADMSG, Errno::NXIO, Errno::NODEV];
    Errno::from_io_error(error).is_some_and(|errno| lasts.contains(&errno))
}
