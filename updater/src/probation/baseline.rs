//! What was wrong with the agent already before the update: a host without cgroups must not refuse every release.

use std::collections::BTreeSet;

use linnet_fleet::health::Health;
use serde::{Deserialize, Serialize};

/// What the old agent lacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// Its reasons to be degraded, without their particulars.
    pub degraded: BTreeSet<String>,
    /// Events that it did not see.
    pub missing: BTreeSet<String>,
    /// Whether its limits were not in force.
    pub unlimited: bool,
}

impl Baseline {
    /// Of a health document.
    #[must_use]
    pub fn of(health: &Health) -> Self {
        let missing = health.hooks.iter().filter(|hook| hook.chosen == "none").map(|hook| hook.event.clone());
        Self {
            degraded: health.degraded.iter().map(|reason| kind_of(reason)).collect(),
            missing: missing.collect(),
            unlimited: !health.limits.enforced,
        }
    }

    /// What this agent lacks that the old one did not.
    #[must_use]
    pub fn worse(&self, health: &Health) -> Option<String> {
        let now = Self::of(health);
        if let Some(event) = now.missing.difference(&self.missing).next() {
            return Some(format!("{event} events are not seen any more"));
        }
        if now.unlimited && !self.unlimited {
            return Some("its limits are not in force".to_owned());
        }
        health.degraded.iter().find(|reason| !self.degraded.contains(&kind_of(reason))).cloned()
    }
}

/// A reason without what changes from time to time: numbers, and what follows a colon.
fn kind_of(reason: &str) -> String {
    let head = reason.split(':').next().unwrap_or_default();
    head.chars().filter(|c| !c.is_ascii_digit()).collect()
}
