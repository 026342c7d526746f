//! The agent's tables, sinks, canary and settings.

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
