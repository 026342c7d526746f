//! What the kernel refused, and what an operator can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::controller::Controller;
use crate::place::Why;

/// A step that was refused, in words for the operator.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Refusal {
    /// The system refused `step` on `path`.
    pub(crate) fn by_system(step: &str, path: &Path, error: &io::Error) -> Self {
        Self { message: format!("{step} {}: {error}{}", path.display(), advice(error)) }
    }

    /// As [`Refusal::by_system`], for an error that `cgroups-rs` wraps.
    pub(crate) fn by_crate(step: &str, path: &Path) -> impl FnOnce(cgroups_rs::fs::error::Error) -> Self {
        let (step, path): (String, PathBuf) = (step.to_owned(), path.to_owned());
        move |error| match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(cause) => Self::by_system(&step, &path, cause),
            None => Self { message: format!("{step} {}: {error}", path.display()) },
        }
    }

    /// `parent` does not have the controllers to give.
    pub(crate) fn not_offered(controllers: &[Controller], parent: &Path, why: Why) -> Self {
        let advice = match why {
            Why::Delegated => "add them to Delegate= of the unit",
            Why::Within => "have whoever made this cgroup enable them for it",
            Why::Root => {
                "the kernel lacks them, was booted with cgroup_disable=, or has them on a v1 hierarchy that is not \
                 mounted"
            }
        };
        let names = names(controllers);
        Self { message: format!("controllers not offered in {}: {names}: {advice}", parent.display()) }
    }

    /// The controllers could not be enabled for the children of `parent`, which has the processes `neighbours`.
    pub(crate) fn enabling(
        controllers: &[Controller],
        parent: &Path,
        neighbours: &str,
        error: &io::Error,
    ) -> Self {
        let step = format!("enable {} for children of", names(controllers));
        if is(error, Errno::BUSY) && !neighbours.trim().is_empty() {
            const SHOWN: usize = 5;
            let pids: Vec<_> = neighbours.split_whitespace().collect();
            let shown = pids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(" ");
            let more = if pids.len() > SHOWN { " …" } else { "" };
            return Self {
                message: format!(
                    "{step} {}: other processes are in it (pid {shown}{more}), which v2 does not allow: start the \
                     agent as the only process of a unit with Delegate=, or of its container",
                    parent.display()
                ),
            };
        }
        Self::by_system(&step, parent, error)
    }

    /// A cgroup above `directory` allows only `permille` thousandths of a core.
    pub(crate) fn over_parent(directory: &Path, permille: u128) -> Self {
        Self {
            message: format!(
                "set the cpu limit of {}: a cgroup above allows no more than {permille}/1000 of a core: ask for at \
                 most that",
                directory.display()
            ),
        }
    }

    /// The hierarchies of these controllers are not to be found.
    pub(crate) fn not_mounted(controllers: &[Controller]) -> Self {
        Self {
            message: format!(
                "no cgroup hierarchy with {} is mounted where this process can reach its own cgroup: mount the \
                 host's /sys/fs/cgroup, or limit the container or unit from outside",
                names(controllers)
            ),
        }
    }
}

fn names(controllers: &[Controller]) -> String {
    controllers.iter().map(|c| c.name()).collect::<Vec<_>>().join(", ")
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            ": it is read-only here, as in most containers: mount /sys/fs/cgroup writable, or limit the container \
             from outside"
        }
        io::ErrorKind::PermissionDenied => {
            ": run as root of the host, or let the unit or container delegate this cgroup"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": a cgroup above allows no more cgroups (cgroup.max.descendants): raise it"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_where_why_and_what_to_do() {
        let path = Path::new("/sys/fs/cgroup/linnet");
        for (errno, words) in [
            (Errno::ROFS, "limit the container from outside"),
            (Errno::ACCESS, "run as root"),
            (Errno::PERM, "run as root"),
            (Errno::INVAL, "move into /sys/fs/cgroup/linnet: Invalid argument"),
        ] {
            let text = Refusal::by_system("move into", path, &errno.into()).to_string();
            assert!(text.starts_with("move into /sys/fs/cgroup/linnet: "), "{text}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn neighbours_that_forbid_controllers_are_named() {
        let busy = || io::Error::from(Errno::BUSY);
        let parent = Path::new("/sys/fs/cgroup/x");
        let text =
            Refusal::enabling(&[Controller::Memory, Controller::Cpu], parent, "1\n2\n3\n4\n5\n6\n", &busy())
                .to_string();
        assert!(text.contains("enable memory, cpu for children of /sys/fs/cgroup/x"), "{text}");
        assert!(text.contains("(pid 1 2 3 4 5 …)"), "{text}");
        assert!(!Refusal::enabling(&[Controller::Cpu], parent, "", &busy()).to_string().contains("pid"));
    }

    #[test]
    fn a_controller_that_is_not_offered_is_asked_for_where_it_can_be() {
        let parent = Path::new("/sys/fs/cgroup");
        for (why, words) in
            [(Why::Delegated, "Delegate="), (Why::Within, "whoever made"), (Why::Root, "cgroup_disable=")]
        {
            let text = Refusal::not_offered(&[Controller::Pids], parent, why).to_string();
            assert!(text.contains(words), "{text}");
        }
    }
}
