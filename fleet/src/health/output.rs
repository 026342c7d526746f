//! The agent's tables, sinks, canary and settings.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The size of the process table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessTable {
    /// Processes in it, the ended ones that are kept for their descendants included.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
    /// Entries given up because the table was full.
    pub evicted: u64,
    /// Entries given up because their exit had been lost.
    pub swept: u64,
}

/// A place that events go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sink {
    /// The sink's name.
    pub name: String,
    /// Events that it took.
    pub written_events: u64,
    /// Bytes that it took.
    pub written_bytes: u64,
    /// Events that it did not take.
    pub dropped: u64,
    /// The last refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A sink over the network. Its account goes on over restarts of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSink {
    /// The sink's name.
    pub name: String,
    /// Where it delivers to.
    pub url: String,
    /// Whether it counts as down, after several failures, and is only asked now and then.
    pub down: bool,
    /// Requests made by this agent.
    pub requests: u64,
    /// Of these, without success.
    pub failures: u64,
    /// Bytes of bodies, as they went over the wire.
    pub sent_bytes: u64,
    /// When something was delivered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// What went wrong since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Where its events are, by kind of event.
    pub events: BTreeMap<String, SinkAccount>,
}

/// Metrics that are sent to a collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PushedMetrics {
    /// Where to.
    pub url: String,
    /// Requests made by this agent.
    pub requests: u64,
    /// Of these, without success. The next one has it all again.
    pub failures: u64,
    /// Data points that the collector did not want.
    pub rejected_points: u64,
    /// Bytes of bodies, as they went over the wire.
    pub sent_bytes: u64,
    /// When they were taken last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// What went wrong since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Where the events of one kind are: `appended = delivered + filtered + refused + dropped + waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkAccount {
    /// Written since the sink was set up.
    pub appended: u64,
    /// The other side has them.
    pub delivered: u64,
    /// Not wanted by this sink.
    pub filtered: u64,
    /// Refused by the other side, and kept in a file.
    pub refused: u64,
    /// Lost, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// In the spool, or on their way.
    pub waiting: u64,
}

impl SinkAccount {
    /// `appended` less everything that became of it: 0 when nothing vanished.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        let counted = [self.delivered, self.filtered, self.refused, self.waiting];
        let counted = counted.iter().chain(self.dropped.values()).map(|n| i128::from(*n)).sum::<i128>();
        i128::from(self.appended) - counted
    }
}

/// What waits on disk for the sinks over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spool {
    /// Bytes of it.
    pub bytes: u64,
    /// What it may take.
    pub max_bytes: u64,
    /// Files.
    pub segments: u64,
    /// Age in seconds of the newest event in the oldest file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_s: Option<u64>,
    /// Bytes that were cut off at the start: what a kill or power loss had left half-written.
    pub cut_bytes: u64,
}

/// The agent's own test events, which go the way of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Canary {
    /// Events made.
    pub sent: u64,
    /// Events that came out.
    pub seen: u64,
    /// When the last came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
}

/// The settings in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The file; missing where the defaults are in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of the file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_at: Option<Timestamp>,
    /// Keys whose new value waits for a restart of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending_restart: Vec<String>,
    /// Why the last change was refused; those in force stayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
