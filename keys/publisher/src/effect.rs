//! Every change of the disk, in one place: whole files, synced, one after the other.
//!
//! In builds with debug assertions `LINNET_KEYS_KILL_AT=N` ends the process, as `kill -9` would, in the N-th of these
//! steps: even numbers before it, odd ones in its midst. The tests walk through all of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use linnet_fleet::atomic_file;
use linnet_keys::Sha256Digest;
use sha2::{Digest, Sha256};

/// What the web server may read.
pub const PUBLIC: u32 = 0o644;
/// What only we may read.
pub const PRIVATE: u32 = 0o600;

/// Puts a file in place, whole and synced.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    kill_point(path, bytes);
    Ok(atomic_file::write(path, bytes, mode)?)
}

/// As [`write`], for the one file whose content changes under its name. Web servers tell its states apart by the second
/// of its change, and some by the length as well, which stays; so two states never have the same second.
pub fn write_changing(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let before = changed(path).ok();
    write(path, bytes, mode)?;
    if let Some(least) = before.and_then(|before| before.checked_add(Duration::from_secs(1)))
        && changed(path).is_ok_and(|now| now < least)
    {
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(least))
            .with_context(|| format!("set the time of {path:?}"))?;
    }
    Ok(())
}

/// Makes a directory and those above it.
pub fn directory(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("create directory {path:?}"))
}

/// Removes a file that nothing refers to any more.
pub fn remove(path: &Path) -> Result<()> {
    kill_point(path, b"");
    fs::remove_file(path).with_context(|| format!("remove {path:?}"))
}

/// Removes the temporary files that killed runs left among the documents. The caller holds the lock.
pub fn sweep(channel: &Path) -> Result<()> {
    for entry in fs::read_dir(channel).with_context(|| format!("read {channel:?}"))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") && (name.ends_with(b".json.tmp") || name == b".index.html.tmp") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Copies a package into the channel under the digest of what was copied: `DIRECTORY/<digest>.NAME`.
pub fn copy_by_digest(from: &Path, directory_path: &Path, name: &str) -> Result<(u64, Sha256Digest)> {
    directory(directory_path, 0o755)?;
    let temporary = directory_path.join(format!(".{name}.tmp"));
    kill_point(&directory_path.join(name), b"part of a package");
    match copy(from, &temporary) {
        Ok((bytes, digest)) => {
            fs::rename(&temporary, directory_path.join(format!("{digest}.{name}")))
                .and_then(|()| File::open(directory_path)?.sync_all())
                .with_context(|| format!("rename {temporary:?}"))?;
            Ok((bytes, digest))
        }
        Err(error) => {
            // The error that brought us here is the one to report.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(u64, Sha256Digest)> {
    let mut source = File::open(from).with_context(|| format!("open {from:?}"))?;
    if !source.metadata()?.is_file() {
        bail!("{from:?} is not a file");
    }
    // What a killed run left.
    let _ = fs::remove_file(to);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PUBLIC)
        .open(to)
        .with_context(|| format!("create {to:?}"))?;
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 64 << 10]);
    loop {
        let read = source.read(&mut buffer).with_context(|| format!("read {from:?}"))?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        length = length.saturating_add(u64::try_from(read)?);
        target.write_all(chunk).with_context(|| format!("write {to:?}"))?;
    }
    target.sync_all().with_context(|| format!("sync {to:?}"))?;
    Ok((length, Sha256Digest::from_bytes(hash.finalize().into())))
}

#[cfg(debug_assertions)]
fn kill_point(path: &Path, bytes: &[u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static POINT: AtomicU64 = AtomicU64::new(0);
    let point = POINT.fetch_add(2, Ordering::Relaxed);
    let Some(at) = std::env::var("LINNET_KEYS_KILL_AT").ok().and_then(|at| at.parse::<u64>().ok()) else {
        return;
    };
    if at == point || at == point + 1 {
        if at > point {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let _ = fs::write(path.with_file_name(format!(".{name}.tmp")), half);
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(debug_assertions))]
fn kill_point(_: &Path, _: &[u8]) {}
