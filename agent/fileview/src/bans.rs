//! Devices and mount namespaces that held a thread fast, left alone for a minute.
//!
//! A dead NFS server, or a FUSE daemon that a privileged container runs for the purpose, can stop a thread in a system
//! call for ever. One thread is lost to it and replaced; the ban keeps the next one away. A namespace is banned when
//! the path led the thread there (mounts that the container chose), a device when it was the file's own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::lock;

const BANNED_FOR: Duration = Duration::from_secs(60);
const CAPACITY: usize = 64;

/// What a thread was busy with when it was held fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ban {
    Device(u32),
    Namespace(u32),
}

/// Bans in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    bans: Mutex<Vec<(Ban, Instant)>>,
    len: AtomicUsize,
}

impl Bans {
    pub(crate) fn add(&self, ban: Ban, now: Instant) {
        let mut bans = lock(&self.bans);
        bans.retain(|&(old, _)| old != ban);
        if bans.len() >= CAPACITY {
            bans.remove(0);
        }
        bans.push((ban, now));
        self.len.store(bans.len(), Ordering::Release);
    }

    pub(crate) fn has_device(&self, dev: u32) -> bool {
        self.has(Ban::Device(dev))
    }

    pub(crate) fn has_namespace(&self, mnt_ns: u32) -> bool {
        self.has(Ban::Namespace(mnt_ns))
    }

    /// Lifts bans that are over.
    pub(crate) fn tend(&self, now: Instant) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut bans = lock(&self.bans);
        bans.retain(|&(_, since)| now.saturating_duration_since(since) < BANNED_FOR);
        self.len.store(bans.len(), Ordering::Release);
    }

    fn has(&self, ban: Ban) -> bool {
        self.len.load(Ordering::Acquire) != 0 && lock(&self.bans).iter().any(|&(banned, _)| banned == ban)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ban_holds_for_a_minute() {
        let bans = Bans::default();
        let now = Instant::now();
        bans.add(Ban::Device(7), now);
        bans.add(Ban::Namespace(8), now + Duration::from_secs(1));
        assert!(bans.has_device(7) && bans.has_namespace(8));
        assert!(!bans.has_device(8) && !bans.has_namespace(7));
        bans.tend(now + Duration::from_secs(60));
        assert!(!bans.has_device(7) && bans.has_namespace(8));
        bans.tend(now + Duration::from_secs(61));
        assert!(!bans.has_namespace(8));
    }

    #[test]
    fn bans_are_capped() {
        let bans = Bans::default();
        for dev in 0..100 {
            bans.add(Ban::Device(dev), Instant::now());
        }
        assert!(!bans.has_device(35) && bans.has_device(36) && bans.has_device(99));
    }
}
