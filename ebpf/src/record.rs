//! The records, as the programs write them into the ring.
//!
//! A record is a fixed [`Header`], a fixed body, and a tail of byte strings whose lengths stand in the body.
//! Strings of the tail follow one another in the order that the body's documentation gives. A path is a
//! list of names, leaf first, each with its terminating NUL, as the walk up the dentries meets them;
//! user space turns it around. Every cut is marked.

/// Version of these layouts, in each header.
pub const RECORD_VERSION: u16 = 1;

/// A process was made ([`Fork`]).
pub const KIND_FORK: u16 = 0;
/// A process replaced its image ([`Exec`]).
pub const KIND_EXEC: u16 = 1;
/// A process ended: its last thread did ([`Exit`]).
pub const KIND_EXIT: u16 = 2;
/// Number of kinds, and of entries in the counters' map.
pub const KINDS: u32 = 3;

/// Most bytes of argv that a record holds.
pub const ARGV_MAX: u32 = 8192;
/// Bytes of a record that can be addressed; the offset of every write is masked with this less one.
pub const TAIL_CAP: u32 = 16384;
/// Size of the per-CPU buffer a record is built in: [`TAIL_CAP`] and the longest single write after it.
pub const SCRATCH_LEN: usize = TAIL_CAP as usize + 1024;
/// Bytes of a terminal's name that are kept.
pub const TTY_LEN: usize = 24;

/// The exec was of a descriptor (`execveat` and `AT_EMPTY_PATH`, or relative to one).
pub const EXEC_FLAG_FD: u32 = 1;
/// An interpreter was put before the file that was asked for, and [`Exec::script`] is that file.
pub const EXEC_FLAG_SCRIPT: u32 = 2;
/// The kernel marked the exec as one that gains privileges (`AT_SECURE`).
pub const EXEC_FLAG_SECURE: u32 = 4;

/// The name was unlinked when the file was executed.
pub const FILE_FLAG_UNHASHED: u32 = 1;

/// The path was longer than the record allows; the names nearest to the leaf are kept.
pub const PATH_CUT: u16 = 1;
/// The path did not lead to the root of a mount namespace.
pub const PATH_DETACHED: u16 = 2;

/// Value of the wake word: the reader will come back by itself within its coalescing period.
pub const WAKE_COALESCE: u32 = 0;
/// Value of the wake word: the reader sleeps; whoever writes next wakes it.
pub const WAKE_NEXT: u32 = 1;

/// [`KINDS`], rounded up to a power of two.
pub const RATE_KINDS: usize = (KINDS as usize).next_power_of_two();
/// Cgroups whose rates are kept.
pub const RATE_GROUPS: u32 = 2048;
/// A cgroup of which nothing was left out for so long is no longer limited: what comes later is another time.
pub const RATE_QUIET_NS: u64 = 10_000_000_000;

macro_rules! layouts {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* pub $field:ident: $ty:ty,)* })*) => {
        $($(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[cfg_attr(
            not(target_arch = "bpf"),
            derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable)
        )]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* })*
    };
}

