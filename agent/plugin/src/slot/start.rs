//! Starting a plugin: what it may, its cgroup, its directory, its process.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use linnet_limits::Beside;
use serde_json::json;

use super::{READ_BURST, READ_PER_SECOND, Run, Slot, Source};
use crate::child::Running;
use crate::host::Options;
use crate::installed::Installed;
use crate::manifest::{Capability, PROTOCOL};
use crate::policy::Grant;
use crate::protocol::Lines;
use crate::rate::{Bucket, Day};
use crate::spec::{self, Spec};
use crate::state;

impl Slot {
    pub(super) fn start(&mut self, options: &Options, now: Instant) -> Result<(), String> {
        self.refused = true;
        let installed = Installed::read(&options.directory, &self.chosen.place, &self.name)
            .map_err(|error| error.to_string())?;
        let grant = self.policy.grant(&installed.manifest);
        let manifest = installed.manifest;
        self.source = Arc::new(Source { name: self.name.clone(), version: manifest.version.clone() });
        self.classes.clone_from(&manifest.events);
        if self.granted.as_ref() != Some(&grant) {
            let limits = grant.limits;
            self.rate = Bucket::new(f64::from(limits.events_per_second), f64::from(limits.events_burst), now);
            self.day = Day::new(limits.bytes_per_day, now);
        }
        self.make_cgroup(&grant, options)?;
        let uid = spec::uid_of(&self.name);
        let spec = Spec {
            name: self.name.clone(),
            executable: installed.executable,
            host_pid: std::process::id(),
            doors: self.cgroup.as_ref().map(Beside::doors).unwrap_or_default(),
            uid,
            capabilities: grant.capabilities.clone(),
            read_paths: manifest.read_paths,
            state_dir: self.make_state_dir(&grant, options, uid)?,
            memory_max_bytes: grant.limits.memory_max_bytes,
            pids_max: grant.limits.pids_max,
            filter: options.filter,
        };
        let first = json!({
            "protocol": PROTOCOL,
            "plugin": self.name,
            "settings": self.chosen.settings,
            "state": self.state.value(),
            "limits": {
                "events_per_second": grant.limits.events_per_second,
                "events_burst": grant.limits.events_burst,
            },
            "granted": grant.capabilities,
        });
        self.granted = Some(grant);
        let spec = serde_json::to_string(&spec).map_err(|error| error.to_string())?;
        let mut command = Command::new(&options.launcher);
        command.args(&options.launcher_arguments).arg(spec).env_clear().current_dir("/");
        let mut process = Running::start(&mut command).map_err(|error| format!("start: {error}"))?;
        self.refused = false;
        self.complaint = None;
        self.books.starts += 1;
        process.say(first.to_string().as_bytes());
        self.run = Some(Run {
            process,
            lines: Lines::default(),
            error_lines: Lines::default(),
            read: Bucket::new(READ_PER_SECOND, READ_BURST, now),
            invalid: 0,
            launched: false,
        });
        Ok(())
    }

    fn make_cgroup(&mut self, grant: &Grant, options: &Options) -> Result<(), String> {
        // What a run before has left in it must not go on beside this one.
        if let Some(before) = self.cgroup.take() {
            let _ = before.kill();
            // One that is still in use is used again.
            let _ = before.remove();
        }
        let wanted = linnet_limits::Wanted {
            cpu_quota_permille_of_a_core: grant.limits.cpu_permille,
            cpu_period_us: 100_000,
            memory_max_bytes: grant.limits.memory_max_bytes,
            memory_high_bytes: None,
            pids_max: grant.limits.pids_max,
        };
        let made = linnet_limits::beside(&options.cgroup, "plugins", &self.name, &wanted)
            .map_err(|error| error.to_string())?;
        self.limits_problems = made.problems().to_vec();
        self.cgroup = Some(made);
        if self.policy.require_limits && !self.limits_problems.is_empty() {
            let problems = self.limits_problems.join("; ");
            return Err(format!(
                "plugins.policy.require_limits is set, and the limits are not enforced: {problems}"
            ));
        }
        Ok(())
    }

    fn make_state_dir(&self, grant: &Grant, options: &Options, uid: u32) -> Result<Option<PathBuf>, String> {
        if !grant.has(Capability::StateDir) {
            return Ok(None);
        }
        let directory = options.state_directory.join(format!("{}.d", self.name));
        state::make_directory(&options.state_directory)
            .and_then(|()| match std::fs::create_dir(&directory) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            })
            .and_then(|()| std::os::unix::fs::lchown(&directory, Some(uid), Some(uid)))
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Some(directory))
    }
}
