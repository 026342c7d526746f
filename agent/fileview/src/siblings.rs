//! Which processes were seen lately in which mount namespace, and when its root was last asked to be kept.
//!
//! Bounded: so many namespaces (least recently seen out first), four processes in each.

use std::time::{Duration, Instant};

use lru::LruCache;

const REMEMBERED: usize = 4;
/// A namespace's root is taken anew at most so often, however many processes start in it.
const KEEP_AGAIN_AFTER: Duration = Duration::from_millis(500);

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
    kept_at: Option<Instant>,
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
        let new = || Namespace { recent: [(0, 0); REMEMBERED], next: 0, kept_at: None };
        let namespace = self.namespaces.get_or_insert_mut(sighting.mnt_ns, new);
        let process = (sighting.pid, sighting.start_ticks);
        if !namespace.recent.contains(&process)
            && let Some(place) = namespace.recent.get_mut(namespace.next % REMEMBERED)
        {
            *place = process;
            namespace.next = (namespace.next + 1) % REMEMBERED;
        }
        let keep = namespace.kept_at.is_none_or(|at| now.saturating_duration_since(at) >= KEEP_AGAIN_AFTER);
        if keep {
            namespace.kept_at = Some(now);
        }
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
    fn root_is_asked_for_at_once_and_then_twice_a_second() {
        let mut siblings = Siblings::new(3);
        let start = Instant::now();
        assert!(siblings.note(sighting(7, 1), start));
        assert!(!siblings.note(sighting(7, 2), start + Duration::from_millis(499)));
        assert!(siblings.note(sighting(7, 3), start + Duration::from_millis(500)));
        assert!(siblings.note(sighting(8, 3), start));
    }
}
