//! A thread's last sign of life, and what a dead file system would have to be blamed for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bans::Ban;

const DEVICE: u64 = 1 << 32;
const NAMESPACE: u64 = 2 << 32;

/// Written by its thread before each call that may not return, read by `tend`.
#[derive(Debug)]
pub(crate) struct Seat {
    started: Instant,
    /// Milliseconds since `started`, plus one; 0: nothing that can be held fast.
    beat_ms: AtomicU64,
    /// The beat that was found too old, to be confirmed by the next look.
    suspected_ms: AtomicU64,
    blame: AtomicU64,
    abandoned: AtomicBool,
    ended: AtomicBool,
}

impl Seat {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            started: now,
            beat_ms: AtomicU64::new(0),
            suspected_ms: AtomicU64::new(0),
            blame: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// The thread is alive and about to touch this.
    pub(crate) fn touches(&self, what: Ban) {
        let (kind, number) = match what {
            Ban::Device(dev) => (DEVICE, dev),
            Ban::Namespace(mnt_ns) => (NAMESPACE, mnt_ns),
        };
        self.blame.store(kind | u64::from(number), Ordering::Relaxed);
        self.beat_ms.store(self.ms(Instant::now()), Ordering::Release);
    }

    /// The thread touches nothing that can hold it fast.
    pub(crate) fn rests(&self) {
        self.beat_ms.store(0, Ordering::Release);
    }

    /// Gives the seat up when its thread has been silent for `stuck_after`, twice in a row: a sensor that was stopped
    /// itself (SIGSTOP, a frozen machine) finds every beat old at first. Says what is to blame.
    pub(crate) fn abandon_if_stuck(&self, stuck_after: Duration, now: Instant) -> Option<Ban> {
        let beat = self.beat_ms.load(Ordering::Acquire);
        let silent_ms = self.ms(now).saturating_sub(beat);
        let stuck_ms = u64::try_from(stuck_after.as_millis()).unwrap_or(u64::MAX);
        if beat == 0 || silent_ms < stuck_ms || self.suspected_ms.swap(beat, Ordering::Relaxed) != beat {
            return None;
        }
        self.abandoned.store(true, Ordering::Release);
        let blame = self.blame.load(Ordering::Relaxed);
        let number = u32::try_from(blame & u64::from(u32::MAX)).unwrap_or(0);
        Some(if blame & DEVICE == 0 { Ban::Namespace(number) } else { Ban::Device(number) })
    }

    /// The thread is to end as soon as it can.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn silent_thread_is_given_up_at_the_second_look() {
        let now = Instant::now();
        let seat = Seat::new(now);
        seat.touches(Ban::Device(9));
        assert_eq!(seat.abandon_if_stuck(LIMIT, now + Duration::from_secs(1)), None);
        assert_eq!(seat.abandon_if_stuck(LIMIT, now + Duration::from_secs(6)), None);
        assert!(!seat.is_abandoned());
        assert_eq!(seat.abandon_if_stuck(LIMIT, now + Duration::from_secs(7)), Some(Ban::Device(9)));
        assert!(seat.is_abandoned());
    }

    #[test]
    fn thread_that_moved_between_the_looks_or_rests_is_left_alone() {
        let seat = Seat::new(Instant::now() - Duration::from_secs(60));
        seat.touches(Ban::Namespace(u32::MAX));
        assert_eq!(seat.abandon_if_stuck(LIMIT, Instant::now() + Duration::from_secs(6)), None);
        std::thread::sleep(Duration::from_millis(3));
        seat.touches(Ban::Namespace(u32::MAX));
        assert_eq!(seat.abandon_if_stuck(LIMIT, Instant::now() + Duration::from_secs(7)), None);
        seat.rests();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(seat.abandon_if_stuck(LIMIT, Instant::now() + Duration::from_secs(60)), None);
        seat.touches(Ban::Namespace(u32::MAX));
        assert_eq!(seat.abandon_if_stuck(LIMIT, Instant::now() + Duration::from_secs(70)), None);
        let blamed = seat.abandon_if_stuck(LIMIT, Instant::now() + Duration::from_secs(71));
        assert_eq!(blamed, Some(Ban::Namespace(u32::MAX)));
    }
}
