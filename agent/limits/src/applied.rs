//! The whole act: plan, enter, set, read back; then what came of it, its use, and its undoing.

use std::path::Path;

use linnet_fleet::health::{LimitValues, Limits, Usage};

use crate::controller::{Controller, REQUIRED, Version};
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
    /// Why there is no cgroup to set limits of, and for which controllers.
    lost: Vec<(Vec<Controller>, Refusal)>,
    /// What went wrong when the limits were last set, and for which controllers. The problems of reading back come
    /// anew with each reading.
    refused: Vec<(Vec<Controller>, Refusal)>,
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
    check_name(name)?;
    let hierarchies = Hierarchies::read()?;
    let unit = hierarchies.systemd().and_then(|systemd| Unit::find(&systemd));
    let (mut groups, missing) = group::plan(&hierarchies, unit.as_ref(), name);

    let mut lost = Vec::new();
    let missing: Vec<_> = missing.into_iter().filter(|c| REQUIRED.contains(c)).collect();
    if !missing.is_empty() {
        let refusal = Refusal::not_mounted(&missing);
        lost.push((missing, refusal));
    }
    for group in &mut groups {
        lost.extend(group.enter().err().map(|refusal| (group.controllers.clone(), refusal)));
    }
    let entered = groups.iter().filter(|group| group.entered);
    let refused = entered.flat_map(|group| limit(group, &requested)).collect();

    let limits = Limits {
        mode: hierarchies.mode(),
        delegated: !groups.is_empty() && groups.iter().all(|group| group.why == Why::Delegated),
        cgroups: groups.iter().map(|group| (group.hierarchy(), group.path.clone())).collect(),
        requested,
        notes: notes(unit.as_ref(), &groups),
        ..Limits::default()
    };
    let mut applied = Applied { groups, lost, refused, limits };
    applied.reread();
    Ok(applied)
}

/// Whether a name can be a cgroup's.
pub(crate) fn check_name(name: &str) -> Result<(), LimitsError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(LimitsError::Name { name: name.to_owned() });
    }
    Ok(())
}

/// Sets the limits of a cgroup that is there; what comes back was refused.
pub(crate) fn limit(group: &Group, requested: &LimitValues) -> Vec<(Vec<Controller>, Refusal)> {
    let mut refused = group.enable();
    let disabled: Vec<_> = refused.iter().flat_map(|(controllers, _)| controllers.clone()).collect();
    for controller in group.controllers.iter().filter(|c| !disabled.contains(c)) {
        let refusal = set::set(group, *controller, requested).err();
        refused.extend(refusal.map(|refusal| (vec![*controller], refusal)));
    }
    refused
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
        let differences = differences(&self.limits.requested, &in_force);
        let outside = self.outside();
        self.limits.enforced = REQUIRED.iter().all(|controller| {
            let inside = |(group, c): (&Group, Controller)| c == *controller && group.entered;
            self.parts().any(inside)
                && !differences.iter().any(|(c, _)| c == controller)
                && !outside.iter().any(|(controllers, _)| controllers.contains(controller))
        });

        let refusals = || self.lost.iter().chain(&self.refused);
        let mut problems: Vec<_> = refusals().map(|(_, refusal)| refusal.to_string()).collect();
        problems.extend(outside.into_iter().map(|(_, text)| text));
        // Where a reason is known already, the difference that it makes is not said again.
        let explained = |c| refusals().any(|(controllers, _)| controllers.contains(&c));
        problems.extend(differences.into_iter().filter(|(c, _)| !explained(*c)).map(|(_, text)| text));
        self.limits.in_force = in_force;
        self.limits.effective = effective;
        self.limits.problems = problems;
        self.limits.enforced
    }

    /// Moves back in, sets the limits again and reads them back, for when [`Applied::reread`] found them gone. Under
    /// systemd a cgroup at the root loses the cpu controller with any unit that starts or ends, and on v1 the process
    /// may be fetched back into its unit: the next call undoes that.
    pub fn reapply(&mut self) -> bool {
        self.refused.clear();
        for group in self.groups.iter().filter(|group| group.entered) {
            match group.attach() {
                Ok(()) => self.refused.extend(limit(group, &self.limits.requested)),
                Err(refusal) => self.refused.push((group.controllers.clone(), refusal)),
            }
        }
        self.reread()
    }

    /// Sets other limits in place of those in force, and reads them back. Returns whether all are enforced.
    ///
    /// The kernel kills when the memory limit is set below what cannot be reclaimed: look at [`Applied::usage`] first.
    ///
    /// # Errors
    /// Limits that make no sense; those in force stay.
    pub fn change(&mut self, wanted: &Wanted) -> Result<bool, LimitsError> {
        self.limits.requested = wanted.values()?;
        Ok(self.reapply())
    }

    /// What the cgroup has used so far, its children included. Reads about eight small files.
    #[must_use]
    pub fn usage(&self) -> Usage {
        usage::sum(self.parts())
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

    /// The controllers for which this process is not in its cgroup any more.
    fn outside(&self) -> Vec<(Vec<Controller>, String)> {
        let Ok(hierarchies) = Hierarchies::read() else {
            let text = "/proc does not say which cgroup this process is in: mount it";
            return vec![(REQUIRED.to_vec(), text.to_owned())];
        };
        let place = |group: &Group| Some(hierarchies.locate(*group.controllers.first()?)?.own);
        let entered = self.groups.iter().filter(|group| group.entered);
        entered
            .filter_map(|group| {
                let own = place(group).unwrap_or_else(|| "a cgroup out of sight".to_owned());
                (own != group.path).then(|| {
                    let text = format!(
                        "this process is in {own} instead of {} ({}): somebody moved it",
                        group.path,
                        group.hierarchy()
                    );
                    (group.controllers.clone(), text)
                })
            })
            .collect()
    }
}

