//! What to fetch next, and under which name it stands in the channel.

use serde_json::Value;

use crate::metadata::{Hashes, MetaFile, TargetFile};

/// A document to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWanted {
    /// The role whose document it is; the stored copy is `ROLE.json`.
    pub role: String,
    /// Its path below the URL of the metadata, percent-encoded: `3.snapshot.json`.
    pub path: String,
    /// Never read more than this.
    pub max_bytes: u64,
    /// Its digests, where they are known beforehand.
    pub hashes: Option<Hashes>,
}

impl FileWanted {
    /// The timestamp: the only document whose version nobody knows beforehand.
    #[must_use]
    pub fn timestamp() -> Self {
        Self {
            role: "timestamp".to_owned(),
            path: "timestamp.json".to_owned(),
            max_bytes: super::MAX_TIMESTAMP_BYTES,
            hashes: None,
        }
    }

    pub(super) fn root(version: u64) -> Self {
        Self {
            role: "root".to_owned(),
            path: format!("{version}.root.json"),
            max_bytes: super::MAX_ROOT_BYTES,
            hashes: None,
        }
    }

    pub(super) fn metadata(role: &str, listed: &MetaFile, max_bytes: u64, consistent: bool) -> Self {
        let version = if consistent { format!("{}.", listed.version) } else { String::new() };
        Self {
            role: role.to_owned(),
            path: format!("{version}{}.json", percent_encode(role, "")),
            max_bytes: listed.length.unwrap_or(max_bytes).min(max_bytes),
            hashes: listed.hashes.clone(),
        }
    }
}

/// A file that a trusted role says is genuine.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedTarget {
    pub(super) path: String,
    pub(super) file: TargetFile,
    pub(super) role: String,
    pub(super) consistent: bool,
}

impl VerifiedTarget {
    /// Its path as the documents name it: `release/linnet-0.2.0-x86_64.tar.gz`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.file.length
    }

    /// Its digests.
    #[must_use]
    pub const fn hashes(&self) -> &Hashes {
        &self.file.hashes
    }

    /// What the publisher has to say of it; null where it says nothing.
    #[must_use]
    pub const fn custom(&self) -> &Value {
        &self.file.custom
    }

    /// The role that signed for it.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its path below the URL of the targets, percent-encoded: `release/<digest>.linnet-0.2.0-x86_64.tar.gz` in a
    /// channel with consistent snapshots.
    #[must_use]
    pub fn url_path(&self) -> String {
        let (directory, name) = match self.path.rsplit_once('/') {
            Some((directory, name)) => (format!("{}/", percent_encode(directory, "/")), name),
            None => (String::new(), self.path.as_str()),
        };
        let hashes = &self.file.hashes.0;
        let digest = hashes.get("sha256").or_else(|| hashes.values().next()).filter(|_| self.consistent);
        let digest = digest.map(|digest| format!("{}.", percent_encode(digest, ""))).unwrap_or_default();
        format!("{directory}{digest}{}", percent_encode(name, ""))
    }
}

/// Everything but letters, digits, `-._~` and `keep` as `%XX` of its UTF-8. Names of roles and files may hold anything;
/// in a URL they must not become a query, a fragment or another directory.
fn percent_encode(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(character) || keep.contains(character) {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
