//! Private keys and signing, for the publisher and for tests. A host that only verifies holds none.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;

use crate::canonical::CanonicalError;
use crate::envelope::Envelope;
use crate::key::{KeyId, PublicKey};

/// An ed25519 private key; its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct PrivateKey {
    signing: SigningKey,
    public: PublicKey,
}

impl PrivateKey {
    /// The key of this seed, 32 bytes of the system's randomness. `None` for the seed of a weak key, of which none is
    /// known.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let signing = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(signing.verifying_key().as_bytes()).ok()?;
        Some(Self { signing, public })
    }

    /// The seed, to be stored.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The id of the public half.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    /// The signature of these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.id())
    }
}

/// The signed document of this content (a [`crate::metadata::Document`] or a JSON value), in the bytes to be published.
///
/// # Errors
/// [`CanonicalError`] for content that has no canonical form.
pub fn sign_document<'a>(
    content: &impl Serialize,
    keys: impl IntoIterator<Item = &'a PrivateKey>,
) -> Result<Vec<u8>, CanonicalError> {
    let mut envelope = Envelope::unsigned(serde_json::to_value(content)?)?;
    for key in keys {
        envelope.sign(key);
    }
    Ok(envelope.to_bytes())
}
