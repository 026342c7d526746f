//! The bound on the records of one cgroup, and who came up against it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Cgroups of which records are left out, because they are too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Records a second that one cgroup may make; 0 for no limit.
    pub records_per_s: u32,
    /// How many are limited now.
    pub groups: u64,
    /// These, the noisiest first; sixteen at most.
    pub now: Vec<RateLimited>,
    /// How often one began to be limited since the agent's start.
    pub times: u64,
}

/// A cgroup that is limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimited {
    /// Its path, or `with id …` where the agent has met no record of it.
    pub cgroup: String,
    /// The kernel's id of it.
    pub cgroup_id: u64,
    /// The container that it is, or is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// That container's runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// When a record was first left out.
    pub since: Timestamp,
    /// When one was last left out.
    pub last_at: Timestamp,
    /// Records that were left out since then, by kind.
    pub counts: BTreeMap<String, u64>,
}
