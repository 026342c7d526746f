//! The state machine of an update, as a value and a pure function.
//!
//! [`State`] is what is persisted; [`step`] takes it from one phase to the next and names the one act that the new phase
//! asks for. No clock, disk or network is in here: the moment is a parameter, and what happened comes in as an [`Input`].
//!
//! Invariants, each with a test: the floor never falls; a release that failed is remembered by its digest before anything
//! else happens; after the switch a failure always leads through the rollback; a transaction ends after a bounded number
//! of steps whatever comes in.

mod failure;
mod input;
mod phase;
mod release;
mod step;
#[cfg(test)]
mod table_tests;

pub use failure::{FailedRelease, Failure, FailureKind, Failures};
pub use input::{Action, Illegal, Input, Moment};
pub use phase::{Cause, Job, Phase, Probation, State};
pub use release::Release;
pub use step::{MAX_PROBATIONS, MAX_TRANSITIONS, step};
