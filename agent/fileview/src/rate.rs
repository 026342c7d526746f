//! The byte rate: a token bucket without a clock of its own.

use std::time::{Duration, Instant};

/// Tokens are bytes; they come back with time, up to the burst.
#[derive(Debug)]
pub(crate) struct ByteRate {
    per_second: u64,
    burst: u64,
    available: u64,
    filled_at: Instant,
}

impl ByteRate {
    pub(crate) const fn new(per_second: u64, burst: u64, now: Instant) -> Self {
        Self { per_second, burst, available: burst, filled_at: now }
    }

    /// Takes `bytes`, or says how long it takes until they are there. Asking for more than the burst takes all of it.
    pub(crate) fn take(&mut self, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let wanted = bytes.min(self.burst);
        if wanted <= self.available {
            self.available -= wanted;
            return Ok(());
        }
        let short = u128::from(wanted - self.available);
        let nanos = (short * 1_000_000_000).div_ceil(u128::from(self.per_second.max(1)));
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn fill(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.filled_at);
        let earned = gone.as_nanos().saturating_mul(u128::from(self.per_second)) / 1_000_000_000;
        if earned == 0 {
            // Less than one byte: leave the time to be counted by the next call.
            return;
        }
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        self.available = self.available.saturating_add(earned).min(self.burst);
        self.filled_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn burst_is_given_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate = ByteRate::new(100, 1000, start);
        assert_eq!(rate.take(1000, start), Ok(()));
        assert_eq!(rate.take(50, start), Err(Duration::from_millis(500)));
        assert_eq!(rate.take(50, start + Duration::from_millis(499)), Err(Duration::from_millis(10)));
        assert_eq!(rate.take(50, start + Duration::from_millis(510)), Ok(()));
    }

    #[test]
    fn more_than_the_burst_empties_the_bucket_rather_than_waiting_for_ever() {
        let start = Instant::now();
        let mut rate = ByteRate::new(100, 1000, start);
        assert_eq!(rate.take(5000, start), Ok(()));
        assert!(rate.take(1, start).is_err());
    }

    #[test]
    fn clock_that_stands_still_or_jumps_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut rate = ByteRate::new(100, 100, start);
        assert_eq!(rate.take(100, start), Ok(()));
        assert!(rate.take(1, start - Duration::from_secs(5)).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate_times_time(
            steps in prop::collection::vec((0u64..2_000, 0u64..5_000), 1..200)
        ) {
            let start = Instant::now();
            let mut rate = ByteRate::new(1000, 4000, start);
            let (mut now, mut taken) = (start, 0u64);
            for (wait_ms, bytes) in steps {
                now += Duration::from_millis(wait_ms);
                if rate.take(bytes, now).is_ok() {
                    taken += bytes.min(4000);
                }
            }
            let earned = u64::try_from((now - start).as_millis()).unwrap();
            prop_assert!(taken <= 4000 + earned);
        }
    }
}
