//! The limits that are asked for, checked before anything is touched.

use linnet_fleet::health::LimitValues;
use thiserror::Error;

/// The kernel's bounds of a period, and its smallest quota (`min_cfs_quota_period`, `max_cfs_quota_period`).
const PERIOD_US: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
const QUOTA_MIN_US: u64 = 1_000;
/// Below this no agent can start; a typing error (megabytes for bytes) is likelier.
const MEMORY_MIN_BYTES: u64 = 4 << 20;
/// A few threads have to fit.
const PIDS_MIN: u32 = 4;

/// The limits that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Share of one processor core in thousandths: 500 is half a core, 2000 are two cores.
    pub cpu_quota_permille_of_a_core: u32,
    /// The period over which the share is measured. A longer one lets a storm use the share at once, and stops the
    /// agent for longer afterwards.
    pub cpu_period_us: u32,
    /// Memory above which the kernel kills.
    pub memory_max_bytes: u64,
    /// Memory above which the kernel slows and reclaims (v2 only); seven eighths of the maximum by default.
    pub memory_high_bytes: Option<u64>,
    /// Processes and threads.
    pub pids_max: u32,
}

impl Default for Wanted {
    /// Half of one core in periods of 100 ms, 128 MiB, 64 processes and threads.
    fn default() -> Self {
        Self {
            cpu_quota_permille_of_a_core: 500,
            cpu_period_us: 100_000,
            memory_max_bytes: 128 << 20,
            memory_high_bytes: None,
            pids_max: 64,
        }
    }
}

/// Why limits make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WantedError {
    /// The kernel takes no such period.
    #[error("cpu period of {us} µs: give {} to {} µs", PERIOD_US.start(), PERIOD_US.end())]
    Period {
        /// The period asked for.
        us: u32,
    },
    /// The kernel takes no such quota.
    #[error(
        "cpu quota of {us} µs in a period: give a larger share or a longer period, {QUOTA_MIN_US} µs at least"
    )]
    Quota {
        /// The quota asked for.
        us: u64,
    },
    /// No agent can run in so little.
    #[error("memory limit of {bytes} bytes: give {MEMORY_MIN_BYTES} at least")]
    Memory {
        /// The limit asked for.
        bytes: u64,
    },
    /// Reclaim would begin after the kill.
    #[error("memory high of {high} bytes is above the maximum of {max}: lower it")]
    High {
        /// The high mark asked for.
        high: u64,
        /// The maximum asked for.
        max: u64,
    },
    /// No agent can run with so few.
    #[error("limit of {count} processes and threads: give {PIDS_MIN} at least")]
    Pids {
        /// The count asked for.
        count: u32,
    },
}

impl Wanted {
    /// Checks the limits and gives them as the kernel counts them. The burst is the largest that a kernel takes: the
    /// quota itself. Memory is rounded down to whole pages, as the kernel does.
    ///
    /// # Errors
    /// See [`WantedError`].
    pub fn values(&self) -> Result<LimitValues, WantedError> {
        let Self { cpu_quota_permille_of_a_core: permille, cpu_period_us: period, .. } = *self;
        if !PERIOD_US.contains(&period) {
            return Err(WantedError::Period { us: period });
        }
        let quota = u64::from(period) * u64::from(permille) / 1000;
        if quota < QUOTA_MIN_US {
            return Err(WantedError::Quota { us: quota });
        }
        let max = self.memory_max_bytes;
        if max < MEMORY_MIN_BYTES {
            return Err(WantedError::Memory { bytes: max });
        }
        let high = self.memory_high_bytes.unwrap_or(max - max / 8);
        if high > max {
            return Err(WantedError::High { high, max });
        }
        if self.pids_max < PIDS_MIN {
            return Err(WantedError::Pids { count: self.pids_max });
        }
        Ok(LimitValues {
            cpu_quota_us: Some(quota),
            cpu_period_us: Some(u64::from(period)),
            cpu_burst_us: Some(quota),
            memory_high_bytes: Some(whole_pages(high)),
            memory_max_bytes: Some(whole_pages(max)),
            pids_max: Some(u64::from(self.pids_max)),
        })
    }
}

fn whole_pages(bytes: u64) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    bytes - bytes % page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_half_a_core_and_128_mib() {
        assert_eq!(
            Wanted::default().values().unwrap(),
            LimitValues {
                cpu_quota_us: Some(50_000),
                cpu_period_us: Some(100_000),
                cpu_burst_us: Some(50_000),
                memory_high_bytes: Some(112 << 20),
                memory_max_bytes: Some(128 << 20),
                pids_max: Some(64),
            }
        );
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_first() {
        let wanted = Wanted::default();
        for (bad, error) in [
            (Wanted { cpu_period_us: 999, ..wanted }, WantedError::Period { us: 999 }),
            (Wanted { cpu_period_us: 1_000_001, ..wanted }, WantedError::Period { us: 1_000_001 }),
            (Wanted { cpu_quota_permille_of_a_core: 0, ..wanted }, WantedError::Quota { us: 0 }),
            (
                Wanted { cpu_quota_permille_of_a_core: 99, cpu_period_us: 10_000, ..wanted },
                WantedError::Quota { us: 990 },
            ),
            (Wanted { memory_max_bytes: 128, ..wanted }, WantedError::Memory { bytes: 128 }),
            (
                Wanted { memory_high_bytes: Some(200 << 20), ..wanted },
                WantedError::High { high: 200 << 20, max: 128 << 20 },
            ),
            (Wanted { pids_max: 3, ..wanted }, WantedError::Pids { count: 3 }),
        ] {
            assert_eq!(bad.values(), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let wanted = Wanted {
            cpu_quota_permille_of_a_core: u32::MAX,
            cpu_period_us: 1_000_000,
            memory_max_bytes: u64::MAX,
            memory_high_bytes: None,
            pids_max: u32::MAX,
        };
        assert_eq!(wanted.values().unwrap().cpu_quota_us, Some(u64::from(u32::MAX) * 1000));
    }
}
