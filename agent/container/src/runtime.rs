//! The names of container runtimes.

use std::fmt;

/// What made a container's cgroup, as far as the path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker Engine, also the job containers of GitHub's hosted runners.
    Docker,
    /// A `RUN` step of BuildKit, inside Docker Engine or on its own.
    Buildkit,
    /// containerd, by the Kubernetes CRI plugin or by nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// LXC, LXD, Incus and Proxmox.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// Amazon ECS, on Fargate or where its agent made the cgroup.
    Ecs,
    /// Garden of Cloud Foundry.
    Garden,
    /// Certainly a container, but the path does not say whose. A bare id under `kubepods` is such a case: containerd
    /// and Docker write the same path there.
    Unknown,
}

impl Runtime {
    /// The name as events carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Buildkit => "buildkit",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
            Self::Ecs => "ecs",
            Self::Garden => "garden",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
