//! Boot time, in which the kernel side speaks, and the wall clock, in which events do.

use rustix::time::{ClockId, clock_gettime};

/// The difference between the two clocks. It changes when the wall clock is set, so it is taken anew for each batch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch_at_boot_ns: i128,
}

impl Clock {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self { epoch_at_boot_ns: nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime) }
    }

    /// Milliseconds since the epoch of a moment since boot.
    pub fn epoch_ms(self, boot_ns: u64) -> i64 {
        i64::try_from((self.epoch_at_boot_ns + i128::from(boot_ns)) / 1_000_000).unwrap_or(0)
    }
}

/// Nanoseconds since boot, suspended time included.
pub fn boot_ns() -> u64 {
    u64::try_from(nanoseconds(ClockId::Boottime)).unwrap_or(0)
}

/// Milliseconds since the epoch, now.
pub fn epoch_ms() -> i64 {
    i64::try_from(nanoseconds(ClockId::Realtime) / 1_000_000).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_since_boot_is_now_since_the_epoch() {
        let clock = Clock::now();
        assert!((clock.epoch_ms(boot_ns()) - epoch_ms()).abs() < 1000);
    }
}
