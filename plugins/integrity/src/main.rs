//! What runs and should not: executables that are deleted, replaced since their start, in memory only, or of no package;
//! processes that are hidden; eBPF programs and kernel modules that came since the first look.

mod bpf;
mod executable;
mod finding;
mod hidden;
mod modules;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use linnet_packages::ownership::{self, Question};
use linnet_plugin::{Plugin, Stop, Turn, run};
use serde::{Deserialize, Serialize};

use executable::{Place, Verdict};
use finding::Finding;
use running::Running;

/// The plugin's own settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Directories whose programs need no package.
    trusted_directories: Vec<PathBuf>,
    /// Names of eBPF programs that are expected; a `*` at the end stands for any rest.
    expected_bpf: Vec<String>,
    /// Kernel modules that are expected, in the same way.
    expected_modules: Vec<String>,
    /// Tell of programs of no package, too.
    unowned: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_directories: vec![PathBuf::from("/opt/linnet")],
            // systemd's own: device, network and file system policies of units.
            expected_bpf: ["sd_*", "restrict_filesy*"].map(str::to_owned).to_vec(),
            expected_modules: Vec::new(),
            unowned: true,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// Findings that were told, by their uid, and are still so.
    told: BTreeSet<String>,
    /// eBPF programs, by name, type and tag; none before the first look.
    bpf: Option<BTreeSet<String>>,
    /// Kernel modules; none before the first look.
    modules: Option<BTreeSet<String>>,
}

struct Integrity;

impl Plugin for Integrity {
    type Settings = Settings;
    type State = State;
    const INTERVAL: Duration = Duration::from_secs(120);

    fn look(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Stop> {
        let mut findings: Vec<Finding> = Vec::new();
        executables(turn, &mut findings)?;
        hidden::look(turn, &mut findings)?;
        bpf::look(turn, &mut findings)?;
        modules::look(turn, &mut findings)?;
        // What is still as it was told is not told again; what is over may be told anew when it comes back.
        let mut told = BTreeSet::new();
        for finding in findings {
            let uid = finding.uid.clone();
            if !turn.state().told.contains(&uid) && !told.contains(&uid) {
                turn.report(finding.into_event())?;
            }
            told.insert(uid);
        }
        turn.state_mut().told = told;
        Ok(())
    }
}

/// Looks at the executable of each process, and then whether packages know those that are in order.
fn executables(turn: &mut Turn<'_, Integrity>, findings: &mut Vec<Finding>) -> Result<(), Stop> {
    let mut in_order: BTreeMap<PathBuf, Running> = BTreeMap::new();
    let mut question = Question::default();
    for pid in linnet_plugin::processes::listed(Path::new("/proc")) {
        turn.pace()?;
        let Some(running) = Running::read(pid) else { continue };
        match executable::judge(&running.facts()) {
            Verdict::InOrder => {
                // What belongs to a container's image is its database's to say, and most have none.
                if running.container.is_none() {
                    question.ask(bytes_of(&running.path));
                    in_order.entry(running.path.clone()).or_insert(running);
                }
            }
            verdict => findings.push(finding::of_executable(&running, &verdict)),
        }
    }
    if !turn.settings().unowned {
        return Ok(());
    }
    let mut any = false;
    for list in ownership::dpkg_lists(Path::new("/")).unwrap_or_default() {
        turn.pace()?;
        any |= ownership::read_dpkg_list(&list, &mut question).is_ok();
        if question.is_settled() {
            break;
        }
    }
    // Without a database nothing is owned, which says nothing.
    if !any {
        return Ok(());
    }
    for (path, running) in in_order {
        let trusted = turn.settings().trusted_directories.iter().any(|directory| path.starts_with(directory));
        if !trusted && !question.is_owned(bytes_of(&path)) {
            findings.push(finding::of_executable(&running, &Verdict::Unowned(Place::of(&path))));
        }
    }
    Ok(())
}

fn bytes_of(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}

/// Whether a name is among expected ones, of which one that ends in `*` stands for any rest.
fn is_expected(name: &str, expected: &[String]) -> bool {
    expected.iter().any(|one| one.strip_suffix('*').map_or(one == name, |start| name.starts_with(start)))
}

fn main() -> ExitCode {
    run(Integrity)
}
