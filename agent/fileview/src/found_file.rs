//! A file that a road led to, held without being opened, compared with what the kernel saw, then opened for reading.
//!
//! Invariants: nothing is opened but a verified regular file. A path is first resolved with `O_PATH`, which runs no
//! code of a device or a FIFO and waits for nobody; only the inode that passed is opened, through `/proc/self/fd`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::answer::Missing;
use crate::identity::{FileId, InodeTime, Seen};
use crate::kernel_numbers::KernelNumbers;

const LOCATE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An inode, located and looked at.
#[derive(Debug)]
pub(crate) struct FoundFile {
    place: OwnedFd,
    pub(crate) seen: Seen,
}

impl FoundFile {
    /// Below a mount point: no symbolic link, no other mount, no way out.
    pub(crate) fn beneath_mount(dir: impl AsFd, below: &[u8]) -> Result<Self, Errno> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS;
        Self::at(rustix::fs::openat2(dir, below, LOCATE, Mode::empty(), resolve)?)
    }

    /// Below the root of a process, as the process would see it: other mounts are entered, the root is not left.
    pub(crate) fn in_root(dir: impl AsFd, path: &[u8]) -> Result<Self, Errno> {
        let below = path.strip_prefix(b"/").ok_or(Errno::NOENT)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Self::at(rustix::fs::openat2(dir, below, LOCATE, Mode::empty(), resolve)?)
    }

    /// A path that the agent trusts to lead where it says (a mount point).
    pub(crate) fn at_mount_point(path: &[u8]) -> Result<Self, Errno> {
        Self::at(rustix::fs::openat(CWD, path, LOCATE, Mode::empty())?)
    }

    /// What a magic link of `/proc` leads to.
    pub(crate) fn behind_magic_link(dir: impl AsFd, path: &str) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Self::at(rustix::fs::openat(dir, path, flags, Mode::empty())?)
    }

    fn at(place: OwnedFd) -> Result<Self, Errno> {
        let seen = look_at(&place)?;
        Ok(Self { place, seen })
    }

    /// Compares with what the kernel saw. `Ok(true)`: all is equal but ctime, which is let pass when `touched_mtime`
    /// says that mtime has stood still.
    pub(crate) fn verify(
        &self,
        id: &FileId,
        touched_mtime: Option<InodeTime>,
        numbers: &mut KernelNumbers,
    ) -> Result<bool, Missing> {
        if !self.seen.regular {
            return Err(Missing::NotRegular);
        }
        let touched = !self.seen.has_ctime_of(id);
        if self.seen.size != id.size || (touched && touched_mtime != Some(self.seen.mtime)) {
            return Err(Missing::Changed);
        }
        if !self.seen.has_numbers_of(id)
            && numbers.of(&self.place, self.seen.mount_id, self.seen.inode) != Some((id.dev, id.inode))
        {
            return Err(Missing::Changed);
        }
        Ok(touched)
    }

    /// Opens the very inode for reading, without moving its access time where that is allowed.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        let path = format!("/proc/self/fd/{}", self.place.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::open(path.as_str(), flags | OFlags::NOATIME, Mode::empty()) {
            // Neither the owner nor CAP_FOWNER over it.
            Err(Errno::PERM) => rustix::fs::open(path.as_str(), flags, Mode::empty()),
            opened => opened,
        }
    }
}

/// `statx(2)` of a descriptor. `AT_STATX_DONT_SYNC`: what this kernel holds of the inode is what its eBPF programs saw,
/// and no server has to answer.
pub(crate) fn look_at(fd: impl AsFd) -> Result<Seen, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    rustix::fs::statx(fd, "", flags, wanted).map(|stat| Seen::from_statx(&stat))
}
