//! The persisted state: where the transaction is, and what outlives it.

use linnet_keys::release::Version;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Failures};
use super::input::Moment;
use super::release::Release;
use crate::probation::Baseline;

/// Everything that the updater persists about its work. Additions are tolerated within a schema version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where the transaction is.
    pub phase: Phase,
    /// The release that was last committed or rolled back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Release>,
    /// No release below this is ever taken again. It never falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// Releases that failed here.
    #[serde(default)]
    pub failures: Failures,
    /// Steps of this transaction so far.
    #[serde(default)]
    pub transitions: u32,
}

impl State {
    /// Raises the floor; a lower one changes nothing.
    pub fn raise_floor(&mut self, floor: Option<&Version>) {
        if let Some(floor) = floor
            && self.floor.as_ref().is_none_or(|known| known < floor)
        {
            self.floor = Some(*floor);
        }
    }
}

/// Why a transaction was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The first release of this host.
    Install,
    /// The channel offers it.
    Update,
    /// An operator pinned or asked for it.
    Operator,
    /// What was installed turned out damaged.
    Repair,
    /// A cause that a newer updater knows.
    #[serde(other)]
    Unknown,
}

/// A transaction: from which release to which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Why.
    pub cause: Cause,
    /// Where to.
    pub target: Release,
    /// Where from, and back to when it fails; none for the first release of a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Release>,
    /// What `previous` led to before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// The floor that the target brings, once it is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// How long probation may take in all, before the dead-man ends it.
    pub allowance_ms: u64,
    /// What was wrong with the agent before.
    #[serde(default)]
    pub baseline: Baseline,
}

/// When probation ends at the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probation {
    /// The first is 1; an interruption begins the next.
    pub attempt: u32,
    /// When this attempt began.
    pub began: Moment,
    /// When the dead-man rolls back, in the same boot.
    pub deadline_up_ms: u64,
}

/// Where the transaction is. In each phase but `Idle` and `Stuck` an act is under way, or was when power was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// The package is being fetched and verified.
    Downloading {
        /// The transaction.
        job: Job,
    },
    /// It is verified and being unpacked.
    Verified {
        /// The transaction.
        job: Job,
    },
    /// It is unpacked, and what is on the disk is being compared with the manifest.
    Staged {
        /// The transaction.
        job: Job,
    },
    /// Its self-tests run.
    Preflight {
        /// The transaction.
        job: Job,
    },
    /// Links and units are being switched.
    Switching {
        /// The transaction.
        job: Job,
    },
    /// The new agent is watched.
    Probation {
        /// The transaction.
        job: Job,
        /// Until when.
        probation: Probation,
    },
    /// It is good; what is left of the transaction is being put away.
    Committed {
        /// The transaction.
        job: Job,
    },
    /// It failed before the switch; what is left is being put away.
    Failed {
        /// The transaction.
        job: Job,
        /// Why.
        failure: Failure,
    },
    /// It failed after the switch; links and units are being put back.
    RollingBack {
        /// The transaction.
        job: Job,
        /// Why.
        failure: Failure,
    },
    /// They are back; the old agent is being started.
    RolledBack {
        /// The transaction.
        job: Job,
        /// Why.
        failure: Failure,
    },
    /// The rollback failed. Each start tries it again.
    Stuck {
        /// The transaction.
        job: Job,
        /// Why there was a rollback.
        failure: Failure,
        /// Why it failed.
        why: String,
    },
}

impl Phase {
    /// The name, as the design writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Downloading { .. } => "DOWNLOADING",
            Self::Verified { .. } => "VERIFIED",
            Self::Staged { .. } => "STAGED",
            Self::Preflight { .. } => "PREFLIGHT",
            Self::Switching { .. } => "SWITCHING",
            Self::Probation { .. } => "PROBATION",
            Self::Committed { .. } => "COMMITTED",
            Self::Failed { .. } => "FAILED",
            Self::RollingBack { .. } => "ROLLING_BACK",
            Self::RolledBack { .. } => "ROLLED_BACK",
            Self::Stuck { .. } => "STUCK",
        }
    }

    /// The transaction under way.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        match self {
            Self::Idle => None,
            Self::Downloading { job }
            | Self::Verified { job }
            | Self::Staged { job }
            | Self::Preflight { job }
            | Self::Switching { job }
            | Self::Probation { job, .. }
            | Self::Committed { job }
            | Self::Failed { job, .. }
            | Self::RollingBack { job, .. }
            | Self::RolledBack { job, .. }
            | Self::Stuck { job, .. } => Some(job),
        }
    }

    /// Why it failed, where it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. }
            | Self::RollingBack { failure, .. }
            | Self::RolledBack { failure, .. }
            | Self::Stuck { failure, .. } => Some(failure),
            _ => None,
        }
    }
}
