//! Why a document is not trusted, and which kind of trouble that is.

use jiff::Timestamp as Time;
use thiserror::Error;

use crate::envelope::{BelowThreshold, EnvelopeError};

/// A document was refused. Nothing that was trusted before has changed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Not a signed document.
    #[error("{role}: {why}")]
    Envelope {
        /// The role that the document was fetched for.
        role: String,
        /// What is wrong.
        why: EnvelopeError,
    },
    /// A signed document, but not of the form of its kind.
    #[error("{role}: not a valid document: {reason}")]
    Malformed {
        /// The role that the document was fetched for.
        role: String,
        /// What is wrong.
        reason: String,
    },
    /// Too few keys of the role signed.
    #[error("{role}: {why} (the keys are those that {by} names)")]
    Unsigned {
        /// The role that the document was fetched for.
        role: String,
        /// Who says which keys the role has.
        by: String,
        /// How many signed.
        why: BelowThreshold,
    },
    /// Older than what was seen already, or not the next root.
    #[error("{role}: version {found} where {wanted}: an old or foreign copy, nothing was taken from it")]
    Version {
        /// The role whose version it is.
        role: String,
        /// The version in the document.
        found: u64,
        /// What it must be, in words.
        wanted: String,
    },
    /// A document that the trusted snapshot listed is no longer listed.
    #[error("snapshot: {name} is no longer listed: a document that was once published stays")]
    Removed {
        /// Its name in the snapshot.
        name: String,
    },
    /// Longer than is read, or of another length than was signed for.
    #[error("{role}: {found} bytes, where {wanted}")]
    Length {
        /// The role that the document was fetched for.
        role: String,
        /// Its length.
        found: u64,
        /// What it must be, in words.
        wanted: String,
    },
    /// Not the bytes that were signed for.
    #[error(
        "{role}: its digest is not the one that {by} lists: two states of the channel are mixed, try again later"
    )]
    Digest {
        /// The role that the document was fetched for.
        role: String,
        /// Who lists the digest.
        by: String,
    },
    /// Past its end.
    #[error(
        "{role}: expired at {at}; it is {now} now: no changes are taken until it is signed anew (is the clock right?)"
    )]
    Expired {
        /// The role of the document.
        role: String,
        /// Its end.
        at: Time,
        /// The start of this update.
        now: Time,
    },
    /// No trusted snapshot or delegation knows of this role.
    #[error("{role}: {by} does not list it")]
    Unlisted {
        /// The role.
        role: String,
        /// Who does not list it.
        by: String,
    },
    /// The caller skipped a step of the workflow.
    #[error("{role}: {needs} comes first")]
    Order {
        /// The role that was to be updated.
        role: String,
        /// The missing step.
        needs: &'static str,
    },
    /// A stored copy from before its keys were changed: forget it.
    #[error("{role}: the keys were changed, so the stored copy does not count any more")]
    Rotated {
        /// The role of the copy.
        role: String,
    },
}

/// The kind of trouble, for exit codes and for deciding whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Not signed as it must be, or not what was signed.
    Signature,
    /// Not a document.
    Malformed,
    /// Older than what was seen.
    Rollback,
    /// Too long, or of the wrong length.
    Size,
    /// Past its end.
    Expired,
    /// A mistake of the program that uses this crate.
    Usage,
}

impl TrustError {
    /// The kind of trouble.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unsigned { .. } | Self::Digest { .. } | Self::Unlisted { .. } => ErrorClass::Signature,
            Self::Envelope { .. } | Self::Malformed { .. } => ErrorClass::Malformed,
            Self::Version { .. } | Self::Removed { .. } | Self::Rotated { .. } => ErrorClass::Rollback,
            Self::Length { .. } => ErrorClass::Size,
            Self::Expired { .. } => ErrorClass::Expired,
            Self::Order { .. } => ErrorClass::Usage,
        }
    }
}
