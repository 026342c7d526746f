//! Bounds over time: so many a second with a burst, and so many bytes a day. Pure; time is a parameter.

use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);

/// A bucket that fills at a rate and holds a burst.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: f64,
    most: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(per_second: f64, most: f64, now: Instant) -> Self {
        Self { per_second, most, level: most, at: now }
    }

    /// Takes `amount`, if it is there.
    pub fn take(&mut self, amount: f64, now: Instant) -> bool {
        self.fill(now);
        let enough = self.level >= amount;
        if enough {
            self.level -= amount;
        }
        enough
    }

    /// Takes `amount` whether it is there or not: what was read was read. [`Bucket::wait`] says how long to read no more.
    pub fn overdraw(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.level -= amount;
    }

    /// How long until the level is above zero; nothing when it is.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        (self.level < 0.0).then(|| Duration::from_secs_f64((-self.level / self.per_second).min(3600.0)))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_second).min(self.most);
        self.at = now;
    }
}

/// Bytes of a day, counted from the first.
#[derive(Clone, Debug)]
pub struct Day {
    most: u64,
    used: u64,
    since: Instant,
}

impl Day {
    /// Nothing used yet.
    #[must_use]
    pub fn new(most: u64, now: Instant) -> Self {
        Self { most, used: 0, since: now }
    }

    /// Takes `bytes`, if the day still has them.
    pub fn take(&mut self, bytes: u64, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= DAY {
            (self.used, self.since) = (0, now);
        }
        let after = self.used.saturating_add(bytes);
        if after > self.most {
            return false;
        }
        self.used = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2.0, 5.0, start);
        assert_eq!((0..9).filter(|_| bucket.take(1.0, start)).count(), 5);
        assert_eq!((0..9).filter(|_| bucket.take(1.0, start + Duration::from_secs(1))).count(), 2);
        assert_eq!((0..9).filter(|_| bucket.take(1.0, start + Duration::from_secs(1000))).count(), 5);
    }

    #[test]
    fn what_was_overdrawn_is_waited_for() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100.0, 100.0, start);
        bucket.overdraw(300.0, start);
        assert_eq!(bucket.wait(start), Some(Duration::from_secs(2)));
        assert_eq!(bucket.wait(start + Duration::from_secs(2)), None);
    }

    #[test]
    fn a_day_ends() {
        let start = Instant::now();
        let mut day = Day::new(10, start);
        assert!(day.take(9, start) && !day.take(2, start) && day.take(1, start));
        assert!(day.take(10, start + DAY));
        assert!(!day.take(u64::MAX, start + DAY));
    }
}
