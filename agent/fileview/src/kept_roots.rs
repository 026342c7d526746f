//! Roots of mount namespaces, held for a short while so that files can be read after the last process has gone.
//!
//! A kept root is an `O_PATH` descriptor of `/proc/PID/root`. It holds the mount and its superblock, not the namespace:
//! once the namespace is gone, what was mounted below the root is no longer reached through it, and the host's own
//! mount of the container's file system can be unmounted all the while (measured; a descriptor in the host's mount
//! would make a plain umount fail with EBUSY, so none is kept). What has to wait is the end of the superblock itself:
//! therefore few roots, a short time, and a shorter one once the process has ended.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process_dir::ProcessDir;

/// How long a root outlives its process: events of it may still be on their way.
const AFTER_END: Duration = Duration::from_secs(2);
/// How often the process of a kept root is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Kept {
    mnt_ns: u32,
    root: Arc<OwnedFd>,
    process: ProcessDir,
    close_at: Instant,
    ended: bool,
}

/// The roots held now, oldest first.
#[derive(Debug)]
pub(crate) struct KeptRoots {
    kept: Vec<Kept>,
    capacity: usize,
    keep: Duration,
}

impl KeptRoots {
    pub(crate) const fn new(capacity: usize, keep: Duration) -> Self {
        Self { kept: Vec::new(), capacity, keep }
    }

    /// Holds a root in place of the one held before for this namespace.
    pub(crate) fn keep(&mut self, mnt_ns: u32, root: OwnedFd, process: ProcessDir, now: Instant) {
        if self.capacity == 0 || self.keep.is_zero() {
            return;
        }
        self.kept.retain(|kept| kept.mnt_ns != mnt_ns);
        if self.kept.len() >= self.capacity {
            self.kept.remove(0);
        }
        let close_at = now + self.keep;
        self.kept.push(Kept { mnt_ns, root: Arc::new(root), process, close_at, ended: false });
    }

    pub(crate) fn of(&self, mnt_ns: u32) -> Option<Arc<OwnedFd>> {
        self.kept.iter().find(|kept| kept.mnt_ns == mnt_ns).map(|kept| Arc::clone(&kept.root))
    }

    /// Closes what is due; gives the time until the next look, if anything is held.
    pub(crate) fn tend(&mut self, now: Instant) -> Option<Duration> {
        for kept in &mut self.kept {
            if !kept.ended && kept.process.has_ended() {
                kept.ended = true;
                kept.close_at = kept.close_at.min(now + AFTER_END);
            }
        }
        self.kept.retain(|kept| now < kept.close_at);
        let next = self.kept.iter().map(|kept| kept.close_at.saturating_duration_since(now)).min()?;
        Some(if self.kept.iter().all(|kept| kept.ended) { next } else { next.min(LOOK_AGAIN) })
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    pub(crate) const fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_root() -> (OwnedFd, ProcessDir) {
        let process = ProcessDir::open(std::process::id(), 0).unwrap();
        (process.root().unwrap(), process)
    }

    fn keep(roots: &mut KeptRoots, mnt_ns: u32, now: Instant) {
        let (root, process) = own_root();
        roots.keep(mnt_ns, root, process, now);
    }

    #[test]
    fn root_is_closed_when_its_time_is_over() {
        let mut roots = KeptRoots::new(8, Duration::from_secs(5));
        let now = Instant::now();
        assert_eq!(roots.tend(now), None);
        keep(&mut roots, 1, now);
        assert_eq!(roots.tend(now), Some(LOOK_AGAIN));
        assert_eq!(roots.tend(now + Duration::from_millis(4900)), Some(Duration::from_millis(100)));
        assert!(roots.of(1).is_some());
        assert_eq!(roots.tend(now + Duration::from_secs(5)), None);
        assert!(roots.of(1).is_none());
    }

    #[test]
    fn root_of_an_ended_process_is_closed_sooner() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessDir::open(child.id(), 0).unwrap();
        let mut roots = KeptRoots::new(8, Duration::from_secs(5));
        let now = Instant::now();
        roots.keep(1, process.root().unwrap(), process, now);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(roots.tend(now + Duration::from_millis(500)), Some(AFTER_END));
        assert_eq!(roots.tend(now + Duration::from_millis(2500)), None);
    }

    #[test]
    fn oldest_root_gives_way_and_a_namespace_has_one() {
        let mut roots = KeptRoots::new(2, Duration::from_secs(5));
        let now = Instant::now();
        for mnt_ns in [1, 1, 2, 3] {
            keep(&mut roots, mnt_ns, now);
        }
        assert_eq!(roots.len(), 2);
        assert!(roots.of(1).is_none() && roots.of(3).is_some());
        let mut none = KeptRoots::new(0, Duration::from_secs(5));
        keep(&mut none, 1, now);
        assert_eq!(none.len(), 0);
    }
}
