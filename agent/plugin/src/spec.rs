//! What the host tells its launcher: one JSON argument, made by the same program a moment before.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::manifest::Capability;

/// How to confine one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The plugin's name.
    pub name: String,
    /// The program to become.
    pub executable: PathBuf,
    /// The host's process id: the plugin must not outlive it.
    pub host_pid: u32,
    /// `cgroup.procs` files to enter by.
    pub doors: Vec<PathBuf>,
    /// User and group to run as.
    pub uid: u32,
    /// Its capabilities.
    pub capabilities: Vec<Capability>,
    /// What it may read where it may not read all.
    pub read_paths: Vec<PathBuf>,
    /// Its own directory, where it has one.
    pub state_dir: Option<PathBuf>,
    /// Memory; also the bound of its data segment.
    pub memory_max_bytes: u64,
    /// Processes and threads.
    pub pids_max: u32,
    /// Whether the system call filter is applied. Only tests of the layers beneath it say no.
    pub filter: bool,
}

/// First of the numbers for plugins' users, in the range that systemd's list of user ids leaves unused
/// (1879048192 to 2147352575, systemd's UIDS-GIDS page).
const FIRST_UID: u32 = 1_880_000_000;

/// The user and group id of a plugin, from its name: the same on every host and at every start. No account has it, so
/// it owns no files, and two plugins can't touch each other.
#[must_use]
pub fn uid_of(name: &str) -> u32 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(name.as_bytes());
    let number = digest.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    FIRST_UID + (number & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_has_a_user_of_its_own() {
        assert_ne!(uid_of("inventory"), uid_of("persistence"));
        assert_eq!(uid_of("integrity"), uid_of("integrity"));
        assert!((FIRST_UID..FIRST_UID + (1 << 24)).contains(&uid_of("x")));
    }

    #[test]
    fn the_accounts_that_the_release_names_are_those_of_plugins() {
        let list = include_str!("../../../systemd/linnet.sysusers.conf");
        let mut named = Vec::new();
        for line in list.lines().filter(|line| line.starts_with("u ")) {
            let mut fields = line.split_whitespace().skip(1);
            let name = fields.next().unwrap().strip_prefix("linnet-").unwrap();
            assert_eq!(fields.next().unwrap().parse::<u32>().unwrap(), uid_of(name), "{name}");
            named.push(name);
        }
        named.sort_unstable();
        assert_eq!(named, ["integrity", "inventory", "persistence"]);
    }
}
