//! Which processes were seen lately in which mount namespace, and when its root was last asked to be kept.
//!
//! Bounded: so many namespaces (least recently seen out first), four processes in each.

use std::time::{Duration, Instant};

use lru::LruCache;

const REMEMBERED: usize = 4;
/// Roots taken of one namespace in one period, however many processes start in it. More than one, since the kernel gives
/// the number of an ended namespace to the next one at once: containers that follow each other quickly share it.
const KEPT_IN_PERIOD: u32 = 8;
const PERIOD: Duration = Duration::from_millis(500);

/// A process in its mount namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sighting {
    pub(crate) mnt_ns: u32,
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

#[derive(Debug)]
struct Namespace {
    /// The newest is at `next - 1`.
    recent: [(u32, u64); REMEMBERED],
    next: usize,
    period: Instant,
    kept: u32,
}

/// Recent processes by mount namespace.
#[derive(Debug)]
pub(crate) struct Siblings {
    namespaces: LruCache<u32, Namespace>,
    capacity: usize,
}

impl Siblings {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { namespaces: LruCache::unbounded(), capacity: capacity.max(1) }
    }

    /// Remembers the process; true when the namespace's root should be taken from it now.
    pub(crate) fn note(&mut self, sighting: Sighting, now: Instant) -> bool {
        let new = || Namespace { recent: [(0, 0); REMEMBERED], next: 0, period: now, kept: 0 };
        let namespace = self.namespaces.get_or_insert_mut(sighting.mnt_ns, new);
        if now.saturating_duration_since(namespace.period) >= PERIOD {
            (namespace.period, namespace.kept) = (now, 0);
        }
        let process = (sighting.pid, sighting.start_ticks);
        let known = namespace.recent.contains(&process);
        if !known && let Some(place) = namespace.recent.get_mut(namespace.next % REMEMBERED) {
            *place = process;
            namespace.next = (namespace.next + 1) % REMEMBERED;
        }
        // Known: it may have entered its root only now, or its root may have been closed.
        let keep = namespace.kept < if known { 1 } else { KEPT_IN_PERIOD };
        namespace.kept += u32::from(keep);
        if self.namespaces.len() > self.capacity {
            self.namespaces.pop_lru();
        }
        keep
    }

    /// Processes of the namespace, newest first.
    pub(crate) fn of(&self, mnt_ns: u32) -> impl Iterator<Item = Sighting> + use<> {
        let recent = self.namespaces.peek(&mnt_ns).map(|namespace| {
            let mut recent = namespace.recent;
            recent.rotate_left(namespace.next);
            recent.reverse();
            recent
        });
        recent.into_iter().flatten().filter(|&(pid, _)| pid != 0).map(move |(pid, start_ticks)| Sighting {
            mnt_ns,
            pid,
            start_ticks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(mnt_ns: u32, pid: u32) -> Sighting {
        Sighting { mnt_ns, pid, start_ticks: u64::from(pid) * 10 }
    }

    fn pids(siblings: &Siblings, mnt_ns: u32) -> Vec<u32> {
        siblings.of(mnt_ns).map(|sibling| sibling.pid).collect()
    }

    #[test]
    fn newest_processes_come_first_and_older_ones_are_forgotten() {
        let mut siblings = Siblings::new(8);
        let now = Instant::now();
        for pid in [1, 2, 2, 1] {
            siblings.note(sighting(7, pid), now);
        }
        assert_eq!(pids(&siblings, 7), [2, 1]);
        for pid in 3..=6 {
            siblings.note(sighting(7, pid), now);
        }
        assert_eq!(pids(&siblings, 7), [6, 5, 4, 3]);
        assert_eq!(pids(&siblings, 8), []);
    }

    #[test]
    fn namespaces_are_capped() {
        let mut siblings = Siblings::new(3);
        for mnt_ns in 1..=5 {
            siblings.note(sighting(mnt_ns, 9), Instant::now());
        }
        assert_eq!(pids(&siblings, 2), []);
        assert_eq!(pids(&siblings, 3), [9]);
    }

    #[test]
    fn root_is_asked_for_of_new_processes_and_now_and_then_of_known_ones() {
        let mut siblings = Siblings::new(3);
        let start = Instant::now();
        let asked = |siblings: &mut Siblings, pid, ms| {
            siblings.note(sighting(7, pid), start + Duration::from_millis(ms))
        };
        assert!(asked(&mut siblings, 1, 0));
        assert!(!asked(&mut siblings, 1, 499));
        assert!(asked(&mut siblings, 1, 500));
        assert!(asked(&mut siblings, 2, 501), "the number may be another namespace's by now");
        let of_storm = (10..1000).filter(|&pid| asked(&mut siblings, pid, 600)).count();
        assert_eq!(of_storm, 6);
        assert!(siblings.note(sighting(8, 3), start));
    }
}
