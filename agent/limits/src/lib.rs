//! The sensor's own cgroup: made, limited, entered, read back.
//!
//! [`apply`] makes a cgroup, moves this process with all its threads in, sets cpu, memory and pids limits, and reads
//! everything back from the kernel. It must run before the kernel programs are loaded: a BPF map is charged to the
//! cgroup of the process that makes it.
//!
//! Where the cgroup lies, hierarchy by hierarchy:
//!
//! | found in | made at | because |
//! | --- | --- | --- |
//! | a unit that systemd delegated (`Delegate=`) | `<unit>/<name>` | that subtree is ours by systemd's rules |
//! | a container's cgroup | `<container>/<name>` | leaving it would leave the container's limits and accounting |
//! | another cgroup with a limit on it, not systemd's | `<it>/<name>` | leaving it would evade that limit |
//! | anything else: the root, a login session, a unit without `Delegate=` | `/<name>` | a session ends and takes its cgroups along; an undelegated unit is systemd's alone |
//!
//! In the last case a note says so under systemd, which takes the cpu controller away from the root's children with the
//! next unit that starts or ends (seen with 252): [`Applied::reread`] notices, [`Applied::reapply`] puts it back.
//!
//! [`beside`] makes cgroups for programs that the agent starts, next to the agent's own, with limits of their own.
//!
//! Invariants:
//! - nothing is moved but this process, and no cgroup is changed but our own and, on v2, its parent's list of
//!   controllers for children (never shortened again: others may have come to rely on it);
//! - what the kernel did not say back is not claimed: `enforced` compares what was read with what was asked;
//! - a machine that cannot enforce the limits gives [`Applied`] with problems, not an error: whether that refuses
//!   the start is the settings' to say.
//!
//! Setting, creating, entering and leaving go through `cgroups-rs`, controller by controller. Its ready-made
//! `Cgroup` is not used: it enters every v1 controller that is mounted, takes /sys/fs/cgroup for granted on v2,
//! ignores a refusal to enable a controller, and its `Resources` ignore a refused memory limit.
#![forbid(unsafe_code)]

mod applied;
mod beside;
mod controller;
mod group;
mod hierarchy;
mod place;
mod read_back;
mod refusal;
mod set;
mod usage;
mod value;
mod wanted;

pub use applied::{Applied, apply};
pub use beside::{Beside, beside};
pub use linnet_fleet::health::{LimitMode, LimitValues, Limits, MemoryEvents, Usage};
pub use wanted::{Wanted, WantedError};

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is not even an attempt to report on.
#[derive(Debug, Error)]
pub enum LimitsError {
    /// The limits asked for make no sense.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// The cgroup's name is not a plain file name.
    #[error("{name:?} cannot name a cgroup: give letters, digits, dashes and underscores")]
    Name {
        /// The name that was given.
        name: String,
    },
    /// The kernel does not say where this process is.
    #[error("read {path:?}: {source}: is /proc mounted?")]
    Proc {
        /// The file below /proc.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process could not be moved back.
    #[error("move back to {path:?}: {source}")]
    MoveBack {
        /// The cgroup that it came from.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cgroup could not be removed.
    #[error("remove {path:?}: {source}: remove it by rmdir when nothing runs in it")]
    Remove {
        /// The cgroup.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
