//! The loss equation: every event that the kernel side tried to report is somewhere.
//!
//! `attempted = received + lost_ring + rate_limited`, and
//! `received = decode_errors + filtered + shed + dropped + delivered + waiting`. What the kernel never showed to a
//! hook (`missed_by_kernel`) stands outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The losses of each kind of event, by its name.
pub type LossesByKind = BTreeMap<String, Losses>;

/// Where the events of one kind went, counted since the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Events that a hook tried to put into the ring.
    pub attempted: u64,
    /// Records taken out of the ring.
    pub received: u64,
    /// Events for which the ring had no room.
    pub lost_ring: u64,
    /// Events that were left out because their cgroup had made too many.
    pub rate_limited: u64,
    /// Runs of a hook that the kernel itself skipped, where it counts them.
    pub missed_by_kernel: u64,
    /// Records that could not be understood.
    pub decode_errors: u64,
    /// Left out on purpose, by the filter's reason.
    pub filtered: BTreeMap<String, u64>,
    /// Left out under pressure, by what was short.
    pub shed: BTreeMap<String, u64>,
    /// Lost in the agent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Handed to every sink.
    pub delivered: u64,
    /// Still in the agent's queues.
    pub waiting: u64,
}

impl Losses {
    /// `attempted - received - lost_ring - rate_limited`: 0 when nothing is in the ring and nothing vanished.
    #[must_use]
    pub fn ring_imbalance(&self) -> i128 {
        let never_there = i128::from(self.lost_ring) + i128::from(self.rate_limited);
        i128::from(self.attempted) - i128::from(self.received) - never_there
    }

    /// `received` less everything that became of it: 0 when nothing vanished inside the agent.
    #[must_use]
    pub fn agent_imbalance(&self) -> i128 {
        let reasons = [&self.filtered, &self.shed, &self.dropped];
        let explained: i128 = reasons.iter().flat_map(|map| map.values()).map(|n| i128::from(*n)).sum();
        let counted = [self.decode_errors, self.delivered, self.waiting];
        i128::from(self.received) - explained - counted.into_iter().map(i128::from).sum::<i128>()
    }
}
