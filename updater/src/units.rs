//! Unit files are part of the transaction: they are copied from the release's `systemd/` and taken back with it.
//!
//! Copies, not links: systemd reads its units before other file systems than the root's are mounted. A unit that is a
//! link where it belongs is left alone, because that is how an operator masks one. Own settings of an operator belong
//! into drop-ins, which are never touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use linnet_fleet::atomic_file::{self, AtomicFileError};
use thiserror::Error;

use crate::disk::{DiskError, refused, remove_file, sync_directory};
use crate::kill_point;
use crate::layout::Layout;

const DIRECTORY: &str = "systemd";
const KINDS: [&str; 4] = ["service", "timer", "socket", "path"];
const MAX_UNITS: usize = 64;
const MAX_BYTES: u64 = 256 << 10;

/// Why units were not put in place.
#[derive(Debug, Error)]
pub enum UnitError {
    /// The system refused a step.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A unit cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

/// The units of a release, by name; none where it has no such directory.
fn of_release(layout: &Layout, dir_name: &str) -> Result<BTreeMap<String, Vec<u8>>, DiskError> {
    let directory = layout.release(dir_name).join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.map_err(refused("read directory", &directory))?,
    };
    let mut units = BTreeMap::new();
    for entry in entries.take(MAX_UNITS) {
        let path = entry.map_err(refused("read directory", &directory))?.path();
        let is_unit = path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
        if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && is_unit
        {
            units.insert(name.to_owned(), read(&path)?);
        }
    }
    Ok(units)
}

fn read(path: &Path) -> Result<Vec<u8>, DiskError> {
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut content))
        .map_err(refused("read", path))?;
    Ok(content)
}

/// Puts the units of `to` in place, and takes away those that only `from` has.
///
/// # Errors
/// [`UnitError`]; what was done until then stays, and the call may be made again.
pub fn apply(layout: &Layout, from: Option<&str>, to: Option<&str>) -> Result<(), UnitError> {
    let wanted = to.map_or_else(|| Ok(BTreeMap::new()), |name| of_release(layout, name))?;
    let left = from.map_or_else(|| Ok(BTreeMap::new()), |name| of_release(layout, name))?;
    if wanted.is_empty() && left.is_empty() {
        return Ok(());
    }
    crate::disk::make_directories(&layout.unit_dir, 0o755)?;
    for (name, content) in &wanted {
        let path = layout.unit_dir.join(name);
        let masked = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if masked || fs::read(&path).is_ok_and(|present| present == *content) {
            continue;
        }
        kill_point::reach("before-unit");
        atomic_file::write(&path, content, 0o644)?;
    }
    for (name, content) in left.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        let path = layout.unit_dir.join(name);
        if fs::read(&path).is_ok_and(|present| present == *content) {
            remove_file(&path)?;
        }
    }
    Ok(sync_directory(&layout.unit_dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn units_come_and_go_with_their_release_and_masks_stay() {
        let root = tempfile::tempdir().unwrap();
        let layout = Settings::default().layout(Some(root.path()));
        for (release, unit, content) in [
            ("1", "agent.service", "one"),
            ("1", "old.timer", "old"),
            ("2", "agent.service", "two"),
            ("2", "new.timer", "new"),
            ("2", "masked.service", "x"),
            ("2", "README", "no unit"),
        ] {
            let directory = layout.release(release).join(DIRECTORY);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(unit), content).unwrap();
        }
        let has = |name: &str| fs::read_to_string(layout.unit_dir.join(name)).ok();
        apply(&layout, None, Some("1")).unwrap();
        assert_eq!(
            (has("agent.service").as_deref(), has("old.timer").as_deref()),
            (Some("one"), Some("old"))
        );
        std::os::unix::fs::symlink("/dev/null", layout.unit_dir.join("masked.service")).unwrap();
        apply(&layout, Some("1"), Some("2")).unwrap();
        assert_eq!(
            (has("agent.service").as_deref(), has("old.timer"), has("README")),
            (Some("two"), None, None)
        );
        assert!(fs::read_link(layout.unit_dir.join("masked.service")).is_ok());
        apply(&layout, Some("2"), Some("1")).unwrap();
        assert_eq!((has("agent.service").as_deref(), has("new.timer")), (Some("one"), None));
        apply(&layout, Some("1"), None).unwrap();
        assert_eq!(has("agent.service"), None);
    }
}
