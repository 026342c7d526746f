//! Clocks: the wall's for expiry and display, the boot's for every deadline.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use linnet_fleet::host::BootId;
use rustix::time::{ClockId, clock_gettime};

use crate::machine::Moment;

/// What the updater knows of time.
pub trait Clock {
    /// The wall clock. It may be wrong, and it may step.
    fn now(&self) -> Timestamp;
    /// The boot and the time since it.
    fn moment(&self) -> Moment;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The host's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(wrong_by()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn moment(&self) -> Moment {
        let up = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(up.tv_sec).unwrap_or(0);
        let sub_ms = u64::try_from(up.tv_nsec / 1_000_000).unwrap_or(0);
        let boot_id = BootId::read().map(|id| id.to_string()).unwrap_or_default();
        Moment { boot_id, up_ms: seconds.saturating_mul(1000).saturating_add(sub_ms) }
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How far a test sets the wall clock off.
#[cfg(feature = "kill-points")]
fn wrong_by() -> SignedDuration {
    let seconds = std::env::var("LINNET_CLOCK_OFF_S").ok().and_then(|text| text.parse().ok());
    SignedDuration::from_secs(seconds.unwrap_or(0))
}

#[cfg(not(feature = "kill-points"))]
const fn wrong_by() -> SignedDuration {
    SignedDuration::ZERO
}
