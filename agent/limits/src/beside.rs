//! Cgroups beside the agent's own, for programs that it starts: `<parent>/<agent's name>-<family>/<name>`.
//!
//! Beside and not below: on v2 a cgroup with processes of its own may not give controllers to children, so children
//! of the agent's cgroup would mean to move the agent one level down; and its limits would then be those of the
//! agent and all that it starts together. The family's cgroup holds no processes and sets no limits.

use std::fs;
use std::path::{Path, PathBuf};

use linnet_fleet::health::{LimitValues, Usage};

use crate::controller::{Controller, REQUIRED};
use crate::group::{self, Group};
use crate::hierarchy::Hierarchies;
use crate::place::Unit;
use crate::read_back::{self, merge};
use crate::{LimitsError, Wanted, applied, usage};

/// The cgroup of one program that the agent starts, empty until that program enters it.
#[derive(Debug)]
pub struct Beside {
    groups: Vec<Group>,
    requested: LimitValues,
    problems: Vec<String>,
}

/// Makes `<name>` in the family's cgroup beside the agent's cgroup `agent`, in each hierarchy, and sets its limits. An
/// empty one that a killed run left is used again.
///
/// What the machine refuses is in [`Beside::problems`].
///
/// # Errors
/// Limits or names that make no sense, and a missing /proc.
pub fn beside(agent: &str, family: &str, name: &str, wanted: &Wanted) -> Result<Beside, LimitsError> {
    let requested = wanted.values()?;
    for part in [agent, family, name] {
        applied::check_name(part)?;
    }
    let hierarchies = Hierarchies::read()?;
    let unit = hierarchies.systemd().and_then(|systemd| Unit::find(&systemd));
    let (planned, missing) = group::plan(&hierarchies, unit.as_ref(), agent);
    let mut problems = Vec::new();
    let missing: Vec<_> =
        missing.into_iter().filter(|c| REQUIRED.contains(c)).map(Controller::name).collect();
    if !missing.is_empty() {
        problems.push(format!("no cgroup hierarchy with {} is mounted here", missing.join(", ")));
    }
    let mut groups = Vec::new();
    for above in planned {
        let (inner, leaf) = above.beside(&format!("{agent}-{family}"), name);
        for step in [&inner, &leaf] {
            problems.extend(step.make().err().map(|refusal| refusal.to_string()));
        }
        // The family's cgroup gets its controllers from the parent, and the leaf from it.
        let mut refused = inner.enable();
        refused.extend(applied::limit(&leaf, &requested));
        problems.extend(refused.into_iter().map(|(_, refusal)| refusal.to_string()));
        if leaf.directory.is_dir() {
            groups.push(leaf);
        }
    }
    let mut made = Beside { groups, requested, problems };
    let differences = applied::differences(&made.requested, &made.in_force());
    if made.problems.is_empty() {
        made.problems.extend(differences.into_iter().map(|(_, text)| text));
    }
    Ok(made)
}

impl Beside {
    /// The files that a process writes `0` to in order to enter, one a hierarchy.
    #[must_use]
    pub fn doors(&self) -> Vec<PathBuf> {
        self.groups.iter().map(|group| group.directory.join("cgroup.procs")).collect()
    }

    /// What is not as asked, each with what to do about it.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The limits as the kernel says them back.
    #[must_use]
    pub fn in_force(&self) -> LimitValues {
        self.parts().fold(LimitValues::default(), |values, (group, controller)| {
            merge(values, read_back::of_cgroup(&group.directory, controller, group.version))
        })
    }

    /// What has been used since the cgroup was made.
    #[must_use]
    pub fn usage(&self) -> Usage {
        usage::sum(self.parts())
    }

    /// The processes that are in it now.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = Vec::new();
        for group in &self.groups {
            let text = crate::value::text(&group.directory.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills everything in it by `cgroup.kill` (v2, since Linux 5.14); false where the kernel does not offer that.
    #[must_use]
    pub fn kill(&self) -> bool {
        self.groups.iter().any(|group| group::write(&group.directory.join("cgroup.kill"), "1").is_ok())
    }

    /// Removes the cgroup, and the family's where nothing is left in it. False where it is still in use: what was killed
    /// in it takes a moment to be gone.
    #[must_use]
    pub fn remove(&self) -> bool {
        self.groups.iter().fold(true, |all_gone, group| {
            let is_gone = match fs::remove_dir(&group.directory) {
                Ok(()) => true,
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            };
            if is_gone
                && let Some(family) = group.directory.parent().filter(|family| *family != Path::new("/"))
            {
                // Refused as long as others are in it.
                let _ = fs::remove_dir(family);
            }
            all_gone && is_gone
        })
    }

    fn parts(&self) -> impl Iterator<Item = (&Group, Controller)> {
        self.groups.iter().flat_map(|group| group.controllers.iter().map(move |c| (group, *c)))
    }
}
