//! The roads to a file and their order.
//!
//! Quick and sure first. For an executable `/proc/PID/exe`: one system call, no path, right even when the file was
//! deleted or the process is in another mount namespace, and a microsecond lost when the process has ended. Then the
//! mounts that the agent sees itself, by the table at hand; then paths under the roots of the process, of the
//! namespace's kept root, of siblings; last the mounts again, if there is a newer table. A script has no magic link and
//! starts with the second.
//!
//! Invariant: whatever the road, only a file that passed [`FoundFile::verify`] is opened.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::answer::{Missing, Purpose, Request, Road};
use crate::bans::{Ban, Bans};
use crate::config::Config;
use crate::found_file::{FoundFile, look_at};
use crate::host_mounts::HostMounts;
use crate::identity::{InodeTime, Seen};
use crate::kept_roots::{KeptRoots, RootId};
use crate::kernel_numbers::KernelNumbers;
use crate::lock::lock;
use crate::mount_table::MountTable;
use crate::process_dir::ProcessDir;
use crate::seat::Seat;
use crate::siblings::{Siblings, Sighting};

/// All that leads from what the kernel saw to a file.
#[derive(Debug)]
pub(crate) struct Roads {
    /// Inode number of the agent's own mount namespace; 0 where it is unknown.
    own_mnt_ns: u32,
    mounts: HostMounts,
    siblings: Mutex<Siblings>,
    kept: Mutex<KeptRoots>,
    pub(crate) bans: Bans,
}

/// A verified file, open for reading.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) fd: OwnedFd,
    pub(crate) seen: Seen,
    pub(crate) road: Road,
    pub(crate) touched: bool,
}

/// What the roads that led nowhere met, the most telling of it.
#[derive(Debug)]
struct Met(Missing);

impl Met {
    fn note(&mut self, missing: Missing) {
        let weight = |missing: Missing| match missing {
            Missing::Gone => 0,
            Missing::Io(_) => 1,
            Missing::NotRegular => 2,
            _ => 3,
        };
        if weight(missing) > weight(self.0) {
            self.0 = missing;
        }
    }
}

/// What a refused step of a road means for it.
const fn led_nowhere(errno: Errno) -> Missing {
    match errno {
        Errno::NOENT
        | Errno::SRCH
        | Errno::NOTDIR
        | Errno::LOOP
        | Errno::XDEV
        | Errno::STALE
        | Errno::NXIO => Missing::Gone,
        other => Missing::Io(other),
    }
}

impl Roads {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            own_mnt_ns: own_mnt_ns(),
            mounts: HostMounts::default(),
            siblings: Mutex::new(Siblings::new(config.namespaces)),
            kept: Mutex::new(KeptRoots::new(config.kept_roots, config.keep_root)),
            bans: Bans::default(),
        }
    }

    /// Remembers a process; true when its root should be kept. Nothing is remembered of the agent's own namespace.
    pub(crate) fn note(&self, sighting: Sighting) -> bool {
        sighting.mnt_ns != 0
            && sighting.mnt_ns != self.own_mnt_ns
            && lock(&self.siblings).note(sighting, Instant::now())
    }

    /// Takes and keeps the root of a process.
    pub(crate) fn keep_root(&self, sighting: Sighting) {
        if self.bans.has_namespace(sighting.mnt_ns) {
            return;
        }
        // Outside the lock: following the link may ask the server of a network file system.
        let Ok(process) = ProcessDir::open(sighting.pid, sighting.start_ticks) else { return };
        let Ok(root) = process.root() else { return };
        let Ok(seen) = look_at(&root) else { return };
        let is = RootId { dev: seen.dev, inode: seen.inode, mount_id: seen.mount_id };
        lock(&self.kept).keep(sighting.mnt_ns, root, is, process, Instant::now());
    }

    /// Closes kept roots that are due; gives the time until the next look.
    pub(crate) fn tend(&self, now: Instant) -> Option<Duration> {
        lock(&self.kept).tend(now)
    }

    pub(crate) fn drop_kept_roots(&self) {
        lock(&self.kept).clear();
    }

    pub(crate) fn kept_roots(&self) -> usize {
        lock(&self.kept).len()
    }

    pub(crate) fn mount_table_bytes(&self) -> usize {
        self.mounts.table().bytes()
    }

    /// Tries the roads for the process that asked first, then for the one that joined last, if any.
    pub(crate) fn open(
        &self,
        request: &Request,
        joined: Option<Sighting>,
        numbers: &mut KernelNumbers,
        seat: &Seat,
    ) -> Result<OpenFile, Missing> {
        if self.bans.has_device(request.id.dev) {
            return Err(Missing::Timeout);
        }
        let first = Sighting { mnt_ns: request.mnt_ns, pid: request.pid, start_ticks: request.start_ticks };
        let mut walk = Walk { request, numbers, seat, met: Met(Missing::Gone), touched_mtime: None };
        let mut processes = [Some(first), joined.filter(|joined| *joined != first)].into_iter().flatten();
        walk.try_all(self, &mut processes).ok_or_else(|| walk.reason())
    }
}

struct Walk<'a> {
    request: &'a Request,
    numbers: &'a mut KernelNumbers,
    seat: &'a Seat,
    met: Met,
    /// Set while the road is one on which a moved ctime may pass: the process that was seen runs this inode, so nobody
    /// could write to it (ETXTBSY).
    touched_mtime: Option<InodeTime>,
}

