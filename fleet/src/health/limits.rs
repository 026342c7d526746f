//! What the agent may use, and what it does use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The limits that were asked for and those in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Which cgroup hierarchies hold the agent.
    pub mode: LimitMode,
    /// Whether the cgroup lies in a subtree that the service manager delegated.
    pub delegated: bool,
    /// The agent's cgroup by hierarchy: `unified`, or on v1 the controller's name. Paths start at the hierarchy's
    /// root as this process sees it.
    pub cgroups: BTreeMap<String, String>,
    /// What the settings ask for.
    pub requested: LimitValues,
    /// What the kernel says about the agent's own cgroup, read back.
    pub in_force: LimitValues,
    /// The tightest of the agent's cgroup and everything above it: what really binds.
    pub effective: LimitValues,
    /// Whether cpu, memory and pids all read back as asked, with the agent inside.
    pub enforced: bool,
    /// What is not enforced, each with what to do about it.
    pub problems: Vec<String>,
    /// What this kind of cgroup lacks or what was chosen, for the record.
    pub notes: Vec<String>,
}

/// Which cgroup hierarchies hold the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// No cgroup of its own.
    #[default]
    None,
    /// All controllers on v1 hierarchies.
    V1,
    /// v1 controllers beside a v2 hierarchy.
    Hybrid,
    /// The unified hierarchy.
    V2,
    /// A mode that a newer agent knows.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl LimitMode {
    /// The name as the document has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
            Self::V2 => "v2",
            Self::Unknown => "unknown",
        }
    }
}

/// Limits. A value that is unlimited, unknown or not offered is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitValues {
    /// Processor time in each period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota_us: Option<u64>,
    /// The period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period_us: Option<u64>,
    /// Unused quota that may be saved up for one later period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_burst_us: Option<u64>,
    /// Memory above which the kernel slows and reclaims; v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_high_bytes: Option<u64>,
    /// Memory above which the kernel kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u64>,
}

/// What the agent's cgroup has used. A value that the kernel does not offer is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Memory charged now, the kernel's rings and maps included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The most that was ever charged; on v2 since Linux 5.19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Of `memory_bytes`: anonymous memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_anon_bytes: Option<u64>,
    /// Of `memory_bytes`: page cache, which is given back under pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_file_bytes: Option<u64>,
    /// Of `memory_bytes`: the kernel's own, BPF maps among it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_kernel_bytes: Option<u64>,
    /// Of `memory_bytes`: what the kernel can't take back under pressure, as far as it tells; a tmpfs's files among it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_held_bytes: Option<u64>,
    /// Time in which some thread stood still for want of memory; where the kernel has PSI, v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_stall_us: Option<u64>,
    /// How often a memory limit was felt.
    pub memory_events: MemoryEvents,
    /// Processor time used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage_us: Option<u64>,
    /// Periods of the cpu limit in which the agent ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nr_periods: Option<u64>,
    /// Of these, those in which the limit stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nr_throttled: Option<u64>,
    /// Time it stood still for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_us: Option<u64>,
    /// Processes and threads now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

/// How often a memory limit was felt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryEvents {
    /// Reclaims at `memory_high_bytes`; v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<u64>,
    /// Charges refused at `memory_max_bytes` at first; on v1 `memory.failcnt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Processes that the kernel killed for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill: Option<u64>,
}
