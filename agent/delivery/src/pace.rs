//! When a backend is asked again, and with how much: back-off and circuit breaker. Pure; the caller has clock and dice.

use std::time::Duration;

use linnet_fleet::channel::Backoff;

const FIRST: Duration = Duration::from_secs(1);
/// Failures in a row after which a backend counts as down.
const DOWN_AFTER: u32 = 5;
/// Events of a request to one that is down: enough to see whether it lives. They halve with each failure, down to one: perhaps it
/// takes each but some.
const PROBE_EVENTS: usize = 50;
/// Refusals in a row after which it is likelier that all is refused than that each event is bad.
const SUSPICIOUS: usize = 100;

/// How a backend has behaved of late.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    backoff: Backoff,
    refusals: usize,
    at_most: usize,
}

impl Pace {
    pub fn new(cap: Duration) -> Self {
        Self { backoff: Backoff::new(FIRST.min(cap), cap), refusals: 0, at_most: usize::MAX }
    }

    /// It has taken something.
    pub fn succeeded(&mut self) {
        self.backoff.reset();
        self.refusals = 0;
        // Not all at once: it may be the size that it can't take.
        self.at_most = self.at_most.saturating_mul(2);
    }

    /// It has not answered, or not well: how long to leave it alone.
    pub fn failed(&mut self, asked: Option<Duration>, dice: u64) -> Duration {
        let wait = self.backoff.after_failure(asked, dice);
        if self.is_down() {
            let more = self.backoff.failures() - DOWN_AFTER;
            self.at_most = PROBE_EVENTS.checked_shr(more).unwrap_or(0).max(1);
        }
        wait
    }

    /// It has refused so many events and taken none: how long to wait before the next are tried. A sink that is set up
    /// wrongly must not empty the spool into the dead-letter file in a minute.
    pub fn refused(&mut self, events: usize, dice: u64) -> Option<Duration> {
        self.refusals = self.refusals.saturating_add(events);
        (self.refusals > SUSPICIOUS).then(|| self.backoff.after_failure(None, dice))
    }

    /// Whether it counts as down.
    pub fn is_down(&self) -> bool {
        self.backoff.failures() >= DOWN_AFTER
    }

    /// Most events of the next request.
    pub fn most_events(&self, wanted: usize) -> usize {
        wanted.min(self.at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_down_is_asked_with_little_until_it_takes_something() {
        let mut pace = Pace::new(Duration::from_secs(60));
        for _ in 0..DOWN_AFTER {
            assert_eq!(pace.most_events(2000), 2000);
            assert!(pace.failed(None, u64::MAX) <= Duration::from_secs(60));
        }
        for events in [50, 25, 12, 6, 3, 1, 1] {
            assert_eq!(pace.most_events(2000), events);
            pace.failed(None, 0);
        }
        for events in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2000] {
            pace.succeeded();
            assert_eq!(pace.most_events(2000), events);
        }
    }

    #[test]
    fn single_refusals_cost_no_time_and_refusals_of_everything_do() {
        let mut pace = Pace::new(Duration::from_secs(60));
        assert!((0..SUSPICIOUS).all(|_| pace.refused(1, 0).is_none()));
        assert!(pace.refused(1, 0).is_some());
        assert!(pace.refused(1, 0).is_some());
        pace.succeeded();
        assert!(pace.refused(1, 0).is_none());
    }
}
