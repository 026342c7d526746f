//! What one component of a cgroup path says, with no more than its immediate parent for context.
//!
//! Sources of the forms: the runtimes' own code (runc and crun `<slice>:<prefix>:<name>`, moby's cgroup parent,
//! CRI-O's and Podman's scope names, LXC's `lxc.payload.%n` pattern) and the matchers of Tracee, Falco and Datadog.

use crate::{Runtime, pod};

/// What a component turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'p> {
    /// A container. The runtime is `None` where only components further up can tell it.
    Container { id: &'p str, runtime: Option<Runtime> },
    /// A runtime's helper, which runs outside of the container that its parent component may name.
    HostHelper,
    /// Nothing of ours: look at the parent.
    Nothing,
}

/// The components of a path from the leaf to the root; empty ones (doubled slashes) are passed over.
#[derive(Clone, Copy)]
pub(crate) struct Parents<'p> {
    rest: &'p str,
}

impl<'p> Parents<'p> {
    pub(crate) fn of(path: &'p str) -> Self {
        Self { rest: path }
    }

    /// The next component without moving on.
    pub(crate) fn peek(mut self) -> Option<&'p str> {
        self.next()
    }
}

impl<'p> Iterator for Parents<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let path = self.rest.trim_end_matches('/');
        let (rest, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }
}

/// Decides what `name`, whose parent is `parent`, is. A component's own form is always tried before its parent's, so
/// that putting parents above a path cannot change what it was.
pub(crate) fn classify<'p>(name: &'p str, parent: Option<&'p str>) -> Found<'p> {
    match by_own_form(name) {
        Found::Nothing => parent.map_or(Found::Nothing, |parent| by_parent(name, parent)),
        found => found,
    }
}

fn by_own_form(name: &str) -> Found<'_> {
    if is_full_id(name) {
        return Found::Container { id: name, runtime: None };
    }
    if let Some(id) = name.strip_prefix("lxc.payload.").filter(|id| !id.is_empty()) {
        return Found::Container { id, runtime: Some(Runtime::Lxc) };
    }
    if is_ecs_id(name) {
        return Found::Container { id: name, runtime: Some(Runtime::Ecs) };
    }
    if pod::has_groups(name, &[8, 4, 4, 4, 4]) {
        return Found::Container { id: name, runtime: Some(Runtime::Garden) };
    }
    prefixed(name)
}

/// `<prefix>-<id>`, `<prefix>-<id>.scope`, and runc's `<slice>:<prefix>:<id>`, which becomes a directory's name when
/// a systemd-style path meets the cgroupfs driver.
fn prefixed(name: &str) -> Found<'_> {
    let colon_form = name.split_once(':').and_then(|(_, rest)| rest.split_once(':'));
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let Some((prefix, id)) = colon_form.or_else(|| stem.rsplit_once('-')) else {
        return Found::Nothing;
    };
    let runtime = match prefix {
        // BuildKit inside Docker Engine names its steps' scopes like containers, with its own ids.
        "docker" if is_buildkit_id(id) => return Found::Container { id, runtime: Some(Runtime::Buildkit) },
        "docker" => Some(Runtime::Docker),
        "cri-containerd" | "nerdctl" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        "libpod" | "libpod-payload" => Some(Runtime::Podman),
        "crio-conmon" | "libpod-conmon" => return Found::Nothing,
        _ => None,
    };
    if is_full_id(id) { Found::Container { id, runtime } } else { Found::Nothing }
}

fn by_parent<'p>(name: &'p str, parent: &'p str) -> Found<'p> {
    match parent {
        "lxc" if is_lxc_name(name) => Found::Container { id: name, runtime: Some(Runtime::Lxc) },
        "garden" if pod::is_uuid(name) => Found::Container { id: name, runtime: Some(Runtime::Garden) },
        "buildkit" if is_buildkit_id(name) => Found::Container { id: name, runtime: Some(Runtime::Buildkit) },
        // Podman's cgroupfs driver puts a pod's conmon into <pod id>/conmon.
        _ if name == "conmon" && is_full_id(parent) => Found::HostHelper,
        _ => nspawn(name, parent),
    }
}

/// nspawn keeps its own supervisor beside the `payload` cgroup. A service unit belongs to one machine alone, so
/// anything else below it is the machine's too (v1 has no `payload`); a scope registered by machined may as well be a
/// virtual machine, so there only `payload` counts.
fn nspawn<'p>(name: &str, parent: &'p str) -> Found<'p> {
    let service = parent.strip_prefix("systemd-nspawn@").and_then(|p| p.strip_suffix(".service"));
    let scope = parent.strip_prefix("machine-").and_then(|p| p.strip_suffix(".scope"));
    match (service, scope) {
        (Some(id), _) if !id.is_empty() && name != "supervisor" => {
            Found::Container { id, runtime: Some(Runtime::Nspawn) }
        }
        (_, Some(id)) if !id.is_empty() && name == "payload" => {
            Found::Container { id, runtime: Some(Runtime::Nspawn) }
        }
        _ => Found::Nothing,
    }
}

/// The runtime of a container whose component is nothing but its id.
pub(crate) fn runtime_above(mut parents: Parents<'_>) -> Runtime {
    let parent = parents.next().unwrap_or_default();
    match parent {
        "docker" | "actions_job" => Runtime::Docker,
        // containerd's cgroupfs parents are its namespaces: nerdctl's default, and the kubelet's without a pod.
        "default" | "k8s.io" => Runtime::Containerd,
        "libpod_parent" => Runtime::Podman,
        "ecs" => Runtime::Ecs,
        "garden" => Runtime::Garden,
        // /ecs/<task>/<id>, before 2018 /ecs/<cluster>/<task>/<id>.
        _ if parents.take(2).any(|above| above == "ecs") => Runtime::Ecs,
        _ => Runtime::Unknown,
    }
}

/// 64 hexadecimal digits, the form that nearly all runtimes share.
fn is_full_id(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// 25 digits in base 36.
fn is_buildkit_id(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// LXC takes nearly any name, but `lxc.monitor.<name>` is its supervisor, and units are systemd's.
fn is_lxc_name(text: &str) -> bool {
    let unit = [".scope", ".slice", ".service"].iter().any(|suffix| text.ends_with(suffix));
    !unit && !text.starts_with("lxc.")
}

/// Fargate: `<task, 32 hexadecimal digits>-<decimal digits>`.
fn is_ecs_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, serial)| {
        task.len() == 32
            && is_lower_hex(task)
            && !serial.is_empty()
            && serial.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether `text` has nothing but lower-case hexadecimal digits.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
