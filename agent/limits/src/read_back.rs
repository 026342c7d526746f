//! Limits, read back from the kernel: those of one cgroup, and the tightest of it and everything above it.

use std::path::Path;

use linnet_fleet::health::LimitValues;

use crate::controller::{Controller, Version};
use crate::value;

/// The limits of one cgroup that belong to `controller`.
pub(crate) fn of_cgroup(directory: &Path, controller: Controller, version: Version) -> LimitValues {
    let limit = |file: &str| value::limit(&directory.join(file));
    let mut values = LimitValues::default();
    match (controller, version) {
        (Controller::Memory, Version::V1) => values.memory_max_bytes = limit("memory.limit_in_bytes"),
        (Controller::Memory, Version::V2) => {
            values.memory_high_bytes = limit("memory.high");
            values.memory_max_bytes = limit("memory.max");
        }
        (Controller::Pids, _) => values.pids_max = limit("pids.max"),
        (Controller::Cpu, Version::V1) => {
            values.cpu_quota_us = limit("cpu.cfs_quota_us");
            values.cpu_period_us = limit("cpu.cfs_period_us");
            values.cpu_burst_us = limit("cpu.cfs_burst_us");
        }
        (Controller::Cpu, Version::V2) => {
            if let Some((quota, period)) =
                value::text(&directory.join("cpu.max")).as_deref().and_then(value::cpu_max)
            {
                values.cpu_quota_us = quota;
                values.cpu_period_us = Some(period);
            }
            values.cpu_burst_us = limit("cpu.max.burst");
        }
        (Controller::CpuAcct, _) => {}
    }
    values
}

/// The tightest limits of `controller` on the way from `directory` up to `mount`. Above the mount, outside of a
/// container, there may be tighter ones that cannot be seen.
pub(crate) fn effective(
    directory: &Path,
    mount: &Path,
    controller: Controller,
    version: Version,
) -> LimitValues {
    directory
        .ancestors()
        .take_while(|ancestor| ancestor.starts_with(mount))
        .map(|ancestor| of_cgroup(ancestor, controller, version))
        .fold(LimitValues::default(), tighter)
}

/// Whether `directory` or anything above it has a limit of any kind.
pub(crate) fn is_limited(directory: &Path, mount: &Path, version: Version) -> bool {
    [Controller::Memory, Controller::Pids, Controller::Cpu].into_iter().any(|controller| {
        let values = effective(directory, mount, controller, version);
        values.memory_max_bytes.or(values.pids_max).or(values.cpu_quota_us).is_some()
    })
}

/// Takes over from `from` what belongs to one controller.
pub(crate) fn merge(into: LimitValues, from: LimitValues) -> LimitValues {
    LimitValues {
        cpu_quota_us: into.cpu_quota_us.or(from.cpu_quota_us),
        cpu_period_us: into.cpu_period_us.or(from.cpu_period_us),
        cpu_burst_us: into.cpu_burst_us.or(from.cpu_burst_us),
        memory_high_bytes: into.memory_high_bytes.or(from.memory_high_bytes),
        memory_max_bytes: into.memory_max_bytes.or(from.memory_max_bytes),
        pids_max: into.pids_max.or(from.pids_max),
    }
}

fn tighter(a: LimitValues, b: LimitValues) -> LimitValues {
    let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    // Quota, period and burst belong together: the smaller share of a processor wins with all three.
    let cpu = if share(&b) < share(&a) { b } else { a };
    LimitValues {
        cpu_quota_us: cpu.cpu_quota_us,
        cpu_period_us: cpu.cpu_period_us,
        cpu_burst_us: cpu.cpu_burst_us,
        memory_high_bytes: least(a.memory_high_bytes, b.memory_high_bytes),
        memory_max_bytes: least(a.memory_max_bytes, b.memory_max_bytes),
        pids_max: least(a.pids_max, b.pids_max),
    }
}

/// The share of one processor in millionths; unlimited is the largest.
pub(crate) fn share(values: &LimitValues) -> u128 {
    match (values.cpu_quota_us, values.cpu_period_us) {
        (Some(quota), Some(period)) if period > 0 => u128::from(quota) * 1_000_000 / u128::from(period),
        _ => u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(directory: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(directory).unwrap();
        for (name, content) in files {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    #[test]
    fn v2_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[
                ("cpu.max", "50000 100000\n"),
                ("cpu.max.burst", "25000\n"),
                ("memory.high", "max\n"),
                ("memory.max", "1048576\n"),
                ("pids.max", "64\n"),
            ],
        );
        let read = |controller| of_cgroup(directory.path(), controller, Version::V2);
        let all = [Controller::Cpu, Controller::Memory, Controller::Pids];
        assert_eq!(
            all.into_iter().map(read).fold(LimitValues::default(), merge),
            LimitValues {
                cpu_quota_us: Some(50_000),
                cpu_period_us: Some(100_000),
                cpu_burst_us: Some(25_000),
                memory_high_bytes: None,
                memory_max_bytes: Some(1 << 20),
                pids_max: Some(64),
            }
        );
    }

    #[test]
    fn an_unlimited_v1_cgroup_has_only_a_period() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n")]);
        let values = of_cgroup(directory.path(), Controller::Cpu, Version::V1);
        assert_eq!(values, LimitValues { cpu_period_us: Some(100_000), ..LimitValues::default() });
        assert!(!is_limited(directory.path(), directory.path(), Version::V1));
    }

    #[test]
    fn the_tightest_on_the_way_up_binds() {
        let mount = tempfile::tempdir().unwrap();
        let (outer, inner) = (mount.path().join("outer"), mount.path().join("outer/inner"));
        // A larger quota may be the smaller share.
        write(&outer, &[("cpu.max", "60000 1000000"), ("memory.max", "4096"), ("pids.max", "max")]);
        write(&inner, &[("cpu.max", "50000 100000"), ("memory.max", "8192"), ("pids.max", "10")]);
        let read = |controller| effective(&inner, mount.path(), controller, Version::V2);
        let cpu = read(Controller::Cpu);
        assert_eq!((cpu.cpu_quota_us, cpu.cpu_period_us), (Some(60_000), Some(1_000_000)));
        assert_eq!(read(Controller::Memory).memory_max_bytes, Some(4096));
        assert_eq!(read(Controller::Pids).pids_max, Some(10));
        assert!(is_limited(&outer, mount.path(), Version::V2));
        assert!(!is_limited(mount.path(), mount.path(), Version::V2));
    }

    #[test]
    fn nothing_above_the_mount_is_read() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[("pids.max", "1")]);
        let mount = directory.path().join("mount");
        write(&mount, &[("pids.max", "max")]);
        assert_eq!(effective(&mount, &mount, Controller::Pids, Version::V2).pids_max, None);
    }
}
