//! When a host asks the channel next. Pure: the caller has the clock, the network and the dice, and a model of a hundred
//! thousand hosts can stand in for all three (`fleet/tests/model`).
//!
//! Nothing here may make hosts meet: every wait is drawn, and a bound on a wait is a bound of what is drawn from, never a
//! value at which many of them would gather.

use std::time::Duration;

use super::backoff::{Backoff, fraction, spread};

/// Longest wait between tries, unless the interval itself is longer.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// A host that starts asks within this time, however rarely it asks later: it may have news to follow.
const FIRST_WITHIN: Duration = Duration::from_secs(60);

/// The waits of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    interval: Duration,
    backoff: Backoff,
}

impl PollSchedule {
    /// Asks once an interval on the whole.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, backoff: Backoff::new(interval, MAX_WAIT.max(interval)) }
    }

    /// Another interval from now on. Failures in a row go on being counted.
    pub fn set_interval(&mut self, interval: Duration) {
        self.backoff = Backoff::resumed(interval, MAX_WAIT.max(interval), self.backoff.failures());
        self.interval = interval;
    }

    /// Failures in a row until now.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Before the first question: a fleet that starts together must not ask together.
    #[must_use]
    pub fn first(&self, dice: u64) -> Duration {
        fraction(self.interval.min(FIRST_WITHIN), dice)
    }

    /// After an answer.
    pub fn after_success(&mut self, dice: u64) -> Duration {
        self.backoff.reset();
        spread(self.interval, dice)
    }

    /// After none: half an interval at least, or what the server asked for, and then the longer the more often.
    pub fn after_failure(&mut self, retry_after: Option<Duration>, dice: u64) -> Duration {
        let least = retry_after.unwrap_or_default().max(self.interval / 2);
        self.backoff.after_failure(Some(least), dice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_wait_is_drawn_from_a_minute_and_gathers_nowhere() {
        let schedule = PollSchedule::new(Duration::from_secs(60));
        assert_eq!(schedule.first(0), Duration::ZERO);
        assert_eq!(schedule.first(u64::MAX / 2).as_secs(), 29);
        let rare = PollSchedule::new(Duration::from_secs(86_400));
        assert!(rare.first(u64::MAX) <= FIRST_WITHIN);
    }

    proptest! {
        #[test]
        fn two_dice_give_two_waits(interval in 1_u64..86_400, failures in 0_u32..20, one: u64, two: u64) {
            prop_assume!(one.abs_diff(two) > 1 << 50);
            let mut schedule = PollSchedule::new(Duration::from_secs(interval));
            for _ in 0..failures {
                let _ = schedule.after_failure(None, one);
            }
            let wait = |dice| { let mut schedule = schedule; schedule.after_failure(None, dice) };
            prop_assert_ne!(wait(one), wait(two));
            prop_assert_ne!(schedule.first(one), schedule.first(two));
            let wait = |dice| { let mut schedule = schedule; schedule.after_success(dice) };
            prop_assert_ne!(wait(one), wait(two));
        }
    }
}
