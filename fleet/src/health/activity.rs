//! What the agent has in hand now, and who gives it work.

use serde::{Deserialize, Serialize};

/// The ring between kernel and agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ring {
    /// Its size.
    pub bytes: u64,
    /// What waits in it now.
    pub used_bytes: u64,
    /// The most that waited since the document before.
    pub peak_bytes: u64,
}

/// Who made the most records since the document before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Talkers {
    /// Over which time.
    pub interval_ms: u64,
    /// Containers, and cgroups of the host, the busiest first; sixteen at most.
    pub groups: Vec<TalkingGroup>,
    /// Programs that were executed, the most often first; sixteen at most.
    pub programs: Vec<TalkingProgram>,
    /// Records of cgroups beyond the thousand that are told apart.
    pub others: u64,
}

/// Records of a container or cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TalkingGroup {
    /// The container's id, or the path of the cgroup.
    pub name: String,
    /// The container's runtime; none for a cgroup of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Records of processes that were made.
    pub fork: u64,
    /// Of programs that were executed.
    pub exec: u64,
    /// Of processes that ended.
    pub exit: u64,
}

impl TalkingGroup {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fork.saturating_add(self.exec).saturating_add(self.exit)
    }
}

/// Execs of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TalkingProgram {
    /// Its path, as its process saw it.
    pub path: String,
    /// How often it was executed.
    pub execs: u64,
}
