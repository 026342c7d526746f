//! Public keys and their ids.
//!
//! Only ed25519 counts. A key that anyone can sign for (small order), or that clients disagree about (not reduced, or
//! with a part of small order), is refused with the document that names it: nobody makes one by accident. Keys of other kinds, and
//! keys under an id that isn't theirs, are kept as they came and never count.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::canonical;
use crate::digest::Sha256Digest;
use crate::hex;

/// The name of a key: SHA-256 of the canonical form of its object. In a document it is any text, until compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The text as it stands in the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve characters, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.char_indices().nth(12).map_or(&self.0, |(end, _)| self.0.get(..end).unwrap_or(&self.0))
    }
}

impl From<String> for KeyId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 64 lower-case hexadecimal digits of a point on the curve.
    #[error("{0:?} is not an ed25519 public key in lower-case hexadecimal")]
    NotAKey(String),
    /// A point of small order: there are signatures under it that hold for any message.
    #[error("the ed25519 key {0} is weak: anyone can sign for it")]
    Weak(String),
    /// The point has another spelling, or a part of small order that clients disagree about.
    #[error("the ed25519 key {0} is not as key generators make them: its point is ambiguous")]
    Ambiguous(String),
}

/// An ed25519 public key, neither weak nor ambiguous.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of a public key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let text = || hex::encode(bytes);
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAKey(text()))?;
        if key.is_weak() {
            return Err(KeyError::Weak(text()));
        }
        let point = key.to_edwards();
        if point.compress().to_bytes() != *bytes || !point.is_torsion_free() {
            return Err(KeyError::Ambiguous(text()));
        }
        Ok(Self(key))
    }

    pub(crate) fn from_hex(text: &str) -> Result<Self, KeyError> {
        let bytes = hex::decode(text).ok_or_else(|| KeyError::NotAKey(text.chars().take(80).collect()))?;
        Self::from_bytes(&bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key as an object of a document.
    #[must_use]
    pub fn to_object(&self) -> Value {
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex::encode(self.as_bytes())}})
    }

    /// The id of [`PublicKey::to_object`].
    #[must_use]
    pub fn id(&self) -> KeyId {
        object_id(&self.to_object()).unwrap_or_else(|| KeyId(String::new()))
    }

    /// Whether `signature` is this key's signature of `message`, by the strict rules.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.as_bytes()))
    }
}

fn object_id(object: &Value) -> Option<KeyId> {
    Some(KeyId(Sha256Digest::of(&canonical::to_vec(object).ok()?).to_string()))
}

/// The keys that a document brings along, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<KeyId, Value>", into = "BTreeMap<KeyId, Value>")]
pub struct KeyTable {
    objects: BTreeMap<KeyId, Value>,
    usable: BTreeMap<KeyId, PublicKey>,
}

impl KeyTable {
    /// The key of this id, if it is one that counts.
    #[must_use]
    pub fn get(&self, id: &KeyId) -> Option<&PublicKey> {
        self.usable.get(id)
    }

    /// Every key as it stands in the document, those that never count included.
    pub fn objects(&self) -> impl Iterator<Item = (&KeyId, &Value)> {
        self.objects.iter()
    }

    /// Puts a key in, under its own id.
    pub fn insert(&mut self, key: PublicKey) -> KeyId {
        let id = key.id();
        self.objects.insert(id.clone(), key.to_object());
        self.usable.insert(id.clone(), key);
        id
    }

    /// Takes out the keys that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&KeyId) -> bool) {
        self.objects.retain(|id, _| keep(id));
        self.usable.retain(|id, _| keep(id));
    }
}

impl TryFrom<BTreeMap<KeyId, Value>> for KeyTable {
    type Error = KeyError;

    fn try_from(objects: BTreeMap<KeyId, Value>) -> Result<Self, KeyError> {
        let mut usable = BTreeMap::new();
        for (id, object) in &objects {
            let text = |name| object.get(name).and_then(Value::as_str);
            if text("keytype") != Some("ed25519") || text("scheme") != Some("ed25519") {
                continue;
            }
            let public = object.pointer("/keyval/public").and_then(Value::as_str).unwrap_or_default();
            let key = PublicKey::from_hex(public)?;
            // Some publishers count fields of their own in, others only those of the specification.
            if *id == key.id() || Some(id) == object_id(object).as_ref() {
                usable.insert(id.clone(), key);
            }
        }
        Ok(Self { objects, usable })
    }
}

impl From<KeyTable> for BTreeMap<KeyId, Value> {
    fn from(table: KeyTable) -> Self {
        table.objects
    }
}

#[cfg(test)]
mod tests;
