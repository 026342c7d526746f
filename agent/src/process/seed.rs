//! The processes that were there before the probes: read from `/proc` once, after the probes are attached, so that
//! none falls between.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use super::Key;

/// A process as `/proc` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which process.
    pub key: Key,
    /// Parent's pid; its start is found when all are read.
    pub ppid: u32,
    /// Name of the task, at most 15 bytes.
    pub comm: Vec<u8>,
    /// Target of `exe`; empty for kernel threads.
    pub exe: Vec<u8>,
    /// cgroup path in the hierarchy that names containers.
    pub cgroup: Vec<u8>,
    /// Inode number of the mount namespace, 0 where it can't be read.
    pub mnt_ns: u32,
    /// The executable is there still, root's, and writable by nobody else.
    pub is_roots: bool,
    /// Its end may never be told: it is a thread of the kernel, or a zombie, whose end was before the sensor (or about to be one, or
    /// others of its threads still run: then it is told).
    pub ends_untold: bool,
}

/// Files of `/proc` are read no further than this.
const READ_CAP: u64 = 16 * 1024;

/// Reads all processes, parents before their children as far as start times tell. Those that end meanwhile are left out.
pub fn scan(v1_controller: Option<&str>) -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut seen: Vec<Seen> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| read(pid, v1_controller))
        .collect();
    seen.sort_unstable_by_key(|one| (one.key.start_ticks, one.key.pid));
    seen
}

/// Whether the process still is.
pub fn is_alive(key: Key) -> bool {
    stat_of(key.pid).is_some_and(|stat| stat.start_ticks == key.start_ticks)
}

fn read(pid: u32, v1_controller: Option<&str>) -> Option<Seen> {
    let stat = stat_of(pid)?;
    let directory = format!("/proc/{pid}");
    let cgroups = read_capped(Path::new(&format!("{directory}/cgroup"))).unwrap_or_default();
    let exe = fs::read_link(format!("{directory}/exe")).map(|path| path.as_os_str().as_bytes().to_vec());
    Some(Seen {
        key: Key { pid, start_ticks: stat.start_ticks },
        ppid: stat.ppid,
        comm: stat.comm,
        exe: exe.unwrap_or_default(),
        cgroup: cgroup_path(&cgroups, v1_controller).to_vec(),
        mnt_ns: mnt_ns(pid).unwrap_or(0),
        is_roots: is_roots(&format!("{directory}/exe")),
        ends_untold: stat.ends_untold,
    })
}

/// Of the file itself, which the link of `/proc` leads to whatever lies at its path now.
fn is_roots(exe: &str) -> bool {
    fs::metadata(exe).is_ok_and(|file| file.uid() == 0 && file.mode() & 0o022 == 0 && file.nlink() > 0)
}

fn mnt_ns(pid: u32) -> Option<u32> {
    let link = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

/// `include/linux/sched.h`.
const PF_EXITING: u32 = 0x4;
const PF_KTHREAD: u32 = 0x20_0000;

struct Stat {
    comm: Vec<u8>,
    ppid: u32,
    start_ticks: u64,
    ends_untold: bool,
}

fn stat_of(pid: u32) -> Option<Stat> {
    parse_stat(&read_capped(Path::new(&format!("/proc/{pid}/stat")))?)
}

/// The name is in parentheses and may hold any byte, parentheses too; no later field holds one, so the last closes it.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let comm = stat.get(open + 1..close)?.to_vec();
    let mut fields = std::str::from_utf8(stat.get(close + 1..)?).ok()?.split_ascii_whitespace();
    // proc_pid_stat(5): state is field 3, ppid 4, flags 9, starttime 22.
    let state = fields.next()?;
    let ppid = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(4)?.parse().ok()?;
    let start_ticks = fields.nth(12)?.parse().ok()?;
    let ends_untold = matches!(state, "Z" | "X") || flags & (PF_EXITING | PF_KTHREAD) != 0;
    Some(Stat { comm, ppid, start_ticks, ends_untold })
}

/// The path to take from `/proc/PID/cgroup`: that of the v1 controller unless it is the root, else v2's.
fn cgroup_path<'t>(table: &'t [u8], v1_controller: Option<&str>) -> &'t [u8] {
    let mut v2: &[u8] = b"/";
    for line in table.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if hierarchy == b"0" {
            v2 = path;
        } else if path != b"/"
            && v1_controller.is_some_and(|wanted| {
                controllers.split(|&byte| byte == b',').any(|one| one == wanted.as_bytes())
            })
        {
            return path;
        }
    }
    v2
}

fn read_capped(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(READ_CAP).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_whole() {
        let stat = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 98765 1000 1\n";
        let stat = parse_stat(stat).unwrap();
        assert_eq!(stat.comm, b"a) b (c");
        assert_eq!((stat.ppid, stat.start_ticks, stat.ends_untold), (7, 98765, false));
    }

    #[test]
    fn whose_end_may_not_be_told_is_known() {
        let ends_untold = |state: &str, flags: u32| {
            let stat = format!("42 (a) {state} 7 42 42 0 -1 {flags} 1 0 0 0 1 2 3 4 20 0 1 0 98765 1000 1");
            parse_stat(stat.as_bytes()).unwrap().ends_untold
        };
        assert!(ends_untold("Z", 0x40_000c) && ends_untold("X", 0) && ends_untold("R", 0x40_0004));
        assert!(ends_untold("I", 0x420_8060));
        assert!(!ends_untold("R", 0x40_0100) && !ends_untold("D", 0));
    }

    #[test]
    fn a_zombie_is_found_as_one() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        let ends_untold = || scan(None).iter().any(|one| one.key.pid == pid && one.ends_untold);
        while !ends_untold() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_v1_controllers_path_is_taken_unless_it_is_the_root() {
        let table = b"9:name=systemd:/\n8:pids:/docker/abc\n3:cpu,cpuacct:/x\n0::/init.scope\n";
        assert_eq!(cgroup_path(table, Some("pids")), b"/docker/abc");
        assert_eq!(cgroup_path(table, Some("cpuacct")), b"/x");
        assert_eq!(cgroup_path(table, None), b"/init.scope");
        assert_eq!(cgroup_path(b"8:pids:/\n0::/a:b\n", Some("pids")), b"/a:b");
    }

    #[test]
    fn this_process_is_found_alive() {
        let pid = std::process::id();
        let seen = scan(None);
        let own = seen.iter().find(|one| one.key.pid == pid).unwrap();
        assert!(is_alive(own.key));
        assert!(!is_alive(Key { start_ticks: own.key.start_ticks + 1, ..own.key }));
        assert!(!own.exe.is_empty());
    }

    proptest! {
        #[test]
        fn any_stat_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&bytes);
            let _ = cgroup_path(&bytes, Some("pids"));
        }
    }
}
