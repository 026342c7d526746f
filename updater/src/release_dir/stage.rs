//! Unpacking a release, marking it complete, verifying it again, and removing it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use linnet_fleet::atomic_file::AtomicFileError;
use linnet_fleet::package::{self, Caps, MANIFEST_NAME, Manifest, PackageError, Root};
use thiserror::Error;

use crate::disk::{DiskError, free_bytes, make_directories, remove_file, remove_tree, sync_directory};
use crate::kill_point;
use crate::layout::Layout;
use crate::machine::Release;

use super::marker::{self, Marker};

/// Longest manifest that is read back.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Why a release was not staged or is not whole.
#[derive(Debug, Error)]
pub enum StageError {
    /// The package, or the tree, is not as signed.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The manifest contradicts what was signed of the package.
    #[error("{what} is {found} in the package's manifest, and {signed} was signed")]
    Contradiction {
        /// What.
        what: &'static str,
        /// By the manifest.
        found: String,
        /// By the channel.
        signed: String,
    },
    /// There is no marker, so the directory is no release.
    #[error("{path:?} is not a complete release: its marker is missing or damaged")]
    Incomplete {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest on the disk is not the one that was unpacked.
    #[error("{path:?} was changed since it was unpacked")]
    Changed {
        /// The manifest.
        path: PathBuf,
    },
    /// There is not enough room.
    #[error(
        "{path:?} has {free_bytes} bytes free; the release takes {wanted_bytes} and disk.reserve_bytes keeps \
         {reserve_bytes} free: make room, or lower the reserve"
    )]
    NoRoom {
        /// The file system.
        path: PathBuf,
        /// Free.
        free_bytes: u64,
        /// Needed.
        wanted_bytes: u64,
        /// Kept.
        reserve_bytes: u64,
    },
    /// The system refused a step.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The marker cannot be written.
    #[error(transparent)]
    Marker(#[from] AtomicFileError),
    /// The marker cannot be turned into JSON.
    #[error("encode the marker: {0}")]
    Encode(serde_json::Error),
}

impl StageError {
    /// What the system said, where it was the system.
    #[must_use]
    pub fn system(&self) -> Option<&io::Error> {
        match self {
            Self::Package(PackageError::Io { source, .. })
            | Self::Disk(DiskError { source, .. })
            | Self::Marker(AtomicFileError::Io { source, .. }) => Some(source),
            _ => None,
        }
    }
}

/// A verified package and what was signed of it.
pub struct Staging<'p> {
    /// The file whose length and digest were verified.
    pub package: &'p File,
    /// Its signed length.
    pub bytes: u64,
    /// Version and signed digest.
    pub release: Release,
    /// What else was signed.
    pub signed: linnet_keys::release::Release,
    /// Room to leave free.
    pub reserve_bytes: u64,
    /// For the marker.
    pub now: Timestamp,
}

/// Unpacks a release and marks it complete. One that is there and whole stays; a part is removed first.
///
/// # Errors
/// [`StageError`]; what is left of the attempt is no release, and the next attempt removes it.
pub fn stage(layout: &Layout, staging: &Staging<'_>) -> Result<Marker, StageError> {
    let name = staging.release.dir_name();
    if let Ok(marker) = verify(layout, &name) {
        return Ok(marker);
    }
    let directory = layout.release(&name);
    make_directories(&layout.releases(), 0o755)?;
    remove(layout, &name)?;
    kill_point::reach("stage-cleared");
    check_room(&layout.releases(), staging.signed.unpacked_bytes, staging.reserve_bytes)?;
    make_directories(&directory, 0o755)?;
    let root = Root::open(&directory)?;
    let unpacked = package::unpack(
        staging.package,
        staging.bytes,
        staging.release.digest,
        &root,
        Caps::signed(staging.signed.unpacked_bytes),
    )?;
    kill_point::reach("stage-unpacked");
    let manifest = unpacked.manifest();
    agree(manifest, staging)?;
    sync_directory(&layout.releases())?;
    let marker = Marker::new(staging.release.clone(), &staging.signed, manifest.sha256(), staging.now);
    marker.write(layout)?;
    kill_point::reach("stage-marked");
    Ok(marker)
}

fn check_room(path: &Path, wanted_bytes: u64, reserve_bytes: u64) -> Result<(), StageError> {
    let free_bytes = free_bytes(path)?;
    if free_bytes < wanted_bytes.saturating_add(reserve_bytes) {
        return Err(StageError::NoRoom { path: path.to_owned(), free_bytes, wanted_bytes, reserve_bytes });
    }
    Ok(())
}

/// What the package says of itself must be what was signed of it.
fn agree(manifest: &Manifest, staging: &Staging<'_>) -> Result<(), StageError> {
    let head = manifest.head();
    let signed = &staging.signed;
    for (what, found, signed) in [
        ("kind", head.kind.clone(), "release".to_owned()),
        ("version", head.version.to_string(), signed.version.to_string()),
        ("arch", head.arch.clone(), signed.arch.clone()),
    ] {
        if found != signed {
            return Err(StageError::Contradiction { what, found, signed });
        }
    }
    Ok(())
}

/// Verifies a release that is on the disk, every byte of it.
///
/// # Errors
/// [`StageError`].
pub fn verify(layout: &Layout, dir_name: &str) -> Result<Marker, StageError> {
    let directory = layout.release(dir_name);
    let marker =
        marker::read(layout, dir_name).ok_or_else(|| StageError::Incomplete { path: directory.clone() })?;
    let path = directory.join(MANIFEST_NAME);
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes))
        .map_err(crate::disk::refused("read", &path))?;
    let manifest = Manifest::parse(&bytes)?;
    if manifest.sha256() != marker.manifest_sha256 {
        return Err(StageError::Changed { path });
    }
    package::verify_tree(&Root::open(&directory)?, &manifest)?;
    Ok(marker)
}

/// Removes a release or a part of one: the marker first, so that what is left is never taken for a release.
///
/// # Errors
/// [`DiskError`].
pub fn remove(layout: &Layout, dir_name: &str) -> Result<bool, DiskError> {
    let marked = remove_file(&marker::path(layout, dir_name))?;
    if marked {
        sync_directory(&layout.releases())?;
    }
    Ok(remove_tree(&layout.release(dir_name))? || marked)
}
