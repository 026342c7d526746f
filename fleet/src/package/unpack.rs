//! Unpacking a package into an empty directory.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::MANIFEST_NAME;
use super::archive::{Archive, Positioned};
use super::error::{PackageError, Refusal, io_error};
use super::header::{Header, Kind};
use super::manifest::{FileMode, MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use super::path::PackagePath;
use super::root::Root;
use linnet_keys::Sha256Digest;

const BUFFER_BYTES: usize = 128 << 10;

/// How much a package may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Files and directories in the archive, `manifest.json` included.
    pub entries: usize,
    /// Bytes of all files together, `manifest.json` not counted: the signed `unpacked_bytes`.
    pub unpacked_bytes: u64,
}

impl Caps {
    /// The house's cap of entries, and the signed cap of bytes.
    #[must_use]
    pub fn signed(unpacked_bytes: u64) -> Self {
        Self { entries: 4096, unpacked_bytes }
    }
}

/// A tree that was unpacked from a package with the signed digest. Only [`unpack`] makes one.
#[derive(Debug)]
pub struct Unpacked {
    manifest: Manifest,
}

impl Unpacked {
    /// What was unpacked.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What was unpacked.
    #[must_use]
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }
}

/// Unpacks `package` into `into`, which must be empty. When it returns, all is on the disk, files before directories,
/// and `manifest.json` last.
///
/// On an error the directory holds a part without `manifest.json`; the caller removes it.
///
/// # Errors
/// [`PackageError`]. Nothing is parsed before length and digest of the whole are as signed.
pub fn unpack(
    package: &File,
    signed_bytes: u64,
    signed_sha256: Sha256Digest,
    into: &Root,
    caps: Caps,
) -> Result<Unpacked, PackageError> {
    check_whole(package, signed_bytes, signed_sha256)?;
    if let Some((name, _)) = into.list("", 1)?.first() {
        let path = into.path().join(String::from_utf8_lossy(name).into_owned());
        return Err(PackageError::Tree { path, refusal: Refusal::Kind("the directory is not empty") });
    }
    let mut archive = Archive::new(Positioned::new(package, signed_bytes));
    let manifest = read_manifest(&mut archive)?;
    check_caps(&manifest, caps)?;
    let directories = manifest.directories();
    let mut seen = BTreeSet::new();
    let mut made = BTreeSet::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some(header) = archive.next()? {
        if archive.number > caps.entries {
            let (found, cap) = (archive.number as u64, caps.entries as u64);
            return Err(PackageError::Cap { what: "entries", found, cap });
        }
        let path = PackagePath::parse(&header.path).map_err(|refusal| archive.refuse(refusal))?;
        if !seen.insert(path.clone()) {
            return Err(archive.refuse(Refusal::Duplicate));
        }
        match header.kind {
            Kind::Directory => {
                // Made when its first file comes: a directory without files is no part of a release.
                if !directories.contains(path.as_str()) {
                    return Err(archive.refuse(Refusal::NotListed));
                }
            }
            Kind::File => {
                let listed =
                    listed_as(&manifest, &path, &header).map_err(|refusal| archive.refuse(refusal))?;
                for parent in path.parents() {
                    if made.insert(parent.to_owned()) {
                        into.make_directory(parent)?;
                    }
                }
                write_file(&mut archive, listed, into, &mut buffer)?;
            }
        }
    }
    archive.finish()?;
    if let Some(missing) = manifest.files().keys().find(|path| !seen.contains(*path)) {
        return Err(PackageError::Tree { path: into.join(missing.as_str()), refusal: Refusal::Missing });
    }
    // The deepest first, so that no name is on the disk before what it names.
    for directory in made.iter().rev() {
        into.sync_directory(directory)?;
    }
    into.sync_directory("")?;
    write_manifest(&manifest, into)?;
    Ok(Unpacked { manifest })
}