/// What reads back otherwise than asked, by controller. `memory.high` and the burst are comforts, not limits: they
/// do not count.
pub(crate) fn differences(requested: &LimitValues, in_force: &LimitValues) -> Vec<(Controller, String)> {
    let number = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let share = |values: &LimitValues| match values.cpu_quota_us.zip(values.cpu_period_us) {
        Some((quota, period)) => format!("{quota} of {period} µs"),
        None => "none".to_owned(),
    };
    [
        (Controller::Cpu, "cpu limit", share(requested), share(in_force)),
        (
            Controller::Memory,
            "memory limit in bytes",
            number(requested.memory_max_bytes),
            number(in_force.memory_max_bytes),
        ),
        (Controller::Pids, "pids limit", number(requested.pids_max), number(in_force.pids_max)),
    ]
    .into_iter()
    .filter(|(_, _, asked, got)| asked != got)
    .map(|(controller, what, asked, got)| (controller, format!("{what}: asked for {asked}, in force {got}")))
    .collect()
}

/// What this kind of cgroup lacks, and what was chosen.
fn notes(unit: Option<&Unit>, groups: &[Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let has = |controller| groups.iter().find(|group| group.controllers.contains(&controller));
    if has(Controller::Memory).is_some_and(|group| group.version == Version::V1) {
        notes.push(
            "cgroup v1 has no memory.high: the kernel does not slow the agent down before the limit".into(),
        );
    }
    if has(Controller::Cpu)
        .is_some_and(|group| set::quota_file(group).exists() && !set::burst_file(group).exists())
    {
        notes.push("this kernel offers no cpu burst (Linux 5.14)".into());
    }
    let at_root: Vec<_> =
        groups.iter().filter(|group| group.why == Why::Root).map(Group::hierarchy).collect();
    let systemd = unit.is_some() || Path::new("/run/systemd/system").exists();
    if systemd && !at_root.is_empty() {
        let advice = match unit {
            Some(unit) if unit.delegated => format!("add them to Delegate= of {}", unit.path),
            Some(unit) => format!(
                "{} has no Delegate=, so start the agent by its own unit or by systemd-run --scope -p Delegate=yes",
                unit.path
            ),
            None => "start the agent by its own unit".to_owned(),
        };
        let names = at_root.join(" ");
        notes.push(format!(
            "the cgroup is at the root ({names}), where systemd may undo its limits: {advice}"
        ));
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
            [(Controller::Cpu, "cpu limit: asked for 50000 of 100000 µs, in force 50000 of 1 µs".to_owned())]
        );
    }
}
