//! What names a release: its version and the digest of its package.

use std::fmt;

use linnet_keys::Sha256Digest;
use linnet_keys::release::Version;
use serde::{Deserialize, Serialize};

/// Digits of the digest that are part of the directory's name.
const NAME_DIGITS: usize = 16;

/// One release: two packages of one version are two releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The version that was signed.
    pub version: Version,
    /// SHA-256 of its package.
    pub digest: Sha256Digest,
}

impl Release {
    /// Name of its directory below `releases/`: `<version>-<16 digits>`.
    #[must_use]
    pub fn dir_name(&self) -> String {
        format!("{}-{:.NAME_DIGITS$}", self.version, self.digest.to_string())
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.NAME_DIGITS$})", self.version, self.digest.to_string())
    }
}
