//! Plugins of the channel on the disk.
//!
//! ```text
//! <plugins.directory>/.channel/memory.json
//!                              <name>/<version>-<digest>/       the package as it was unpacked
//!                                     <version>-<digest>.json   its marker, written last and removed first
//!                                     .<version>-<digest>.tar.gz.part   a download that goes on
//! ```
//!
//! No plugin's name begins with a dot, so `.channel` is never one that was installed by hand. The marker lies beside the
//! tree: so the tree is exactly what the manifest lists.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use linnet_fleet::atomic_file::{self, AtomicFileError};
use linnet_fleet::package::{self, Caps, MANIFEST_NAME, PackageError, Root};
use linnet_keys::Sha256Digest;
use linnet_keys::release::Plugin;
use linnet_plugin_manifest::manifest::{self, ManifestError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::choice::Build;

/// The directory below that of all plugins.
pub const CHANNEL: &str = ".channel";
const SCHEMA_VERSION: u32 = 1;
const MAX_MARKER_BYTES: u64 = 64 << 10;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Digits of the digest in a name: no two packages of one version have the same, and a marker has all of it.
const DIGITS: usize = 16;
/// More names than a directory of ours ever has; the rest is looked at next time.
const MAX_NAMES: usize = 1024;

/// Why a plugin is not on the disk.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The system refused a step.
    #[error("{step} {path:?}: {source}")]
    Disk {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package, or the tree, is not as signed.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The plugin's own manifest is wrong.
    #[error("plugin.json: {0}")]
    Manifest(#[from] ManifestError),
    /// Two of the three that describe a plugin (what is signed, its package, its own manifest) differ.
    #[error("{what} is {found:?} in {place}, and {signed:?} was signed")]
    Contradiction {
        /// What.
        what: &'static str,
        /// Where.
        place: &'static str,
        /// What is found there.
        found: String,
        /// By the channel.
        signed: String,
    },
    /// There is no whole plugin there.
    #[error("{path:?} is not whole: its marker is missing or damaged")]
    Incomplete {
        /// The tree.
        path: PathBuf,
    },
    /// The marker cannot be written.
    #[error(transparent)]
    Marker(#[from] AtomicFileError),
}

impl TreeError {
    /// Whether it is the package's fault, so that fetching it again would not help.
    #[must_use]
    pub fn is_of_the_package(&self) -> bool {
        match self {
            Self::Package(PackageError::Io { .. }) | Self::Disk { .. } | Self::Marker(_) => false,
            Self::Package(_) | Self::Manifest(_) | Self::Contradiction { .. } | Self::Incomplete { .. } => {
                true
            }
        }
    }
}

fn refused(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    move |source| TreeError::Disk { step, path: path.to_owned(), source }
}

#[derive(Serialize, Deserialize)]
struct Marker {
    schema_version: u32,
    name: String,
    #[serde(flatten)]
    build: Build,
    /// Of the tree's `manifest.json`.
    manifest_sha256: Sha256Digest,
    staged_at: Timestamp,
}

/// The plugins of the channel below one directory of plugins.
#[derive(Clone, Debug)]
pub struct Trees {
    directory: PathBuf,
}

impl Trees {
    /// Those below `directory`, which need not be there yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Where all of it is.
    #[must_use]
    pub fn top(&self) -> PathBuf {
        self.directory.join(CHANNEL)
    }

    /// Whether a plugin of this name is installed on this host beside the channel's.
    #[must_use]
    pub fn is_installed_here(&self, name: &str) -> bool {
        fs::symlink_metadata(self.directory.join(name)).is_ok()
    }

    /// Where a version lies, below the directory of plugins.
    #[must_use]
    pub fn place(name: &str, build: &Build) -> PathBuf {
        Path::new(CHANNEL).join(name).join(word(build))
    }

    fn of(&self, name: &str) -> PathBuf {
        self.top().join(name)
    }

    /// Where a download of this version goes.
    #[must_use]
    pub fn package(&self, name: &str, build: &Build) -> PathBuf {
        self.of(name).join(format!("{}.tar.gz", word(build)))
    }

    fn marker(&self, name: &str, build: &Build) -> PathBuf {
        self.of(name).join(format!("{}.json", word(build)))
    }

    /// Makes the directory of a plugin; nobody but root may write there.
    ///
    /// # Errors
    /// [`TreeError::Disk`].
    pub fn make_directory(&self, name: &str) -> Result<(), TreeError> {
        self.make_top()?;
        make(&self.of(name))
    }

    /// Makes the directory of all of it.
    ///
    /// # Errors
    /// [`TreeError::Disk`].
    pub fn make_top(&self) -> Result<(), TreeError> {
        make(&self.directory)?;
        make(&self.top())
    }

    /// Removes the directory of all of it, where nothing is left in it.
    pub fn remove_top(&self) {
        let _ = fs::remove_dir(self.top());
    }

    /// Bytes that are free for root where plugins lie.
    ///
    /// # Errors
    /// [`TreeError::Disk`].
    pub fn free_bytes(&self) -> Result<u64, TreeError> {
        let found = rustix::fs::statvfs(&self.directory)
            .map_err(|errno| refused("look at the room of", &self.directory)(errno.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Unpacks a verified package and marks it whole. What an attempt before has left is removed first.
    ///
    /// # Errors
    /// [`TreeError`]; what is left of the attempt is no plugin.
    pub fn stage(&self, package: &File, bytes: u64, signed: &Plugin, build: Build) -> Result<(), TreeError> {
        let name = &signed.name;
        self.make_directory(name)?;
        self.remove(name, &word(&build))?;
        let tree = self.directory.join(Self::place(name, &build));
        make(&tree)?;
        let root = Root::open(&tree)?;
        let caps = Caps::signed(signed.unpacked_bytes);
        let unpacked = package::unpack(package, bytes, build.sha256, &root, caps)?;
        let head = unpacked.manifest().head();
        agree(
            "its package",
            [
                ("kind", &head.kind, "plugin"),
                ("version", &head.version.to_string(), &signed.version.to_string()),
                ("arch", &head.arch, &signed.arch),
            ],
        )?;
        let path = tree.join(manifest::FILE_NAME);
        let own = manifest::Manifest::parse(&read(&path, manifest::MAX_BYTES as u64)?)?;
        agree(
            manifest::FILE_NAME,
            [
                ("name", &own.name, name),
                ("version", &own.version, &signed.version.to_string()),
                ("arch", &own.arch, &signed.arch),
            ],
        )?;
        let marker = Marker {
            schema_version: SCHEMA_VERSION,
            name: name.clone(),
            build,
            manifest_sha256: unpacked.manifest().sha256(),
            staged_at: Timestamp::now(),
        };
        sync(&self.of(name))?;
        // These types always have a form in JSON.
        let json = serde_json::to_vec_pretty(&marker).unwrap_or_default();
        Ok(atomic_file::write(&self.marker(name, &build), &json, 0o644)?)
    }

    /// Whether every byte of a version is as it was unpacked.
    ///
    /// # Errors
    /// [`TreeError`], with the first difference.
    pub fn verify(&self, name: &str, build: &Build) -> Result<(), TreeError> {
        let tree = self.directory.join(Self::place(name, build));
        let incomplete = || TreeError::Incomplete { path: tree.clone() };
        let marker = read(&self.marker(name, build), MAX_MARKER_BYTES).map_err(|_| incomplete())?;
        let marker: Marker = serde_json::from_slice(&marker).map_err(|_| incomplete())?;
        if marker.schema_version != SCHEMA_VERSION || marker.name != *name || marker.build != *build {
            return Err(incomplete());
        }
        let manifest = package::Manifest::parse(&read(&tree.join(MANIFEST_NAME), MAX_MANIFEST_BYTES)?)?;
        if manifest.sha256() != marker.manifest_sha256 {
            return Err(incomplete());
        }
        Ok(package::verify_tree(&Root::open(&tree)?, &manifest)?)
    }

    /// The names of plugins that have anything here.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let is_name = |name: &String| manifest::is_name(name);
        list(&self.top()).into_iter().filter(is_name).collect()
    }

    /// The versions that have a marker, whole or not.
    #[must_use]
    pub fn marked(&self, name: &str) -> BTreeSet<Build> {
        let markers = list(&self.of(name)).into_iter().filter(|file| file.ends_with(".json"));
        markers
            .filter_map(|file| {
                let bytes = read(&self.of(name).join(&file), MAX_MARKER_BYTES).ok()?;
                let marker: Marker = serde_json::from_slice(&bytes).ok()?;
                (format!("{}.json", word(&marker.build)) == file).then_some(marker.build)
            })
            .collect()
    }

    /// Removes all of a plugin but these versions; the marker first, so that what is left is never taken for a plugin.
    /// With none to keep its directory goes too.
    ///
    /// # Errors
    /// [`TreeError::Disk`]; what was removed until then stays removed.
    pub fn keep_only(&self, name: &str, keep: &BTreeSet<Build>) -> Result<(), TreeError> {
        let kept: Vec<String> = keep.iter().map(word).collect();
        for file in list(&self.of(name)) {
            // `.<word>.tar.gz.part`, `<word>.json`, `<word>`.
            let is_kept = kept.iter().any(|kept| file.trim_start_matches('.').starts_with(kept.as_str()));
            if !is_kept {
                let stem = file.strip_suffix(".json").unwrap_or(&file);
                self.remove(name, stem)?;
                remove_any(&self.of(name).join(&file))?;
            }
        }
        if keep.is_empty() {
            remove_any(&self.of(name))?;
        }
        Ok(())
    }

    fn remove(&self, name: &str, word: &str) -> Result<(), TreeError> {
        let own = self.of(name);
        remove_any(&own.join(format!("{word}.json")))?;
        if own.is_dir() {
            sync(&own)?;
        }
        remove_any(&own.join(word))
    }
}

fn word(build: &Build) -> String {
    let digest = build.sha256.to_string();
    format!("{}-{}", build.version, digest.get(..DIGITS).unwrap_or_default())
}

fn agree(place: &'static str, pairs: [(&'static str, &String, &str); 3]) -> Result<(), TreeError> {
    match pairs.into_iter().find(|(_, found, signed)| found != signed) {
        None => Ok(()),
        Some((what, found, signed)) => {
            Err(TreeError::Contradiction { what, place, found: found.clone(), signed: signed.to_owned() })
        }
    }
}

fn make(path: &Path) -> Result<(), TreeError> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(refused("set the mode of", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make)?;
            fs::create_dir(path).map_err(refused("make directory", path))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .map_err(refused("set the mode of", path))
        }
        Err(error) => Err(refused("make directory", path)(error)),
    }
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, TreeError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max_bytes).read_to_end(&mut bytes))
        .map_err(refused("read", path))?;
    Ok(bytes)
}

fn list(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.flatten().take(MAX_NAMES).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn remove_any(path: &Path) -> Result<(), TreeError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), TreeError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(refused("sync directory", path))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
