//! What the agent's cgroup has used, from about eight small files.

use std::path::Path;

use linnet_fleet::health::{MemoryEvents, Usage};

use crate::controller::{Controller, Version};
use crate::group::Group;
use crate::value;

/// What all of these say together.
pub(crate) fn sum<'g>(parts: impl Iterator<Item = (&'g Group, Controller)>) -> Usage {
    let mut sum = Usage::default();
    for (group, controller) in parts {
        add(&mut sum, &group.directory, controller, group.version);
    }
    sum
}

/// Adds to `usage` what the cgroup says of `controller`.
fn add(usage: &mut Usage, directory: &Path, controller: Controller, version: Version) {
    let number = |file: &str| value::number(&directory.join(file));
    let text = |file: &str| value::text(&directory.join(file)).unwrap_or_default();
    match (controller, version) {
        (Controller::Memory, Version::V1) => {
            let stat = text("memory.stat");
            usage.memory_bytes = number("memory.usage_in_bytes");
            usage.memory_peak_bytes = number("memory.max_usage_in_bytes");
            // v1's plain counters leave out children, which v2's include.
            usage.memory_anon_bytes = value::keyed(&stat, "total_rss");
            usage.memory_file_bytes = value::keyed(&stat, "total_cache");
            usage.memory_kernel_bytes = number("memory.kmem.usage_in_bytes");
            usage.memory_held_bytes = held(usage, value::keyed(&stat, "total_shmem"), None);
            usage.memory_events = MemoryEvents {
                high: None,
                max: number("memory.failcnt"),
                oom_kill: value::keyed(&text("memory.oom_control"), "oom_kill"),
            };
        }
        (Controller::Memory, Version::V2) => {
            let (stat, events) = (text("memory.stat"), text("memory.events"));
            usage.memory_bytes = number("memory.current");
            usage.memory_peak_bytes = number("memory.peak");
            usage.memory_anon_bytes = value::keyed(&stat, "anon");
            usage.memory_file_bytes = value::keyed(&stat, "file");
            usage.memory_kernel_bytes = kernel_bytes(&stat);
            let slab = value::keyed(&stat, "slab_reclaimable");
            usage.memory_held_bytes = held(usage, value::keyed(&stat, "shmem"), slab);
            usage.memory_stall_us = stall_us(&text("memory.pressure"));
            usage.memory_events = MemoryEvents {
                high: value::keyed(&events, "high"),
                max: value::keyed(&events, "max"),
                oom_kill: value::keyed(&events, "oom_kill"),
            };
        }
        (Controller::Pids, _) => usage.pids = number("pids.current"),
        (Controller::Cpu, Version::V1) => {
            let stat = text("cpu.stat");
            usage.nr_periods = value::keyed(&stat, "nr_periods");
            usage.nr_throttled = value::keyed(&stat, "nr_throttled");
            usage.throttled_us = value::keyed(&stat, "throttled_time").map(us);
        }
        (Controller::Cpu, Version::V2) => {
            let stat = text("cpu.stat");
            usage.cpu_usage_us = value::keyed(&stat, "usage_usec");
            usage.nr_periods = value::keyed(&stat, "nr_periods");
            usage.nr_throttled = value::keyed(&stat, "nr_throttled");
            usage.throttled_us = value::keyed(&stat, "throttled_usec");
        }
        (Controller::CpuAcct, _) => usage.cpu_usage_us = number("cpuacct.usage").map(us),
    }
}

/// Anonymous memory, a tmpfs's files, and the kernel's own less what of it is only a cache. v1 does not say how much of the
/// kernel's is a cache, so all of it counts there.
fn held(usage: &Usage, shmem: Option<u64>, slab_reclaimable: Option<u64>) -> Option<u64> {
    let kernel = usage.memory_kernel_bytes?.saturating_sub(slab_reclaimable.unwrap_or(0));
    Some(usage.memory_anon_bytes?.saturating_add(shmem.unwrap_or(0)).saturating_add(kernel))
}

