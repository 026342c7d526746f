//! When a backend is asked again, and with how much: back-off and circuit breaker. Pure; the caller has clock and dice.

use std::time::Duration;

use linnet_fleet::channel::Backoff;

const FIRST: Duration = Duration::from_secs(1);
/// Failures in a row after which a backend counts as down.
const DOWN_AFTER: u32 = 5;
/// Events of a request to one that is down: enough to see whether it lives.
const PROBE_EVENTS: usize = 50;
/// Refusals in a row after which it is likelier that all is refused than that each event is bad.
const SUSPICIOUS: u32 = 100;

/// How a backend has behaved of late.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    backoff: Backoff,
    refusals: u32,
}

impl Pace {
    pub fn new(cap: Duration) -> Self {
        Self { backoff: Backoff::new(FIRST.min(cap), cap), refusals: 0 }
    }

    /// It has taken something.
    pub fn succeeded(&mut self) {
        self.backoff.reset();
        self.refusals = 0;
    }

    /// It has not answered, or not well: how long to leave it alone.
    pub fn failed(&mut self, asked: Option<Duration>, dice: u64) -> Duration {
        self.backoff.after_failure(asked, dice)
    }

    /// It has refused one event: how long to wait before the next is tried. A sink that is set up wrongly must not
    /// empty the spool into the dead-letter file in a minute.
    pub fn refused(&mut self, dice: u64) -> Option<Duration> {
        self.refusals = self.refusals.saturating_add(1);
        (self.refusals > SUSPICIOUS).then(|| self.backoff.after_failure(None, dice))
    }

    /// Whether it counts as down.
    pub fn is_down(&self) -> bool {
        self.backoff.failures() >= DOWN_AFTER
    }

    /// Most events of the next request.
    pub fn most_events(&self, wanted: usize) -> usize {
        if self.is_down() { wanted.min(PROBE_EVENTS) } else { wanted }
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
        assert_eq!(pace.most_events(2000), PROBE_EVENTS);
        pace.succeeded();
        assert_eq!(pace.most_events(2000), 2000);
    }

    #[test]
    fn single_refusals_cost_no_time_and_refusals_of_everything_do() {
        let mut pace = Pace::new(Duration::from_secs(60));
        assert!((0..SUSPICIOUS).all(|_| pace.refused(0).is_none()));
        assert!(pace.refused(0).is_some());
        pace.succeeded();
        assert!(pace.refused(0).is_none());
    }
}