fn check_whole(package: &File, signed_bytes: u64, signed: Sha256Digest) -> Result<(), PackageError> {
    let here = || Path::new("the package");
    let found = package.metadata().map_err(io_error("look at", here()))?;
    if !found.is_file() {
        return Err(PackageError::Tree {
            path: here().to_owned(),
            refusal: Refusal::Kind("it is not a regular file"),
        });
    }
    if found.len() != signed_bytes {
        return Err(PackageError::Length { expected: signed_bytes, found: found.len() });
    }
    let mut hash = Sha256::new();
    let mut reader = Positioned::new(package, signed_bytes);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read = 0;
    loop {
        match reader.read(&mut buffer).map_err(io_error("read", here()))? {
            0 => break,
            count => {
                read += count as u64;
                hash.update(buffer.get(..count).unwrap_or_default());
            }
        }
    }
    if read != signed_bytes {
        return Err(PackageError::Length { expected: signed_bytes, found: read });
    }
    let found = Sha256Digest::from_bytes(hash.finalize().into());
    if found == signed { Ok(()) } else { Err(PackageError::Digest { expected: signed, found }) }
}

fn read_manifest(archive: &mut Archive<'_>) -> Result<Manifest, PackageError> {
    let Some(header) = archive.next()? else { return Err(PackageError::Archive(Refusal::Empty)) };
    if header.path != MANIFEST_NAME.as_bytes() || header.kind != Kind::File {
        return Err(archive.refuse(Refusal::ManifestNotFirst));
    }
    if header.size > MAX_MANIFEST_BYTES {
        let found = header.size;
        return Err(PackageError::Cap { what: "bytes of manifest.json", found, cap: MAX_MANIFEST_BYTES });
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match archive.read(&mut buffer)? {
            0 => return Manifest::parse(&bytes),
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
}

fn check_caps(manifest: &Manifest, caps: Caps) -> Result<(), PackageError> {
    let cap = |what, found: u64, cap: u64| {
        if found > cap { Err(PackageError::Cap { what, found, cap }) } else { Ok(()) }
    };
    cap("bytes unpacked", manifest.unpacked_bytes(), caps.unpacked_bytes)?;
    cap("files", manifest.files().len() as u64 + 1, caps.entries as u64)
}

fn listed_as<'m>(
    manifest: &'m Manifest,
    path: &PackagePath,
    header: &Header,
) -> Result<&'m ManifestFile, Refusal> {
    let Some(listed) = manifest.files().get(path) else {
        // The manifest itself came first.
        return Err(if path.as_str() == MANIFEST_NAME { Refusal::Duplicate } else { Refusal::NotListed });
    };
    if header.size != listed.bytes {
        return Err(Refusal::Size { expected: listed.bytes, found: header.size });
    }
    Ok(listed)
}

fn write_file(
    archive: &mut Archive<'_>,
    listed: &ManifestFile,
    into: &Root,
    buffer: &mut [u8],
) -> Result<(), PackageError> {
    let mut file = into.create(listed.path.as_str())?;
    let path = || into.join(listed.path.as_str());
    let mut hash = Sha256::new();
    loop {
        let count = archive.read(buffer)?;
        if count == 0 {
            break;
        }
        let content = buffer.get(..count).unwrap_or_default();
        hash.update(content);
        file.write_all(content).map_err(io_error("write", path()))?;
    }
    if Sha256Digest::from_bytes(hash.finalize().into()) != listed.sha256 {
        return Err(archive.refuse(Refusal::Content));
    }
    finish_file(&file, listed.mode).map_err(io_error("sync", path()))
}

fn finish_file(file: &File, mode: FileMode) -> std::io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode.bits()))?;
    file.sync_all()
}

fn write_manifest(manifest: &Manifest, into: &Root) -> Result<(), PackageError> {
    let mut file = into.create(MANIFEST_NAME)?;
    file.write_all(manifest.as_bytes())
        .and_then(|()| finish_file(&file, FileMode::Plain))
        .map_err(io_error("write", into.join(MANIFEST_NAME)))?;
    into.sync_directory("")
}
