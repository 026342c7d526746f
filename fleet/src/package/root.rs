//! A directory held open, and files below it: every step starts from its descriptor and follows no link.
//!
//! So nothing that happens to the path meanwhile, and no link inside, leads a write elsewhere.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, statat};
use rustix::io::Errno;

use super::error::{PackageError, io_error};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY_MODE: u32 = 0o755;

/// A directory below which a package is unpacked or checked.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

impl Root {
    /// Opens a directory; a symbolic link at the path's end is refused.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        let fd = openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|e| io_error("open", path)(e.into()))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Where it was when it was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.path.clone() } else { self.path.join(below) }
    }

    /// Makes a directory. One that is there already is an error.
    pub(super) fn make_directory(&self, path: &str) -> Result<(), PackageError> {
        let (parent, name) = self.parent_of(path)?;
        mkdirat(&parent, name, Mode::from_raw_mode(0o700))
            .and_then(|()| openat(&parent, name, DIRECTORY, Mode::empty()))
            // The umask has no say in it.
            .and_then(|made| fchmod(made, Mode::from_raw_mode(DIRECTORY_MODE)))
            .map_err(|e| io_error("make directory", self.join(path))(e.into()))
    }

    /// Makes a file, which nothing may be in the place of.
    pub(super) fn create(&self, path: &str) -> Result<File, PackageError> {
        let (parent, name) = self.parent_of(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::from_raw_mode(0o600))
            .map(File::from)
            .map_err(|e| io_error("create", self.join(path))(e.into()))
    }

    /// Opens a file for reading, without waiting for a fifo's other end; `None` where there is nothing.
    pub(super) fn open_file(&self, path: &str) -> Result<Option<File>, PackageError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = self.parent_of(path).and_then(|(parent, name)| {
            openat(&parent, name, flags, Mode::empty())
                .map_err(|e| io_error("open", self.join(path))(e.into()))
        });
        match opened {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(PackageError::Io { source, .. })
                if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings a directory's entries to the disk; the empty path is the root itself.
    pub(super) fn sync_directory(&self, path: &str) -> Result<(), PackageError> {
        let synced = self.directory(path)?;
        rustix::fs::fsync(synced).map_err(|e| io_error("sync directory", self.join(path))(e.into()))
    }

    /// The names in a directory and what they are, in the kernel's order, at most `cap` of them.
    pub(super) fn list(&self, path: &str, cap: usize) -> Result<Vec<(Vec<u8>, Stat)>, PackageError> {
        let refused = |e: Errno| io_error("list", self.join(path))(e.into());
        let directory = self.directory(path)?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&directory).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if found.len() == cap {
                return Err(PackageError::Cap {
                    what: "names in a directory",
                    found: cap as u64 + 1,
                    cap: cap as u64,
                });
            }
            let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
            found.push((name.to_bytes().to_vec(), stat));
        }
        Ok(found)
    }

    pub(super) fn stat(&self) -> Result<Stat, PackageError> {
        fstat(&self.fd).map_err(|e| io_error("look at", &self.path)(e.into()))
    }

    fn directory(&self, path: &str) -> Result<OwnedFd, PackageError> {
        let refused = |e: Errno| io_error("open directory", self.join(path))(e.into());
        let mut here = openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(refused)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            here = openat(here.as_fd(), name, DIRECTORY, Mode::empty()).map_err(refused)?;
        }
        Ok(here)
    }

    fn parent_of<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), PackageError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.directory(parent)?, name))
    }
}
