//! A plugin on the disk: a directory with `plugin.json` and its program, `<directory>/<name>` where it was installed by hand. Nothing is run that anybody but root could
//! have put there or can change.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::manifest::{self, Manifest, ManifestError};

/// Why an installed plugin is not run.
#[derive(Debug, Error)]
pub enum InstalledError {
    /// Something is not there or can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest is wrong.
    #[error("{path}: {source}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The key and why.
        source: ManifestError,
    },
    /// Larger than any manifest.
    #[error("{path}: larger than {} bytes", manifest::MAX_BYTES)]
    TooLarge {
        /// The manifest.
        path: PathBuf,
    },
    /// The manifest is of another plugin.
    #[error("{path}: it is the manifest of {found:?}")]
    OtherName {
        /// The manifest.
        path: PathBuf,
        /// Its name.
        found: String,
    },
    /// Somebody else could have written it.
    #[error("{path}: {what}")]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// A plugin that may be run.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its program.
    pub executable: PathBuf,
}

impl Installed {
    /// Reads the plugin `name` in `place` below `directory`.
    ///
    /// # Errors
    /// [`InstalledError`].
    pub fn read(directory: &Path, place: &Path, name: &str) -> Result<Self, InstalledError> {
        check_owner(directory, &stat(directory)?)?;
        let mut own = directory.to_owned();
        for part in place {
            own.push(part);
            check_owner(&own, &stat(&own)?)?;
        }
        let path = own.join(manifest::FILE_NAME);
        let wrap = |source| InstalledError::Read { path: path.clone(), source };
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
        let file = File::options().read(true).custom_flags(flags.cast_signed()).open(&path).map_err(wrap)?;
        check_owner(&path, &file.metadata().map_err(wrap)?)?;
        let mut bytes = Vec::new();
        let limit = manifest::MAX_BYTES as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(wrap)?;
        if bytes.len() > manifest::MAX_BYTES {
            return Err(InstalledError::TooLarge { path });
        }
        let manifest = Manifest::parse(&bytes)
            .map_err(|source| InstalledError::Manifest { path: path.clone(), source })?;
        if manifest.name != name {
            return Err(InstalledError::OtherName { path, found: manifest.name });
        }
        let executable = own.join(&manifest.executable);
        let mut step = own;
        for part in &manifest.executable {
            step.push(part);
            check_owner(&step, &stat(&step)?)?;
        }
        let found = stat(&executable)?;
        if !found.is_file() || found.mode() & 0o111 == 0 {
            let what = "not an executable file".to_owned();
            return Err(InstalledError::Unsafe { path: executable, what });
        }
        Ok(Self { manifest, executable })
    }
}

fn stat(path: &Path) -> Result<fs::Metadata, InstalledError> {
    fs::symlink_metadata(path).map_err(|source| InstalledError::Read { path: path.to_owned(), source })
}

/// Only root's, writable by nobody else, and no link.
fn check_owner(path: &Path, found: &fs::Metadata) -> Result<(), InstalledError> {
    let refuse = |what: &str| Err(InstalledError::Unsafe { path: path.to_owned(), what: what.to_owned() });
    if found.file_type().is_symlink() {
        return refuse("a symbolic link; put the plugin itself there");
    }
    if found.uid() != 0 {
        return refuse("not owned by root; chown it to root if you trust it");
    }
    if found.mode() & 0o022 != 0 {
        return refuse("writable by others than root; chmod go-w it if you trust it");
    }
    Ok(())
}
