//! The containers that run, each with its root directory.

use std::collections::BTreeMap;
use std::path::Path;

use linnet_plugin::processes::{self, Container};
use linnet_plugin::rooted::Root;
use linnet_plugin::{Stop, Turn};

use crate::Persistence;

/// Containers that are looked into in one round.
const MAX_CONTAINERS: usize = 512;

/// Running containers. One whose root can't be had, or is the host's own, is passed over.
pub(crate) fn running(
    turn: &mut Turn<'_, Persistence>,
    host: (u64, u64),
) -> Result<Vec<(Container, Root)>, Stop> {
    let proc = Path::new("/proc");
    let mut found: BTreeMap<Container, Vec<u32>> = BTreeMap::new();
    for pid in processes::listed(proc) {
        turn.pace()?;
        if let Some(container) = processes::container(proc, pid) {
            found.entry(container).or_default().push(pid);
        }
    }
    let mut roots = Vec::new();
    for (container, pids) in found.into_iter().take(MAX_CONTAINERS) {
        // The first that is still there.
        let root = pids.iter().take(4).find_map(|pid| Root::open(&proc.join(format!("{pid}/root"))).ok());
        let Some(root) = root else { continue };
        if root.identity().is_ok_and(|own| own != host) {
            roots.push((container, root));
        }
    }
    Ok(roots)
}
