//! `/etc/linnet/updater.json`: one file, read once into typed values, refused whole when anything in it is wrong.
//!
//! Every key has a default, so an absent file is a valid one (a host without a channel can still be installed from a
//! directory, rolled back and looked at). Unknown keys are refused with their path.

use std::path::{Path, PathBuf};
use std::time::Duration;

use linnet_fleet::channel::ChannelSettings;
use linnet_fleet::settings_file;
pub use linnet_fleet::settings_file::SettingsError;
use linnet_fleet::settings_section;
use serde::{Deserialize, Serialize};

use crate::layout::{Layout, below};

/// Where the settings are looked for when no file is named.
pub const DEFAULT_PATH: &str = "/etc/linnet/updater.json";

settings_section! {
    /// All settings.
    Settings {
        /// The channel that this host follows; without one only local commands work.
        channel: Option<ChannelSettings> = None,
        /// Where everything is.
        paths: Paths = Paths::default(),
        /// How the agent is started and stopped.
        service: ServiceSettings = ServiceSettings::Systemd(Systemd::default()),
        /// The new release's tests before the switch.
        preflight: Preflight = Preflight::default(),
        /// The watch over the new agent after it.
        probation: Probation = Probation::default(),
        /// What releases may take of the disk.
        disk: Disk = Disk::default(),
    }
}

settings_section! {
    /// Where everything is.
    Paths {
        /// Releases and links.
        base: PathBuf = PathBuf::from("/opt/linnet"),
        /// State, metadata, downloads.
        state: PathBuf = PathBuf::from("/var/lib/linnet/updater"),
        /// Lock and health document; on a tmpfs.
        runtime: PathBuf = PathBuf::from("/run/linnet"),
        /// Where unit files are copied to.
        units: PathBuf = PathBuf::from("/etc/systemd/system"),
        /// Where the commands are linked.
        bin: PathBuf = PathBuf::from("/usr/bin"),
    }
}

/// How the agent is started and stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServiceSettings {
    /// By systemd.
    Systemd(Systemd),
    /// By commands, where there is no systemd.
    Commands(Commands),
}

settings_section! {
    /// systemd's unit.
    Systemd {
        /// The agent's unit.
        agent_unit: String = "linnet-agent.service".to_owned(),
    }
}

settings_section! {
    /// Commands in place of systemd: argument lists, not shell lines. The dead-man is then a process of the updater's own.
    Commands {
        /// Starts the agent, or starts it anew where it runs. It must come back: what it starts goes to the background.
        restart: Vec<String> = Vec::new(),
        /// Stops the agent.
        stop: Vec<String> = Vec::new(),
    }
}

settings_section! {
    /// The new release's tests before the switch.
    Preflight {
        /// How long `self-test` of the new agent may take.
        timeout_s: u32 = 60,
        /// Arguments of the new agent's test.
        arguments: Vec<String> = vec!["self-test".to_owned()],
    }
}

settings_section! {
    /// The watch over the new agent.
    Probation {
        /// How long one and the same process has to be well.
        stable_s: u32 = 60,
        /// How much longer it may take until it is.
        patience_s: u32 = 60,
        /// How often the agent may be restarted in that time.
        restarts: u32 = 2,
        /// How long after its last document the agent is taken to hang.
        stale_s: u32 = 30,
        /// How much later the dead-man comes than the watcher itself would give up.
        dead_man_s: u32 = 30,
    }
}

settings_section! {
    /// What releases may take of the disk.
    Disk {
        /// Room that is left free whatever is installed.
        reserve_bytes: u64 = 100 << 20,
        /// Largest package, unpacked, whatever its signed size says.
        max_release_bytes: u64 = 1 << 30,
    }
}

impl Settings {
    /// Reads the named file, or the default one if it is there; `root` stands in front of the default path.
    ///
    /// # Errors
    /// [`SettingsError`]; also when a file was named that does not exist.
    pub fn read(named: Option<&Path>, root: Option<&Path>) -> Result<Self, SettingsError> {
        let default =
            root.map_or_else(|| PathBuf::from(DEFAULT_PATH), |root| below(root, Path::new(DEFAULT_PATH)));
        let path = named.unwrap_or(&default);
        let bytes = match settings_file::read(path) {
            Err(error) if named.is_none() && error.is_absence() => return Ok(Self::default()),
            other => other?,
        };
        parse(path, &bytes)
    }

