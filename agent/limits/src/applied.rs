//! The whole act: plan, enter, set, read back; then what came of it, its use, and its undoing.

use std::path::Path;

use linnet_fleet::health::{LimitMode, LimitValues, Limits, Usage};

use crate::controller::{Controller, REQUIRED};
use crate::group::{self, Group};
use crate::hierarchy::Hierarchies;
use crate::place::{Unit, Why};
use crate::read_back::{self, merge};
use crate::refusal::Refusal;
use crate::{LimitsError, Wanted, set, usage};

/// The agent's cgroup, entered as far as this machine allowed.
#[derive(Debug)]
pub struct Applied {
    groups: Vec<Group>,
    /// What went wrong when the limits were set. The problems of reading back come anew with each reading.
    refusals: Vec<String>,
    limits: Limits,
}

/// Makes a cgroup called `name` in each hierarchy that has the cpu, memory or pids controller, moves this process
/// with all its threads in, sets the limits and reads them back. To be called before threads or children are started
/// that should be counted from their beginning, and before BPF maps are made.
///
/// What the machine refuses is in the result's problems.
///
/// # Errors
/// Limits or a name that make no sense, and a missing /proc.
pub fn apply(wanted: &Wanted, name: &str) -> Result<Applied, LimitsError> {
    let requested = wanted.values()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(LimitsError::Name { name: name.to_owned() });
    }
    let hierarchies = Hierarchies::read()?;
    let unit = hierarchies.systemd().and_then(|systemd| Unit::find(&systemd));
    let (groups, missing) = group::plan(&hierarchies, unit.as_ref(), name);

    let mut refusals: Vec<Refusal> =
        missing.into_iter().filter(|c| REQUIRED.contains(c)).map(Refusal::not_mounted).collect();
    for group in &groups {
        if let Err(refusal) = group.enter() {
            refusals.push(refusal);
            continue;
        }
        for controller in &group.controllers {
            let done = group.enable(*controller).and_then(|()| set::set(group, *controller, &requested));
            refusals.extend(done.err());
        }
    }

    let limits = Limits {
        mode: hierarchies.mode(),
        delegated: !groups.is_empty() && groups.iter().all(|group| group.why == Why::Delegated),
        cgroups: groups.iter().map(|group| (group.hierarchy(), group.path.clone())).collect(),
        requested,
        notes: notes(hierarchies.mode(), unit.as_ref(), &groups),
        ..Limits::default()
    };
    let refusals = refusals.iter().map(Refusal::to_string).collect();
    let mut applied = Applied { groups, refusals, limits };
    applied.reread();
    Ok(applied)
}

impl Applied {
    /// What was asked for, what is in force as last read, and what is wrong with it.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads the limits and this process's place again, since others (systemd above all) may change them. Returns
    /// whether everything that was asked for is enforced.
    pub fn reread(&mut self) -> bool {
        let mut in_force = LimitValues::default();
        let mut effective = LimitValues::default();
        for (group, controller) in self.parts() {
            let (directory, version) = (&group.directory, group.version);
            in_force = merge(in_force, read_back::of_cgroup(directory, controller, version));
            effective = merge(effective, read_back::effective(directory, &group.mount, controller, version));
        }
        let mut problems = self.refusals.clone();
        problems.extend(self.outside());
        problems.extend(differences(&self.limits.requested, &in_force));
        self.limits.enforced = problems.is_empty();
        self.limits.in_force = in_force;
        self.limits.effective = effective;
        self.limits.problems = problems;
        self.limits.enforced
    }

