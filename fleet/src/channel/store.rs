//! The trusted metadata on disk, under the names that TUF clients share: `root.json`, `timestamp.json`,
//! `snapshot.json`, `targets.json`, and `ROLE.json` for delegated roles. `timestamp.validators` beside them saves a
//! poll its body.
//!
//! A file is replaced whole, by rename. Who reads one checks it as if it came from the network.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{ChannelError, disk_error};
use super::transport::Validators;
use crate::atomic_file::{self, AtomicFileError};
use crate::capped;

const VALIDATORS: &str = "timestamp.validators";
const VALIDATORS_MAX_BYTES: usize = 4096;
const SCHEMA_VERSION: u32 = 1;
/// The kernel's limit is 255 bytes, of which the temporary name takes some.
const NAME_MAX_BYTES: usize = 200;

/// A directory of metadata.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct StoredValidators {
    schema_version: u32,
    /// Of another server's file they say nothing.
    url: String,
    validators: Validators,
}

impl Store {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(super) fn path(&self, role: &str) -> PathBuf {
        self.directory.join(format!("{}.json", file_name(role)))
    }

    /// The stored document of a role; `None` where there is none, or none of at most `max_bytes`.
    pub(super) fn read(&self, role: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, ChannelError> {
        let path = self.path(role);
        match capped::read(&path, usize::try_from(max_bytes).unwrap_or(usize::MAX)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A directory, or a disk that gives up on it: as good as not there, since it can be had again.
            Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory) => Ok(None),
            Err(error) => Err(disk_error("read", path)(error)),
        }
    }

    pub(super) fn write(&self, role: &str, bytes: &[u8]) -> Result<(), ChannelError> {
        write(&self.path(role), bytes)
    }

    pub(super) fn remove(&self, role: &str) -> Result<(), ChannelError> {
        remove(&self.path(role))
    }

    /// The validators of the stored timestamp, if it came from this url.
    pub(super) fn validators(&self, url: &str) -> Option<Validators> {
        let bytes = capped::read(&self.directory.join(VALIDATORS), VALIDATORS_MAX_BYTES).ok()??;
        let stored: StoredValidators = serde_json::from_slice(&bytes).ok()?;
        let usable = stored.schema_version == SCHEMA_VERSION && stored.url == url;
        Some(stored.validators).filter(|validators| usable && !validators.is_empty())
    }

    /// Keeps the validators of the stored timestamp, or forgets those there are.
    pub(super) fn set_validators(&self, url: &str, validators: &Validators) -> Result<(), ChannelError> {
        let path = self.directory.join(VALIDATORS);
        if validators.is_empty() {
            return remove(&path);
        }
        let stored = StoredValidators {
            schema_version: SCHEMA_VERSION,
            url: url.to_owned(),
            validators: validators.clone(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|e| disk_error("write", &path)(e.into()))?;
        write(&path, &bytes)
    }

    pub(super) fn remove_validators(&self) -> Result<(), ChannelError> {
        remove(&self.directory.join(VALIDATORS))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ChannelError> {
    atomic_file::write(path, bytes, 0o644).map_err(|error| match error {
        AtomicFileError::Io { path, source, .. } => ChannelError::Disk { step: "write", path, source },
        other => ChannelError::Disk {
            step: "write",
            path: path.to_owned(),
            source: io::Error::other(other.to_string()),
        },
    })
}

fn remove(path: &Path) -> Result<(), ChannelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A role's name as that of a file: letters, digits, `-`, `_` and `.` inside stand for themselves, all else is `%XX`.
/// Two roles never share a name; one that is too long becomes its digest.
fn file_name(role: &str) -> String {
    let mut name = String::with_capacity(role.len());
    for (at, byte) in role.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > NAME_MAX_BYTES {
        return format!("%{}", linnet_keys::Sha256Digest::of(role.as_bytes()));
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_roles_stay_in_the_directory() {
        assert_eq!(file_name("targets"), "targets");
        assert_eq!(file_name("../root"), "%2E.%2Froot");
        assert_eq!(file_name("/etc/passwd"), "%2Fetc%2Fpasswd");
        assert_eq!(file_name(".timestamp.json.tmp"), "%2Etimestamp.json.tmp");
        assert_eq!(file_name("?"), "%3F");
        assert_eq!(file_name(&"é".repeat(100)).len(), 65);
    }

    proptest! {
        #[test]
        fn two_roles_never_share_a_file(one in ".{0,120}", other in ".{0,120}") {
            prop_assert_eq!(one == other, file_name(&one) == file_name(&other));
            let name = file_name(&one);
            prop_assert!(!name.contains('/') && !name.starts_with('.') && name.len() <= NAME_MAX_BYTES);
        }
    }

    #[test]
    fn validators_are_of_one_url_and_garbage_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        let validators = Validators { etag: Some("\"x\"".to_owned()), last_modified: None };
        assert_eq!(store.validators("u"), None);
        store.set_validators("u", &validators).unwrap();
        assert_eq!(store.validators("u"), Some(validators.clone()));
        assert_eq!(store.validators("v"), None);
        for garbage in ["", "{", "{\"schema_version\":2,\"url\":\"u\",\"validators\":{\"etag\":\"x\"}}"] {
            fs::write(directory.path().join(VALIDATORS), garbage).unwrap();
            assert_eq!(store.validators("u"), None, "{garbage}");
        }
        store.set_validators("u", &validators).unwrap();
        store.set_validators("u", &Validators::default()).unwrap();
        assert!(!directory.path().join(VALIDATORS).exists());
    }
}
