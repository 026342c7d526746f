//! Removing releases that nothing leads to any more.
//!
//! Never removed: what a link resolves to, what the transaction names, and what any process runs. Where that cannot be
//! found out, nothing is removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::disk::DiskError;
use crate::kill_point;
use crate::layout::{Layout, Link};

use super::{link, stage};

/// Names of the releases whose files some process runs; none where that cannot be found out.
#[must_use]
pub fn running(layout: &Layout, proc: &Path) -> Option<BTreeSet<String>> {
    let releases = fs::canonicalize(layout.releases()).ok()?;
    let mut names = BTreeSet::new();
    for process in fs::read_dir(proc).ok()?.flatten() {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        let Ok(executable) = fs::read_link(process.path().join("exe")) else { continue };
        if is_process
            && let Ok(below) = executable.strip_prefix(&releases)
            && let Some(name) = below.components().next()
        {
            names.insert(name.as_os_str().to_string_lossy().into_owned());
        }
    }
    Some(names)
}

/// Removes what is not needed, and returns the names.
///
/// # Errors
/// [`DiskError`]; what was removed until then stays removed.
pub fn collect(layout: &Layout, also_keep: &[String], proc: &Path) -> Result<Vec<String>, DiskError> {
    let Some(mut keep) = running(layout, proc) else { return Ok(Vec::new()) };
    keep.extend(also_keep.iter().cloned());
    keep.extend(Link::ALL.into_iter().filter_map(|one| link::read(layout, one)));
    let Ok(entries) = fs::read_dir(layout.releases()) else { return Ok(Vec::new()) };
    let found: BTreeSet<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_owned();
            Some(name.strip_suffix(".json").map_or(name.clone(), str::to_owned))
        })
        .collect();
    let mut removed = Vec::new();
    for name in found.difference(&keep) {
        kill_point::reach("before-collect");
        if stage::remove(layout, name)? {
            removed.push(name.clone());
        }
        kill_point::reach("after-collect");
    }
    Ok(removed)
}
