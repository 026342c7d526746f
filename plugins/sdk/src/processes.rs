//! Processes as `/proc` lists them, and the container that each is in.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

/// Longest file of a process that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The process ids that a directory like `/proc` lists.
#[must_use]
pub fn listed(proc: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// A file of a process.
#[must_use]
pub fn read(proc: &Path, pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let path = proc.join(pid.to_string()).join(name);
    fs::File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What `stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its short name.
    pub comm: String,
    /// Its state, `Z` for a zombie.
    pub state: char,
    /// Its parent.
    pub ppid: u32,
    /// Its start in clock ticks since boot.
    pub start_ticks: u64,
}

/// Reads proc_pid_stat(5). The name stands in brackets and may have any character, closing brackets too.
#[must_use]
pub fn stat(proc: &Path, pid: u32) -> Option<Stat> {
    let bytes = read(proc, pid, "stat")?;
    let text = String::from_utf8_lossy(&bytes);
    let (_, rest) = text.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { comm: comm.to_owned(), state, ppid, start_ticks })
}

/// A container, by what the cgroup of one of its processes says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// Its whole id.
    pub id: String,
    /// The runtime.
    pub runtime: String,
    /// The pod, where it is in one.
    pub pod_uid: Option<String>,
}

impl Container {
    /// OCSF `container`.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("uid".to_owned(), self.id.clone().into());
        if self.runtime != "unknown" {
            object.insert("runtime".to_owned(), self.runtime.clone().into());
        }
        if let Some(pod) = &self.pod_uid {
            object.insert("pod_uuid".to_owned(), pod.clone().into());
        }
        Value::Object(object)
    }
}

/// The container that a process is in, if it is in one.
#[must_use]
pub fn container(proc: &Path, pid: u32) -> Option<Container> {
    let bytes = read(proc, pid, "cgroup")?;
    let text = String::from_utf8_lossy(&bytes);
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let found = paths.filter_map(linnet_container::parse).next()?;
    Some(Container {
        id: found.id.to_owned(),
        runtime: found.runtime.as_str().to_owned(),
        pod_uid: found.pod_uid.map(|pod| pod.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_read_whole() {
        let room = tempfile::tempdir().unwrap();
        let own = room.path().join("7");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("stat"), "7 (a) b ( c)) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 99887 1 2 3\n")
            .unwrap();
        let stat = stat(room.path(), 7).unwrap();
        assert_eq!(
            (stat.comm.as_str(), stat.state, stat.ppid, stat.start_ticks),
            ("a) b ( c)", 'S', 1, 99887)
        );
        assert_eq!(listed(room.path()), [7]);
        fs::write(own.join("stat"), "7 (a").unwrap();
        assert_eq!(super::stat(room.path(), 7), None);
    }

    #[test]
    fn a_container_is_known_by_its_cgroup() {
        let room = tempfile::tempdir().unwrap();
        let id = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
        fs::create_dir(room.path().join("7")).unwrap();
        fs::write(room.path().join("7/cgroup"), format!("3:memory:/docker/{id}\n0::/\n")).unwrap();
        assert_eq!(container(room.path(), 7).unwrap().id, id);
        assert_eq!(container(room.path(), 8), None);
    }
}