/// The total of the line `some avg10=… avg60=… avg300=… total=…`.
fn stall_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|field| field.strip_prefix("total="))?.trim().parse().ok()
}

/// `kernel` sums them up since Linux 5.18; before, vmalloc (the BPF ring) was not counted among the parts.
fn kernel_bytes(stat: &str) -> Option<u64> {
    value::keyed(stat, "kernel").or_else(|| {
        let parts = ["kernel_stack", "pagetables", "percpu", "vmalloc", "slab"];
        parts.iter().filter_map(|key| value::keyed(stat, key)).reduce(u64::saturating_add)
    })
}

fn us(ns: u64) -> u64 {
    ns / 1000
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(files: &[(&str, &str)], version: Version) -> Usage {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let mut usage = Usage::default();
        for controller in crate::controller::ALL {
            if controller != Controller::CpuAcct || version == Version::V1 {
                add(&mut usage, directory.path(), controller, version);
            }
        }
        usage
    }

    #[test]
    fn v1_nanoseconds_become_microseconds() {
        let usage = read(
            &[
                ("memory.usage_in_bytes", "9000\n"),
                ("memory.max_usage_in_bytes", "10000\n"),
                ("memory.stat", "cache 1\nrss 2\ntotal_cache 3000\ntotal_rss 4000\ntotal_shmem 100\n"),
                ("memory.kmem.usage_in_bytes", "2000\n"),
                ("memory.failcnt", "5\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
                ("cpu.stat", "nr_periods 7\nnr_throttled 3\nthrottled_time 5000000\n"),
                ("cpuacct.usage", "12345678\n"),
                ("pids.current", "4\n"),
            ],
            Version::V1,
        );
        assert_eq!(
            usage,
            Usage {
                memory_bytes: Some(9000),
                memory_peak_bytes: Some(10_000),
                memory_anon_bytes: Some(4000),
                memory_file_bytes: Some(3000),
                memory_kernel_bytes: Some(2000),
                memory_held_bytes: Some(6100),
                memory_stall_us: None,
                memory_events: MemoryEvents { high: None, max: Some(5), oom_kill: Some(1) },
                cpu_usage_us: Some(12_345),
                nr_periods: Some(7),
                nr_throttled: Some(3),
                throttled_us: Some(5000),
                pids: Some(4),
            }
        );
    }

    #[test]
    fn v2_counts_the_kernel_s_part_on_old_kernels_too() {
        let files = [
            ("memory.current", "9000\n"),
            ("memory.events", "low 0\nhigh 2\nmax 3\noom 4\noom_kill 1\n"),
            ("cpu.stat", "usage_usec 77\nuser_usec 1\nnr_throttled 2\nthrottled_usec 9\n"),
        ];
        let old = [&files[..], &[("memory.stat", "anon 10\nfile 20\nkernel_stack 1\npercpu 2\nslab 4\n")]];
        let old = read(&old.concat(), Version::V2);
        assert_eq!((old.memory_anon_bytes, old.memory_file_bytes), (Some(10), Some(20)));
        assert_eq!((old.memory_kernel_bytes, old.memory_peak_bytes), (Some(7), None));
        assert_eq!(old.memory_events, MemoryEvents { high: Some(2), max: Some(3), oom_kill: Some(1) });
        assert_eq!((old.cpu_usage_us, old.nr_throttled, old.throttled_us), (Some(77), Some(2), Some(9)));
        let new = read(
            &[
                ("memory.stat", "anon 10\nkernel 500\nkernel_stack 1\nshmem 7\nslab_reclaimable 300\n"),
                (
                    "memory.pressure",
                    "some avg10=1.00 avg60=0.00 avg300=0.00 total=4321\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
                ),
            ],
            Version::V2,
        );
        assert_eq!((new.memory_kernel_bytes, new.memory_held_bytes), (Some(500), Some(217)));
        assert_eq!((new.memory_stall_us, old.memory_stall_us), (Some(4321), None));
    }

    #[test]
    fn a_cgroup_that_is_gone_has_no_usage() {
        assert_eq!(read(&[], Version::V2), Usage::default());
    }
}
