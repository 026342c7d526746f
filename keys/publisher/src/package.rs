//! What a package is, found by unpacking it as a host would: what a host would refuse is not published.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use linnet_fleet::package::{Caps, Root, unpack};
use linnet_keys::Sha256Digest;
use linnet_keys::release::{KernelVersion, Version};
use sha2::{Digest, Sha256};

/// More than any release needs, and less than a disk.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;

/// A package that a host would unpack.
pub struct Facts {
    pub path: PathBuf,
    pub digest: Sha256Digest,
    pub version: Version,
    pub arch: String,
    pub minimum_kernel: KernelVersion,
    pub unpacked_bytes: u64,
}

/// Reads the package at `path`, which must be of this kind; `look` sees its unpacked tree.
pub fn read<T>(path: &Path, kind: &str, look: impl FnOnce(&Path) -> Result<T>) -> Result<(Facts, T)> {
    let file = File::open(path).with_context(|| format!("open {path:?}"))?;
    let mut hash = Sha256::new();
    let bytes = io::copy(&mut &file, &mut hash).with_context(|| format!("read {path:?}"))?;
    let digest = Sha256Digest::from_bytes(hash.finalize().into());
    let tree = tempfile::tempdir().context("make a directory to unpack into")?;
    let manifest = unpack(&file, bytes, digest, &Root::open(tree.path())?, Caps::signed(MAX_UNPACKED_BYTES))
        .with_context(|| format!("{path:?}: hosts would refuse this package"))?
        .into_manifest();
    let head = manifest.head();
    if head.kind != kind {
        bail!("{path:?} is a {}, not a {kind}", head.kind);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if head.arch.is_empty() || !head.arch.chars().all(plain) {
        bail!("{path:?}: {:?} is no architecture as `uname -m` has it", head.arch);
    }
    let facts = Facts {
        path: path.to_owned(),
        digest,
        version: head.version,
        arch: head.arch.clone(),
        minimum_kernel: head.minimum_kernel,
        unpacked_bytes: manifest.unpacked_bytes(),
    };
    Ok((facts, look(tree.path())?))
}
