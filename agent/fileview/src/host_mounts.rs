//! The agent's own view of the mounts, read anew when the kernel says that it changed.
//!
//! `poll(2)` on an open `/proc/self/mountinfo` reports POLLPRI after a change (`mounts_poll` in
//! `fs/proc_namespace.c`). The text is read only when a file could not be found with the table at hand: on a host of
//! thousands of mounts, reading takes milliseconds, and each new container is a change.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};

use crate::lock::lock;
use crate::mount_table::MountTable;
use crate::small_file::read_from_start;

/// More than this is not read; 4 MiB are some 20,000 mounts.
pub(crate) const MAX_MOUNTINFO_BYTES: usize = 4 << 20;

/// The table and the descriptor that tells of changes.
#[derive(Debug, Default)]
pub(crate) struct HostMounts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    table: Arc<MountTable>,
    mountinfo: Option<OwnedFd>,
}

impl HostMounts {
    /// The table as last read.
    pub(crate) fn table(&self) -> Arc<MountTable> {
        Arc::clone(&lock(&self.state).table)
    }

    /// A newer table than that of the last reading, if there is one.
    pub(crate) fn newer(&self) -> Option<Arc<MountTable>> {
        let mut state = lock(&self.state);
        if let Some(mountinfo) = &state.mountinfo {
            let mut wanted = [PollFd::new(mountinfo, PollFlags::PRI)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let changed = poll(&mut wanted, Some(&at_once)).is_ok_and(|ready| ready > 0);
            if !changed {
                return None;
            }
        } else {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            state.mountinfo =
                Some(rustix::fs::openat(CWD, "/proc/self/mountinfo", flags, Mode::empty()).ok()?);
        }
        let text = read_from_start(state.mountinfo.as_ref()?, MAX_MOUNTINFO_BYTES).ok()?;
        state.table = Arc::new(MountTable::parse(&text));
        Some(Arc::clone(&state.table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found_file::look_at;

    #[test]
    fn table_is_read_once_while_nothing_is_mounted() {
        let mounts = HostMounts::default();
        let own_exe = std::env::current_exe().unwrap();
        let seen = look_at(std::fs::File::open(own_exe).unwrap()).unwrap();
        assert!(mounts.table().candidates(seen.dev, b"/x").is_empty());
        let table = mounts.newer().unwrap();
        assert!(table.dev_of_mount(seen.mount_id).is_some());
        assert!(mounts.table().dev_of_mount(seen.mount_id).is_some());
    }
}
