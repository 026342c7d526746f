//! Why an update failed, and the memory of releases that did.
//!
//! A release is remembered by digest, so a rebuilt package of the same version has its own chance. What was the host's
//! fault (no network, no room) is not held against the release; what was nobody's (a kill) only when it happens again and
//! again. The memory is bounded, and an operator's word opens the way again without erasing the record.

use linnet_keys::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::release::Release;

/// Interruptions after which a release is taken to be their cause (a self-test that brings the host down, say).
pub const MAX_INTERRUPTIONS: u32 = 3;
/// Entries that are kept; the oldest goes first.
const MAX_ENTRIES: usize = 32;
/// Bytes of a reason that are kept.
const MAX_WHY_BYTES: usize = 512;

/// Whose fault a failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The host's or the network's: the release may be tried again at once.
    Host,
    /// The updater was killed or the host lost power.
    Interrupted,
    /// The release's: it did not pass preflight or probation.
    Release,
    /// Nobody's: an operator asked for the rollback.
    Operator,
    /// What is on the disk is not what was installed.
    Damaged,
    /// A kind that a newer updater knows; held against the release.
    #[serde(other)]
    Unknown,
}

/// Why an update failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it was.
    pub kind: FailureKind,
    /// In words, for the operator.
    pub why: String,
    /// The exit code that a command ends with for this, where the kind does not say enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

impl Failure {
    /// A failure of this kind; a very long reason is cut.
    #[must_use]
    pub fn new(kind: FailureKind, why: impl Into<String>) -> Self {
        let mut why = why.into();
        if why.len() > MAX_WHY_BYTES {
            let mut end = MAX_WHY_BYTES;
            while !why.is_char_boundary(end) {
                end -= 1;
            }
            why.truncate(end);
            why.push('…');
        }
        Self { kind, why, exit: None }
    }

    /// The same with an exit code.
    #[must_use]
    pub fn with_exit(mut self, exit: u8) -> Self {
        self.exit = Some(exit);
        self
    }
}

/// A release that failed on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// Which.
    #[serde(flatten)]
    pub release: Release,
    /// How often it was tried and failed.
    pub attempts: u32,
    /// How often the attempt was interrupted.
    #[serde(default)]
    pub interruptions: u32,
    /// Whether it is left alone until an operator says otherwise.
    pub blocked: bool,
    /// The last failure.
    pub last: Failure,
}

/// The memory of releases that failed, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Failures(Vec<FailedRelease>);

impl Failures {
    /// Remembers a failure. The host's own are not remembered, and damage on its disk is one of them.
    pub fn remember(&mut self, release: &Release, failure: &Failure) {
        if matches!(failure.kind, FailureKind::Host | FailureKind::Damaged) {
            return;
        }
        let interrupted = failure.kind == FailureKind::Interrupted;
        let mut entry = match self.0.iter().position(|known| known.release.digest == release.digest) {
            Some(at) => self.0.remove(at),
            None => FailedRelease {
                release: release.clone(),
                attempts: 0,
                interruptions: 0,
                blocked: false,
                last: failure.clone(),
            },
        };
        if interrupted {
            entry.interruptions = entry.interruptions.saturating_add(1);
        } else {
            entry.attempts = entry.attempts.saturating_add(1);
        }
        entry.blocked |= !interrupted || entry.interruptions >= MAX_INTERRUPTIONS;
        entry.last = failure.clone();
        if self.0.len() >= MAX_ENTRIES {
            self.0.remove(0);
        }
        self.0.push(entry);
    }

    /// The failed release of this digest, if it is to be left alone.
    #[must_use]
    pub fn blocked(&self, digest: &Sha256Digest) -> Option<&FailedRelease> {
        self.0.iter().find(|known| known.blocked && known.release.digest == *digest)
    }

    /// An operator's word: releases that `which` picks may be tried again. Returns how many there were.
    pub fn forgive(&mut self, which: impl Fn(&Release) -> bool) -> usize {
        let mut forgiven = 0;
        for known in &mut self.0 {
            if known.blocked && which(&known.release) {
                known.blocked = false;
                known.interruptions = 0;
                forgiven += 1;
            }
        }
        forgiven
    }

    /// Drops what a committed release has overtaken, and that release itself.
    pub fn overtaken_by(&mut self, committed: &Release) {
        self.0.retain(|known| {
            known.release.version > committed.version || {
                known.release.version == committed.version && known.release.digest != committed.digest
            }
        });
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &FailedRelease> {
        self.0.iter()
    }
}
