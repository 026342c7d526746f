//! What the kernel says of a set of processes: who belongs to it, its processor time, its resident memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

/// A process id.
pub type Pid = u32;

/// The parts of `/proc/PID/stat` in use here; see proc_pid_stat(5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: Pid,
    /// User and system time of all threads, also of those that have ended, in clock ticks.
    cpu_ticks: u64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold spaces and brackets, so its end is the last bracket.
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        cpu_ticks: number(11)?.checked_add(number(12)?)?,
    })
}

fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn all() -> Result<BTreeMap<Pid, Stat>> {
    let entries = fs::read_dir("/proc").context("read /proc")?;
    // A process that ends between the two reads is simply not there.
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<Pid>().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect())
}

/// The process and all its descendants.
pub fn family(root: Pid) -> Result<Vec<Pid>> {
    let all = all()?;
    let mut family = BTreeSet::from([root]);
    loop {
        let found: Vec<Pid> = all
            .iter()
            .filter(|(pid, stat)| family.contains(&stat.parent) && !family.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if found.is_empty() {
            return Ok(family.into_iter().collect());
        }
        family.extend(found);
    }
}

/// A process of this name.
pub fn find(name: &str) -> Result<Option<Pid>> {
    Ok(all()?.into_iter().find(|(_, stat)| stat.name == name).map(|(pid, _)| pid))
}

/// Whether a process is gone, or dead and only not reaped yet.
pub fn has_ended(pid: Pid) -> bool {
    stat(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// The kernel thread of this name.
pub fn kernel_thread(name: &str) -> Result<Option<Pid>> {
    const KTHREADD: Pid = 2;
    Ok(all()?.into_iter().find(|(_, stat)| stat.parent == KTHREADD && stat.name == name).map(|(pid, _)| pid))
}

/// Processor time of these processes since they began, in nanoseconds. One that has ended counts nothing.
pub fn cpu_ns(pids: &[Pid]) -> u64 {
    let ticks: u64 = pids.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.cpu_ticks).sum();
    ticks * (1_000_000_000 / clock_ticks_per_second().max(1))
}

/// Resident memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// Now, in bytes.
    pub bytes: u64,
    /// The highest since the start, in bytes.
    pub peak_bytes: u64,
}

/// Resident memory of these processes, added up. The peaks are added too, though they need not coincide.
pub fn resident(pids: &[Pid]) -> Resident {
    pids.iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok())
        .map(|text| parse_resident(&text))
        .fold(Resident::default(), |sum, one| Resident {
            bytes: sum.bytes + one.bytes,
            peak_bytes: sum.peak_bytes + one.peak_bytes,
        })
}

fn parse_resident(status: &str) -> Resident {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    // A kernel thread has neither line.
    Resident { bytes: bytes("VmRSS:").unwrap_or(0), peak_bytes: bytes("VmHWM:").unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 9 0 0";
        assert_eq!(
            parse_stat(text),
            Some(Stat { name: "a) b (c)".to_owned(), state: 'S', parent: 3, cpu_ticks: 110 })
        );
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse_resident(status), Resident { bytes: 1 << 20, peak_bytes: 2 << 20 });
        assert_eq!(parse_resident("Name:\tkauditd\n"), Resident::default());
    }

    #[test]
    fn a_child_belongs_to_the_family() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(std::process::id()).unwrap();
        assert!(!has_ended(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(child.id()));
        assert!(family.contains(&child.id()) && family.contains(&std::process::id()));
    }

    proptest! {
        #[test]
        fn any_stat_text_is_read_without_a_panic(text: String) {
            parse_stat(&text);
        }
    }
}
