//! `plugin.json`: what a plugin is and what it asks for. It is signed along with the package; unknown keys are
//! refused by their path, because a right that is misspelt must not be taken for none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of this file that this code reads.
pub const SCHEMA_VERSION: u32 = 1;
/// The version of the protocol on standard input and output.
pub const PROTOCOL: u32 = 1;
/// Longest manifest.
pub const MAX_BYTES: usize = 64 * 1024;
/// Its name in the plugin's directory.
pub const FILE_NAME: &str = "plugin.json";
const MIB: u64 = 1 << 20;

/// Why a manifest is refused.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not JSON of this shape.
    #[error("{key}: {message}")]
    Shape {
        /// The key's path.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{key}: {message}")]
    Value {
        /// The key's path.
        key: &'static str,
        /// What is wrong, and what to write.
        message: String,
    },
}

/// A right that a plugin can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Read every file of the host, whatever its mode (CAP_DAC_READ_SEARCH).
    ReadAllFiles,
    /// Follow `/proc/PID/{exe,root,ns,maps}` of every process (CAP_SYS_PTRACE). Tracing itself stays forbidden. Landlock
    /// has to be left out, because it forbids these too.
    PtraceRead,
    /// List the kernel's eBPF programs (CAP_SYS_ADMIN, of which only the listing commands of bpf(2) are left).
    BpfQuery,
    /// Make network connections.
    Network,
    /// A directory of its own to write to.
    StateDir,
}

impl Capability {
    /// Its name in manifests, settings and status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadAllFiles => "read_all_files",
            Self::PtraceRead => "ptrace_read",
            Self::BpfQuery => "bpf_query",
            Self::Network => "network",
            Self::StateDir => "state_dir",
        }
    }
}

/// What a plugin needs at most. The local policy may give less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Processor time in thousandths of one core; the kernel stops it above.
    pub cpu_permille: u32,
    /// Memory, its page cache included; the kernel kills above.
    pub memory_max_bytes: u64,
    /// Processes and threads.
    pub pids_max: u32,
    /// Events a second, in the long run.
    pub events_per_second: u32,
    /// Events that may come at once.
    pub events_burst: u32,
    /// Bytes of events in a day.
    pub bytes_per_day: u64,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            cpu_permille: 100,
            memory_max_bytes: 24 * MIB,
            pids_max: 8,
            events_per_second: 20,
            events_burst: 2_000,
            bytes_per_day: 64 * MIB,
        }
    }
}

