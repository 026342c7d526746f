//! When to try again. Pure: the caller has the clock and the dice.

use std::time::Duration;

/// Exponential back-off with full jitter, which spreads a fleet that failed at one time over the whole interval
/// (hosts that double a common delay come back together), and which leaves a server alone for as long as it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// A server may ask for silence, but not for ever: a mistake in a header must not cut off a fleet.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

    /// The first wait is up to `base`, each later one up to twice as long as the one before, none over `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// As [`Backoff::new`], after so many failures in a row, for a program that starts anew each time.
    #[must_use]
    pub fn resumed(base: Duration, cap: Duration, failures: u32) -> Self {
        Self { base, cap, failures }
    }

    /// Failures in a row until now.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure: how long to wait. `dice` is a fresh random number of all 64 bits. What the server asked for
    /// is the least wait, with the jitter on top, or all hosts would be back at the same second.
    pub fn after_failure(&mut self, retry_after: Option<Duration>, dice: u64) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let most = self.base.checked_mul(factor).unwrap_or(self.cap).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let least = retry_after.unwrap_or_default().min(Self::MAX_RETRY_AFTER);
        least.saturating_add(fraction(most, dice))
    }
}

/// An interval spread by a fifth in either direction.
#[must_use]
pub fn spread(interval: Duration, dice: u64) -> Duration {
    interval.saturating_mul(4) / 5 + fraction(interval.saturating_mul(2) / 5, dice)
}

/// A uniform part of a duration.
pub(super) fn fraction(of: Duration, dice: u64) -> Duration {
    let nanos = of.as_nanos().saturating_mul(u128::from(dice)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Duration = Duration::from_secs(5);
    const CAP: Duration = Duration::from_secs(600);

    #[test]
    fn waits_double_up_to_the_cap() {
        let mut backoff = Backoff::new(BASE, CAP);
        let longest: Vec<_> =
            (0..9).map(|_| backoff.after_failure(None, u64::MAX).as_secs_f64().round()).collect();
        assert_eq!(longest, [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]);
        assert_eq!(backoff.failures(), 9);
        assert_eq!(Backoff::resumed(BASE, CAP, 9), backoff);
        backoff.reset();
        assert_eq!(backoff, Backoff::new(BASE, CAP));
    }

    #[test]
    fn a_server_s_wish_is_honoured_but_not_for_ever() {
        let mut backoff = Backoff::new(BASE, CAP);
        let wait = backoff.after_failure(Some(Duration::from_secs(120)), 0);
        assert_eq!(wait, Duration::from_secs(120));
        let wait = backoff.after_failure(Some(Duration::MAX), u64::MAX);
        assert!(wait <= Backoff::MAX_RETRY_AFTER + CAP);
    }

    proptest! {
        #[test]
        fn no_wait_is_over_its_bounds(failures: u32, dice: u64, asked in prop::option::of(any::<u64>())) {
            let mut backoff = Backoff::resumed(BASE, CAP, failures);
            let asked = asked.map(Duration::from_secs);
            let wait = backoff.after_failure(asked, dice);
            let least = asked.unwrap_or_default().min(Backoff::MAX_RETRY_AFTER);
            prop_assert!(wait >= least && wait <= least + CAP);
        }

        #[test]
        fn a_spread_interval_is_within_a_fifth(seconds in 1_u64..1_000_000, dice: u64) {
            let spread = spread(Duration::from_secs(seconds), dice).as_secs_f64();
            let seconds = seconds as f64;
            prop_assert!(spread >= seconds * 0.799 && spread <= seconds * 1.201);
        }
    }
}
