//! A hundred thousand hosts in simulated time, by the code that real ones decide by: when they ask (`PollSchedule`), when
//! they may change (`rollout::decide`), and which of them are first (`Bucket`).
//!
//! Hosts do not know of each other, so each lives its time alone, and what the server sees is the sum. A table is printed;
//! docs/fleet.md has it for a whole day:
//!
//! ```sh
//! LINNET_MODEL_HOURS=24 cargo test --release -p linnet-fleet --test model -- --nocapture --test-threads 1
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::panic,
    reason = "a test's own building blocks: a panic is its failure"
)]

mod load;
mod rollout;

use std::time::Duration;

pub(crate) const HOSTS: u32 = 100_000;
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// Hours of the undisturbed day that are lived through: all of it takes its time in a debug build.
pub(crate) fn hours() -> u64 {
    std::env::var("LINNET_MODEL_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(1)
}

/// Dice of one host: splitmix64, by Sebastiano Vigna in the public domain. The same numbers in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(host: u32, purpose: u64) -> Self {
        Self((u64::from(host) + 1).wrapping_mul(0xd134_2543_de82_ef95) ^ purpose)
    }

    pub(crate) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What a server sees: events in each second.
pub(crate) struct Seconds(Vec<u32>);

impl Seconds {
    pub(crate) fn new(seconds: u64) -> Self {
        Self(vec![0; usize::try_from(seconds).unwrap()])
    }

    pub(crate) fn count(&mut self, at: Duration) {
        if let Some(second) = self.0.get_mut(usize::try_from(at.as_secs()).unwrap()) {
            *second += 1;
        }
    }

    fn part(&self, from: u64, to: u64) -> &[u32] {
        &self.0[usize::try_from(from).unwrap()..usize::try_from(to).unwrap().min(self.0.len())]
    }

    pub(crate) fn sum(&self, from: u64, to: u64) -> u64 {
        self.part(from, to).iter().map(|n| u64::from(*n)).sum()
    }

    pub(crate) fn mean(&self, from: u64, to: u64) -> f64 {
        self.sum(from, to) as f64 / self.part(from, to).len() as f64
    }

    pub(crate) fn peak(&self, from: u64, to: u64) -> u32 {
        self.part(from, to).iter().copied().max().unwrap_or(0)
    }

    /// The first second by which this share of `of` has come, counted from `from`.
    pub(crate) fn reaches(&self, from: u64, of: u64, percent: u64) -> u64 {
        let mut sum = 0;
        for (second, n) in self.part(from, u64::MAX).iter().enumerate() {
            sum += u64::from(*n);
            if sum * 100 >= of * percent {
                return second as u64;
            }
        }
        u64::MAX
    }
}
