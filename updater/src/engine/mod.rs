//! Drives the machine: persist what is intended, act, persist what came of it.
//!
//! Whoever makes an [`Engine`] holds the lock. Every start goes through [`Engine::recover`] before anything else, so what
//! a crash left is finished or undone first.

mod act;
mod outcome;
mod recover;
mod switch;

use std::fs::File;

use linnet_fleet::lock::Lock;
use thiserror::Error;

use crate::clock::Clock;
use crate::history::{self, Entry};
use crate::layout::Layout;
use crate::machine::{Action, Failure, FailureKind, Illegal, Input, Phase, State, step};
use crate::service::{SelfCall, Service};
use crate::settings::Settings;
use crate::store::{self, StoreError};
use crate::{exit_code, kill_point};

pub use outcome::Outcome;

/// A package whose length and digest are those that were signed.
#[derive(Debug)]
pub struct Supplied {
    /// The open file that was verified.
    pub file: File,
    /// Its signed length.
    pub bytes: u64,
    /// What else was signed of it.
    pub signed: linnet_keys::release::Release,
}

/// Where a package comes from.
pub trait Supply {
    /// Fetches it and verifies length and digest.
    ///
    /// # Errors
    /// A [`Failure`] with the exit code of its kind.
    fn fetch(&mut self) -> Result<Supplied, Failure>;
}

/// Why the engine stopped without an outcome.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The machine does not take this now.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing on this host is a whole release.
    #[error("no release on this host is whole ({why}): run `linnet-updater install` again")]
    NothingWhole {
        /// What is wrong with the current one.
        why: String,
    },
    /// The system refused a step of the recovery.
    #[error(transparent)]
    Disk(#[from] crate::disk::DiskError),
}

/// The one that changes things.
pub struct Engine<'e> {
    /// Where everything is.
    pub layout: &'e Layout,
    /// What the operator set.
    pub settings: &'e Settings,
    /// The service manager.
    pub service: &'e dyn Service,
    /// The clocks.
    pub clock: &'e dyn Clock,
    /// How this program is started as a dead-man.
    pub own: SelfCall,
    /// Told what happens, in words.
    pub tell: &'e dyn Fn(&str),
    /// Held as long as this lives.
    pub lock: &'e Lock,
    /// The state as it was last persisted, or should have been.
    pub state: State,
}

impl Engine<'_> {
    /// Takes an input in and works until there is nothing more to do.
    ///
    /// # Errors
    /// [`EngineError`] when the input does not fit, or the state cannot be persisted before the switch.
    pub fn drive(
        &mut self,
        input: Input,
        mut supply: Option<&mut dyn Supply>,
    ) -> Result<Outcome, EngineError> {
        let mut supplied = None;
        let mut outcome = Outcome::Nothing;
        let mut action = self.advance(input)?;
        loop {
            outcome = outcome.after(&self.state.phase);
            if action == Action::Rest {
                return Ok(outcome);
            }
            let result = self.perform(action, &mut supplied, supply.as_deref_mut());
            kill_point::reach(point_after(action));
            action = match result {
                Ok(()) => self.advance(Input::Done)?,
                Err(failure) => self.advance(Input::Failed(failure))?,
            };
        }
    }

    /// One step, persisted.
    fn advance(&mut self, input: Input) -> Result<Action, EngineError> {
        let (next, action) = step(self.state.clone(), input, &self.clock.moment())?;
        let changed = next.phase.name() != self.state.phase.name();
        let before = std::mem::replace(&mut self.state, next);
        if changed {
            self.remember(&before);
        }
        let Err(error) = store::write(&self.layout.state(), &self.state) else { return Ok(action) };
        match self.state.phase {
            // What keeps the host well is done whether or not it can be noted down.
            Phase::Idle
            | Phase::Committed { .. }
            | Phase::RollingBack { .. }
            | Phase::RolledBack { .. }
            | Phase::Stuck { .. } => {
                (self.tell)(&format!("the state cannot be persisted: {error}"));
                Ok(action)
            }
            // Nobody would know that the new agent is on probation.
            Phase::Switching { .. } | Phase::Probation { .. } => {
                (self.tell)(&format!("the state cannot be persisted, so this goes no further: {error}"));
                let failure = Failure::new(FailureKind::Host, error.to_string()).with_exit(exit_code::SIZE);
                self.advance(Input::Failed(failure))
            }
            _ => {
                self.state = before;
                Err(error.into())
            }
        }
    }

    /// A line of history for each phase that is entered. What cannot be written is told and stops nothing.
    fn remember(&self, before: &State) {
        let phase = &self.state.phase;
        let job = phase.job().or(before.phase.job());
        let entry = Entry {
            release: job.map(|job| job.target.to_string()),
            from: job.and_then(|job| job.from.as_ref()).map(ToString::to_string),
            why: phase.failure().map(|failure| failure.why.clone()),
            ..Entry::new(self.clock.now(), phase.name())
        };
        if let Err(error) = history::append(&self.layout.history(), &entry) {
            (self.tell)(&format!("history: {error}"));
        }
    }

    /// A word of the operator's, in the history.
    pub fn note(&self, event: &str, why: Option<String>) {
        let entry = Entry { why, ..Entry::new(self.clock.now(), event) };
        if let Err(error) = history::append(&self.layout.history(), &entry) {
            (self.tell)(&format!("history: {error}"));
        }
    }

    /// Persists the state as it is, outside of a step: after an operator's word.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn persist(&self) -> Result<(), StoreError> {
        store::write(&self.layout.state(), &self.state)
    }
}

fn point_after(action: Action) -> &'static str {
    match action {
        Action::Rest => "after-rest",
        Action::Download => "after-download",
        Action::Stage => "after-stage",
        Action::Verify => "after-verify",
        Action::Preflight => "after-preflight",
        Action::Switch => "after-switch",
        Action::Watch => "after-watch",
        Action::Settle => "after-settle",
        Action::Clean => "after-clean",
        Action::Restore => "after-restore",
        Action::Revive => "after-revive",
    }
}
