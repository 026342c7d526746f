//! Which file it was: what the kernel saw at exec, in the kernel's own terms.
//!
//! Invariant: two [`FileId`]s that are equal are the same inode with the same content, as far as ctime can tell.
//! What ctime cannot tell: a second write within one clock tick of the first (`ripeness` in `digest.rs` waits that out
//! where it matters), stores through a shared mapping that is already dirty, a single long `write(2)` that has not ended,
//! an administrator who sets the clock back, and a file system whose server says what it likes (FUSE). While a program
//! runs, nobody can write to its file (ETXTBSY), so the first three concern scripts.
//!
//! Anonymous devices (overlay, tmpfs, btrfs) are numbered anew when a file system goes: the next container's overlay has
//! the number of the last one. An entry of the cache then still says the truth: the inode number of an overlay's file is
//! that of the layer's file, and a tmpfs cannot be made to repeat a ctime. FUSE could, so the file system's magic is part of the
//! identity.

use rustix::fs::Statx;

/// Bit 31 of `i_ctime_nsec` is `I_CTIME_QUERIED` since Linux 6.13 (multigrain timestamps): no part of the time.
const CTIME_NSEC_MASK: u32 = 0x7fff_ffff;

/// What the kernel saw of a file at exec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileId {
    /// `inode->i_sb->s_dev` as the kernel keeps it: `major << 20 | minor`. Not `st_dev` of `stat(2)`, which is encoded
    /// otherwise and on btrfs and some overlays names another device.
    pub dev: u32,
    /// `inode->i_ino`.
    pub inode: u64,
    /// Seconds of the inode's change time.
    pub ctime_sec: i64,
    /// Nanoseconds of the change time. The kernel's flag in bit 31 may be left in; it is not compared.
    pub ctime_nsec: u32,
    /// `i_size` in bytes.
    pub size: u64,
    /// `s_magic` of the file system, as in `statfs(2)`.
    pub fs_magic: u64,
}

impl FileId {
    /// The same identity with the kernel's flag bit taken out of the nanoseconds.
    #[must_use]
    pub const fn normalized(mut self) -> Self {
        self.ctime_nsec &= CTIME_NSEC_MASK;
        self
    }
}

/// The kernel's `dev_t` of a major and minor number (`MKDEV` in `include/linux/kdev_t.h`).
#[must_use]
pub const fn kernel_dev(major: u32, minor: u32) -> u32 {
    (major << 20) | (minor & 0xf_ffff)
}

/// A point in time of an inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InodeTime {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds, below one thousand million.
    pub nsec: u32,
}

/// What `statx(2)` says of a descriptor, reduced to what is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) dev: u32,
    pub(crate) inode: u64,
    pub(crate) ctime: InodeTime,
    pub(crate) mtime: InodeTime,
    pub(crate) size: u64,
    pub(crate) regular: bool,
    pub(crate) mount_id: u64,
}

impl Seen {
    pub(crate) fn from_statx(stat: &Statx) -> Self {
        const S_IFMT: u16 = 0o170_000;
        const S_IFREG: u16 = 0o100_000;
        Self {
            dev: kernel_dev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            ctime: InodeTime { sec: stat.stx_ctime.tv_sec, nsec: stat.stx_ctime.tv_nsec },
            mtime: InodeTime { sec: stat.stx_mtime.tv_sec, nsec: stat.stx_mtime.tv_nsec },
            size: stat.stx_size,
            regular: stat.stx_mode & S_IFMT == S_IFREG,
            mount_id: stat.stx_mnt_id,
        }
    }

    /// Whether the numbers that `stat(2)` shows are the kernel's own.
    pub(crate) const fn has_numbers_of(&self, id: &FileId) -> bool {
        self.dev == id.dev && self.inode == id.inode
    }

    pub(crate) fn has_ctime_of(&self, id: &FileId) -> bool {
        self.ctime == InodeTime { sec: id.ctime_sec, nsec: id.ctime_nsec & CTIME_NSEC_MASK }
    }
}
