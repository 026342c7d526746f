//! `manifest.json`: what a package is for and what it holds.
//!
//! Unknown keys are kept out of the way, not refused: a later version may say more. A higher `schema_version` is
//! refused by its name, because then something known has changed its meaning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::PackageError;
use super::path::PackagePath;
use linnet_keys::Sha256Digest;
use linnet_keys::release::{KernelVersion, Version};

const SCHEMA_VERSION: u32 = 1;
/// Some 150 bytes a file, for 4096 of them.
pub(super) const MAX_MANIFEST_BYTES: u64 = 1 << 20;
const MAX_WORD_BYTES: usize = 64;

/// The manifest of a package, checked in itself; whether its files are as it says is for [`super::unpack`] and
/// [`super::verify_tree`] to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    head: ManifestHead,
    files: BTreeMap<PackagePath, ManifestFile>,
    raw: Vec<u8>,
}

/// What the package is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// `release`, or `plugin`.
    pub kind: String,
    /// Its version.
    pub version: Version,
    /// The machine as `uname -m` says it.
    pub arch: String,
    /// The oldest kernel it runs on, as `5.10`.
    pub minimum_kernel: KernelVersion,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Where it goes, below the release's directory.
    pub path: PackagePath,
    /// Its mode on disk, whatever the archive's header says.
    pub mode: FileMode,
    /// Its size.
    pub bytes: u64,
    /// Of its content.
    pub sha256: Sha256Digest,
}

/// There are two kinds of files in a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileMode {
    /// 0644.
    #[serde(rename = "0644")]
    Plain,
    /// 0755.
    #[serde(rename = "0755")]
    Executable,
}

impl FileMode {
    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Executable => 0o755,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema_version: u32,
    kind: String,
    version: Version,
    arch: String,
    minimum_kernel: KernelVersion,
    files: Vec<ManifestFile>,
}

/// Read before the rest, so that a later schema is told as such and not as a missing key.
#[derive(Deserialize)]
struct Schema {
    schema_version: u32,
}

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// [`PackageError::Manifest`] names the key; [`PackageError::Cap`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageError> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let found = bytes.len() as u64;
            return Err(PackageError::Cap { what: "bytes of manifest.json", found, cap: MAX_MANIFEST_BYTES });
        }
        let refused = |key: &str, message: String| PackageError::Manifest { key: key.to_owned(), message };
        let shape = |error: serde_json::Error| refused("the document", error.to_string());
        let Schema { schema_version } = serde_json::from_slice(bytes).map_err(shape)?;
        if schema_version != SCHEMA_VERSION {
            let message = format!(
                "{schema_version} is not known here, {SCHEMA_VERSION} is: update linnet-updater first"
            );
            return Err(refused("schema_version", message));
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let document: Document = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| refused(&error.path().to_string(), error.into_inner().to_string()))?;
        let Document { kind, version, arch, minimum_kernel, .. } = document;
        let head = ManifestHead { kind, version, arch, minimum_kernel };
        head.check().map_err(|(key, message)| refused(key, message))?;
        let mut files = BTreeMap::new();
        for (at, file) in document.files.into_iter().enumerate() {
            if file.path.as_str() == super::MANIFEST_NAME {
                return Err(refused(&format!("files[{at}].path"), "lists the manifest itself".to_owned()));
            }
            if let Some(twice) = files.insert(file.path.clone(), file) {
                return Err(refused(&format!("files[{at}].path"), format!("lists {} twice", twice.path)));
            }
        }
        let manifest = Self { head, files, raw: bytes.to_vec() };
        manifest
            .check_directories()
            .map_err(|path| refused("files", format!("{path} is a file and a directory")))?;
        Ok(manifest)
    }

    /// Makes the manifest of these files.
    pub(super) fn of(head: ManifestHead, files: Vec<ManifestFile>) -> Result<Self, PackageError> {
        let ManifestHead { kind, version, arch, minimum_kernel } = head;
        let mut raw = serde_json::to_vec_pretty(&Document {
            schema_version: SCHEMA_VERSION,
            kind,
            version,
            arch,
            minimum_kernel,
            files,
        })
        .map_err(|error| PackageError::Manifest { key: "files".to_owned(), message: error.to_string() })?;
        raw.push(b'\n');
        Self::parse(&raw)
    }

    /// No file is where a directory must be.
    fn check_directories(&self) -> Result<(), String> {
        match self.directories().into_iter().find(|path| {
            // The manifest itself is a file of the tree, too.
            *path == super::MANIFEST_NAME
                || PackagePath::parse(path.as_bytes()).is_ok_and(|path| self.files.contains_key(&path))
        }) {
            Some(path) => Err(path.to_owned()),
            None => Ok(()),
        }
    }

    /// What the package is for.
    #[must_use]
    pub fn head(&self) -> &ManifestHead {
        &self.head
    }

    /// The files by path; `manifest.json` is not among them.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<PackagePath, ManifestFile> {
        &self.files
    }

    /// The directories that the files need, each after the one it is in.
    #[must_use]
    pub fn directories(&self) -> BTreeSet<&str> {
        self.files.keys().flat_map(PackagePath::parents).collect()
    }

    /// The bytes of all files together, `manifest.json` not counted.
    #[must_use]
    pub fn unpacked_bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The bytes as they came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The digest of the bytes: whoever keeps it can trust the manifest that is found on disk later.
    #[must_use]
    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of(&self.raw)
    }
}

impl ManifestHead {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let words = [("kind", &self.kind), ("arch", &self.arch)];
        for (key, word) in words {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
            if word.is_empty() || word.len() > MAX_WORD_BYTES || !word.bytes().all(plain) {
                return Err((key, format!("{word:?} is not 1 to {MAX_WORD_BYTES} letters, digits and ._+-")));
            }
        }
        Ok(())
    }
}
