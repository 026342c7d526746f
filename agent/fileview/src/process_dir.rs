//! A process by its `/proc` directory, safe under reuse of the pid.
//!
//! Invariant: the directory's descriptor belongs to one process for ever; when that has ended, every access fails with
//! ESRCH, also when another process has got the number.

use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::found_file::FoundFile;
use crate::small_file::read_small_at;

/// `/proc/PID`, held open.
#[derive(Debug)]
pub(crate) struct ProcessDir {
    dir: OwnedFd,
}

impl ProcessDir {
    /// The process with this pid, if it is the one that started then (0: any).
    pub(crate) fn open(pid: u32, start_ticks: u64) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())?;
        let process = Self { dir };
        if start_ticks != 0 && process.start_ticks()? != start_ticks {
            return Err(Errno::SRCH);
        }
        Ok(process)
    }

    /// The file that the process runs.
    pub(crate) fn exe(&self) -> Result<FoundFile, Errno> {
        FoundFile::behind_magic_link(&self.dir, "exe")
    }

    /// The root directory of the process, held without being opened.
    pub(crate) fn root(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, "root", flags, Mode::empty())
    }

    /// Whether the process has been reaped. Touches nothing but procfs.
    pub(crate) fn has_ended(&self) -> bool {
        rustix::fs::accessat(&self.dir, "stat", Access::EXISTS, AtFlags::empty()).is_err()
    }

    fn start_ticks(&self) -> Result<u64, Errno> {
        let stat = read_small_at(&self.dir, "stat", 4096)?;
        start_ticks_of(&stat).ok_or(Errno::SRCH)
    }
}

/// Field 22 of `/proc/PID/stat`. The command's name (field 2) may contain blanks and brackets: fields are counted
/// behind the last `)`.
pub(crate) fn start_ticks_of(stat: &[u8]) -> Option<u64> {
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let behind = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    behind.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21";
        for name in ["sh", "a b", ") S 1", "((", ""] {
            assert_eq!(start_ticks_of(format!("42 ({name}) {tail}").as_bytes()), Some(987_654), "{name}");
        }
        assert_eq!(start_ticks_of(b"42 (sh S 1 2"), None);
        assert_eq!(start_ticks_of(b"42 (sh) S 1 2"), None);
        assert_eq!(start_ticks_of(b""), None);
    }

    #[test]
    fn other_start_time_is_another_process() {
        let own = std::process::id();
        let ticks = start_ticks_of(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        assert!(ProcessDir::open(own, ticks).unwrap().exe().is_ok());
        assert!(ProcessDir::open(own, 0).is_ok());
        assert_eq!(ProcessDir::open(own, ticks + 1).unwrap_err(), Errno::SRCH);
    }

    #[test]
    fn directory_of_an_ended_process_leads_nowhere() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessDir::open(child.id(), 0).unwrap();
        assert!(!process.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
        assert!(process.exe().is_err());
    }
}
