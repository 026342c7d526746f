//! Facts of the host that tell it and its boot apart from others.
//!
//! Everything is read once and kept; each fact may be missing, as in a container or on a minimal system. The raw
//! machine id never leaves this module: machine-id(5) asks to treat it as confidential, so events carry an id that
//! is derived from it.

mod id;
mod os_release;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustix::system::uname;
use rustix::time::{ClockId, clock_gettime};

use crate::capped;

pub use id::{BootId, HostId, NotAHostId};
pub use os_release::OsRelease;

/// What is known of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// This boot; missing without /proc.
    pub boot_id: Option<BootId>,
    /// This installation; missing where /etc/machine-id is missing, empty or `uninitialized` (early in a first boot).
    pub host_id: Option<HostId>,
    /// The name by `uname -n`, as this UTS namespace has it.
    pub hostname: String,
    /// The kernel by `uname -r`.
    pub kernel_release: String,
    /// The distribution; missing where there is no os-release file.
    pub os: Option<OsRelease>,
    /// When the kernel booted, by the wall clock as it stands now.
    pub booted_at: Option<Timestamp>,
}

impl Host {
    /// Reads the facts of the running host.
    #[must_use]
    pub fn read() -> Self {
        Self::read_at(Path::new("/"))
    }

    /// What events call this host by: its id where there is one, else the boot id, else the host name. OCSF demands one, and
    /// these are the next best that are true.
    #[must_use]
    pub fn uid(&self) -> String {
        let ids =
            [self.host_id.as_ref().map(ToString::to_string), self.boot_id.as_ref().map(ToString::to_string)];
        ids.into_iter().flatten().next().unwrap_or_else(|| self.hostname.clone())
    }

    /// As [`Host::read`], with the files taken from below `root`.
    #[must_use]
    pub fn read_at(root: &Path) -> Self {
        let uname = uname();
        Self {
            boot_id: BootId::read_at(root),
            host_id: HostId::read_at(root),
            hostname: uname.nodename().to_string_lossy().into_owned(),
            kernel_release: uname.release().to_string_lossy().into_owned(),
            os: OsRelease::read_at(root),
            booted_at: booted_at(),
        }
    }
}

/// When the kernel booted, by the wall clock as it stands now: `CLOCK_REALTIME` less `CLOCK_BOOTTIME`. It moves when
/// the wall clock is set.
#[must_use]
pub fn booted_at() -> Option<Timestamp> {
    let up = clock_gettime(ClockId::Boottime);
    let up = SignedDuration::new(up.tv_sec, i32::try_from(up.tv_nsec).ok()?);
    Timestamp::now().checked_sub(up).ok()
}

/// A small text file below `root`, bounded.
fn small_text(root: &Path, name: &str) -> Option<String> {
    const MAX_BYTES: usize = 64 << 10;
    capped::text(&root.join(name), MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_host_has_its_facts() {
        let host = Host::read();
        assert!(host.boot_id.is_some(), "no /proc here?");
        assert!(!host.kernel_release.is_empty());
        let btime = std::fs::read_to_string("/proc/stat").unwrap();
        let btime: i64 =
            btime.lines().find_map(|l| l.strip_prefix("btime ")).unwrap().trim().parse().unwrap();
        assert!((host.booted_at.unwrap().as_second() - btime).abs() <= 2);
    }

    #[test]
    fn a_bare_root_lacks_facts_without_failing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::read_at(root.path());
        assert_eq!((host.boot_id, host.host_id, host.os), (None, None, None));
    }
}
