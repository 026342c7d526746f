//! What is asked and what is answered: requests, tickets, facts and the reasons for their absence.
//!
//! These are plain values. The strings of `as_str` are part of the output format and never change.

use std::sync::Arc;

use rustix::io::Errno;

use crate::identity::{FileId, InodeTime};

/// What a file is to the process that started it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// The image that runs: `/proc/PID/exe` leads to it.
    Executable,
    /// A script that an interpreter runs: its first bytes are wanted too.
    Script,
}

/// A file to be looked at, with all that may lead to it.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the kernel saw; the result is thrown away unless the file that was found equals it.
    pub id: FileId,
    /// Executable or script.
    pub purpose: Purpose,
    /// Process id (thread group) in the host's pid namespace.
    pub pid: u32,
    /// Start time of the process, field 22 of `/proc/PID/stat` (clock ticks since boot), against reuse of the pid.
    /// 0: unknown.
    pub start_ticks: u64,
    /// Inode number of the process's mount namespace. 0: unknown.
    pub mnt_ns: u32,
    /// Path from the root of the superblock, as the dentries say. Empty: unknown.
    pub sb_path: Vec<u8>,
    /// Path in the mount namespace, resolved (`d_path`), without the kernel's " (deleted)". Empty: unknown.
    pub ns_path: Vec<u8>,
    /// mtime that the kernel saw. With it, an executable that was unlinked or renamed just after it started can still
    /// be told from a rewritten one while the process runs it.
    pub mtime: Option<InodeTime>,
    /// Container id, for the log only.
    pub container: Option<Box<str>>,
}

/// Names a lookup that is under way. Requests that ask for the same while it runs get the same ticket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);

/// The road that led to a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Road {
    /// The same file was hashed before.
    Cache,
    /// A mount of the same superblock that the agent itself sees.
    HostMount,
    /// `/proc/PID/exe`.
    ProcExe,
    /// `/proc/PID/root` and the path in the mount namespace.
    ProcRoot,
    /// `/proc/SIBLING/root` of another process in the same mount namespace.
    Sibling,
    /// A root of the mount namespace that was kept open.
    KeptRoot,
}

impl Road {
    /// All roads, in the order of [`Road::index`].
    pub const ALL: [Self; 6] =
        [Self::Cache, Self::HostMount, Self::ProcExe, Self::ProcRoot, Self::Sibling, Self::KeptRoot];

    /// The stable name in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::HostMount => "host_mount",
            Self::ProcExe => "proc_exe",
            Self::ProcRoot => "proc_root",
            Self::Sibling => "sibling",
            Self::KeptRoot => "kept_root",
        }
    }

    /// Place in [`Road::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why there is no hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Missing {
    /// Larger than the size cap.
    #[error("file is larger than the cap")]
    TooLarge,
    /// The byte rate was used up for longer than a request may wait.
    #[error("hash rate limit reached")]
    RateLimited,
    /// Too many requests were waiting.
    #[error("hash queue is full")]
    QueueFull,
    /// No road led to the file: the process and its container are gone, or the path is.
    #[error("no road leads to the file any more")]
    Gone,
    /// What was found differs from what the kernel saw, or changed while it was read.
    #[error("file differs from what the kernel saw")]
    Changed,
    /// Something else than a regular file stands in its place.
    #[error("not a regular file any more")]
    NotRegular,
    /// A system call was refused.
    #[error("reading the file: {0}")]
    Io(Errno),
    /// The file system did not answer in time.
    #[error("file system did not answer in time")]
    Timeout,
    /// Hashing is switched off.
    #[error("hashing is switched off")]
    Disabled,
    /// A file without a path (memfd and the like) whose process has ended.
    #[error("anonymous file of a process that has ended")]
    Anonymous,
    /// Left out because the sensor is pressed.
    #[error("left out under pressure")]
    Shed,
}

impl Missing {
    /// The stable names, in the order of [`Missing::index`].
    pub const NAMES: [&'static str; 11] = [
        "too_large",
        "rate_limited",
        "queue_full",
        "gone",
        "changed",
        "not_regular",
        "io_error",
        "timeout",
        "disabled",
        "anonymous",
        "shed",
    ];

    /// The stable name in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::QueueFull => "queue_full",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::NotRegular => "not_regular",
            Self::Io(_) => "io_error",
            Self::Timeout => "timeout",
            Self::Disabled => "disabled",
            Self::Anonymous => "anonymous",
            Self::Shed => "shed",
        }
    }

    /// Place in [`Missing::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::TooLarge => 0,
            Self::RateLimited => 1,
            Self::QueueFull => 2,
            Self::Gone => 3,
            Self::Changed => 4,
            Self::NotRegular => 5,
            Self::Io(_) => 6,
            Self::Timeout => 7,
            Self::Disabled => 8,
            Self::Anonymous => 9,
            Self::Shed => 10,
        }
    }

    /// The error number of the system call, for `io_error`.
    #[must_use]
    pub const fn errno(self) -> Option<i32> {
        match self {
            Self::Io(errno) => Some(errno.raw_os_error()),
            _ => None,
        }
    }
}

/// The first bytes of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The bytes as they stand in the file, at most the configured number.
    pub bytes: Arc<[u8]>,
    /// Size of the whole file in bytes.
    pub true_len: u64,
    /// Whether `bytes` is less than the whole file.
    pub cut: bool,
}

/// What is known of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// How it was reached.
    pub road: Road,
    /// For [`Purpose::Script`], unless content is switched off or shed.
    pub content: Option<Arc<Content>>,
    /// Why a script is without.
    pub content_missing: Option<Missing>,
    /// ctime had moved since the kernel saw the file (unlinked, renamed, chmod), yet device, inode, size and mtime are
    /// equal and the process that was seen still runs this inode. Never set with [`Road::Cache`].
    pub touched: bool,
}

/// The immediate answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Known already.
    Hit(Result<Facts, Missing>),
    /// Under way: one [`Done`] with this ticket will be delivered, however many requests share it.
    Pending(Ticket),
    /// It will not be tried.
    Refused(Missing),
}

/// The end of a lookup, delivered exactly once for each ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// The ticket of [`Answer::Pending`].
    pub ticket: Ticket,
    /// The file that was asked for, with ctime normalized.
    pub id: FileId,
    /// What it was asked for as.
    pub purpose: Purpose,
    /// The facts, or why there are none.
    pub result: Result<Facts, Missing>,
}