    /// What the cgroup has used so far, its children included. Reads about eight small files.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for (group, controller) in self.parts() {
            usage::add(&mut sum, &group.directory, controller, group.version);
        }
        sum
    }

    /// Undoes it on a clean stop: moves this process back to where it came from and removes the cgroups that were
    /// made. All of them are tried; in a delegated unit systemd does it. A cgroup that stays is used again by the
    /// next start.
    ///
    /// # Errors
    /// The first of what was refused.
    pub fn release(self) -> Result<(), LimitsError> {
        self.groups.iter().map(Group::leave).fold(Ok(()), Result::and)
    }

    fn parts(&self) -> impl Iterator<Item = (&Group, Controller)> {
        self.groups.iter().flat_map(|group| group.controllers.iter().map(move |c| (group, *c)))
    }

    /// The hierarchies in which this process is not in its cgroup.
    fn outside(&self) -> Vec<String> {
        let Ok(hierarchies) = Hierarchies::read() else {
            return vec!["/proc does not say which cgroup this process is in: mount it".to_owned()];
        };
        let refused = |group: &Group| {
            let directory = group.directory.display().to_string();
            self.refusals.iter().any(|refusal| refusal.contains(&directory))
        };
        self.groups
            .iter()
            .filter(|group| !refused(group))
            .filter_map(|group| {
                let found = hierarchies.locate(*group.controllers.first()?);
                let own = found.as_ref().map_or("out of sight", |location| location.own.as_str());
                (own != group.path).then(|| {
                    format!(
                        "this process is in {own} instead of {} ({}): somebody moved it, restart the agent",
                        group.path,
                        group.hierarchy()
                    )
                })
            })
            .collect()
    }
}

/// What reads back otherwise than asked. `memory.high` and the burst are comforts, not limits: they do not count.
fn differences(requested: &LimitValues, in_force: &LimitValues) -> Vec<String> {
    let cpu = |values: &LimitValues| values.cpu_quota_us.zip(values.cpu_period_us);
    let show = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let share = |values: &LimitValues| match cpu(values) {
        Some((quota, period)) => format!("{quota} of {period} µs"),
        None => "none".to_owned(),
    };
    let mut problems = Vec::new();
    if cpu(requested) != cpu(in_force) {
        problems.push(format!("cpu limit: asked for {}, in force {}", share(requested), share(in_force)));
    }
    for (what, asked, got) in [
        ("memory limit in bytes", requested.memory_max_bytes, in_force.memory_max_bytes),
        ("pids limit", requested.pids_max, in_force.pids_max),
    ] {
        if asked != got {
            problems.push(format!("{what}: asked for {}, in force {}", show(asked), show(got)));
        }
    }
    problems
}

/// What this kind of cgroup lacks, and what was chosen.
fn notes(mode: LimitMode, unit: Option<&Unit>, groups: &[Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let has = |controller| groups.iter().find(|group| group.controllers.contains(&controller));
    if has(Controller::Memory).is_some_and(|group| group.version == crate::controller::Version::V1) {
        notes.push(
            "cgroup v1 has no memory.high: the kernel does not slow the agent down before the limit".into(),
        );
    }
    if mode != LimitMode::None
        && has(Controller::Cpu).is_some_and(|g| !set::burst_file(g).exists() && g.directory.exists())
    {
        notes.push("this kernel offers no cpu burst (Linux 5.14)".into());
    }
    let at_root = groups.iter().any(|group| group.why == Why::Root);
    if let Some(unit) = unit.filter(|unit| !unit.delegated && at_root) {
        notes.push(format!(
            "{} is not delegated, so the cgroup is at the root and systemd may take its controllers away: start the \
             agent by its own unit, or by systemd-run --scope -p Delegate=yes",
            unit.path
        ));
    } else if at_root && Path::new("/run/systemd/system").exists() {
        notes.push(
            "the cgroup is at the root, where systemd may take its controllers away: start the agent by its own unit"
                .into(),
        );
    }
    for group in groups.iter().filter(|group| group.why == Why::Within) {
        notes.push(format!("the cgroup lies in {}, whose own limits hold too", group.parent.display()));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_names_that_make_no_sense_change_nothing() {
        let wanted = Wanted { pids_max: 0, ..Wanted::default() };
        assert!(matches!(apply(&wanted, "linnet"), Err(LimitsError::Wanted(_))));
        for name in ["", "..", "a/b", "linnet\n", "é", &"x".repeat(65)] {
            assert!(matches!(apply(&Wanted::default(), name), Err(LimitsError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn every_difference_of_a_limit_is_a_problem() {
        let asked = Wanted::default().values().unwrap();
        assert!(differences(&asked, &asked).is_empty());
        let lenient = LimitValues { memory_high_bytes: None, cpu_burst_us: Some(0), ..asked };
        assert!(differences(&asked, &lenient).is_empty());
        assert_eq!(differences(&asked, &LimitValues::default()).len(), 3);
        let other = LimitValues { cpu_period_us: Some(1), ..asked };
        assert_eq!(
            differences(&asked, &other),
            ["cpu limit: asked for 50000 of 100000 µs, in force 50000 of 1 µs"]
        );
    }
}
