//! Large targets: hashed while they come, resumed where they broke off, and under their name only once they are whole.
//!
//! Beside the target lies `.NAME.part`, and `.NAME.part.info` with the digest it is to have and the server's
//! validators. A part that is resumed is read and hashed again first: what lay on disk is not taken on trust. If what
//! was resumed turns out wrong, all of it is fetched once more, since the fault may be the part's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use linnet_keys::{Sha256Digest, VerifiedTarget};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::client::Channel;
use super::error::{ChannelError, body_error, disk_error};
use super::transport::{Get, Reply, Validators};
use crate::atomic_file;
use crate::capped;

const BUFFER_BYTES: usize = 128 << 10;
const INFO_MAX_BYTES: usize = 4096;
const SCHEMA_VERSION: u32 = 1;

/// A target on disk, with the descriptor on which it was verified: read this one, not the path.
#[derive(Debug)]
pub struct VerifiedFile {
    file: File,
    bytes: u64,
    sha256: Sha256Digest,
}

impl VerifiedFile {
    /// The file that was verified.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its digest.
    #[must_use]
    pub fn sha256(&self) -> Sha256Digest {
        self.sha256
    }
}

/// What is known of a part.
#[derive(Serialize, Deserialize)]
struct PartInfo {
    schema_version: u32,
    /// Of the signed target: a part of another one is of no use.
    target: String,
    validators: Validators,
}

/// SHA-256 for whoever asks later, SHA-512 where it is signed.
struct Hash {
    sha256: Sha256,
    sha512: Option<Sha512>,
}

impl Hash {
    fn of(target: &VerifiedTarget) -> Self {
        let sha512 = target.hashes().0.contains_key("sha512").then(Sha512::new);
        Self { sha256: Sha256::new(), sha512 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// The digest, if every signed one that is known fits, and there is one.
    fn fits(self, target: &VerifiedTarget) -> Option<Sha256Digest> {
        let signed = |name: &str| target.hashes().0.get(name);
        let sha256 = Sha256Digest::from_bytes(self.sha256.finalize().into());
        let fits256 = signed("sha256").map(|wanted| *wanted == sha256.to_string());
        let fits512 = signed("sha512").zip(self.sha512).map(|(wanted, hash)| {
            let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            *wanted == found
        });
        let known = fits256.is_some() || fits512.is_some();
        (known && fits256 != Some(false) && fits512 != Some(false)).then_some(sha256)
    }
}

impl Channel {
    /// Downloads a target to a path, in a directory that only its owner may write. A file that is there already and
    /// is the target is not fetched again; another one is replaced once the new one is whole.
    ///
    /// # Errors
    /// [`ChannelError`]. After a broken connection the part stays for the next call; after a wrong content nothing
    /// stays.
    pub fn download(&mut self, target: &VerifiedTarget, to: &Path) -> Result<VerifiedFile, ChannelError> {
        if let Some(there) = verified_already(target, to)? {
            return Ok(there);
        }
        let part = Part::of(to)?;
        match self.try_download(target, to, &part) {
            // The part may be at fault, or the server may have changed its mind about it.
            Err(Tried { error, resumed: true })
                if matches!(
                    error,
                    ChannelError::Content { .. } | ChannelError::Answer { .. } | ChannelError::TooLong { .. }
                ) || matches!(error, ChannelError::Status { status: 416, .. }) =>
            {
                part.remove()?;
                self.try_download(target, to, &part).map_err(|tried| tried.error)
            }
            other => other.map_err(|tried| tried.error),
        }
    }

    fn try_download(&self, target: &VerifiedTarget, to: &Path, part: &Part) -> Result<VerifiedFile, Tried> {
        let mut resumed = false;
        self.download_once(target, to, part, &mut resumed).map_err(|error| Tried { error, resumed })
    }

    fn download_once(
        &self,
        target: &VerifiedTarget,
        to: &Path,
        part: &Part,
        resumed: &mut bool,
    ) -> Result<VerifiedFile, ChannelError> {
        let url = self.target_url(target);
        let mut file = part.open()?;
        let mut hash = Hash::of(target);
        let mut have = 0;
        let info = part.info(target);
        if info.is_some() {
            have =
                read_into(&mut file, &mut hash, target.length()).map_err(disk_error("read", &part.path))?;
            *resumed = have > 0;
        }
        if have == 0 {
            hash = Hash::of(target);
        }
        if have < target.length() || target.length() == 0 {
            let path = self.target_path(target);
            let from = info.as_ref().map(|info| (have, &info.validators)).filter(|_| have > 0);
            let get = Get { from, ..Get::whole(&path, target.length()) };
            let body = match self.target_transport().get(&get)? {
                Reply::Found(body) => body,
                Reply::Absent | Reply::NotModified => return Err(ChannelError::Absent { url }),
            };
            if body.start != have {
                // The server gave the whole.
                (have, hash) = (0, Hash::of(target));
                *resumed = false;
            }
            if have == 0 {
                file.set_len(0).map_err(disk_error("cut", &part.path))?;
                part.set_info(target, &body.validators)?;
            }
            file.seek(SeekFrom::Start(have)).map_err(disk_error("write", &part.path))?;
            let mut reader = body.reader.take((target.length() - have).saturating_add(1));
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let count = match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(body_error(url, &error)),
                };
                let bytes = buffer.get(..count).unwrap_or_default();
                have += count as u64;
                if have > target.length() {
                    part.remove()?;
                    return Err(ChannelError::TooLong { url, cap: target.length() });
                }
                hash.update(bytes);
                file.write_all(bytes).map_err(disk_error("write", &part.path))?;
            }
            if have < target.length() {
                let message = format!(
                    "broke off after {have} of {} bytes, the rest is asked for next time",
                    target.length()
                );
                return Err(ChannelError::Network { url, message });
            }
        }
        let Some(sha256) = hash.fits(target) else {
            part.remove()?;
            return Err(ChannelError::Content { url, what: "digest" });
        };
        file.sync_all().map_err(disk_error("sync", &part.path))?;
        fs::rename(&part.path, to).map_err(disk_error("rename to", to))?;
        part.remove()?;
        let directory = to.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|d| d.sync_all()).map_err(disk_error("sync", directory))?;
        Ok(VerifiedFile { file, bytes: target.length(), sha256 })
    }
}

