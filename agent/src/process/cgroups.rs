//! cgroup paths, each parsed once: path and container are shared by all processes in the group.

use std::{num::NonZeroUsize, rc::Rc};

use lru::LruCache;

use crate::record::Path;

/// Paths that are remembered; a host with more groups than this parses some of them again.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// A container, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id, whole.
    pub id: Box<str>,
    /// Which runtime.
    pub runtime: &'static str,
    /// Pod, where the path names one.
    pub pod_uid: Option<Box<str>>,
}

/// A cgroup.
#[derive(Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Path from the root of its hierarchy, `…/` first when the kernel side had to cut it.
    pub path: Box<str>,
    /// The container that it is, or is in.
    pub container: Option<Container>,
}

/// The paths seen lately.
pub struct Cgroups {
    known: LruCache<Box<[u8]>, Rc<Cgroup>>,
    by_id: LruCache<u64, Rc<Cgroup>>,
    last_id: u64,
    scratch: Vec<u8>,
}

impl Cgroups {
    /// An empty memory.
    pub fn new() -> Self {
        Self {
            known: LruCache::new(REMEMBERED),
            by_id: LruCache::new(REMEMBERED),
            last_id: 0,
            scratch: Vec::new(),
        }
    }

    /// The cgroup of a record's path, which is also that of its id.
    pub fn of_record(&mut self, id: u64, path: Path<'_>) -> Rc<Cgroup> {
        self.scratch.clear();
        path.write_in_namespace(&mut self.scratch);
        let bytes = std::mem::take(&mut self.scratch);
        let cgroup = self.of_path(&bytes);
        self.scratch = bytes;
        // Records come in runs of one cgroup.
        if id != self.last_id {
            self.last_id = id;
            self.by_id.put(id, Rc::clone(&cgroup));
        }
        cgroup
    }

    /// The cgroup that a record with this id came from, unless it was long ago.
    pub fn of_id(&self, id: u64) -> Option<Rc<Cgroup>> {
        self.by_id.peek(&id).cloned()
    }

    /// The cgroup of a path as `/proc/PID/cgroup` writes it.
    pub fn of_path(&mut self, path: &[u8]) -> Rc<Cgroup> {
        if let Some(known) = self.known.get(path) {
            return Rc::clone(known);
        }
        let text = String::from_utf8_lossy(path);
        let container = linnet_container::parse(&text).map(|found| Container {
            id: found.id.into(),
            runtime: found.runtime.as_str(),
            pod_uid: found.pod_uid.map(|uid| uid.to_string().into()),
        });
        let cgroup = Rc::new(Cgroup { path: text.into(), container });
        self.known.put(path.into(), Rc::clone(&cgroup));
        cgroup
    }
}
