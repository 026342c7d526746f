//! Packages of releases: what one holds, unpacking it, checking it again on disk, and making it.
//!
//! A package is a gzip'd tar of plain files with `manifest.json` first. It comes from the network and is unpacked as
//! root, so the order is fixed: the digest of the whole archive is checked on the descriptor that is then read;
//! only regular files and directories that the manifest lists are made, below a directory that is held open; each
//! file is hashed on its way to the disk; and `manifest.json`, which makes the tree a release, is written last.
//!
//! The archive reader here knows plain ustar headers and nothing else. Extended headers (PAX, GNU long names, sparse
//! maps) exist to change the name or size that a plain header states; each of the archive libraries' holes of the
//! last years was there. A package needs none, so they are refused rather than understood.

mod archive;
pub(crate) mod error;
pub(crate) mod header;
mod manifest;
pub(crate) mod pack;
mod path;
mod root;
mod unpack;
mod verify;

pub use error::{PackageError, Refusal};
pub use manifest::{FileMode, Manifest, ManifestFile, ManifestHead};
pub use pack::Packer;
pub use path::PackagePath;
pub use root::Root;
pub use unpack::{Caps, Unpacked, unpack};
pub use verify::verify_tree;

/// The name of the manifest, in the archive and in the tree.
pub const MANIFEST_NAME: &str = "manifest.json";
