//! What the agent leaves out under pressure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is left out now, and what was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shedding {
    /// Left out now, the first given up first: `script_content`, `hash`, then families of events (`fork`, `script`).
    pub now: Vec<String>,
    /// What is short: `memory`, `cpu` or `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Since when anything is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How often it began since the agent's start.
    pub times: u64,
    /// What was left out since then, by its name.
    pub counts: BTreeMap<String, u64>,
    /// The last reading.
    pub pressure: Pressure,
}

/// How pressed the agent was between its last two looks, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Memory that can't be reclaimed, of the tightest limit.
    pub memory_permille: u32,
    /// Time in which it stood still for memory (PSI), where the kernel tells.
    pub memory_stall_permille: u32,
    /// Periods of the cpu limit in which it was stopped.
    pub throttled_permille: u32,
    /// The ring at its fullest.
    pub ring_permille: u32,
    /// Time in which the queue to the outputs was full.
    pub output_permille: u32,
}