impl Walk<'_> {
    fn try_all(&mut self, roads: &Roads, processes: &mut dyn Iterator<Item = Sighting>) -> Option<OpenFile> {
        let processes: Vec<Sighting> = processes.collect();
        if self.request.purpose == Purpose::Executable
            && let Some(open) = processes.iter().find_map(|process| self.exe(process))
        {
            return Some(open);
        }
        if let Some(open) = self.host_mounts(&roads.mounts.table()) {
            return Some(open);
        }
        if let Some(open) = self.roots(roads, &processes) {
            return Some(open);
        }
        let newer = roads.mounts.newer()?;
        self.host_mounts(&newer)
    }

    fn exe(&mut self, process: &Sighting) -> Option<OpenFile> {
        self.seat.touches(Ban::Device(self.request.id.dev));
        // The number may have been given to another process by now. An equal file is the right one whoever runs it.
        let found = FoundFile::behind_magic_link(CWD, &format!("/proc/{}/exe", process.pid));
        self.pass(Road::ProcExe, found).or_else(|| {
            let suspect =
                self.met.0 == Missing::Changed && self.request.mtime.is_some() && process.start_ticks != 0;
            let same_process = suspect.then(|| ProcessDir::open(process.pid, process.start_ticks).ok())??;
            self.touched_mtime = self.request.mtime;
            let open = self.pass(Road::ProcExe, same_process.exe());
            self.touched_mtime = None;
            open
        })
    }

    fn host_mounts(&mut self, table: &MountTable) -> Option<OpenFile> {
        self.seat.touches(Ban::Device(self.request.id.dev));
        table.candidates(self.request.id.dev, &self.request.sb_path).into_iter().find_map(|place| {
            let found = if place.below.is_empty() {
                FoundFile::at_mount_point(place.mount_point)
            } else {
                directory(place.mount_point).and_then(|dir| FoundFile::beneath_mount(dir, place.below))
            };
            self.pass(Road::HostMount, found)
        })
    }

    fn roots(&mut self, roads: &Roads, processes: &[Sighting]) -> Option<OpenFile> {
        let request = self.request;
        if request.ns_path.is_empty() || roads.bans.has_namespace(request.mnt_ns) {
            return None;
        }
        self.seat.touches(Ban::Namespace(request.mnt_ns));
        let of_process = |process: &Sighting| ProcessDir::open(process.pid, process.start_ticks)?.root();
        let mut own = processes.iter();
        if let Some(open) = own.find_map(|process| self.in_root(Road::ProcRoot, of_process(process))) {
            return Some(open);
        }
        if request.mnt_ns == 0 {
            return None;
        }
        if request.mnt_ns == roads.own_mnt_ns {
            return self.in_root(Road::Sibling, directory(b"/"));
        }
        let kept = lock(&roads.kept).of(request.mnt_ns, request.id.dev);
        if let Some(open) = kept.into_iter().find_map(|kept| self.in_root(Road::KeptRoot, Ok(kept))) {
            return Some(open);
        }
        let siblings: Vec<Sighting> = lock(&roads.siblings).of(request.mnt_ns).collect();
        let mut others = siblings.iter().filter(|sibling| !processes.contains(sibling));
        others.find_map(|sibling| self.in_root(Road::Sibling, of_process(sibling)))
    }

    fn in_root<D: std::os::fd::AsFd>(&mut self, road: Road, root: Result<D, Errno>) -> Option<OpenFile> {
        let found = root.and_then(|root| FoundFile::in_root(root, &self.request.ns_path));
        self.pass(road, found)
    }

    /// Lets a verified file through and opens it; notes why another does not pass.
    fn pass(&mut self, road: Road, found: Result<FoundFile, Errno>) -> Option<OpenFile> {
        let judged = found.map_err(led_nowhere).and_then(|found| {
            let touched = found.verify(&self.request.id, self.touched_mtime, self.numbers)?;
            let fd = found.open().map_err(led_nowhere)?;
            Ok(OpenFile { fd, seen: found.seen, road, touched })
        });
        judged.map_err(|missing| self.met.note(missing)).ok()
    }

    fn reason(&self) -> Missing {
        if self.met.0 == Missing::Gone && is_anonymous(self.request) {
            Missing::Anonymous
        } else {
            self.met.0
        }
    }
}

/// Whether the file never had a path: the kernel names such dentries `memfd:…` (`mm/memfd.c`), in tmpfs or hugetlbfs.
fn is_anonymous(request: &Request) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const HUGETLBFS_MAGIC: u64 = 0x958_458f6;
    let unnamed = |path: &[u8]| path.strip_prefix(b"/").unwrap_or(path).starts_with(b"memfd:");
    matches!(request.id.fs_magic, TMPFS_MAGIC | HUGETLBFS_MAGIC)
        && (unnamed(&request.sb_path) || unnamed(&request.ns_path))
}

fn directory(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// The number in `mnt:[4026531841]`.
fn own_mnt_ns() -> u32 {
    let link = rustix::fs::readlinkat(CWD, "/proc/self/ns/mnt", Vec::new()).unwrap_or_default();
    let text = link.to_str().unwrap_or_default();
    let number = text.strip_prefix("mnt:[").and_then(|rest| rest.strip_suffix(']'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
