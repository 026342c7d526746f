//! What an executable's facts say. Pure.

use std::path::Path;

/// What is known of a process's executable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What `/proc/PID/exe` says, with the kernel's ` (deleted)`.
    pub(crate) link: Vec<u8>,
    /// Device and inode of what runs.
    pub(crate) runs: Option<(u64, u64)>,
    /// Names that lead to what runs.
    pub(crate) names: u64,
    /// Device and inode of what is at its path now, as its own root shows it.
    pub(crate) there: Option<(u64, u64)>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    InOrder,
    /// It runs from memory and never had a file.
    MemoryOnly,
    /// The file was deleted.
    Deleted,
    /// There is another file at its path now.
    Replaced,
    /// No package knows it.
    Unowned(Place),
}

/// What a path tells of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where programs are.
    Usual,
    /// Where everybody can write, or hidden.
    Suspicious,
}

/// What the kernel adds to the path of a deleted file.
pub(crate) const DELETED: &[u8] = b" (deleted)";

/// Judges an executable.
pub(crate) fn judge(facts: &Facts) -> Verdict {
    if facts.link.starts_with(b"/memfd:") {
        return Verdict::MemoryOnly;
    }
    match (facts.runs, facts.there) {
        // It ended, or is not ours to look at.
        (None, _) => Verdict::InOrder,
        (Some(runs), Some(there)) if runs == there => Verdict::InOrder,
        // Package managers put the new file in place of the old; the old one runs on without a name.
        (Some(_), Some(_)) => Verdict::Replaced,
        // A file that has a name left was moved, or is out of sight in another mount.
        (Some(_), None) if facts.names > 0 => Verdict::InOrder,
        (Some(_), None) => Verdict::Deleted,
    }
}

impl Place {
    /// What a path tells.
    pub(crate) fn of(path: &Path) -> Self {
        let open = ["/tmp", "/var/tmp", "/dev", "/run/user", "/run/lock"];
        let hidden = path.components().any(|part| {
            let name = part.as_os_str().as_encoded_bytes();
            name.starts_with(b".") && name != b"." && name != b".."
        });
        if hidden || open.iter().any(|directory| path.starts_with(directory)) {
            Self::Suspicious
        } else {
            Self::Usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(link: &str, runs: Option<u64>, names: u64, there: Option<u64>) -> Facts {
        Facts {
            link: link.into(),
            runs: runs.map(|inode| (1, inode)),
            names,
            there: there.map(|inode| (1, inode)),
        }
    }

    #[test]
    fn each_case_has_its_verdict() {
        for (given, verdict) in [
            (facts("/bin/a", Some(7), 1, Some(7)), Verdict::InOrder),
            (facts("/bin/a", Some(7), 1, Some(8)), Verdict::Replaced),
            (facts("/bin/a (deleted)", Some(7), 0, Some(8)), Verdict::Replaced),
            (facts("/bin/a (deleted)", Some(7), 0, None), Verdict::Deleted),
            (facts("/bin/a", Some(7), 1, None), Verdict::InOrder),
            (facts("/bin/a", None, 0, None), Verdict::InOrder),
            (facts("/memfd:x (deleted)", Some(7), 0, None), Verdict::MemoryOnly),
        ] {
            assert_eq!(judge(&given), verdict, "{given:?}");
        }
    }

    #[test]
    fn open_and_hidden_directories_are_suspicious() {
        for (path, place) in [
            ("/usr/bin/ls", Place::Usual),
            ("/opt/app/bin/x", Place::Usual),
            ("/tmp/x", Place::Suspicious),
            ("/dev/shm/x", Place::Suspicious),
            ("/home/a/.cache/x", Place::Suspicious),
            ("/tmpfiles/x", Place::Usual),
        ] {
            assert_eq!(Place::of(Path::new(path)), place, "{path}");
        }
    }
}
