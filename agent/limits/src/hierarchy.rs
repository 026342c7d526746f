//! Where the cgroup hierarchies are mounted, and where in them this process is: /proc/self/mountinfo and
//! /proc/self/cgroup, read together.
//!
//! A mount need not show a hierarchy's root (Docker without cgroup namespaces mounts the container's part), so a
//! directory is found by taking the mount's root off the process's path.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use linnet_fleet::health::LimitMode;

use crate::LimitsError;
use crate::controller::{Controller, REQUIRED, Version};

/// A host with thousands of containers has a mountinfo of some hundred kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// The mounted hierarchies and this process's place in each.
#[derive(Debug, Default)]
pub(crate) struct Hierarchies {
    mounts: Vec<Mount>,
    memberships: Vec<Membership>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    root: String,
    version: Version,
    /// The controllers, or `name=…`, among other options.
    options: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Membership {
    /// Empty for v2.
    controllers: Vec<String>,
    path: String,
}

/// A hierarchy that this process sees, and its cgroup in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) version: Version,
    pub(crate) mount: PathBuf,
    /// The process's cgroup below the mount, with a leading slash.
    pub(crate) own: String,
}

impl Location {
    /// The directory of a cgroup of this hierarchy.
    pub(crate) fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }
}

impl Hierarchies {
    pub(crate) fn read() -> Result<Self, LimitsError> {
        let text = |path: &str| {
            bounded(Path::new(path)).map_err(|source| LimitsError::Proc { path: path.into(), source })
        };
        Ok(Self::parse(&text("/proc/self/mountinfo")?, &text("/proc/self/cgroup")?))
    }

    /// Lines that are none are passed over.
    pub(crate) fn parse(mountinfo: &str, cgroup: &str) -> Self {
        Self {
            mounts: mountinfo.lines().filter_map(Mount::parse).collect(),
            memberships: cgroup.lines().filter_map(Membership::parse).collect(),
        }
    }

    /// The hierarchy that has `controller`: v1 where the kernel has it there, else v2. `None` where it is not
    /// mounted, or mounted so that our own cgroup is out of sight.
    pub(crate) fn locate(&self, controller: Controller) -> Option<Location> {
        let name = controller.name();
        if self.is_on_v1(name) { self.v1(name) } else { self.v2() }
    }

    /// systemd's own hierarchy: v2, or v1's named one.
    pub(crate) fn systemd(&self) -> Option<Location> {
        self.v2().filter(|v2| v2.own != "/").or_else(|| self.v1("name=systemd"))
    }

    /// Which kinds of hierarchy hold the required controllers.
    pub(crate) fn mode(&self) -> LimitMode {
        let v1 = REQUIRED.iter().any(|controller| self.is_on_v1(controller.name()));
        let v2 = self.mounts.iter().any(|mount| mount.version == Version::V2);
        match (v1, v2) {
            (true, true) => LimitMode::Hybrid,
            (true, false) => LimitMode::V1,
            (false, true) => LimitMode::V2,
            (false, false) => LimitMode::None,
        }
    }

    fn is_on_v1(&self, name: &str) -> bool {
        self.memberships.iter().any(|m| m.has(name))
    }

    fn v1(&self, name: &str) -> Option<Location> {
        let path = &self.memberships.iter().find(|m| m.has(name))?.path;
        let has_it = |mount: &&Mount| mount.version == Version::V1 && mount.options.iter().any(|o| o == name);
        self.mounts.iter().filter(has_it).find_map(|mount| mount.location(path))
    }

    fn v2(&self) -> Option<Location> {
        let path = &self.memberships.iter().find(|m| m.controllers.is_empty())?.path;
        self.mounts.iter().filter(|m| m.version == Version::V2).find_map(|mount| mount.location(path))
    }
}

impl Mount {
    /// A line of mountinfo (proc_pid_mountinfo(5)) that is of a cgroup file system.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let version = match fields.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let options = fields.nth(1).unwrap_or_default().split(',').map(str::to_owned).collect();
        Some(Self { point: PathBuf::from(unescaped(point)), root: unescaped(root), version, options })
    }

    /// `None` where the mount does not show `path`.
    fn location(&self, path: &str) -> Option<Location> {
        // A path outside of the cgroup namespace begins with /.. and cannot be walked to.
        if path.split('/').any(|component| component == "..") {
            return None;
        }
        let below = match self.root.as_str() {
            "/" => path,
            root => path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?,
        };
        let own = if below.is_empty() { "/" } else { below };
        Some(Location { version: self.version, mount: self.point.clone(), own: own.to_owned() })
    }
}

impl Membership {
    /// `<id>:<controllers>:<path>`; the path may have colons.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let controllers = controllers.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
        path.starts_with('/').then(|| Self { controllers, path: path.to_owned() })
    }

    fn has(&self, name: &str) -> bool {
        self.controllers.iter().any(|c| c == name)
    }
}

/// The kernel writes space, tab, line feed and backslash as a backslash and three octal digits.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                text.push(char::from(code));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
