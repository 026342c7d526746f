//! The controllers that limit the agent, and their handles in `cgroups-rs`.

use std::path::{Path, PathBuf};

use cgroups_rs::fs::Controller as Handle;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;

/// A cgroup controller that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Pids,
    Cpu,
    /// v1's accounting of processor time, a controller of its own there. It limits nothing.
    CpuAcct,
}

/// Memory first: what is charged from then on counts.
pub(crate) const ALL: [Controller; 4] =
    [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::CpuAcct];

/// Those without which the limits are not enforced.
pub(crate) const REQUIRED: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

/// The two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Controller {
    /// The name that the kernel gives it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
        }
    }

    /// The handle of this controller for one cgroup.
    pub(crate) fn handle(self, directory: &Path, version: Version) -> Box<dyn Handle> {
        let path = directory.to_owned();
        match self {
            Self::Memory => Box::new(memory(directory, version)),
            Self::Pids => Box::new(pids(directory, version)),
            Self::Cpu => Box::new(cpu(directory, version)),
            Self::CpuAcct => Box::new(CpuAcctController::new(path, PathBuf::new())),
        }
    }
}

pub(crate) fn memory(directory: &Path, version: Version) -> MemController {
    MemController::new(directory.to_owned(), PathBuf::new(), version == Version::V2)
}

pub(crate) fn pids(directory: &Path, version: Version) -> PidController {
    PidController::new(directory.to_owned(), PathBuf::new(), version == Version::V2)
}

pub(crate) fn cpu(directory: &Path, version: Version) -> CpuController {
    CpuController::new(directory.to_owned(), PathBuf::new(), version == Version::V2)
}
