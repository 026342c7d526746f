//! What a plugin did, for status and the account of losses.

use std::collections::BTreeMap;

use linnet_fleet::health;
use linnet_limits::Beside;

use super::Slot;
use crate::manifest::Capability;
use crate::protocol::Invalid;

/// What became of its lines; kept over a stop and a start by new settings, as the sinks' counts are.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(super) received: u64,
    pub(super) invalid: [u64; Invalid::ALL.len()],
    pub(super) over_rate: u64,
    pub(super) over_day: u64,
    /// Given to the agent.
    pub(super) handed: u64,
    pub(super) starts: u64,
    pub(super) failures: u64,
    pub(super) log_lines: u64,
    pub(super) log_lines_dropped: u64,
}

impl Slot {
    /// For status and health.
    pub(crate) fn health(&self) -> health::Plugin {
        let names = |list: &[Capability]| list.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>();
        let invalid: BTreeMap<String, u64> = Invalid::ALL
            .into_iter()
            .zip(self.books.invalid)
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (reason.as_str().to_owned(), count))
            .collect();
        let mut problems = self.limits_problems.clone();
        problems.extend(self.report.problems.iter().cloned());
        health::Plugin {
            name: self.name.clone(),
            version: self.source.version.clone(),
            place: self.chosen.place.clone(),
            trial: self.trial(),
            channel: None,
            state: self.phase_name.to_owned(),
            reason: self.reason(),
            pid: self.run.as_ref().map(|run| run.process.pid()),
            since: Some(self.since),
            starts: self.books.starts,
            failures: self.books.failures,
            granted: self.granted.as_ref().map(|grant| names(&grant.capabilities)).unwrap_or_default(),
            denied: self.granted.as_ref().map(|grant| names(&grant.denied)).unwrap_or_default(),
            sandbox: self.report.sandbox.clone(),
            problems,
            usage: self.cgroup.as_ref().map(Beside::usage).unwrap_or_default(),
            losses: health::PluginLosses {
                received: self.books.received,
                invalid,
                over_rate: self.books.over_rate,
                over_day: self.books.over_day,
                waiting: self.books.received
                    - self.books.invalid.iter().sum::<u64>()
                    - self.books.over_rate
                    - self.books.over_day,
                ..health::PluginLosses::default()
            },
            log_lines: self.books.log_lines,
            log_lines_dropped: self.books.log_lines_dropped,
        }
    }
}
