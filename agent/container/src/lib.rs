//! Container and pod identity from a cgroup path.
//!
//! The kernel side reports the path of each process's cgroup. Every container runtime writes the container's id
//! into that path, so [`parse`] needs no runtime socket, no file and no clock: it is a pure function of the path.
//!
//! Invariants, each held by a property test:
//! - the id is a slice of the path that was given, whole and unchanged;
//! - it comes from the component nearest to the leaf, so of nested containers the innermost wins;
//! - more parents above the path never change the id, and neither does a path whose top was cut off, because no
//!   component needs more than its own name and its immediate parent's to be recognised. Only the runtime and the
//!   pod are looked for further up;
//! - cgroups made inside a container (systemd's `init.scope`, `system.slice/x.service`) keep its id.
//!
//! It must not guess. A false container is worse than none: names that a host's own services use are not taken, and
//! a path that does not say which runtime wrote it gives [`Runtime::Unknown`]. Left out on purpose: virtual machines
//! (`machine-qemu…`), runtimes whose ids are arbitrary names under an arbitrary parent (`ctr run`, bare runc and
//! crun, Nomad), and the runtimes' own helpers on the host (conmon, LXC's monitor, nspawn's supervisor).
#![forbid(unsafe_code)]

mod component;
mod pod;
mod runtime;

pub use pod::PodUid;
pub use runtime::Runtime;

use component::{Found, Parents};

/// A container, as a cgroup path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Container<'p> {
    /// The whole id in the runtime's own form: 64 hexadecimal digits for most, the container's name for LXC and
    /// systemd-nspawn (the latter with systemd's escapes, such as `\x2d`, as they stand in the path).
    pub id: &'p str,
    /// The runtime that made the cgroup.
    pub runtime: Runtime,
    /// The Kubernetes pod that the container runs in: the one nearest above it in the path.
    pub pod_uid: Option<PodUid>,
}

/// What the kernel appends in /proc/PID/cgroup to the path of a cgroup that was removed under a zombie.
const DELETED_SUFFIX: &str = " (deleted)";

/// The innermost container that `cgroup_path` lies in, or `None` for a process of the host itself.
///
/// The path may be of cgroup v1 or v2, with or without the leading slash, and may be cut at the top.
#[must_use]
pub fn parse(cgroup_path: &str) -> Option<Container<'_>> {
    let path = cgroup_path.strip_suffix(DELETED_SUFFIX).unwrap_or(cgroup_path);
    let mut parents = Parents::of(path);
    while let Some(name) = parents.next() {
        match component::classify(name, parents.peek()) {
            Found::Container { id, runtime } => {
                let runtime = runtime.unwrap_or_else(|| component::runtime_above(parents));
                return Some(Container { id, runtime, pod_uid: pod::find(name, parents) });
            }
            Found::HostHelper => {
                parents.next();
            }
            Found::Nothing => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
