//! Roots of mount namespaces, held for a short while so that files can be read after the last process has gone.
//!
//! A kept root is an `O_PATH` descriptor of `/proc/PID/root`. It holds the mount and its superblock, not the namespace:
//! once the namespace is gone, what was mounted below the root is no longer reached through it, and the host's own
//! mount of the container's file system can be unmounted all the while (a descriptor in that one would make a plain
//! umount fail with EBUSY, so none is kept). What has to wait is the end of the superblock itself:
//! therefore few roots, a short time, and a shorter one once the process has ended.
//!
//! A namespace may have several: a process may have another root than the rest (chroot), and the kernel gives the number
//! of an ended namespace to the next container.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process_dir::ProcessDir;

/// How long a root outlives its process: events of it may still be on their way.
const AFTER_END: Duration = Duration::from_secs(2);
/// Roots tried for one file.
const TRIED: usize = 4;
/// How often the process of a kept root is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Which root it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RootId {
    pub(crate) dev: u32,
    pub(crate) inode: u64,
    pub(crate) mount_id: u64,
}

#[derive(Debug)]
struct Kept {
    mnt_ns: u32,
    root: Arc<OwnedFd>,
    is: RootId,
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

    /// Holds a root, in place of the one of the same namespace that is the same.
    pub(crate) fn keep(&mut self, mnt_ns: u32, root: OwnedFd, is: RootId, process: ProcessDir, now: Instant) {
        if self.capacity == 0 || self.keep.is_zero() {
            return;
        }
        self.kept.retain(|kept| (kept.mnt_ns, kept.is) != (mnt_ns, is));
        if self.kept.len() >= self.capacity {
            self.kept.remove(0);
        }
        let close_at = now + self.keep;
        self.kept.push(Kept { mnt_ns, root: Arc::new(root), is, process, close_at, ended: false });
    }

    /// The roots of a namespace that may hold a file of this device: those of the device first, then the newest.
    pub(crate) fn of(&self, mnt_ns: u32, dev: u32) -> Vec<Arc<OwnedFd>> {
        let mut kept: Vec<&Kept> = self.kept.iter().rev().filter(|kept| kept.mnt_ns == mnt_ns).collect();
        kept.sort_by_key(|kept| kept.is.dev != dev);
        kept.iter().take(TRIED).map(|kept| Arc::clone(&kept.root)).collect()
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

    const IS: RootId = RootId { dev: 1, inode: 1, mount_id: 1 };

    fn own_root() -> (OwnedFd, ProcessDir) {
        let process = ProcessDir::open(std::process::id(), 0).unwrap();
        (process.root().unwrap(), process)
    }

    fn keep(roots: &mut KeptRoots, mnt_ns: u32, now: Instant) {
        let (root, process) = own_root();
        roots.keep(mnt_ns, root, IS, process, now);
    }

    #[test]
    fn root_is_closed_when_its_time_is_over() {
        let mut roots = KeptRoots::new(8, Duration::from_secs(5));
        let now = Instant::now();
        assert_eq!(roots.tend(now), None);
        keep(&mut roots, 1, now);
        assert_eq!(roots.tend(now), Some(LOOK_AGAIN));
        assert_eq!(roots.tend(now + Duration::from_millis(4900)), Some(Duration::from_millis(100)));
        assert_eq!(roots.of(1, 1).len(), 1);
        assert_eq!(roots.tend(now + Duration::from_secs(5)), None);
        assert!(roots.of(1, 1).is_empty());
    }

    #[test]
    fn root_of_an_ended_process_is_closed_sooner() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessDir::open(child.id(), 0).unwrap();
        let mut roots = KeptRoots::new(8, Duration::from_secs(5));
        let now = Instant::now();
        roots.keep(1, process.root().unwrap(), IS, process, now);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(roots.tend(now + Duration::from_millis(500)), Some(AFTER_END));
        assert_eq!(roots.tend(now + Duration::from_millis(2500)), None);
    }

    #[test]
    fn oldest_root_gives_way_and_the_same_root_is_held_once() {
        let mut roots = KeptRoots::new(2, Duration::from_secs(5));
        let now = Instant::now();
        for mnt_ns in [1, 1, 2, 3] {
            keep(&mut roots, mnt_ns, now);
        }
        assert_eq!(roots.len(), 2);
        assert!(roots.of(1, 1).is_empty() && roots.of(3, 1).len() == 1);
        let (root, process) = own_root();
        roots.keep(3, root, RootId { mount_id: 2, ..IS }, process, now);
        assert_eq!((roots.of(3, 1).len(), roots.of(2, 1).len()), (2, 0));
        let mut none = KeptRoots::new(0, Duration::from_secs(5));
        keep(&mut none, 1, now);
        assert_eq!(none.len(), 0);
    }
    #[test]
    fn root_of_the_files_device_is_tried_before_newer_ones() {
        let mut roots = KeptRoots::new(20, Duration::from_secs(5));
        for dev in 0..10 {
            let (root, process) = own_root();
            roots.keep(1, root, RootId { dev, ..IS }, process, Instant::now());
        }
        let first = Arc::clone(&roots.kept[2].root);
        let tried = roots.of(1, 2);
        assert_eq!(tried.len(), TRIED);
        assert!(Arc::ptr_eq(&tried[0], &first));
    }
}
