//! Kernel modules: those that came since the first look, those that taint, and those that hide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use linnet_plugin::{Severity, Stop, Turn};
use serde_json::json;

use crate::finding::{Finding, data};
use crate::{Integrity, is_expected};

/// A loaded module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Module {
    /// `/proc/modules` has it.
    listed: bool,
    /// `/sys/module` has it as a loaded one.
    in_sys: bool,
    /// Its taints: `O` out of tree, `E` unsigned, `F` forced, `P` not free.
    taint: String,
}

pub(crate) fn look(turn: &mut Turn<'_, Integrity>, findings: &mut Vec<Finding>) -> Result<(), Stop> {
    let modules = loaded(Path::new("/proc"), Path::new("/sys"));
    turn.pace()?;
    let known = turn.state().modules.clone();
    let expected = turn.settings().expected_modules.clone();
    findings.extend(judge(&modules, known.as_ref(), &expected));
    let told: BTreeSet<String> = findings
        .iter()
        .filter_map(|finding| finding.uid.strip_prefix("integrity:module:new:"))
        .map(str::to_owned)
        .collect();
    let names: BTreeSet<String> = modules.into_keys().collect();
    turn.state_mut().modules = Some(match known {
        None => names,
        Some(known) => known.intersection(&names).filter(|name| !told.contains(*name)).cloned().collect(),
    });
    Ok(())
}

/// What the kernel says is loaded, from both sides.
fn loaded(proc: &Path, sys: &Path) -> BTreeMap<String, Module> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    // No file: a kernel without modules.
    let Ok(text) = fs::read_to_string(proc.join("modules")) else { return modules };
    for line in text.lines() {
        let mut fields = line.split(' ');
        let Some(name) = fields.next().filter(|name| !name.is_empty()) else { continue };
        let taint =
            fields.next_back().and_then(|last| last.strip_prefix('(')?.strip_suffix(')')).unwrap_or_default();
        let taint = taint.trim_end_matches(['+', '-']).to_owned();
        modules.insert(name.to_owned(), Module { listed: true, in_sys: false, taint });
    }
    for entry in fs::read_dir(sys.join("module")).into_iter().flatten().flatten() {
        // Built-in ones have no state.
        if fs::read_to_string(entry.path().join("initstate")).is_ok_and(|state| state.trim() == "live") {
            let name = entry.file_name().to_string_lossy().into_owned();
            modules.entry(name).or_default().in_sys = true;
        }
    }
    modules
}

/// Findings about modules. Pure.
fn judge(
    modules: &BTreeMap<String, Module>,
    known: Option<&BTreeSet<String>>,
    expected: &[String],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, module) in modules {
        let rootkit = Some([("TA0003", "Persistence"), ("T1547.006", "Kernel Modules and Extensions")]);
        let evidence = data(json!({ "module": name, "taint": module.taint, "listed": module.listed }));
        if !module.listed && module.in_sys {
            findings.push(Finding {
                uid: format!("integrity:module:hidden:{name}"),
                severity: Severity::Critical,
                title: format!("kernel module {name} is loaded and not listed"),
                kind: "hidden_module",
                attack: Some([("TA0005", "Defense Evasion"), ("T1014", "Rootkit")]),
                evidence,
                container: None,
            });
        } else if known.is_some_and(|known| !known.contains(name)) && !is_expected(name, expected) {
            let foreign = module.taint.contains(['O', 'E', 'F']);
            findings.push(Finding {
                uid: format!("integrity:module:new:{name}"),
                severity: if foreign { Severity::Medium } else { Severity::Low },
                title: if foreign {
                    format!(
                        "a kernel module that is not the kernel's own was loaded: {name} ({})",
                        module.taint
                    )
                } else {
                    format!("a kernel module was loaded: {name}")
                },
                kind: "kernel_module",
                attack: rootkit,
                evidence,
                container: None,
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_foreign_and_hidden_modules_are_told_apart() {
        let room = tempfile::tempdir().unwrap();
        let (proc, sys) = (room.path().join("proc"), room.path().join("sys"));
        for name in ["ext4", "evil", "ghost", "loop"] {
            fs::create_dir_all(sys.join("module").join(name)).unwrap();
            fs::write(sys.join("module").join(name).join("initstate"), "live\n").unwrap();
        }
        fs::create_dir_all(sys.join("module/builtin")).unwrap();
        fs::create_dir(&proc).unwrap();
        let lines = "ext4 1 0 - Live 0x0\nloop 1 0 - Live 0x0\nevil 1 0 - Live 0x0 (OE)\n";
        fs::write(proc.join("modules"), lines).unwrap();
        let modules = loaded(&proc, &sys);
        assert_eq!(modules.len(), 4);
        let titles = |known: Option<&[&str]>, expected: &[&str]| -> Vec<(String, Severity)> {
            let known = known.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            judge(&modules, known.as_ref(), &expected)
                .into_iter()
                .map(|one| (one.uid, one.severity))
                .collect()
        };
        let ghost = ("integrity:module:hidden:ghost".to_owned(), Severity::Critical);
        assert_eq!(titles(None, &[]), std::slice::from_ref(&ghost));
        assert_eq!(
            titles(Some(&["ext4"]), &["lo*"]),
            [("integrity:module:new:evil".to_owned(), Severity::Medium), ghost]
        );
    }
}
