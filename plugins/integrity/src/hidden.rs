//! Processes that somebody hides: `/proc` is held against what else the kernel tells.
//!
//! - A pid that answers when it is asked for, and that `/proc` does not list: the listing is filtered, as kernel-mode
//!   rootkits do.
//! - A pid that a cgroup has and `/proc` does not list: the same, seen from another side.
//! - A mount on `/proc/PID`: the trick that needs no module.
//!
//! Processes come and go while this looks, so only what holds at a second look, with the same start, is a finding.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use linnet_plugin::processes;
use linnet_plugin::{Severity, Stop, Turn};
use serde_json::json;

use crate::Integrity;
use crate::finding::{Finding, data};

/// Pids that are asked for one by one; above that only cgroups are compared.
const MAX_PROBED: u32 = 1 << 20;
/// Cgroups that are read.
const MAX_CGROUPS: usize = 20_000;

pub(crate) fn look(turn: &mut Turn<'_, Integrity>, findings: &mut Vec<Finding>) -> Result<(), Stop> {
    let proc = Path::new("/proc");
    for pid in masked(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) {
        findings.push(Finding {
            uid: format!("integrity:masked_process:{pid}"),
            severity: Severity::High,
            title: format!("process {pid} is hidden by a mount on /proc/{pid}"),
            kind: "hidden_process",
            attack: Some([("TA0005", "Defense Evasion"), ("T1564.013", "Bind Mounts")]),
            evidence: data(json!({ "pid": pid, "how": "mount" })),
            container: None,
        });
    }
    let before: BTreeSet<u32> = processes::listed(proc).into_iter().collect();
    let mut suspects: BTreeSet<(u32, &'static str)> = BTreeSet::new();
    let most = last_pid().max(before.last().copied().unwrap_or(0)).min(MAX_PROBED);
    for pid in 1..=most {
        if pid.is_multiple_of(16) {
            turn.pace()?;
        }
        if !before.contains(&pid) && proc.join(pid.to_string()).join("stat").exists() {
            suspects.insert((pid, "probe"));
        }
    }
    for pid in in_cgroups(turn)? {
        if !before.contains(&pid) {
            suspects.insert((pid, "cgroup"));
        }
    }
    if suspects.is_empty() {
        return Ok(());
    }
    let after: BTreeSet<u32> = processes::listed(proc).into_iter().collect();
    for (pid, how) in suspects {
        // A process that began in between is listed by now.
        if after.contains(&pid) || !is_hidden(proc, pid, how) {
            continue;
        }
        let name = processes::stat(proc, pid).map(|stat| stat.comm);
        let called = name.as_deref().unwrap_or("unknown");
        findings.push(Finding {
            uid: format!("integrity:hidden_process:{pid}"),
            severity: Severity::Critical,
            title: format!("process {pid} ({called}) is not listed in /proc"),
            kind: "hidden_process",
            attack: Some([("TA0005", "Defense Evasion"), ("T1014", "Rootkit")]),
            evidence: data(json!({ "pid": pid, "how": how, "name": name })),
            container: None,
        });
    }
    Ok(())
}

/// Whether it is really a process, alive, and no thread of a listed one.
fn is_hidden(proc: &Path, pid: u32, how: &str) -> bool {
    let Some(status) = processes::read(proc, pid, "status") else {
        return how == "cgroup" && lives_in_cgroup(pid);
    };
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // Threads answer under /proc too, and are never listed there.
    field("Tgid:").and_then(|tgid| tgid.parse::<u32>().ok()) == Some(pid)
        && !field("State:").is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// A cgroup still has it after a while: it has not just ended.
fn lives_in_cgroup(pid: u32) -> bool {
    std::thread::sleep(std::time::Duration::from_millis(200));
    let mut pending = vec![Path::new("/sys/fs/cgroup").to_owned()];
    let mut looked = 0;
    while let Some(path) = pending.pop() {
        looked += 1;
        if looked > MAX_CGROUPS {
            return false;
        }
        if pids_of(&path).contains(&pid) {
            return true;
        }
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        pending.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    false
}

fn pids_of(cgroup: &Path) -> Vec<u32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()
}

/// The processes of all cgroups.
fn in_cgroups(turn: &mut Turn<'_, Integrity>) -> Result<BTreeSet<u32>, Stop> {
    let mut pids = BTreeSet::new();
    let mut pending = vec![Path::new("/sys/fs/cgroup").to_owned()];
    let mut looked = 0;
    while let Some(path) = pending.pop() {
        turn.pace()?;
        looked += 1;
        if looked > MAX_CGROUPS {
            break;
        }
        pids.extend(pids_of(&path));
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        pending.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    Ok(pids)
}

/// The last pid that was given out: the last field of proc_loadavg(5).
fn last_pid() -> u32 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().last().and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

/// Pids on whose directory something is mounted.
fn masked(mountinfo: &str) -> Vec<u32> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let mut pids: Vec<u32> =
        points.filter_map(|point| point.strip_prefix("/proc/")?.split('/').next()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_on_a_process_is_seen_and_others_are_not() {
        let mounts = "22 1 0:20 / /proc rw - proc proc rw\n\
            23 22 0:21 / /proc/sys/fs/binfmt_misc rw - binfmt_misc b rw\n\
            24 22 8:1 /tmp/x /proc/4711 rw - ext4 /dev/sda1 rw\n\
            25 22 8:1 /tmp/x /proc/4712/exe rw - ext4 /dev/sda1 rw\n";
        assert_eq!(masked(mounts), [4711, 4712]);
    }

    #[test]
    fn threads_and_zombies_are_not_hidden_processes() {
        let room = tempfile::tempdir().unwrap();
        for (pid, status, hidden) in [
            (5, "Name:\ta\nState:\tS (sleeping)\nTgid:\t5\n", true),
            (6, "Name:\ta\nState:\tS (sleeping)\nTgid:\t5\n", false),
            (7, "Name:\ta\nState:\tZ (zombie)\nTgid:\t7\n", false),
        ] {
            let own = room.path().join(pid.to_string());
            fs::create_dir(&own).unwrap();
            fs::write(own.join("status"), status).unwrap();
            assert_eq!(is_hidden(room.path(), pid, "probe"), hidden, "{pid}");
        }
        assert!(!is_hidden(room.path(), 8, "probe"));
    }
}
