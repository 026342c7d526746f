//! The hash of some content.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// OCSF `fingerprint`, with the raw digest; written in lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint<'a> {
    /// SHA-256, `algorithm_id` 3.
    Sha256(&'a [u8; 32]),
}

impl Serialize for Fingerprint<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Self::Sha256(digest) = *self;
        let mut hex = [b'0'; 64];
        for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
            *pair = [byte >> 4, byte & 0xf]
                .map(|nibble| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default());
        }
        let mut object = serializer.serialize_struct("fingerprint", 2)?;
        object.serialize_field("algorithm_id", &3_u8)?;
        object.serialize_field("value", std::str::from_utf8(&hex).unwrap_or_default())?;
        object.end()
    }
}
