//! What Linnet writes into the parts that the specification leaves open: `custom` of a target, and the list of
//! revoked packages in the top-level targets document.
//!
//! ```json
//! "custom": {"linnet": {"kind": "release", "version": "0.2.0", "arch": "x86_64", "minimum_kernel": "5.10",
//!                       "security_floor": "0.1.0", "unpacked_bytes": 9437184, "notes": "…"}}
//! "x-linnet-revoked": ["<SHA-256 of a package>", …]
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::digest::Sha256Digest;
use crate::metadata::Targets;

/// The member of `custom` that is ours.
pub const CUSTOM: &str = "linnet";
/// The member of the targets document that lists revoked packages.
pub const REVOKED: &str = "x-linnet-revoked";

/// The text is not a version.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a version: {1}")]
pub struct NotAVersion(String, &'static str);

/// The version of a release or plugin: three numbers, compared as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version([u32; 3]);

/// The version of a kernel: two or three numbers; what follows them in `uname -r` does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion([u32; 3]);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let error = || NotAVersion(text.chars().take(80).collect(), "three numbers such as 0.2.0 are wanted");
        let mut numbers = text.split('.').map(number);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Self([major, minor, patch]))
            }
            _ => Err(error()),
        }
    }
}

impl KernelVersion {
    /// The version of a running kernel, from its release (`6.1.0-18-amd64`, `5.10.0+`, `6.18-rc1`).
    ///
    /// # Errors
    /// [`NotAVersion`] when it does not begin with two numbers.
    pub fn of_release(release: &str) -> Result<Self, NotAVersion> {
        let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
        release.get(..end).unwrap_or_default().trim_end_matches('.').parse()
    }
}

impl FromStr for KernelVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let error =
            || NotAVersion(text.chars().take(80).collect(), "two or three numbers such as 5.10 are wanted");
        let mut numbers = text.split('.').map(number);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(major)), Some(Some(minor)), None, _) => Ok(Self([major, minor, 0])),
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Self([major, minor, patch]))
            }
            _ => Err(error()),
        }
    }
}

/// One spelling only: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [major, minor, 0] => write!(f, "{major}.{minor}"),
            [major, minor, patch] => write!(f, "{major}.{minor}.{patch}"),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl TryFrom<String> for KernelVersion {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> Self {
        version.to_string()
    }
}

/// What a package is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Package {
    /// The sensor and its updater.
    Release(Release),
    /// A plugin.
    Plugin(Plugin),
}

/// What is signed of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// The machine it runs on, as `uname -m` has it.
    pub arch: String,
    /// The oldest kernel it runs on.
    pub minimum_kernel: KernelVersion,
    /// No host that took this release goes below this version again.
    pub security_floor: Version,
    /// All its files together.
    pub unpacked_bytes: u64,
    /// For people: what is new.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// What is signed of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The machine it runs on, as `uname -m` has it.
    pub arch: String,
    /// All its files together.
    pub unpacked_bytes: u64,
    /// For people: what is new.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// Why `custom` says nothing of use.
#[derive(Debug, Error)]
pub enum CustomError {
    /// It has no member of ours.
    #[error("the target has no custom.{CUSTOM}: it is no package of linnet")]
    Missing,
    /// It is not of the form that this program knows.
    #[error("custom.{CUSTOM} of the target: {0}")]
    Malformed(serde_json::Error),
}

impl Package {
    /// Reads `custom` of a target.
    ///
    /// # Errors
    /// See [`CustomError`].
    pub fn from_custom(custom: &Value) -> Result<Self, CustomError> {
        Self::deserialize(custom.get(CUSTOM).ok_or(CustomError::Missing)?).map_err(CustomError::Malformed)
    }

    /// Writes `custom` of a target.
    ///
    /// # Errors
    /// None in practice: every field has a form in JSON.
    pub fn to_custom(&self) -> Result<Value, serde_json::Error> {
        Ok(serde_json::json!({ CUSTOM: serde_json::to_value(self)? }))
    }
}

/// The packages that this targets document revokes. What is no digest there is passed over.
#[must_use]
pub fn revoked(targets: &Targets) -> BTreeSet<Sha256Digest> {
    let list = targets.extra.get(REVOKED).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|digest| digest.as_str()?.parse().ok()).collect()
}

/// Whether this targets document revokes the package of this digest.
#[must_use]
pub fn is_revoked(targets: &Targets, digest: &Sha256Digest) -> bool {
    revoked(targets).contains(digest)
}

/// Revokes a package.
pub fn revoke(targets: &mut Targets, digest: Sha256Digest) {
    let mut list = revoked(targets);
    list.insert(digest);
    targets.extra.insert(REVOKED.to_owned(), list.iter().map(ToString::to_string).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("0.10.0") > version("0.9.9"));
        assert_eq!(version("1.2.3").to_string(), "1.2.3");
        for text in
            ["", "1", "1.2", "1.2.3.4", "1.2.x", "01.2.3", "1.2.+3", "1.2.3-rc1", "1.2.4294967296", "1..3"]
        {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_kernel_is_judged_by_its_numbers() {
        let kernel = |text: &str| KernelVersion::of_release(text).unwrap();
        assert_eq!(kernel("6.1.0-18-amd64"), "6.1".parse().unwrap());
        assert_eq!(kernel("6.18-rc1"), "6.18.0".parse().unwrap());
        assert_eq!(kernel("5.10.0+").to_string(), "5.10");
        assert_eq!(kernel("4.19.123.el7"), "4.19.123".parse().unwrap());
        assert!(kernel("5.10.0") > kernel("5.9.16"));
        for text in ["", "linux", "6", "6.x", "-6.1"] {
            assert!(KernelVersion::of_release(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_release_reads_back_from_custom() {
        let custom = serde_json::json!({"linnet": {"kind": "release", "version": "0.2.0", "arch": "x86_64",
            "minimum_kernel": "5.10", "security_floor": "0.1.0", "unpacked_bytes": 3, "later": true}});
        let package = Package::from_custom(&custom).unwrap();
        let Package::Release(release) = &package else { panic!("{package:?}") };
        assert_eq!(release.version, "0.2.0".parse().unwrap());
        assert_eq!(Package::from_custom(&package.to_custom().unwrap()).unwrap(), package);
    }

    #[test]
    fn foreign_custom_is_told_apart_from_broken() {
        assert!(matches!(Package::from_custom(&Value::Null), Err(CustomError::Missing)));
        let error = Package::from_custom(&serde_json::json!({"linnet": {"kind": "release"}})).unwrap_err();
        assert!(error.to_string().contains("version"), "{error}");
        let error = Package::from_custom(&serde_json::json!({"linnet": {"kind": "song"}})).unwrap_err();
        assert!(error.to_string().contains("song"), "{error}");
    }
}
