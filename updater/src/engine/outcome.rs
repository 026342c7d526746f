//! What came of a run.

use crate::exit_code;
use crate::machine::{Failure, FailureKind, Phase, Release};

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to do.
    Nothing,
    /// A release was committed.
    Committed(Release),
    /// A release failed before the switch.
    Failed(Release, Failure),
    /// A release was rolled back; the one that runs now, if any.
    RolledBack(Release, Option<Release>, Failure),
    /// The rollback failed.
    Stuck(Release, String),
}

impl Outcome {
    /// The outcome when this phase was entered.
    #[must_use]
    pub fn after(self, phase: &Phase) -> Self {
        match phase {
            Phase::Committed { job } => Self::Committed(job.target.clone()),
            Phase::Failed { job, failure } => Self::Failed(job.target.clone(), failure.clone()),
            Phase::RolledBack { job, failure } => {
                Self::RolledBack(job.target.clone(), job.from.clone(), failure.clone())
            }
            Phase::Stuck { job, why, .. } => Self::Stuck(job.target.clone(), why.clone()),
            _ => self,
        }
    }

    /// The exit code of a command with this outcome.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            // A rollback that was asked for is what the command was to do.
            Self::Nothing
            | Self::Committed(_)
            | Self::RolledBack(_, _, Failure { kind: FailureKind::Operator, .. }) => exit_code::OK,
            Self::Failed(_, failure) => failure.exit.unwrap_or(exit_code::ERROR),
            Self::RolledBack(..) => exit_code::ROLLED_BACK,
            Self::Stuck(..) => exit_code::STUCK,
        }
    }

    /// The outcome in a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Nothing => "nothing to do".to_owned(),
            Self::Committed(release) => format!("{release} is installed and has proved itself"),
            Self::Failed(release, failure) => {
                format!("{release} was not taken, nothing was changed: {}", failure.why)
            }
            Self::RolledBack(left, back, failure) => match back {
                Some(back) => format!("{left} was left, {back} runs again: {}", failure.why),
                None => format!("{left} was taken back, nothing is installed: {}", failure.why),
            },
            Self::Stuck(release, why) => format!(
                "the rollback from {release} failed: {why}; each run of the updater tries it again, and so does \
                 `linnet-updater recover`"
            ),
        }
    }
}
