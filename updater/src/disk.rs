//! Steps on the disk that survive a power loss, and how much room there is.
//!
//! The order is always the same: what is named is synced before its name is, and the directory is synced after the
//! name has changed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use thiserror::Error;

/// A step on the disk was refused.
#[derive(Debug, Error)]
#[error("{step} {path:?}: {source}")]
pub struct DiskError {
    /// What was being done.
    pub step: &'static str,
    /// To what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Makes an error of a refused step.
pub fn refused(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError { step, path, source }
}

/// Syncs a directory: the names in it survive a power loss.
///
/// # Errors
/// [`DiskError`].
pub fn sync_directory(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(refused("sync directory", path))
}

/// Makes a directory and those above it, where they are missing, and syncs the names of those that were made.
///
/// # Errors
/// [`DiskError`].
pub fn make_directories(path: &Path, mode: u32) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_directories(parent, 0o755)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(refused("make directory", path))?,
    }
    parent.map_or(Ok(()), sync_directory)
}

/// Removes a file, and tells whether there was one. The caller syncs the directory where that matters.
///
/// # Errors
/// [`DiskError`].
pub fn remove_file(path: &Path) -> Result<bool, DiskError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(refused("remove", path)(source)),
    }
}

/// Removes a directory with all that is in it, and tells whether there was one.
///
/// # Errors
/// [`DiskError`].
pub fn remove_tree(path: &Path) -> Result<bool, DiskError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(refused("remove", path)(source)),
    }
}

/// Removes the files in a directory, which stays.
///
/// # Errors
/// [`DiskError`].
pub fn empty(path: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(path).map_err(refused("read directory", path))? {
        remove_file(&entry.map_err(refused("read directory", path))?.path())?;
    }
    Ok(())
}

/// Bytes that are free for root on the file system of `path`.
///
/// # Errors
/// [`DiskError`].
pub fn free_bytes(path: &Path) -> Result<u64, DiskError> {
    let found = statvfs(path).map_err(|errno| refused("look at the room of", path)(errno.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether a step failed for want of room.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_once_and_removed_with_what_is_in_them() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        make_directories(&deep, 0o700).unwrap();
        make_directories(&deep, 0o700).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        assert!(remove_tree(&root.path().join("a")).unwrap());
        assert!(!remove_tree(&root.path().join("a")).unwrap());
        assert!(!remove_file(&deep).unwrap());
    }

    #[test]
    fn an_error_names_step_and_path() {
        let error = sync_directory(Path::new("/nonexistent/x")).unwrap_err();
        assert!(error.to_string().starts_with("sync directory \"/nonexistent/x\": "), "{error}");
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }
}
