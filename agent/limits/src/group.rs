//! The agent's cgroup in one hierarchy: made, entered, left.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups_rs::CgroupPid;

use crate::controller::{self, Controller, Version};
use crate::hierarchy::Hierarchies;
use crate::place::{self, Place, Unit, Why};
use crate::refusal::Refusal;
use crate::{LimitsError, read_back, value};

/// The agent's cgroup in one hierarchy, with the controllers that live there.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) version: Version,
    pub(crate) mount: PathBuf,
    /// The cgroup below the mount, `/linnet`.
    pub(crate) path: String,
    pub(crate) directory: PathBuf,
    pub(crate) parent: PathBuf,
    /// Where the process was before.
    pub(crate) original: PathBuf,
    pub(crate) why: Why,
    pub(crate) controllers: Vec<Controller>,
    /// Whether this process got in, and so has to leave.
    pub(crate) entered: bool,
}

/// The groups to make, one a hierarchy, and the controllers that no hierarchy has.
pub(crate) fn plan(
    hierarchies: &Hierarchies,
    unit: Option<&Unit>,
    name: &str,
) -> (Vec<Group>, Vec<Controller>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut missing = Vec::new();
    for controller in controller::ALL {
        let Some(location) = hierarchies.locate(controller) else {
            missing.push(controller);
            continue;
        };
        if controller == Controller::CpuAcct && location.version == Version::V2 {
            continue;
        }
        if let Some(group) = groups.iter_mut().find(|group| group.mount == location.mount) {
            group.controllers.push(controller);
            continue;
        }
        let own = place::without_own(&location.own, name);
        let original = location.directory(own);
        let limited = read_back::is_limited(&original, &location.mount, location.version);
        let Place { parent, why } = place::decide(own, unit, limited);
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        groups.push(Group {
            version: location.version,
            directory: location.directory(&path),
            parent: location.directory(&parent),
            mount: location.mount,
            path,
            original,
            why,
            controllers: vec![controller],
            entered: false,
        });
    }
    (groups, missing)
}

impl Group {
    /// The hierarchy's name in reports: `unified`, or the controllers of a v1 hierarchy.
    pub(crate) fn hierarchy(&self) -> String {
        match self.version {
            Version::V2 => "unified".to_owned(),
            Version::V1 => self.controllers.iter().map(|c| c.name()).collect::<Vec<_>>().join(","),
        }
    }

    /// Makes the cgroup and moves this process in. One that a killed run left is made anew, for the sake of its
    /// counters, or used as it is where something still runs in it.
    pub(crate) fn enter(&mut self) -> Result<(), Refusal> {
        let _ = fs::remove_dir(&self.directory);
        let Some(controller) = self.controllers.first() else { return Ok(()) };
        let handle = controller.handle(&self.directory, self.version);
        handle.create().map_err(Refusal::by_crate("make", &self.directory))?;
        self.attach()?;
        self.entered = true;
        Ok(())
    }

    /// The cgroups `<parent>/<family>` and `<parent>/<family>/<name>` of this hierarchy, for other processes than this one.
    pub(crate) fn beside(&self, family: &str, name: &str) -> (Self, Self) {
        let below = |parent: &Path, path: &str, name: &str| Self {
            directory: parent.join(name),
            parent: parent.to_owned(),
            path: format!("{path}/{name}"),
            entered: false,
            ..self.clone()
        };
        let above = self.path.rsplit_once('/').map_or("", |(above, _)| above);
        let inner = below(&self.parent, above, family);
        let leaf = below(&inner.directory, &inner.path, name);
        (inner, leaf)
    }

    /// Makes the cgroup where it is not there.
    pub(crate) fn make(&self) -> Result<(), Refusal> {
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Refusal::by_system("make", &self.directory, &error))
            }
            _ => Ok(()),
        }
    }

    /// Moves this process into the cgroup, which exists.
    pub(crate) fn attach(&self) -> Result<(), Refusal> {
        let Some(controller) = self.controllers.first() else { return Ok(()) };
        let pid = CgroupPid::from(u64::from(std::process::id()));
        let handle = controller.handle(&self.directory, self.version);
        handle.add_task_by_tgid(&pid).map_err(Refusal::by_crate("move into", &self.directory))
    }

    /// Lets the parent's children use the controllers; v2 only. After [`Group::enter`], because a v2 cgroup other
    /// than the root that has processes of its own may not give controllers to its children. What comes back are the
    /// controllers that could not be enabled, and why.
    pub(crate) fn enable(&self) -> Vec<(Vec<Controller>, Refusal)> {
        if self.version == Version::V1 {
            return Vec::new();
        }
        let list = |file: &str| value::text(&self.parent.join(file)).unwrap_or_default();
        let (offered, enabled) = (list("cgroup.controllers"), list("cgroup.subtree_control"));
        let is_in = |list: &str, c: Controller| list.split_whitespace().any(|name| name == c.name());

        let mut refusals = Vec::new();
        let wanted = self.controllers.iter().copied().filter(|c| !is_in(&enabled, *c));
        let (wanted, missing): (Vec<_>, Vec<_>) = wanted.partition(|c| is_in(&offered, *c));
        if !missing.is_empty() {
            let refusal = Refusal::not_offered(&missing, &self.parent, self.why);
            refusals.push((missing, refusal));
        }
        // One at a time: the kernel takes a line of several whole or not at all.
        let path = self.parent.join("cgroup.subtree_control");
        let mut refused = Vec::new();
        let mut reason = None;
        for controller in wanted {
            if let Err(error) = write(&path, &format!("+{}", controller.name())) {
                refused.push(controller);
                reason = Some(error);
            }
        }
        if let Some(error) = reason {
            let refusal = Refusal::enabling(&refused, &self.parent, &list("cgroup.procs"), &error);
            refusals.push((refused, refusal));
        }
        refusals
    }

    /// Moves this process back to where it came from, or to the root where that is gone, and removes the cgroup. In
    /// a delegated unit nothing is done: on v2 the unit's own cgroup may hold no processes any more, and systemd
    /// removes the whole subtree with the unit.
    pub(crate) fn leave(&self) -> Result<(), LimitsError> {
        if self.why == Why::Delegated || !self.entered {
            return Ok(());
        }
        let pid = std::process::id().to_string();
        write(&self.original.join("cgroup.procs"), &pid)
            .or_else(|_| write(&self.mount.join("cgroup.procs"), &pid))
            .map_err(|source| LimitsError::MoveBack { path: self.original.clone(), source })?;
        remove(&self.directory)
    }
}

/// Processes that just ended can keep a cgroup busy for a moment.
fn remove(directory: &Path) -> Result<(), LimitsError> {
    const TRIES: u32 = 5;
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tries = 1;
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            Err(source) => return Err(LimitsError::Remove { path: directory.to_owned(), source }),
        }
    }
}

/// Writes to a cgroup file that exists. Making one is never right: cgroup file systems refuse it with "permission
/// denied", which would be misleading.
pub(crate) fn write(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}
