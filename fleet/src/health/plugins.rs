//! The plugins: what runs, as what, and what became of its events.
//!
//! For each plugin `received = invalid + over_rate + over_day + dropped + delivered + waiting`: a line that is an event
//! or nothing known counts as received, and then leaves by exactly one of these doors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Usage;

/// One plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// Its name, which is also its directory's.
    pub name: String,
    /// Its version, where its manifest could be read.
    pub version: String,
    /// Where it lies below the directory of plugins: its name where it is installed here, below `.channel` where it came
    /// from the channel.
    pub place: PathBuf,
    /// How its trial stands, where it is on one: a version from the channel has to run well for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// What the channel has to do with it, where it is not installed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<PluginChannel>,
    /// `starting`, `running`, `waiting` (for its next start), `disabled`, `refused`, `stopping`, `stopped`, or `absent` while
    /// there is nothing to run.
    pub state: String,
    /// Why it does not run, with what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Starts so far.
    pub starts: u64,
    /// Of these, how many ended otherwise than by our wish.
    pub failures: u64,
    /// Capabilities that it has.
    pub granted: Vec<String>,
    /// Capabilities that its manifest asks for and the local policy takes away.
    pub denied: Vec<String>,
    /// What confines it, as the launcher reported it.
    pub sandbox: Vec<String>,
    /// What this machine could not do to confine it.
    pub problems: Vec<String>,
    /// What its cgroup has used.
    pub usage: Usage,
    /// Where its events went.
    pub losses: PluginLosses,
    /// Lines of its log that were passed on, and those that were left out for their number.
    pub log_lines: u64,
    /// Left out.
    pub log_lines_dropped: u64,
}

/// A trial of a version from the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It has not run well for long enough yet.
    UnderWay,
    /// It has.
    Passed,
    /// It was given up.
    Failed,
}

/// What the channel has to do with a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginChannel {
    /// The version that is to run; none while the channel has not said, or has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Why that one does not run, or what else is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Versions that are not tried again, the last one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedPlugin>,
    /// Fetched since the agent's start.
    pub fetched: u64,
    /// Attempts to fetch that went wrong.
    pub fetch_failures: u64,
    /// Trials that failed.
    pub rollbacks: u64,
}

/// A version that is not tried again here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedPlugin {
    /// The version.
    pub version: String,
    /// SHA-256 of its package.
    pub sha256: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// The events of one plugin, counted since the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginLosses {
    /// Lines that are events, or nothing that the protocol knows.
    pub received: u64,
    /// Not taken, by what is wrong.
    pub invalid: BTreeMap<String, u64>,
    /// Above the rate that was granted.
    pub over_rate: u64,
    /// Above the bytes of a day that were granted.
    pub over_day: u64,
    /// Lost in the agent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Handed to a sink.
    pub delivered: u64,
    /// Still in the agent's queues.
    pub waiting: u64,
}

impl PluginLosses {
    /// 0 when every line is somewhere.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        let sum = |map: &BTreeMap<String, u64>| map.values().copied().map(i128::from).sum::<i128>();
        i128::from(self.received)
            - sum(&self.invalid)
            - i128::from(self.over_rate)
            - i128::from(self.over_day)
            - sum(&self.dropped)
            - i128::from(self.delivered)
            - i128::from(self.waiting)
    }

    /// Events that an analyst will not see.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let sum = |map: &BTreeMap<String, u64>| map.values().sum::<u64>();
        sum(&self.invalid) + self.over_rate + self.over_day + sum(&self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_nowhere_shows() {
        let mut losses = PluginLosses { received: 9, over_rate: 3, delivered: 4, ..PluginLosses::default() };
        losses.invalid.insert("not_json".to_owned(), 1);
        assert_eq!(losses.imbalance(), 1);
        losses.waiting = 1;
        assert_eq!((losses.imbalance(), losses.missing()), (0, 4));
    }
}
