//! Trust: what makes a file from the network one that this host may act on.
//!
//! A channel is a repository of [The Update Framework](https://theupdateframework.io) 1.0: a few signed JSON documents
//! that say which files are genuine, and who may say so. This crate holds the documents, their canonical form, the
//! keys and thresholds, and the client's workflow. It is pure: no file, no network, no clock. Bytes and the time come
//! in as arguments, so every decision can be repeated in a test.
//!
//! - [`canonical`]: JSON that has one form only; the signatures are over it.
//! - [`key`]: ed25519 public keys and key ids. [`sign`]: private keys, for the publisher.
//! - [`envelope`]: a document with its signatures, and the threshold of distinct keys.
//! - [`metadata`]: root, timestamp, snapshot, targets.
//! - [`pattern`]: which paths a delegation speaks for.
//! - [`trusted`]: the workflow, step by step under the numbers of the specification. Read this one first.
//! - [`release`]: what Linnet writes into the parts that the specification leaves open.
//!
//! What holds everywhere:
//!
//! 1. Trust is only extended by a document that passed every check; one that fails changes nothing.
//! 2. Only ed25519 counts, verified strictly (no small-order keys, no malleable or non-canonical signatures). A
//!    document may name keys of other kinds; they are kept and never count.
//! 3. A threshold counts distinct keys by their bytes, so one key under two names is one key.
//! 4. Unknown fields are kept and ignored. Doubled fields, floats and deep nesting are refused.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod digest;
pub mod envelope;
pub mod error;
mod hex;
pub mod key;
pub mod metadata;
pub mod pattern;
pub mod release;
pub mod sign;
pub mod trusted;

pub use digest::Sha256Digest;
pub use error::{ErrorClass, TrustError};
pub use key::{KeyId, PublicKey};
pub use trusted::{FileWanted, RootChange, Search, TimestampChange, Trusted, Verified, VerifiedTarget};