struct Tried {
    error: ChannelError,
    resumed: bool,
}

/// The file at `to`, if it is the target.
fn verified_already(target: &VerifiedTarget, to: &Path) -> Result<Option<VerifiedFile>, ChannelError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(flags).open(to) else { return Ok(None) };
    let meta = file.metadata().map_err(disk_error("look at", to))?;
    if !meta.is_file() || meta.len() != target.length() {
        return Ok(None);
    }
    let mut hash = Hash::of(target);
    let bytes = read_into(&mut file, &mut hash, target.length()).map_err(disk_error("read", to))?;
    Ok(hash.fits(target).map(|sha256| VerifiedFile { file, bytes, sha256 }))
}

/// Hashes what is in the file; nothing of one that is longer than it may be.
fn read_into(file: &mut File, hash: &mut Hash, max_bytes: u64) -> io::Result<u64> {
    if file.metadata()?.len() > max_bytes {
        return Ok(0);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(read),
            count => {
                hash.update(buffer.get(..count).unwrap_or_default());
                read += count as u64;
            }
        }
    }
}

/// The unfinished file and what is known of it.
struct Part {
    path: PathBuf,
    info: PathBuf,
}

impl Part {
    fn of(to: &Path) -> Result<Self, ChannelError> {
        let name = to
            .file_name()
            .ok_or_else(|| disk_error("download to", to)(io::ErrorKind::InvalidInput.into()))?;
        let beside = |end: &str| {
            let mut beside = std::ffi::OsString::from(".");
            beside.push(name);
            beside.push(end);
            to.with_file_name(beside)
        };
        Ok(Self { path: beside(".part"), info: beside(".part.info") })
    }

    fn open(&self) -> Result<File, ChannelError> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let open = || {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(flags)
                .open(&self.path)
        };
        let file = match open() {
            // A link or a directory of that name is nobody's part.
            Err(_) => {
                let _ = fs::remove_file(&self.path);
                open()
            }
            opened => opened,
        };
        let file = file.map_err(disk_error("open", &self.path))?;
        if file.metadata().map_err(disk_error("look at", &self.path))?.is_file() {
            Ok(file)
        } else {
            Err(disk_error("open", &self.path)(io::Error::other("it is not a regular file: remove it")))
        }
    }

    /// What is known of the part, if it is one of this target.
    fn info(&self, target: &VerifiedTarget) -> Option<PartInfo> {
        let bytes = capped::read(&self.info, INFO_MAX_BYTES).ok()??;
        let info: PartInfo = serde_json::from_slice(&bytes).ok()?;
        (info.schema_version == SCHEMA_VERSION && info.target == identity(target)).then_some(info)
    }

    fn set_info(&self, target: &VerifiedTarget, validators: &Validators) -> Result<(), ChannelError> {
        let info = PartInfo {
            schema_version: SCHEMA_VERSION,
            target: identity(target),
            validators: validators.clone(),
        };
        let bytes = serde_json::to_vec(&info).map_err(|e| disk_error("write", &self.info)(e.into()))?;
        // Lost with a power loss, it costs a download and nothing else.
        atomic_file::write_volatile(&self.info, &bytes, 0o600)
            .map_err(|e| disk_error("write", &self.info)(io::Error::other(e.to_string())))
    }

    fn remove(&self) -> Result<(), ChannelError> {
        for path in [&self.info, &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(disk_error("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The signed digests, which are what makes two targets the same.
fn identity(target: &VerifiedTarget) -> String {
    let digests: Vec<_> = target.hashes().0.iter().map(|(name, digest)| format!("{name}:{digest}")).collect();
    digests.join(" ")
}
