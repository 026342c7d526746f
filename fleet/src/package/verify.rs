//! Whether a tree on disk still is what was unpacked.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::FileType;
use sha2::{Digest, Sha256};

use super::error::{PackageError, Refusal, io_error};
use super::manifest::Manifest;
use super::root::Root;
use super::{FileMode, MANIFEST_NAME};
use linnet_keys::Sha256Digest;

const BUFFER_BYTES: usize = 128 << 10;
/// More names in one directory than a package can have entries.
const MAX_NAMES: usize = 4097;

/// Checks every file of a tree against its manifest: there, regular, with its mode, size and content and no second
/// name; and nothing else there. The first difference is the error.
///
/// The manifest is the caller's to trust: by [`super::Unpacked`], or by a digest kept elsewhere. `manifest.json` in
/// the tree must be that very manifest.
///
/// # Errors
/// [`PackageError::Tree`] names the file; [`PackageError::Io`].
pub fn verify_tree(tree: &Root, manifest: &Manifest) -> Result<(), PackageError> {
    let owner = tree.stat()?.st_uid;
    let own = [(MANIFEST_NAME, FileMode::Plain, manifest.as_bytes().len() as u64, manifest.sha256())];
    let listed =
        manifest.files().values().map(|file| (file.path.as_str(), file.mode, file.bytes, file.sha256));
    let mut buffer = vec![0; BUFFER_BYTES];
    for (path, mode, bytes, sha256) in listed.chain(own) {
        let refused = |refusal| PackageError::Tree { path: tree.join(path), refusal };
        let opened = tree.open_file(path)?.ok_or_else(|| refused(Refusal::Missing))?;
        let read = io_error("read", tree.join(path));
        check_file(opened, mode, bytes, sha256, owner, &mut buffer).map_err(|fault| match fault {
            Fault::Refused(refusal) => refused(refusal),
            Fault::Io(error) => read(error),
        })?;
    }
    nothing_else(tree, manifest, "", owner)?;
    manifest.directories().into_iter().try_for_each(|path| nothing_else(tree, manifest, path, owner))
}

enum Fault {
    Refused(Refusal),
    Io(std::io::Error),
}

fn check_file(
    mut file: File,
    mode: FileMode,
    bytes: u64,
    sha256: Sha256Digest,
    owner: u32,
    buffer: &mut [u8],
) -> Result<(), Fault> {
    let refused = |why| Err(Fault::Refused(Refusal::Kind(why)));
    let found = file.metadata().map_err(Fault::Io)?;
    if !found.is_file() {
        return refused("it is not a regular file");
    }
    if found.permissions().mode() & 0o7777 != mode.bits() {
        return refused("its mode was changed");
    }
    if found.uid() != owner {
        return refused("it belongs to somebody else");
    }
    if found.nlink() != 1 {
        return refused("it has a second name");
    }
    if found.len() != bytes {
        return Err(Fault::Refused(Refusal::Size { expected: bytes, found: found.len() }));
    }
    let mut hash = Sha256::new();
    loop {
        match file.read(buffer).map_err(Fault::Io)? {
            0 => break,
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
    if Sha256Digest::from_bytes(hash.finalize().into()) == sha256 {
        Ok(())
    } else {
        Err(Fault::Refused(Refusal::Content))
    }
}

/// In the directory `path` there are only files and directories that the manifest has.
fn nothing_else(tree: &Root, manifest: &Manifest, path: &str, owner: u32) -> Result<(), PackageError> {
    let directories = manifest.directories();
    for (name, stat) in tree.list(path, MAX_NAMES)? {
        let name = String::from_utf8_lossy(&name);
        let below = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
        let refused = |refusal| Err(PackageError::Tree { path: tree.join(&below), refusal });
        if directories.contains(below.as_str()) {
            // A file in its place failed when its children were opened.
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory || stat.st_mode & 0o7777 != 0o755
            {
                return refused(Refusal::Kind("its mode was changed"));
            }
            if stat.st_uid != owner {
                return refused(Refusal::Kind("it belongs to somebody else"));
            }
        } else if below != MANIFEST_NAME && !manifest.files().keys().any(|file| file.as_str() == below) {
            return refused(Refusal::NotListed);
        }
    }
    Ok(())
}
