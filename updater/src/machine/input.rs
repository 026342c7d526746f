//! What goes into a step and what comes out besides the state.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::failure::Failure;
use super::phase::Job;

/// A moment by clocks that nobody can set: the boot, and milliseconds since it, time asleep included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The kernel's random id of this boot.
    pub boot_id: String,
    /// `CLOCK_BOOTTIME`.
    pub up_ms: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A release is to be taken from a channel.
    Begin(Box<Job>),
    /// A release that is on the disk already is to be taken.
    BeginStaged(Box<Job>),
    /// Go back to the job's `from` without more ado: an operator's rollback, or a damaged release.
    Revert(Box<Job>, Failure),
    /// The act of the phase succeeded.
    Done,
    /// It did not.
    Failed(Failure),
    /// A start found the transaction unfinished: whoever worked on it is gone.
    Interrupted,
    /// The dead-man's time is up, or the service manager gave the agent up.
    TimedOut(String),
}

impl Input {
    /// The name, for messages and history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin(_) => "begin",
            Self::BeginStaged(_) => "begin-staged",
            Self::Revert(..) => "revert",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Interrupted => "interrupted",
            Self::TimedOut(_) => "timed-out",
        }
    }
}

/// What a phase asks to be done. Each act may be done again after a crash in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the run ends here.
    Rest,
    /// Fetch the package and verify it.
    Download,
    /// Unpack it and mark the directory complete.
    Stage,
    /// Compare what is on the disk with the manifest.
    Verify,
    /// Run the new release's self-tests.
    Preflight,
    /// Arm the dead-man, then switch links and units.
    Switch,
    /// Start the new agent and watch it.
    Watch,
    /// Disarm, give the updater its new self, collect garbage.
    Settle,
    /// Remove what a failed attempt left.
    Clean,
    /// Put links and units back.
    Restore,
    /// Start the old agent, and see that it lives.
    Revive,
}

/// An input that a phase does not take.
#[derive(Debug, Error)]
#[error("{input} does not fit the state {phase}: {hint}")]
pub struct Illegal {
    /// The state's name.
    pub phase: &'static str,
    /// The input's name.
    pub input: &'static str,
    /// What to do.
    pub hint: &'static str,
}