    /// The paths in force.
    #[must_use]
    pub fn layout(&self, root: Option<&Path>) -> Layout {
        let Paths { base, state, runtime, units, bin } = self.paths.clone();
        let layout = Layout { base, state_dir: state, runtime_dir: runtime, unit_dir: units, bin_dir: bin };
        match root {
            Some(root) => layout.below(root),
            None => layout,
        }
    }

    /// How long probation may take in all, before the dead-man ends it.
    #[must_use]
    pub fn allowance(&self) -> Duration {
        let Probation { stable_s, patience_s, stale_s, dead_man_s, .. } = self.probation;
        Duration::from_secs([stable_s, patience_s, stale_s, dead_man_s].into_iter().map(u64::from).sum())
    }
}

/// Reads and checks settings; `path` is for the messages.
///
/// # Errors
/// [`SettingsError::Shape`] or [`SettingsError::Value`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, SettingsError> {
    settings_file::parse(path, bytes, check)
}

/// Bounds that types can't express.
fn check(settings: &Settings) -> Result<(), (&'static str, String)> {
    let within = |key, value: u32, from: u32, to: u32| {
        if (from..=to).contains(&value) {
            Ok(())
        } else {
            Err((key, format!("{value} is outside {from} to {to}")))
        }
    };
    within("probation.stable_s", settings.probation.stable_s, 1, 86_400)?;
    within("probation.patience_s", settings.probation.patience_s, 1, 86_400)?;
    within("probation.restarts", settings.probation.restarts, 0, 100)?;
    within("probation.stale_s", settings.probation.stale_s, 1, 3_600)?;
    within("probation.dead_man_s", settings.probation.dead_man_s, 5, 3_600)?;
    within("preflight.timeout_s", settings.preflight.timeout_s, 1, 3_600)?;
    let Paths { base, state, runtime, units, bin } = &settings.paths;
    for (key, path) in [
        ("paths.base", base),
        ("paths.state", state),
        ("paths.runtime", runtime),
        ("paths.units", units),
        ("paths.bin", bin),
    ] {
        if !path.is_absolute() {
            return Err((key, "give an absolute path".to_owned()));
        }
    }
    match &settings.service {
        ServiceSettings::Systemd(systemd) if !systemd.agent_unit.ends_with(".service") => {
            Err(("service.agent_unit", "give the name of a service unit".to_owned()))
        }
        ServiceSettings::Commands(commands) if commands.restart.is_empty() || commands.stop.is_empty() => {
            Err((
                "service",
                "give `restart` and `stop`, each as a list of a program and its arguments".to_owned(),
            ))
        }
        // The dead-man and a start at boot have another working directory, and no PATH that anybody chose.
        ServiceSettings::Commands(commands)
            if [&commands.restart, &commands.stop]
                .iter()
                .any(|command| command.first().is_some_and(|program| !program.starts_with('/'))) =>
        {
            Err(("service", "give the programs of `restart` and `stop` by absolute paths".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        parse(Path::new("updater.json"), json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_empty_object_is_the_default_and_the_default_is_in_its_bounds() {
        let empty = parse(Path::new("x"), b"{}").unwrap();
        assert_eq!(empty.probation.stable_s, 60);
        let json = serde_json::to_vec(&empty).unwrap();
        parse(Path::new("x"), &json).unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_path() {
        let message = refused(r#"{"probation": {"stable": 5}}"#);
        assert!(message.contains("probation.stable: unknown field"), "{message}");
        let message =
            refused(r#"{"service": {"kind": "commands", "restart": ["a"], "stop": ["b"], "start": []}}"#);
        assert!(message.contains("start"), "{message}");
    }

    #[test]
    fn values_out_of_bounds_name_the_key() {
        assert!(refused(r#"{"probation": {"stable_s": 0}}"#).contains("probation.stable_s: 0 is outside"));
        assert!(refused(r#"{"paths": {"base": "opt"}}"#).contains("paths.base: give an absolute path"));
        assert!(refused(r#"{"service": {"kind": "commands"}}"#).contains("service: give `restart`"));
        assert!(
            refused(r#"{"service": {"kind": "commands", "restart": ["bin/a"], "stop": ["/b"]}}"#)
                .contains("service: give the programs")
        );
        assert!(refused("{} {}").contains("end of file"));
    }

    #[test]
    fn another_root_stands_in_front_of_every_path() {
        let layout = Settings::default().layout(Some(Path::new("/scratch")));
        assert_eq!(layout.state(), Path::new("/scratch/var/lib/linnet/updater/state.json"));
        assert_eq!(layout.link(crate::layout::Link::Current), Path::new("/scratch/opt/linnet/current"));
    }
}
