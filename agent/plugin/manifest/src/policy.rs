//! What this host lets plugins do: it can take away from what a manifest asks for, and never add. Pure.

use serde::{Deserialize, Serialize};

use crate::manifest::{Capability, Manifest, Needs};

const MIB: u64 = 1 << 20;

/// The numbers of [`Policy`], in its order: the settings' key, the least and the greatest.
pub const RANGES: [(&str, u64, u64); 5] = [
    ("plugins.policy.cpu_permille", 10, 100_000),
    ("plugins.policy.memory_max_bytes", 8 * MIB, 1 << 40),
    ("plugins.policy.pids_max", 4, 4096),
    ("plugins.policy.events_per_second", 1, 100_000),
    ("plugins.policy.bytes_per_day", 1024, 1 << 44),
];

/// The host's ceilings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Capabilities that plugins may have at all.
    pub allow: Vec<Capability>,
    /// Most processor time of one plugin, in thousandths of one core.
    pub cpu_permille: u32,
    /// Most memory of one plugin.
    pub memory_max_bytes: u64,
    /// Most processes and threads of one plugin.
    pub pids_max: u32,
    /// Most events a second.
    pub events_per_second: u32,
    /// Most bytes of events in a day.
    pub bytes_per_day: u64,
    /// Do not start a plugin whose cgroup limits are not enforced.
    pub require_limits: bool,
    /// Whether plugins may come from the channel; otherwise only those run that are installed here.
    pub from_channel: bool,
}

impl Default for Policy {
    /// Everything the shipped plugins need; no network.
    fn default() -> Self {
        use Capability::{BpfQuery, PtraceRead, ReadAllFiles, StateDir};
        Self {
            allow: vec![ReadAllFiles, PtraceRead, BpfQuery, StateDir],
            cpu_permille: 200,
            memory_max_bytes: 64 * MIB,
            pids_max: 16,
            events_per_second: 100,
            bytes_per_day: 256 * MIB,
            require_limits: false,
            from_channel: true,
        }
    }
}

/// What one plugin gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Capabilities that it asked for and gets.
    pub capabilities: Vec<Capability>,
    /// Those that it asked for and does not get.
    pub denied: Vec<Capability>,
    /// Its limits.
    pub limits: Needs,
}

impl Grant {
    /// Whether it has this capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

impl Policy {
    /// What a plugin with this manifest gets here.
    #[must_use]
    pub fn grant(&self, manifest: &Manifest) -> Grant {
        let mut asked = manifest.capabilities.clone();
        asked.sort_unstable();
        asked.dedup();
        let (capabilities, denied) = asked.into_iter().partition(|one| self.allow.contains(one));
        let needs = manifest.needs;
        let limits = Needs {
            cpu_permille: needs.cpu_permille.min(self.cpu_permille),
            memory_max_bytes: needs.memory_max_bytes.min(self.memory_max_bytes),
            pids_max: needs.pids_max.min(self.pids_max),
            events_per_second: needs.events_per_second.min(self.events_per_second),
            events_burst: needs.events_burst,
            bytes_per_day: needs.bytes_per_day.min(self.bytes_per_day),
        };
        Grant { capabilities, denied, limits }
    }

    /// Bounds that types can't express: the key below `plugins.policy`, and what is wrong.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let values = [
            u64::from(self.cpu_permille),
            self.memory_max_bytes,
            u64::from(self.pids_max),
            u64::from(self.events_per_second),
            self.bytes_per_day,
        ];
        for ((key, from, to), value) in RANGES.into_iter().zip(values) {
            if !(from..=to).contains(&value) {
                return Err((key, format!("{value} is outside {from} to {to}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(capabilities: &str) -> Manifest {
        let json = format!(
            r#"{{"schema_version":1,"kind":"plugin","name":"a","version":"1","protocol":1,"arch":"{}",
               "executable":"a","events":[2004],"capabilities":{capabilities}}}"#,
            std::env::consts::ARCH
        );
        Manifest::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn policy_takes_away_and_never_adds() {
        let grant = Policy::default().grant(&manifest(r#"["network","ptrace_read","network"]"#));
        assert_eq!(grant.capabilities, [Capability::PtraceRead]);
        assert_eq!(grant.denied, [Capability::Network]);
        let all = Policy { allow: vec![Capability::Network, Capability::BpfQuery], ..Policy::default() };
        assert!(all.grant(&manifest("[]")).capabilities.is_empty());
    }

    #[test]
    fn the_lower_limit_counts() {
        let policy = Policy { cpu_permille: 50, memory_max_bytes: 1 << 40, ..Policy::default() };
        let limits = policy.grant(&manifest("[]")).limits;
        assert_eq!(limits.cpu_permille, 50);
        assert_eq!(limits.memory_max_bytes, Needs::default().memory_max_bytes);
    }

    #[test]
    fn the_default_policy_is_within_its_own_bounds() {
        assert!(Policy::default().check().is_ok());
        assert!(Policy { pids_max: 0, ..Policy::default() }.check().is_err());
    }
}
