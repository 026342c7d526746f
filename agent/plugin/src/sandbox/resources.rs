//! Cgroup, resource limits, priorities.

use std::fs::OpenOptions;
use std::io::Write;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Report, syscalls};
use crate::manifest::Capability;
use crate::spec::Spec;

/// Open files. A plugin looks at one thing after the other.
const NOFILE: u64 = 128;

/// Enters the cgroup, offers itself to the out-of-memory killer first, and steps back behind everybody else.
pub(super) fn enter(spec: &Spec, report: &mut Report) {
    let mut entered = 0;
    for door in &spec.doors {
        match OpenOptions::new().write(true).open(door).and_then(|mut file| file.write_all(b"0")) {
            Ok(()) => entered += 1,
            Err(error) => report.problems.push(format!("enter {}: {error}", door.display())),
        }
    }
    if entered > 0 && entered == spec.doors.len() {
        report.sandbox.push("own cgroup".to_owned());
    }
    // Raising one's own is always allowed.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        report.problems.push(format!("oom_score_adj: {error}"));
    }
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        report.problems.push(format!("nice: {error}"));
    }
    if let Err(error) = syscalls::yield_disk() {
        report.problems.push(format!("ioprio: {error}"));
    }
}

/// Sets the limits that hold by process and by user. They are only ever lowered, which needs no privilege.
pub(super) fn limit(spec: &Spec) -> Result<(), Errno> {
    let file_bytes =
        if spec.capabilities.contains(&Capability::StateDir) { spec.memory_max_bytes } else { 0 };
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, file_bytes),
        (Resource::Nofile, NOFILE),
        (Resource::Memlock, 0),
        (Resource::Data, spec.memory_max_bytes),
        // Counted by user: this one has no other processes.
        (Resource::Nproc, u64::from(spec.pids_max)),
    ];
    for (resource, most) in limits {
        let now = rustix::process::getrlimit(resource);
        let most = now.maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}