/// A plugin's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `plugin`.
    pub kind: String,
    /// Lower-case letters, digits and dashes; the same as the directory's.
    pub name: String,
    /// Its version, for status and for `metadata.product.feature.version` of its events.
    pub version: String,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The architecture, as `uname -m` says it.
    pub arch: String,
    /// The program, relative to the manifest.
    pub executable: PathBuf,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Rights it needs.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Files and directories that it reads, where it may not read all. Those that do not exist are passed over.
    #[serde(default)]
    pub read_paths: Vec<PathBuf>,
    /// OCSF `class_uid` of the events it makes. Others are refused.
    pub events: Vec<u32>,
    /// What it needs at most.
    #[serde(default)]
    pub needs: Needs,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`], with the key's path.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::parse_for(bytes, std::env::consts::ARCH)
    }

    /// As [`Manifest::parse`], for a host of this architecture.
    ///
    /// # Errors
    /// As [`Manifest::parse`].
    pub fn parse_for(bytes: &[u8], arch: &str) -> Result<Self, ManifestError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let manifest: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let key = error.path().to_string();
            ManifestError::Shape { key, message: error.into_inner().to_string() }
        })?;
        json.end().map_err(|error| ManifestError::Shape {
            key: "end of file".to_owned(),
            message: error.to_string(),
        })?;
        manifest.check(arch).map_err(|(key, message)| ManifestError::Value { key, message })?;
        Ok(manifest)
    }

    fn check(&self, arch: &str) -> Result<(), (&'static str, String)> {
        let equal = |key, found: &str, wanted: &str| {
            if found == wanted { Ok(()) } else { Err((key, format!("{found:?} is not {wanted:?}"))) }
        };
        equal("schema_version", &self.schema_version.to_string(), &SCHEMA_VERSION.to_string())?;
        equal("kind", &self.kind, "plugin")?;
        equal("protocol", &self.protocol.to_string(), &PROTOCOL.to_string())?;
        equal("arch", &self.arch, arch)?;
        if !is_name(&self.name) {
            let message = "give up to 32 lower-case letters, digits and dashes, a letter first";
            return Err(("name", message.to_owned()));
        }
        if self.version.is_empty() || self.version.len() > 64 || self.version.chars().any(char::is_control) {
            return Err(("version", "give 1 to 64 characters".to_owned()));
        }
        if self.executable.as_os_str().is_empty()
            || !self.executable.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        {
            return Err(("executable", "give a path below the manifest's directory".to_owned()));
        }
        if let Some(path) = self.read_paths.iter().find(|path| !is_plain_absolute(path)) {
            return Err(("read_paths", format!("{} is no plain absolute path", path.display())));
        }
        if self.events.is_empty() || self.events.len() > 32 {
            return Err(("events", "name the 1 to 32 classes of its events".to_owned()));
        }
        if let Some(class) = self.events.iter().find(|class| !(1000..100_000).contains(*class)) {
            return Err(("events", format!("{class} is no OCSF class")));
        }
        self.needs.check()
    }
}

impl Needs {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |key, value: u64, from: u64, to: u64| {
            let message = || format!("{value} is outside {from} to {to}");
            if (from..=to).contains(&value) { Ok(()) } else { Err((key, message())) }
        };
        within("needs.cpu_permille", u64::from(self.cpu_permille), 10, 1000)?;
        within("needs.memory_max_bytes", self.memory_max_bytes, 4 * MIB, 1024 * MIB)?;
        within("needs.pids_max", u64::from(self.pids_max), 4, 64)?;
        within("needs.events_per_second", u64::from(self.events_per_second), 1, 1000)?;
        within("needs.events_burst", u64::from(self.events_burst), 1, 100_000)?;
        within("needs.bytes_per_day", self.bytes_per_day, 1024, 1 << 40)
    }
}

/// Whether this can name a plugin: it becomes a directory, a cgroup and a file name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase();
    name.len() <= 32
        && name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit() || c == '-')
}

fn is_plain_absolute(path: &Path) -> bool {
    use std::path::Component::{Normal, RootDir};
    path.is_absolute() && path.components().all(|part| matches!(part, RootDir | Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({"schema_version": 1, "kind": "plugin", "name": "inventory", "version": "0.1.0", "protocol": 1,
            "arch": std::env::consts::ARCH, "executable": "linnet-inventory", "events": [5020]})
    }

    fn with(key: &str, value: Value) -> Result<Manifest, ManifestError> {
        let mut json = sample();
        json[key] = value;
        Manifest::parse(json.to_string().as_bytes())
    }

    #[test]
    fn the_smallest_manifest_asks_for_nothing() {
        let manifest = Manifest::parse(sample().to_string().as_bytes()).unwrap();
        assert!(manifest.capabilities.is_empty() && manifest.read_paths.is_empty());
        assert_eq!(manifest.needs, Needs::default());
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_path() {
        for (key, value, message) in [
            ("needs", json!({"cpu_permile": 5}), "needs.cpu_permile: unknown field"),
            ("capabilities", json!(["network", "root"]), "capabilities[1]: unknown variant `root`"),
            ("colour", json!("green"), "colour: unknown field"),
            ("schema_version", json!(2), "schema_version: \"2\" is not \"1\""),
            ("kind", json!("release"), "kind: \"release\""),
            ("protocol", json!(7), "protocol: \"7\""),
            ("arch", json!("pdp11"), "arch: \"pdp11\""),
        ] {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn names_and_paths_that_lead_elsewhere_are_refused() {
        for name in ["", "..", "a/b", "Inventory", "1a", "-a", "a\n", "é", &"x".repeat(33)] {
            assert!(with("name", json!(name)).is_err(), "{name}");
        }
        for path in ["", "/bin/sh", "../x", "a/../b", "./x/.."] {
            assert!(with("executable", json!(path)).is_err(), "{path}");
        }
        for path in ["etc", "/etc/../root", ""] {
            assert!(with("read_paths", json!([path])).is_err(), "{path}");
        }
        for events in [json!([]), json!([7]), json!([999_999])] {
            assert!(with("events", events).is_err());
        }
    }

    #[test]
    fn needs_beyond_reason_are_refused() {
        for needs in [
            json!({"cpu_permille": 9}),
            json!({"memory_max_bytes": 1}),
            json!({"pids_max": 100_000}),
            json!({"events_per_second": 0}),
        ] {
            assert!(with("needs", needs).unwrap_err().to_string().contains("is outside"));
        }
    }
}
