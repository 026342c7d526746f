//! Limits, written to the kernel.
//!
//! A cgroup that is used again may have any limits. Each step leaves a state that the next is legal in: a burst must
//! not exceed its quota, and `memory.high` is lowered before the maximum.

use std::path::PathBuf;

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::memory::SetMemory;
use linnet_fleet::health::LimitValues;

use crate::controller::{self, Controller, Version};
use crate::group::{self, Group};
use crate::read_back;
use crate::refusal::Refusal;

/// Sets what `wanted` says of one controller. Whether it took is for reading back to say.
pub(crate) fn set(group: &Group, controller: Controller, wanted: &LimitValues) -> Result<(), Refusal> {
    match controller {
        Controller::Memory => memory(group, wanted),
        Controller::Pids => pids(group, wanted),
        Controller::Cpu => cpu(group, wanted),
        Controller::CpuAcct => Ok(()),
    }
}

fn memory(group: &Group, wanted: &LimitValues) -> Result<(), Refusal> {
    let handle = controller::memory(&group.directory, group.version);
    let refused = || Refusal::by_crate("set the memory limit of", &group.directory);
    match group.version {
        Version::V1 => match wanted.memory_max_bytes {
            Some(max) => handle.set_limit(signed(max)).map_err(refused()),
            None => Ok(()),
        },
        Version::V2 => {
            let value = |bytes: Option<u64>| bytes.map(|bytes| MaxValue::Value(signed(bytes)));
            let high = SetMemory { high: value(wanted.memory_high_bytes), ..SetMemory::default() };
            let high =
                handle.set_mem(high).map_err(Refusal::by_crate("set memory.high of", &group.directory));
            let max = SetMemory { max: value(wanted.memory_max_bytes), ..SetMemory::default() };
            handle.set_mem(max).map_err(refused()).and(high)
        }
    }
}

fn pids(group: &Group, wanted: &LimitValues) -> Result<(), Refusal> {
    let Some(max) = wanted.pids_max else { return Ok(()) };
    controller::pids(&group.directory, group.version)
        .set_pid_max(MaxValue::Value(signed(max)))
        .map_err(Refusal::by_crate("set the pids limit of", &group.directory))
}

fn cpu(group: &Group, wanted: &LimitValues) -> Result<(), Refusal> {
    let (Some(quota), Some(period)) = (wanted.cpu_quota_us, wanted.cpu_period_us) else { return Ok(()) };
    let burst = burst_file(group);
    if burst.exists() {
        let _ = group::write(&burst, "0");
    }
    let handle = controller::cpu(&group.directory, group.version);
    let refused = || Refusal::by_crate("set the cpu limit of", &group.directory);
    match group.version {
        Version::V1 => {
            // Unlimited for a moment, so that no mixture of old and new exceeds what the parent allows.
            handle.set_cfs_quota(-1).map_err(refused())?;
            handle.set_cfs_period(period).map_err(refused())?;
            handle.set_cfs_quota(signed(quota)).map_err(|error| over_parent(group, wanted, error))?;
        }
        Version::V2 => {
            handle.set_cfs_quota_and_period(Some(signed(quota)), Some(period)).map_err(refused())?;
        }
    }
    // A burst above the quota is refused. Kernels before 5.14 have none; reading back says so.
    if let Some(burst_us) = wanted.cpu_burst_us.filter(|_| burst.exists()) {
        group::write(&burst, &burst_us.to_string())
            .map_err(|error| Refusal::by_system("set", &burst, &error))?;
    }
    Ok(())
}

/// v1, unlike v2, refuses a share that is larger than its parent's.
fn over_parent(group: &Group, wanted: &LimitValues, error: cgroups_rs::fs::error::Error) -> Refusal {
    let above = read_back::effective(&group.parent, &group.mount, Controller::Cpu, group.version);
    if read_back::share(&above) < read_back::share(wanted) {
        return Refusal::over_parent(&group.directory, read_back::share(&above) / 1000);
    }
    Refusal::by_crate("set the cpu limit of", &group.directory)(error)
}

pub(crate) fn quota_file(group: &Group) -> PathBuf {
    group.directory.join(match group.version {
        Version::V1 => "cpu.cfs_quota_us",
        Version::V2 => "cpu.max",
    })
}

pub(crate) fn burst_file(group: &Group) -> PathBuf {
    group.directory.join(match group.version {
        Version::V1 => "cpu.cfs_burst_us",
        Version::V2 => "cpu.max.burst",
    })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
