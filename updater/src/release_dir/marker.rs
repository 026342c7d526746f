//! The marker that makes a directory a release. Version 1; additions are tolerated.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use jiff::Timestamp;
use linnet_fleet::atomic_file;
use linnet_keys::Sha256Digest;
use linnet_keys::release::{KernelVersion, Version};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::machine::Release;

use super::stage::StageError;

const SCHEMA_VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 10;
/// More releases than ever lie on a host; the rest of a larger directory is not looked at.
const MAX_RELEASES: usize = 256;

/// What was signed of a release, and what its tree is verified by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    schema_version: u32,
    /// Version and digest.
    #[serde(flatten)]
    pub release: Release,
    /// The machine it runs on.
    pub arch: String,
    /// The oldest kernel it runs on.
    pub minimum_kernel: KernelVersion,
    /// The floor that it brings.
    pub security_floor: Version,
    /// Digest of its `manifest.json`.
    pub manifest_sha256: Sha256Digest,
    /// When it was unpacked here, by the wall clock.
    pub staged_at: Timestamp,
}

impl Marker {
    /// A marker of the schema that this code writes.
    #[must_use]
    pub fn new(
        release: Release,
        signed: &linnet_keys::release::Release,
        manifest_sha256: Sha256Digest,
        staged_at: Timestamp,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            release,
            arch: signed.arch.clone(),
            minimum_kernel: signed.minimum_kernel,
            security_floor: signed.security_floor,
            manifest_sha256,
            staged_at,
        }
    }

    /// Writes the marker: from now on its directory is a release.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), StageError> {
        let mut json = serde_json::to_vec_pretty(self).map_err(StageError::Encode)?;
        json.push(b'\n');
        Ok(atomic_file::write(&path(layout, &self.release.dir_name()), &json, 0o644)?)
    }
}

/// Where the marker of a release is.
pub(super) fn path(layout: &Layout, dir_name: &str) -> PathBuf {
    layout.releases().join(format!("{dir_name}.json"))
}

/// The marker of the release of this name, if it is whole, of this name, and its directory is there.
#[must_use]
pub fn read(layout: &Layout, dir_name: &str) -> Option<Marker> {
    let mut bytes = Vec::new();
    fs::File::open(path(layout, dir_name)).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let marker: Marker = serde_json::from_slice(&bytes).ok()?;
    let whole = marker.schema_version == SCHEMA_VERSION
        && marker.release.dir_name() == dir_name
        && layout.release(dir_name).is_dir();
    whole.then_some(marker)
}

/// All releases of this host, the newest version last.
#[must_use]
pub fn list(layout: &Layout) -> Vec<Marker> {
    let Ok(entries) = fs::read_dir(layout.releases()) else { return Vec::new() };
    let mut markers: Vec<_> = entries
        .flatten()
        .take(4 * MAX_RELEASES)
        .filter_map(|entry| read(layout, entry.file_name().to_str()?.strip_suffix(".json")?))
        .take(MAX_RELEASES)
        .collect();
    markers.sort_by(|a, b| {
        (a.release.version, a.staged_at, a.release.digest).cmp(&(
            b.release.version,
            b.staged_at,
            b.release.digest,
        ))
    });
    markers
}
