//! The records that cross the ring, and the table of kernel offsets that the programs are given.
//!
//! `no_std` and without code that runs: both the kernel programs and the agent are compiled against
//! these layouts, so a change here changes both sides at once. [`RECORD_VERSION`] is written into each
//! record, because pinned programs of another release may outlive the agent that loaded them.
#![no_std]
#![forbid(unsafe_code)]

mod offsets;
mod record;

pub use offsets::{ABSENT, NAMES as OFFSET_NAMES, Offsets};
pub use record::{
    ARGV_MAX, Counters, EXEC_FLAG_FD, EXEC_FLAG_SCRIPT, EXEC_FLAG_SECURE, Exec, Exit, FILE_FLAG_UNHASHED,
    FileFacts, FileKey, Fork, Header, KIND_EXEC, KIND_EXIT, KIND_FORK, KINDS, PATH_CUT, PATH_DETACHED,
    PathSpan, RATE_GROUPS, RATE_KINDS, RATE_QUIET_NS, RECORD_VERSION, Rate, RateLimit, SCRATCH_LEN, Span,
    TAIL_CAP, TTY_LEN, WAKE_COALESCE, WAKE_NEXT,
};
