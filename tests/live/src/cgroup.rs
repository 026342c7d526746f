//! cgroups as container runtimes make them, in the hierarchy in which the agent looks for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};

use crate::trouble::{Doing, Result, not_here};

/// v1 controllers by how reliably runtimes make a group in them.
const CONTROLLERS: [&str; 5] = ["pids", "memory", "cpu", "devices", "freezer"];

/// The mount point of the hierarchy that names containers: v1 where there is any, else v2.
fn hierarchy() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing("/proc/self/mountinfo")?;
    let v1 = |controller: &str| {
        mounts.lines().find_map(|line| {
            let (fields, tail) = line.split_once(" - ")?;
            let mut tail = tail.split(' ');
            let is_v1 = tail.next() == Some("cgroup");
            let has = tail.nth(1)?.split(',').any(|option| option == controller);
            (is_v1 && has).then(|| fields.split(' ').nth(4).map(PathBuf::from))?
        })
    };
    let v2 = || {
        mounts.lines().find_map(|line| {
            let (fields, tail) = line.split_once(" - ")?;
            (tail.split(' ').next() == Some("cgroup2"))
                .then(|| fields.split(' ').nth(4).map(PathBuf::from))?
        })
    };
    CONTROLLERS
        .iter()
        .find_map(|one| v1(one))
        .or_else(v2)
        .map_or_else(|| not_here("no cgroups are mounted"), Ok)
}

/// A cgroup that goes when this is dropped, with those made above it.
#[derive(Debug)]
pub struct Group {
    /// Its directory.
    pub dir: PathBuf,
    made: Vec<PathBuf>,
}

impl Group {
    /// Makes a group at a path below the hierarchy's root.
    pub fn make(path: &str) -> Result<Self> {
        let mut dir = hierarchy()?;
        let mut made = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir.push(name);
            match fs::create_dir(&dir) {
                Ok(()) => made.push(dir.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return not_here(format!("make the cgroup {}: {error}", dir.display())),
            }
        }
        Ok(Self { dir, made })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove_below(&self.dir);
        for dir in self.made.iter().rev() {
            remove(dir);
        }
    }
}

/// A group can be removed a moment after its last process has ended.
fn remove(dir: &Path) {
    let start = Instant::now();
    while fs::remove_dir(dir).is_err() && dir.exists() && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Removes a line of groups named `d`, one within the other, however long it is.
fn remove_below(top: &Path) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(mut group) = openat(CWD, top, flags, Mode::empty()) else { return };
    let mut levels = 0;
    while let Ok(inner) = openat(&group, "d", flags, Mode::empty()) {
        group = inner;
        levels += 1;
    }
    for _ in 0..levels {
        let Ok(outer) = openat(&group, "..", flags, Mode::empty()) else { return };
        group = outer;
        let start = Instant::now();
        while unlinkat(&group, "d", AtFlags::REMOVEDIR).is_err() && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
