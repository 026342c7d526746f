//! Landlock: which files may be read, nothing written, no TCP, no signals to others.
//!
//! Left out for plugins with `ptrace_read`: a process in a Landlock domain is refused every look through `/proc` at a
//! process outside of it (`hook_ptrace_access_check`), and paths in other mount namespaces lie beneath no rule. For them
//! the user, its capabilities and the system call filter stand alone.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::Report;
use crate::manifest::Capability;
use crate::spec::Spec;

/// The newest version whose rights are asked for; older kernels do as much of it as they know.
const NEWEST: ABI = ABI::V6;

/// What every program may read: the loader and libraries of those that are not static, and what a C library looks at.
const PUBLIC: [&str; 10] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
    "/proc/self",
];
/// Loaders, which the kernel executes on a program's behalf.
const LOADERS: [&str; 3] =
    ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1"];

/// The rules of a plugin, or none where it can't have them.
pub(super) fn rules(spec: &Spec, report: &mut Report) -> Option<RulesetCreated> {
    if spec.capabilities.contains(&Capability::PtraceRead) {
        return None;
    }
    match build(spec) {
        Ok(rules) => Some(rules),
        Err(error) => {
            report.problems.push(format!("landlock: {error}"));
            None
        }
    }
}

fn build(spec: &Spec) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if !spec.capabilities.contains(&Capability::Network) {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut rules = rules.create()?;
    let all = [PathBuf::from("/")];
    let readable: &[PathBuf] =
        if spec.capabilities.contains(&Capability::ReadAllFiles) { &all } else { &spec.read_paths };
    for path in readable {
        rules = allow(rules, path, read)?;
    }
    for path in PUBLIC {
        rules = allow(rules, Path::new(path), read)?;
    }
    for path in LOADERS {
        rules = allow(rules, Path::new(path), AccessFs::Execute | AccessFs::ReadFile)?;
    }
    rules = allow(rules, &spec.executable, AccessFs::Execute | AccessFs::ReadFile)?;
    if let Some(directory) = &spec.state_dir {
        let write =
            AccessFs::from_all(NEWEST) & !(AccessFs::Execute | AccessFs::IoctlDev | AccessFs::MakeBlock);
        rules =
            allow(rules, directory, write & !(AccessFs::MakeChar | AccessFs::MakeFifo | AccessFs::MakeSock))?;
    }
    Ok(rules)
}

/// Allows `access` beneath a path; one that is not there is passed over.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(descriptor) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(descriptor, access))
}

/// Enforces them on this process and all that it becomes.
pub(super) fn apply(rules: RulesetCreated, report: &mut Report) {
    match rules.restrict_self() {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => report.sandbox.push("landlock".to_owned()),
            RulesetStatus::PartiallyEnforced => {
                report.sandbox.push("landlock (as far as this kernel has it)".to_owned());
            }
            RulesetStatus::NotEnforced => {
                report
                    .problems
                    .push("no landlock: the kernel is older than 5.13 or has it switched off".to_owned());
            }
        },
        Err(error) => report.problems.push(format!("landlock: {error}")),
    }
}
