//! The four kinds of documents, as the specification has them (section 4).
//!
//! Reading them checks their form and nothing else: that they are trusted is [`crate::trusted`]'s to say. Members that
//! are not known here are kept in `extra`, so that a publisher writes back what it read.

mod root;
mod snapshot;
mod targets;
mod timestamp;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use jiff::Timestamp as Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha512};

use crate::digest::Sha256Digest;
use crate::hex;
use crate::key::KeyId;

pub use root::{RoleName, Roles, Root};
pub use snapshot::Snapshot;
pub use targets::{DelegatedRole, Delegations, TargetFile, Targets};
pub use timestamp::Timestamp;

/// What [`Common::spec_version`] says in documents that are written here.
pub const SPEC_VERSION: &str = "1.0.33";

/// The version of a document: 1 or more, and it only ever grows.
pub type Version = NonZeroU64;

/// What every document has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// The version of the specification, `1.…`.
    #[serde(deserialize_with = "version_one")]
    pub spec_version: String,
    /// The version of this document.
    #[serde(deserialize_with = "version_number")]
    pub version: Version,
    /// When it stops to be trusted.
    #[serde(deserialize_with = "expiry")]
    pub expires: Time,
}

impl Common {
    /// A first version that expires then (whole seconds, since other clients read no more).
    #[must_use]
    pub fn new(expires: Time) -> Self {
        let mut common = Self { spec_version: SPEC_VERSION.to_owned(), version: Version::MIN, expires };
        common.set_expires(expires);
        common
    }

    /// Sets the end, cut to whole seconds.
    pub fn set_expires(&mut self, expires: Time) {
        self.expires = Time::from_second(expires.as_second()).unwrap_or(expires);
    }
}

fn version_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut numbers = text.split('.');
    let well_formed = numbers.next() == Some("1")
        && numbers.all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    if well_formed {
        Ok(text)
    } else {
        Err(serde::de::Error::custom(format_args!("spec_version {text:?} is not 1.x: update this program")))
    }
}

// Members of `Common` are flattened into documents, where serde does not name them by itself.

fn version_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    Version::deserialize(deserializer)
        .map_err(|error| serde::de::Error::custom(format_args!("version: {error}")))
}

fn expiry<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    Time::deserialize(deserializer)
        .map_err(|error| serde::de::Error::custom(format_args!("expires: {error}")))
}

/// A kind of document: the one of its `_type`.
pub trait Document: DeserializeOwned {
    /// The member `_type`.
    const TYPE: &'static str;
    /// What every document has.
    fn common(&self) -> &Common;
    /// What the form alone does not say; the error is for people.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The members of a new document that say its kind.
fn typed<T: Document>() -> Map<String, Value> {
    Map::from_iter([("_type".to_owned(), Value::from(T::TYPE))])
}

/// Who may sign, and how many must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of keys, each once.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must sign.
    pub threshold: NonZeroU64,
    /// Members that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RoleKeys {
    /// Any `threshold` of these keys.
    #[must_use]
    pub fn new(keyids: Vec<KeyId>, threshold: NonZeroU64) -> Self {
        Self { keyids, threshold, extra: Map::new() }
    }

    fn check(&self) -> Result<(), String> {
        let distinct: BTreeSet<_> = self.keyids.iter().collect();
        if distinct.len() == self.keyids.len() { Ok(()) } else { Err("a key id is given twice".to_owned()) }
    }
}

/// Digests of a file by algorithm. SHA-256 and SHA-512 are checked, others only kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(pub BTreeMap<String, String>);

impl Hashes {
    /// Only SHA-256.
    #[must_use]
    pub fn sha256(digest: Sha256Digest) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), digest.to_string())]))
    }

    /// The SHA-256, where there is one.
    #[must_use]
    pub fn get_sha256(&self) -> Option<Sha256Digest> {
        self.0.get("sha256")?.parse().ok()
    }

    /// Whether the bytes have every digest that can be checked, and at least one can.
    #[must_use]
    pub fn fit(&self, bytes: &[u8]) -> bool {
        let checks = [
            self.0.get("sha256").map(|wanted| *wanted == hex::encode(&Sha256::digest(bytes))),
            self.0.get("sha512").map(|wanted| *wanted == hex::encode(&Sha512::digest(bytes))),
        ];
        checks.iter().any(Option::is_some) && checks.iter().all(|check| *check != Some(false))
    }
}

/// What a timestamp or snapshot says of another document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Its version.
    pub version: Version,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Members that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MetaFile {
    /// The entry of a document of this version and these bytes.
    #[must_use]
    pub fn of(version: Version, bytes: &[u8]) -> Self {
        Self {
            version,
            length: u64::try_from(bytes.len()).ok(),
            hashes: Some(Hashes::sha256(Sha256Digest::of(bytes))),
            extra: Map::new(),
        }
    }
}
