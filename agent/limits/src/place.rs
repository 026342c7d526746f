//! Where in a hierarchy the agent's cgroup belongs: decided from facts, without touching anything.
//!
//! The rules, and why, stand in the crate's documentation.

use std::path::Path;

use crate::hierarchy::Location;

/// The systemd unit that this process runs in, by the nearest service or scope above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its cgroup, `/system.slice/linnet-agent.service`.
    pub(crate) path: String,
    /// Whether systemd gave the subtree away (`Delegate=`).
    pub(crate) delegated: bool,
}

/// Why a cgroup lies where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// In a subtree that systemd delegated.
    Delegated,
    /// In a cgroup that somebody else put us into and that must not be left.
    Within,
    /// At the root of what this process sees of the hierarchy.
    Root,
}

/// The parent of the agent's cgroup in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) parent: String,
    pub(crate) why: Why,
}

impl Unit {
    /// The unit that `systemd`, the place in systemd's own hierarchy, lies in.
    ///
    /// systemd marks a delegated cgroup by an extended attribute: `trusted.delegate`, since 251 `user.delegate` too.
    pub(crate) fn find(systemd: &Location) -> Option<Self> {
        let path = unit_path(&systemd.own)?;
        let directory = systemd.directory(path);
        let delegated = ["trusted.delegate", "user.delegate"].iter().any(|name| is_set(&directory, name));
        Some(Self { path: path.to_owned(), delegated })
    }
}

fn is_set(directory: &Path, attribute: &str) -> bool {
    let mut value = [0; 8];
    matches!(rustix::fs::getxattr(directory, attribute, &mut value), Ok(1)) && value.first() == Some(&b'1')
}

/// The nearest of `path` and its parents that is a service or a scope. An outer unit does not count: what the user
/// manager was given is the user manager's.
fn unit_path(path: &str) -> Option<&str> {
    let mut path = path;
    loop {
        if path.ends_with(".service") || path.ends_with(".scope") {
            return Some(path);
        }
        path = path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())?;
    }
}

/// The process's cgroup without our own below it: an agent that replaced itself by exec, or that another agent's
/// child started, is in there already.
pub(crate) fn without_own<'p>(own: &'p str, name: &str) -> &'p str {
    match own.strip_suffix(name).and_then(|parent| parent.strip_suffix('/')) {
        Some("") => "/",
        Some(parent) => parent,
        None => own,
    }
}

/// Decides for one hierarchy. `own` is the process's cgroup there, [`without_own`]; `limited` says whether it or
/// anything above it has a limit.
pub(crate) fn decide(own: &str, unit: Option<&Unit>, limited: bool) -> Place {
    let at = |parent: &str, why| Place { parent: parent.to_owned(), why };
    match unit {
        Some(unit) if unit.delegated && is_below(own, &unit.path) => at(&unit.path, Why::Delegated),
        _ if own == "/" => at("/", Why::Root),
        _ if linnet_container::parse(own).is_some() => at(own, Why::Within),
        // An undelegated unit and the slices above it are systemd's, whatever limits are on them. On v1 a process can
        // be in its unit in one hierarchy and in somebody's own cgroup in another.
        Some(unit) if is_below(own, &unit.path) || is_below(&unit.path, own) => at("/", Why::Root),
        _ if limited => at(own, Why::Within),
        _ => at("/", Why::Root),
    }
}

/// Whether `path` is `above` or lies below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = "/docker/4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

    fn unit(path: &str, delegated: bool) -> Option<Unit> {
        Some(Unit { path: path.to_owned(), delegated })
    }

    #[test]
    fn every_situation_has_its_place() {
        let service = "/system.slice/linnet-agent.service";
        let session = "/user.slice/user-0.slice/session-3.scope";
        for (own, unit, limited, parent, why) in [
            (service, unit(service, true), false, service, Why::Delegated),
            (service, unit(service, true), true, service, Why::Delegated),
            // DelegateSubgroup= starts the process one level below.
            ("/system.slice/linnet-agent.service/main", unit(service, true), false, service, Why::Delegated),
            // On v1, a controller that the unit does not have.
            ("/", unit(service, true), false, "/", Why::Root),
            ("/system.slice", unit(service, true), false, "/", Why::Root),
            (service, unit(service, false), true, "/", Why::Root),
            (session, unit(session, false), false, "/", Why::Root),
            ("/system.slice", unit(service, false), true, "/", Why::Root),
            ("/jobs/7", unit(service, false), true, "/jobs/7", Why::Within),
            ("/", None, false, "/", Why::Root),
            ("/", None, true, "/", Why::Root),
            (DOCKER, None, false, DOCKER, Why::Within),
            (DOCKER, None, true, DOCKER, Why::Within),
            ("/jobs/7", None, true, "/jobs/7", Why::Within),
            ("/jobs/7", None, false, "/", Why::Root),
        ] {
            let place = decide(own, unit.as_ref(), limited);
            assert_eq!(place, Place { parent: parent.to_owned(), why }, "{own} {unit:?} {limited}");
        }
    }

    #[test]
    fn a_unit_of_a_similar_name_is_not_ours() {
        let place =
            decide("/system.slice/a.service-2", unit("/system.slice/a.service", true).as_ref(), false);
        assert_eq!(place.why, Why::Root);
    }

    #[test]
    fn the_nearest_unit_counts() {
        for (path, expected) in [
            ("/system.slice/x.service", Some("/system.slice/x.service")),
            ("/system.slice/x.service/main", Some("/system.slice/x.service")),
            (
                "/user.slice/user-0.slice/user@0.service/app.slice/run-1.scope",
                Some("/user.slice/user-0.slice/user@0.service/app.slice/run-1.scope"),
            ),
            ("/user.slice", None),
            ("/", None),
            ("", None),
            ("/docker/abc", None),
        ] {
            assert_eq!(unit_path(path), expected, "{path}");
        }
    }

    #[test]
    fn an_agent_that_is_inside_already_stays_there() {
        for (own, expected) in [
            ("/linnet", "/"),
            ("/a/linnet", "/a"),
            ("/a/b-linnet", "/a/b-linnet"),
            ("/linnet/x", "/linnet/x"),
            ("/", "/"),
        ] {
            assert_eq!(without_own(own, "linnet"), expected, "{own}");
        }
    }
}
