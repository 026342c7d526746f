//! Installed packages of dpkg and rpm, the running kernel and the operating system: all of them in the first report, then
//! what was installed, removed or changed.

mod report;
mod software;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use linnet_packages::{Package, dpkg, rpm};
use linnet_plugin::{Plugin, Stop, Turn, run};
use serde::{Deserialize, Serialize};

use report::Change;

/// The plugin's own settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The tree whose databases are read.
    root: PathBuf,
    /// Report all of it again after this many hours, for receivers that forget; 0 for never.
    full_report_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), full_report_hours: 0 }
    }
}

/// What was reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// When everything was last reported, in seconds since the epoch.
    full_at_s: u64,
    /// Versions by what tells one thing from another.
    known: BTreeMap<String, String>,
}

struct Inventory;

impl Plugin for Inventory {
    type Settings = Settings;
    type State = State;
    const INTERVAL: Duration = Duration::from_secs(3600);

    fn look(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Stop> {
        let root = turn.settings().root.clone();
        let hours = u64::from(turn.settings().full_report_hours);
        let now_s = software::epoch_s();
        let full_at_s = turn.state().full_at_s;
        let full = full_at_s == 0 || (hours > 0 && now_s.saturating_sub(full_at_s) >= hours * 3600);
        let mut seen = BTreeMap::new();
        for one in software::running(&root) {
            tell(turn, &mut seen, one.key(), one.version.clone(), full, |change| {
                report::software(&one, change)
            })?;
        }
        let mut complete = true;
        for path in dpkg::databases(&root) {
            let read = match dpkg::Packages::open(&path) {
                Ok(mut packages) => tell_packages(turn, &mut seen, full, || packages.next_package())?,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                complete = false;
                turn.log("warn", &format!("{}: {error}", path.display()))?;
            }
        }
        for database in rpm::databases(&root) {
            let read = match rpm::Packages::open(&database) {
                Ok(mut packages) => tell_packages(turn, &mut seen, full, || packages.next_package())?,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                complete = false;
                turn.log("warn", &format!("{}: {error}", database.path().display()))?;
            }
        }
        if complete {
            let before = std::mem::take(&mut turn.state_mut().known);
            for (key, version) in before.iter().filter(|(key, _)| !seen.contains_key(*key)) {
                turn.report(report::removed(key, version))?;
            }
        } else {
            // What could not be read is not gone.
            for (key, version) in turn.state().known.clone() {
                seen.entry(key).or_insert(version);
            }
        }
        let state = turn.state_mut();
        state.known = seen;
        if full {
            state.full_at_s = now_s;
        }
        Ok(())
    }
}

/// Tells of the packages of one database, whatever manager's, until it has no more or can't be read on.
fn tell_packages<E>(
    turn: &mut Turn<'_, Inventory>,
    seen: &mut BTreeMap<String, String>,
    full: bool,
    mut next: impl FnMut() -> Result<Option<Package>, E>,
) -> Result<Result<(), E>, Stop> {
    loop {
        match next() {
            Ok(Some(package)) => {
                tell(turn, seen, package.key(), package.full_version(), full, |change| {
                    report::package(&package, change)
                })?;
            }
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Reports a thing where it is new or changed, or everything is to be reported.
fn tell(
    turn: &mut Turn<'_, Inventory>,
    seen: &mut BTreeMap<String, String>,
    key: String,
    version: String,
    full: bool,
    event: impl FnOnce(Change<'_>) -> linnet_plugin::Event,
) -> Result<(), Stop> {
    turn.pace()?;
    let before = turn.state().known.get(&key).cloned();
    let change = match &before {
        Some(before) if *before != version => Some(Change::From(before)),
        None if !full => Some(Change::New),
        _ if full => Some(Change::Present),
        _ => None,
    };
    if let Some(change) = change {
        turn.report(event(change))?;
    }
    seen.insert(key, version);
    Ok(())
}

fn main() -> ExitCode {
    run(Inventory)
}