layouts! {
    /// What every record starts with.
    pub struct Header {
        /// Bytes of the whole record.
        pub len: u32,
        /// One of the `KIND_…` constants.
        pub kind: u16,
        /// [`RECORD_VERSION`] of the program that wrote it.
        pub version: u16,
        /// Sequence number within this kind on this CPU, from 1, counting lost records too.
        pub seq: u64,
        /// `CLOCK_BOOTTIME` in nanoseconds.
        pub boot_ns: u64,
        /// The CPU that wrote it.
        pub cpu: u32,
        /// Zero.
        pub reserved: u32,
    }

    /// Per-CPU counts of one kind. `attempted = received + lost + limited` once the ring is drained.
    pub struct Counters {
        /// Records that a program set out to write.
        pub attempted: u64,
        /// Records for which the ring had no room.
        pub lost: u64,
        /// Records that were left out because their cgroup had sent too many.
        pub limited: u64,
    }

    /// What each cgroup may send.
    pub struct RateLimit {
        /// Time between two records at the allowed rate; 0 for no limit.
        pub interval_ns: u64,
        /// How much of that time may be used ahead.
        pub burst_ns: u64,
    }

    /// What one cgroup has sent. Moments are of `CLOCK_BOOTTIME`.
    pub struct Rate {
        /// When all that it has sent would have been due at the allowed rate.
        pub due_ns: u64,
        /// When something was first left out this time; 0 for never.
        pub first_ns: u64,
        /// When something was last left out.
        pub last_ns: u64,
        /// Records that were left out, by kind.
        pub limited: [u64; RATE_KINDS],
    }

    /// A byte string of the tail.
    pub struct Span {
        /// Bytes in the tail.
        pub len: u16,
        /// [`PATH_CUT`] or 0.
        pub flags: u16,
    }

    /// A path of the tail: three lists of names, leaf first, in this order.
    pub struct PathSpan {
        /// Bytes of the names from the leaf up to the root of its mount.
        pub below: u16,
        /// Bytes of the names from there to the root of the mount namespace.
        pub above: u16,
        /// Bytes of the names from the mount's root to the root of the file system: not empty for a bind mount.
        pub bind: u16,
        /// [`PATH_CUT`], [`PATH_DETACHED`].
        pub flags: u16,
    }

    /// What the kernel knows of a file at exec. All zero where there is none.
    pub struct FileFacts {
        /// `i_ino`
        pub inode: u64,
        /// `i_size` in bytes
        pub size: u64,
        /// change time, seconds
        pub ctime_sec: i64,
        /// modification time, seconds
        pub mtime_sec: i64,
        /// change time, nanoseconds
        pub ctime_nsec: u32,
        /// modification time, nanoseconds
        pub mtime_nsec: u32,
        /// `s_magic` of the file system
        pub fs_magic: u64,
        /// `s_dev` as the kernel keeps it: `major << 20 | minor`
        pub dev: u32,
        /// `i_nlink`
        pub nlink: u32,
        /// owner
        pub uid: u32,
        /// group
        pub gid: u32,
        /// `i_mode`
        pub mode: u32,
        /// [`FILE_FLAG_UNHASHED`]
        pub flags: u32,
    }

    /// A key of the map of files whose hash the agent has already.
    pub struct FileKey {
        /// `i_ino`
        pub inode: u64,
        /// change time, seconds
        pub ctime_sec: i64,
        /// change time, nanoseconds
        pub ctime_nsec: u32,
        /// `s_dev`
        pub dev: u32,
    }

    /// A process was made. Tail: cgroup path.
    pub struct Fork {
        /// Common part.
        pub header: Header,
        /// Start of the child, boot-time ns.
        pub start_boot_ns: u64,
        /// Start of its parent.
        pub parent_start_boot_ns: u64,
        /// Start of the process that called fork; another than the parent with `CLONE_PARENT`.
        pub creator_start_boot_ns: u64,
        /// The child, in the host's pid namespace.
        pub pid: u32,
        /// Its parent.
        pub ppid: u32,
        /// The process that called fork.
        pub creator_pid: u32,
        /// The child, in its own pid namespace.
        pub ns_pid: u32,
        /// Real user id.
        pub uid: u32,
        /// Mount namespace, inode number.
        pub mnt_ns: u32,
        /// kernfs id of the cgroup.
        pub cgroup_id: u64,
        /// Its path, leaf first.
        pub cgroup: Span,
        /// Zero.
        pub reserved: u32,
        /// Name of the task.
        pub comm: [u8; 16],
    }

    /// A process ended. No tail.
    pub struct Exit {
        /// Common part.
        pub header: Header,
        /// Start of the process, boot-time ns.
        pub start_boot_ns: u64,
        /// Start of its parent.
        pub parent_start_boot_ns: u64,
        /// The process.
        pub pid: u32,
        /// Its parent now.
        pub ppid: u32,
        /// Wait status: exit code in bits 8 to 15, signal in bits 0 to 6, core dump in bit 7.
        pub status: u32,
        /// Real user id.
        pub uid: u32,
        /// Name of the group leader.
        pub comm: [u8; 16],
    }

    /// A process replaced its image. Tail: argv, file name, interpreter, executable's path, script's
    /// path, working directory, cgroup path.
    pub struct Exec {
        /// Common part.
        pub header: Header,
        /// Start of the process, boot-time ns.
        pub start_boot_ns: u64,
        /// Start of its parent.
        pub parent_start_boot_ns: u64,
        /// kernfs id of the cgroup.
        pub cgroup_id: u64,
        /// Effective capabilities.
        pub cap_effective: u64,
        /// Permitted capabilities.
        pub cap_permitted: u64,
        /// Inheritable capabilities.
        pub cap_inheritable: u64,
        /// The process, in the host's pid namespace.
        pub pid: u32,
        /// The thread that called exec; another than `pid` when it was not the leader.
        pub tid: u32,
        /// The parent.
        pub ppid: u32,
        /// The process in its own pid namespace.
        pub ns_pid: u32,
        /// Real user.
        pub uid: u32,
        /// Real group.
        pub gid: u32,
        /// Effective user.
        pub euid: u32,
        /// Effective group.
        pub egid: u32,
        /// Login user, `u32::MAX` when unset.
        pub login_uid: u32,
        /// Audit session, `u32::MAX` when unset.
        pub audit_session: u32,
        /// Session leader, in the host's pid namespace.
        pub session: u32,
        /// pid namespace, inode number.
        pub pid_ns: u32,
        /// Mount namespace.
        pub mnt_ns: u32,
        /// Network namespace.
        pub net_ns: u32,
        /// User namespace.
        pub user_ns: u32,
        /// cgroup namespace.
        pub cgroup_ns: u32,
        /// `EXEC_FLAG_…`
        pub flags: u32,
        /// Number of arguments as the kernel counted them.
        pub argc: u32,
        /// Bytes of argv in the tail.
        pub argv_len: u32,
        /// Bytes that argv has in the process.
        pub argv_true_len: u32,
        /// The executable that runs: of a script, its interpreter.
        pub exe: FileFacts,
        /// The script, where there is one.
        pub script: FileFacts,
        /// Path as it was given to exec.
        pub filename: Span,
        /// Path of the interpreter, when another than `filename`.
        pub interp: Span,
        /// Path of `exe`.
        pub exe_path: PathSpan,
        /// Path of `script`.
        pub script_path: PathSpan,
        /// Working directory.
        pub cwd: PathSpan,
        /// cgroup path, leaf first.
        pub cgroup: Span,
        /// Zero.
        pub reserved: u32,
        /// Name of the task.
        pub comm: [u8; 16],
        /// Name of the controlling terminal, NUL-padded.
        pub tty: [u8; TTY_LEN],
    }
}
