//! Paths as the processes of one root directory see them: the host's, or a container's by `/proc/PID/root`.
//!
//! A container's file system is its owner's to shape: a symbolic link in it must never lead to the host's files. The
//! kernel would resolve an absolute one against our own root, and `openat2`, which could be told otherwise, is refused by
//! the system call filter; so links are resolved here, a component at a time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// As the kernel's own bound (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;
/// Deepest path.
const MAX_DEPTH: usize = 64;

/// A root directory.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

/// Something that a path leads to.
#[derive(Debug)]
pub struct Found {
    /// Holds it without having opened it.
    handle: OwnedFd,
    /// What it is.
    pub stat: Stat,
}

impl Root {
    /// The root at this path of ours.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { directory: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Device and inode, which tell one root from another.
    ///
    /// # Errors
    /// What the system says.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.directory)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// What a path leads to. The last link is followed when `follow` says so.
    ///
    /// # Errors
    /// What the system says; too many links or levels.
    pub fn find(&self, path: &Path, follow: bool) -> io::Result<Found> {
        let mut stack = vec![rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)?];
        let mut pending: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        let mut last = rustix::fs::fstat(&self.directory)?;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                last = rustix::fs::fstat(stack.last().ok_or(Errno::NOENT)?)?;
                continue;
            }
            let top = stack.last().ok_or(Errno::NOENT)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = rustix::fs::openat(top, &name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&next)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && (follow || !pending.is_empty()) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?.into_bytes();
                if target.first() == Some(&b'/') {
                    stack.truncate(1);
                }
                let target = PathBuf::from(OsString::from_vec(target));
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(part);
                }
                last = rustix::fs::fstat(stack.last().ok_or(Errno::NOENT)?)?;
                continue;
            }
            stack.push(next);
            if stack.len() > MAX_DEPTH {
                return Err(Errno::NAMETOOLONG.into());
            }
            last = stat;
        }
        Ok(Found { handle: stack.pop().ok_or(Errno::NOENT)?, stat: last })
    }

    /// The names in a directory, without `.` and `..`, at most `most` of them.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>> {
        self.find(path, true)?.names(most)
    }

    /// The content of a regular file, at most `most` bytes of it.
    ///
    /// # Errors
    /// What the system says, and that it is no regular file.
    pub fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(self.find(path, true)?.open()?, most), &mut bytes)?;
        Ok(bytes)
    }
}

impl Found {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Opens it for reading; only a regular file or a directory, since opening anything else can do something.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> io::Result<File> {
        if !matches!(self.kind(), FileType::RegularFile | FileType::Directory) {
            return Err(io::Error::other("not a regular file"));
        }
        // The very file that was looked at, whatever its name leads to by now.
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?.into())
    }

    /// Where a symbolic link leads, as it says.
    ///
    /// # Errors
    /// What the system says.
    pub fn link_target(&self) -> io::Result<OsString> {
        Ok(OsString::from_vec(rustix::fs::readlinkat(&self.handle, "", Vec::new())?.into_bytes()))
    }

    /// The names in it, at most `most`.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.open()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
            if names.len() >= most {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Something in this directory, links not followed.
    ///
    /// # Errors
    /// What the system says.
    pub fn child(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(self.handle.as_fd(), name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        Ok(Self { handle, stat })
    }

    /// What a name in this directory is, without holding it.
    ///
    /// # Errors
    /// What the system says.
    pub fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(rustix::fs::statat(self.handle.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The type of the file system that it lies on (`f_type` of statfs(2)).
    ///
    /// # Errors
    /// What the system says.
    pub fn file_system(&self) -> io::Result<i64> {
        Ok(rustix::fs::fstatfs(&self.handle)?.f_type)
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_within_the_root() {
        let room = tempfile::tempdir().unwrap();
        let inside = room.path().join("root");
        fs::create_dir_all(inside.join("etc/real")).unwrap();
        fs::write(inside.join("etc/real/file"), "inside").unwrap();
        fs::write(room.path().join("secret"), "outside").unwrap();
        for (name, target) in [
            ("absolute", "/etc/real/file"),
            ("up", "../../../../../../secret"),
            ("loop", "loop"),
            ("host", "/etc/passwd"),
            ("relative", "etc/real/../real/file"),
        ] {
            symlink(target, inside.join(name)).unwrap();
        }
        symlink("/etc/real", inside.join("directory")).unwrap();
        let root = Root::open(&inside).unwrap();
        for path in ["/etc/real/file", "absolute", "relative", "directory/file", "/../../etc/real/file"] {
            assert_eq!(root.read(Path::new(path), 100).unwrap(), b"inside", "{path}");
        }
        for path in ["up", "loop", "host", "/secret", "etc/real/file/x"] {
            assert!(root.read(Path::new(path), 100).is_err(), "{path}");
        }
        assert_eq!(root.find(Path::new("host"), false).unwrap().link_target().unwrap(), "/etc/passwd");
        assert_eq!(root.names(Path::new("/etc"), 9).unwrap(), ["real"]);
    }

    #[test]
    fn a_pipe_is_not_opened() {
        let room = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(CWD, room.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = Root::open(room.path()).unwrap();
        assert!(root.read(Path::new("pipe"), 1).is_err());
    }
}
