//! Files that are replaced whole or not at all.
//!
//! A reader sees the old content or the new, never a part. The bytes go to `.<name>.tmp` in the same directory, made
//! afresh (`O_EXCL`), and one rename puts it in place. An error removes it; one that a crash left is replaced by the
//! next write, so there is never more than one.
//!
//! A path has one writer at a time, who is expected to hold a [`crate::lock::Lock`]. Two at once are noticed
//! ([`AtomicFileError::Contended`]) rather than served. A symbolic link at the path is replaced, not followed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file was not replaced. The old content is still in place, except after [`Step::SyncDirectory`].
#[derive(Debug, Error)]
pub enum AtomicFileError {
    /// The path ends in `..` or `/` or is empty.
    #[error("{path:?} does not name a file")]
    NoFileName {
        /// The path that was given.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("{step} {path:?}: {source}")]
    Io {
        /// What was being done.
        step: Step,
        /// The file or directory it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else replaced the temporary file while it was being written.
    #[error("{path:?} has two writers at once: stop one of them")]
    Contended {
        /// The temporary file.
        path: PathBuf,
    },
}

/// The step of a replacement that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Removing what a crash left.
    RemoveLeftover,
    /// Making the temporary file.
    Create,
    /// Setting its mode.
    SetMode,
    /// Writing the bytes.
    Write,
    /// Bringing the bytes to the disk.
    Sync,
    /// Checking that the temporary file is still ours.
    Check,
    /// Putting it in place.
    Rename,
    /// Bringing the rename to the disk. The new content is in place but may be gone after a power loss.
    SyncDirectory,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RemoveLeftover => "remove leftover",
            Self::Create => "create",
            Self::SetMode => "set mode of",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Check => "check",
            Self::Rename => "rename to",
            Self::SyncDirectory => "sync directory",
        })
    }
}

/// Replaces `path` by a file with these bytes and exactly this mode (the umask does not count). When it returns, the
/// change survives a power loss.
///
/// # Errors
/// See [`AtomicFileError`].
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    replace(path, bytes, mode, Durability::Synced)
}

/// As [`write`], but without syncing: for documents on a tmpfs that are written every few seconds.
///
/// # Errors
/// See [`AtomicFileError`].
pub fn write_volatile(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    replace(path, bytes, mode, Durability::Volatile)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Volatile,
}

fn replace(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> Result<(), AtomicFileError> {
    let temporary = Temporary::create(path)?;
    temporary.fill(bytes, mode, durability)?;
    temporary.rename_to(path)?;
    if durability == Durability::Synced {
        let directory = directory_of(path);
        File::open(directory).and_then(|d| d.sync_all()).map_err(refused(Step::SyncDirectory, directory))?;
    }
    Ok(())
}

/// The file beside the target, removed when dropped before it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    fn create(target: &Path) -> Result<Self, AtomicFileError> {
        let no_name = || AtomicFileError::NoFileName { path: target.to_owned() };
        // A trailing slash asks for a directory; Path would drop it silently.
        if target.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(no_name());
        }
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or_else(no_name)?);
        name.push(".tmp");
        let path = target.with_file_name(name);

        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused(Step::RemoveLeftover, &path)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(refused(Step::Create, &path))?;
        Ok(Self { path, file, renamed: false })
    }

    fn fill(&self, bytes: &[u8], mode: u32, durability: Durability) -> Result<(), AtomicFileError> {
        (&self.file).write_all(bytes).map_err(refused(Step::Write, &self.path))?;
        self.file
            .set_permissions(Permissions::from_mode(mode))
            .map_err(refused(Step::SetMode, &self.path))?;
        if durability == Durability::Synced {
            self.file.sync_all().map_err(refused(Step::Sync, &self.path))?;
        }
        Ok(())
    }

    fn rename_to(mut self, target: &Path) -> Result<(), AtomicFileError> {
        if !self.is_ours().map_err(refused(Step::Check, &self.path))? {
            // The name now belongs to the other writer.
            self.renamed = true;
            return Err(AtomicFileError::Contended { path: self.path.clone() });
        }
        fs::rename(&self.path, target).map_err(refused(Step::Rename, target))?;
        self.renamed = true;
        Ok(())
    }

    fn is_ours(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that brought us here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn refused(step: Step, path: &Path) -> impl FnOnce(io::Error) -> AtomicFileError {
    let path = path.to_owned();
    move |source| AtomicFileError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_has_the_bytes_and_exactly_the_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        for (mode, content) in [(0o644, "one"), (0o600, "two"), (0o666, "")] {
            write(&path, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
        write_volatile(&path, b"three", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(names(directory.path()), ["state.json"]);
    }

    #[test]
    fn a_crash_s_leftover_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::write(directory.path().join(".state.json.tmp"), "half a docu").unwrap();
        write(&path, b"whole", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(names(directory.path()), ["state.json"]);
    }

    #[test]
    fn an_error_names_step_and_path_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write(&path, b"x", 0o644).unwrap_err();
        assert!(matches!(error, AtomicFileError::Io { step: Step::Rename, .. }), "{error}");
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(names(directory.path()), ["taken"]);

        let error = write(&directory.path().join("absent/file"), b"x", 0o644).unwrap_err();
        assert!(matches!(error, AtomicFileError::Io { step: Step::Create, .. }), "{error}");
        assert!(error.to_string().contains("absent/.file.tmp"), "{error}");
    }

    #[test]
    fn a_full_disk_leaves_the_old_content_and_no_temporary_file() {
        // Writing to /dev/full fails with ENOSPC without a disk of our own; the file stands for the temporary one.
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".state.json.tmp");
        fs::write(&path, "").unwrap();
        let error =
            Temporary { path, file, renamed: false }.fill(b"x", 0o600, Durability::Volatile).unwrap_err();
        assert!(matches!(&error, AtomicFileError::Io { step: Step::Write, source, .. }
            if source.kind() == io::ErrorKind::StorageFull));
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_second_writer_is_noticed_and_its_file_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let first = Temporary::create(&path).unwrap();
        first.fill(b"first", 0o644, Durability::Volatile).unwrap();
        let second = Temporary::create(&path).unwrap();
        assert!(matches!(first.rename_to(&path), Err(AtomicFileError::Contended { .. })));
        second.fill(b"second", 0o644, Durability::Volatile).unwrap();
        second.rename_to(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    }

    #[test]
    fn a_symbolic_link_is_replaced_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }

    #[test]
    fn a_path_without_a_file_name_is_refused() {
        for path in ["", "/", "..", "/tmp/"] {
            let error = write(Path::new(path), b"x", 0o644).unwrap_err();
            assert!(matches!(error, AtomicFileError::NoFileName { .. }), "{path:?}: {error}");
        }
    }
}
