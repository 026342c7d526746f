//! Memory charged to a cgroup: everything that a sensor makes the machine hold, kernel memory included.
//!
//! All output goes to a tmpfs, whose pages are charged to the writer and cannot be reclaimed. On a disk they would be
//! page cache, which can. So tmpfs pages are taken off: what is left is the sensor's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::processes::Pid;

/// How often the sampler looks. A look costs the kernel about 20 µs.
const SAMPLE_PERIOD: Duration = Duration::from_millis(10);

/// Where the machine's memory controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hierarchy {
    V1(PathBuf),
    V2(PathBuf),
}

impl Hierarchy {
    fn find() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
        if let Some(found) = parse_mounts(&mounts) {
            return Ok(found);
        }
        bail!("no cgroup hierarchy with a memory controller is mounted: memory cannot be measured here")
    }

    fn root(&self) -> &Path {
        match self {
            Self::V1(root) | Self::V2(root) => root,
        }
    }
}

/// The memory controller is bound to v1 where such a hierarchy is mounted, else it belongs to v2.
fn parse_mounts(mounts: &str) -> Option<Hierarchy> {
    let mut unified = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(target), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        match kind {
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                return Some(Hierarchy::V1(PathBuf::from(target)));
            }
            "cgroup2" => unified = Some(Hierarchy::V2(PathBuf::from(target))),
            _ => {}
        }
    }
    unified
}

/// A memory cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    dir: PathBuf,
}

impl Cgroup {
    /// Makes a cgroup of this name at the top of the hierarchy.
    pub fn create(name: &str) -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        if let Hierarchy::V2(root) = &hierarchy {
            let path = root.join("cgroup.subtree_control");
            fs::write(&path, "+memory").with_context(|| {
                format!("write +memory to {}: the benchmark needs the host's root", path.display())
            })?;
        }
        let dir = hierarchy.root().join(name);
        fs::create_dir(&dir).with_context(|| format!("make cgroup {}", dir.display()))?;
        Ok(Self { hierarchy, dir })
    }

    /// The memory cgroup in which a process is.
    pub fn of(pid: Pid) -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let path = format!("/proc/{pid}/cgroup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let within = parse_membership(&text, &hierarchy)
            .with_context(|| format!("find the memory cgroup in {path}"))?;
        let dir = hierarchy.root().join(within.trim_start_matches('/'));
        Ok(Self { hierarchy, dir })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is charged now, less tmpfs pages, in bytes.
    pub fn charged(&self) -> Result<u64> {
        let total = self.number(match self.hierarchy {
            Hierarchy::V1(_) => "memory.usage_in_bytes",
            Hierarchy::V2(_) => "memory.current",
        })?;
        Ok(total.saturating_sub(self.tmpfs()?))
    }

    /// The highest charge since the cgroup was made, less the tmpfs pages of now, in bytes. Exact as long as hardly
    /// anything was written; none before Linux 6.0 on v2, which kept no such number.
    pub fn charged_peak(&self) -> Result<Option<u64>> {
        let name = match self.hierarchy {
            Hierarchy::V1(_) => "memory.max_usage_in_bytes",
            Hierarchy::V2(_) => "memory.peak",
        };
        if !self.dir.join(name).exists() {
            return Ok(None);
        }
        Ok(Some(self.number(name)?.saturating_sub(self.tmpfs()?)))
    }

    fn tmpfs(&self) -> Result<u64> {
        let path = self.dir.join("memory.stat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        // v1 counts children only in the `total_` lines; v2 has none of these and counts them always.
        let of = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        of("total_shmem ")
            .or_else(|| of("shmem "))
            .with_context(|| format!("find shmem in {}", path.display()))
    }

    fn number(&self, name: &str) -> Result<u64> {
        let path = self.dir.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        text.trim().parse().with_context(|| format!("read the number in {}", path.display()))
    }
}

fn parse_membership<'a>(text: &'a str, hierarchy: &Hierarchy) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = match hierarchy {
            Hierarchy::V1(_) => controllers.split(',').any(|controller| controller == "memory"),
            Hierarchy::V2(_) => controllers.is_empty(),
        };
        fits.then_some(path)
    })
}

/// The sum of what is charged to several cgroups, in bytes.
pub fn charged(cgroups: &[Cgroup]) -> Result<u64> {
    cgroups.iter().map(Cgroup::charged).sum()
}

/// Watches what is charged, from a thread of its own.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    /// Begins.
    pub fn start(cgroups: Vec<Cgroup>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                // A cgroup that is gone charges nothing.
                peak = peak.max(charged(&cgroups).unwrap_or(0));
                sleep(SAMPLE_PERIOD);
            }
            peak
        });
        Self { stop, thread }
    }

    /// Ends, and gives the highest charge seen, in bytes.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_controller_is_found_on_v1_hybrid_and_v2() {
        let v1 = "cgroup /c/cpu cgroup rw,cpu 0 0\ncgroup /c/memory cgroup rw,relatime,memory 0 0\n";
        let hybrid = format!("cgroup2 /c/unified cgroup2 rw 0 0\n{v1}");
        let v2 = "cgroup2 /c cgroup2 rw,nosuid 0 0\n";
        let memory = Some(Hierarchy::V1(PathBuf::from("/c/memory")));
        assert_eq!(parse_mounts(v1), memory);
        assert_eq!(parse_mounts(&hybrid), memory);
        assert_eq!(parse_mounts(v2), Some(Hierarchy::V2(PathBuf::from("/c"))));
        assert_eq!(parse_mounts("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn membership_is_read_from_the_hierarchy_that_has_memory() {
        let text = "9:name=systemd:/\n4:cpu,memory:/a:b\n0::/u\n";
        assert_eq!(parse_membership(text, &Hierarchy::V1(PathBuf::new())), Some("/a:b"));
        assert_eq!(parse_membership(text, &Hierarchy::V2(PathBuf::new())), Some("/u"));
        assert_eq!(parse_membership("", &Hierarchy::V2(PathBuf::new())), None);
    }
}
