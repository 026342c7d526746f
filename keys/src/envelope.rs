//! A document with its signatures: `{"signed": …, "signatures": [{"keyid", "sig"}]}`.
//!
//! An envelope that was parsed is not trusted. [`Envelope::verify`] is the only road from it to a typed document for
//! whoever did not write it, and counts distinct keys by their bytes.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::canonical::{self, CanonicalError};
use crate::hex;
use crate::key::{KeyId, KeyTable};
use crate::metadata::RoleKeys;
use crate::sign::PrivateKey;

/// Most signatures that a document may carry, so that none makes a host verify without end.
pub const MAX_SIGNATURES: usize = 256;

/// One signature. Text that is no signature is kept, and never counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key that is said to have made it.
    pub keyid: KeyId,
    /// 128 lower-case hexadecimal digits.
    pub sig: String,
}

/// A document, its canonical form, and its signatures.
#[derive(Clone, Debug)]
pub struct Envelope {
    signed: Value,
    canonical: Vec<u8>,
    signatures: Vec<Signature>,
}

/// Why bytes are not an envelope.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Not JSON, or JSON that is not taken.
    #[error(transparent)]
    Json(#[from] CanonicalError),
    /// Not of the form `{"signed", "signatures"}`.
    #[error("not a signed document: {0}")]
    Shape(serde_json::Error),
    /// A key id stands twice in the signatures.
    #[error("two signatures of the key {0}")]
    TwoSignatures(KeyId),
    /// More signatures than are looked at.
    #[error("{0} signatures, where {MAX_SIGNATURES} are the most")]
    TooManySignatures(usize),
}

/// Fewer keys signed than must.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("signed by {valid} of the keys of this role, where {threshold} must")]
pub struct BelowThreshold {
    /// Distinct keys of the role with a valid signature.
    pub valid: usize,
    /// How many must.
    pub threshold: u64,
}

#[derive(Deserialize)]
struct Shape {
    signed: Value,
    signatures: Vec<Signature>,
}

impl Envelope {
    /// Reads the bytes of a document. The caller has capped their number.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let shape: Shape = serde_json::from_value(canonical::parse(bytes)?).map_err(EnvelopeError::Shape)?;
        if shape.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooManySignatures(shape.signatures.len()));
        }
        let mut seen = BTreeSet::new();
        for signature in &shape.signatures {
            if !seen.insert(&signature.keyid) {
                return Err(EnvelopeError::TwoSignatures(signature.keyid.clone()));
            }
        }
        Ok(Self {
            canonical: canonical::to_vec(&shape.signed)?,
            signed: shape.signed,
            signatures: shape.signatures,
        })
    }

    /// A new document without signatures.
    ///
    /// # Errors
    /// [`CanonicalError`] for content that has no canonical form.
    pub fn unsigned(signed: Value) -> Result<Self, CanonicalError> {
        Ok(Self { canonical: canonical::to_vec(&signed)?, signed, signatures: Vec::new() })
    }

    /// Adds this key's signature, or replaces it.
    pub fn sign(&mut self, key: &PrivateKey) {
        let signature = Signature { keyid: key.id(), sig: hex::encode(&key.sign(&self.canonical)) };
        self.signatures.retain(|other| other.keyid != signature.keyid);
        self.signatures.push(signature);
    }

    /// Takes the signatures of `other` that are missing here. Whether they hold, [`Envelope::verify`] says.
    ///
    /// # Errors
    /// The content differs: gives `other` back.
    pub fn merge(&mut self, other: Self) -> Result<usize, Box<Self>> {
        if other.canonical != self.canonical {
            return Err(Box::new(other));
        }
        let before = self.signatures.len();
        for signature in other.signatures {
            if !self.signatures.iter().any(|ours| ours.keyid == signature.keyid) {
                self.signatures.push(signature);
            }
        }
        Ok(self.signatures.len() - before)
    }

    /// Drops the signatures that `keep` does not want.
    pub fn retain_signatures(&mut self, keep: impl Fn(&KeyId) -> bool) {
        self.signatures.retain(|signature| keep(&signature.keyid));
    }

    /// The keys of the role whose signature here holds, each once.
    #[must_use]
    pub fn valid_signers(&self, table: &KeyTable, role: &RoleKeys) -> Vec<KeyId> {
        let mut keys = BTreeSet::new();
        let mut signers = Vec::new();
        for Signature { keyid, sig } in &self.signatures {
            let Some(key) = table.get(keyid).filter(|_| role.keyids.contains(keyid)) else { continue };
            let Some(signature) = hex::decode(sig) else { continue };
            if !keys.contains(key.as_bytes()) && key.verifies(&self.canonical, &signature) {
                keys.insert(*key.as_bytes());
                signers.push(keyid.clone());
            }
        }
        signers
    }

    /// Whether a threshold of distinct keys of the role signed this content.
    ///
    /// # Errors
    /// [`BelowThreshold`].
    pub fn verify(&self, table: &KeyTable, role: &RoleKeys) -> Result<(), BelowThreshold> {
        let valid = self.valid_signers(table, role).len();
        let threshold = role.threshold.get();
        if u64::try_from(valid).is_ok_and(|valid| valid >= threshold) {
            Ok(())
        } else {
            Err(BelowThreshold { valid, threshold })
        }
    }

    /// The content as a typed document, *not verified*.
    ///
    /// # Errors
    /// What is missing or of another type.
    pub fn content<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.signed)
    }

    /// The content as it came.
    #[must_use]
    pub fn signed(&self) -> &Value {
        &self.signed
    }

    /// The signatures as they came.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The bytes to be published: indented JSON, members sorted, a line feed at the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = json!({"signatures": self.signatures, "signed": self.signed});
        format!("{document:#}\n").into_bytes()
    }
}

#[cfg(test)]
mod tests;
