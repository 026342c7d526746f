//! What every start does first: finish or undo what was begun, and compare the state with the disk.
//!
//! The disk outranks the document. A state that cannot be read is rebuilt from the links, the releases' markers and the
//! note that a dead-man is armed; the damaged file is kept aside.

use crate::layout::Link;
use crate::machine::{Cause, Failure, FailureKind, Input, Job, Phase, Release, State};
use crate::probation::Baseline;
use crate::release_dir;
use crate::service::Armed;
use crate::store::{self, StoreError};

use super::{Engine, EngineError, Outcome};

impl Engine<'_> {
    /// Reads the state, or rebuilds it.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the system refuses to read it.
    pub fn load(&mut self) -> Result<(), EngineError> {
        self.state = match store::read(&self.layout.state()) {
            Ok(Some(state)) => state,
            Ok(None) => self.rebuilt(),
            Err(error @ StoreError::Damaged { .. }) => {
                let kept = match store::put_aside(&self.layout.state()) {
                    Ok(aside) => format!("kept as {}", aside.display()),
                    Err(refused) => format!("it stays where it is: {refused}"),
                };
                (self.tell)(&format!("{error}; {kept}; going on with what is on the disk"));
                self.note("state-rebuilt", Some(error.to_string()));
                self.rebuilt()
            }
            Err(error) => return Err(error.into()),
        };
        // The disk was too full to note the commit down, but the commit happened.
        if let Phase::Probation { job, .. } = &self.state.phase
            && release_dir::read_link(self.layout, Link::Committed) == Some(job.target.dir_name())
            && Armed::read(self.layout).is_none()
        {
            self.state.phase = Phase::Committed { job: job.clone() };
        }
        Ok(())
    }

    fn linked(&self, link: Link) -> Option<Release> {
        let name = release_dir::read_link(self.layout, link)?;
        Some(release_dir::read_marker(self.layout, &name)?.release)
    }

    fn rebuilt(&self) -> State {
        let mut state = State { installed: self.linked(Link::Current), ..State::default() };
        for link in Link::ALL {
            let name = release_dir::read_link(self.layout, link);
            let marker = name.and_then(|name| release_dir::read_marker(self.layout, &name));
            state.raise_floor(marker.map(|marker| marker.security_floor).as_ref());
        }
        // A switch was under way and nothing tells how far it was: going back is always right.
        if let Some(armed) = Armed::read(self.layout)
            && self.linked(Link::Committed).as_ref() != Some(&armed.job.target)
        {
            state.phase = Phase::Switching { job: armed.job };
        }
        state
    }

    /// Finishes or undoes what was begun.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn recover(&mut self, input: Input) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::Nothing;
        if self.state.phase != Phase::Idle {
            let place = format!("in {}", self.state.phase.name());
            (self.tell)(&format!("the updater was interrupted {place}; going on from there"));
            // A probation that goes on is no other state, and would leave no trace of what happened.
            self.note("interrupted", Some(place));
            outcome = self.drive(input, None)?;
        }
        if self.state.phase == Phase::Idle {
            let repaired = self.reconcile()?;
            if repaired != Outcome::Nothing {
                outcome = repaired;
            }
        }
        Ok(outcome)
    }

    /// Compares an idle state with the disk.
    fn reconcile(&mut self) -> Result<Outcome, EngineError> {
        let Some(current) = release_dir::read_link(self.layout, Link::Current) else {
            if self.state.installed.take().is_some() {
                (self.tell)("the link `current` is gone");
                return self.repair(None, "the link `current` is gone");
            }
            return Ok(Outcome::Nothing);
        };
        match release_dir::verify(self.layout, &current) {
            Ok(marker) => {
                let committed = release_dir::read_link(self.layout, Link::Committed);
                let whole = committed
                    .as_ref()
                    .is_some_and(|name| release_dir::read_marker(self.layout, name).is_some());
                if !whole {
                    release_dir::switch_link(self.layout, Link::Committed, &current)?;
                }
                if self.state.installed.as_ref() != Some(&marker.release) {
                    self.state.installed = Some(marker.release);
                    self.persist()?;
                }
                if Armed::read(self.layout).is_some() {
                    let _ = self.service.disarm();
                    Armed::remove(self.layout)?;
                }
                Ok(Outcome::Nothing)
            }
            Err(error) => {
                (self.tell)(&format!("the release that is installed is damaged: {error}"));
                self.repair(Some(&current), &error.to_string())
            }
        }
    }

    /// Goes to the best whole release that there is.
    fn repair(&mut self, damaged: Option<&str>, why: &str) -> Result<Outcome, EngineError> {
        let linked = [Link::Committed, Link::Previous].into_iter().filter_map(|link| self.linked(link));
        let listed = release_dir::list(self.layout).into_iter().rev().map(|marker| marker.release);
        let candidates: Vec<_> = linked
            .chain(listed.filter(|release| self.state.failures.blocked(&release.digest).is_none()))
            .filter(|release| Some(release.dir_name().as_str()) != damaged)
            .filter(|release| release_dir::verify(self.layout, &release.dir_name()).is_ok())
            .collect();
        let Some(good) = candidates.first().cloned() else {
            return Err(EngineError::NothingWhole { why: why.to_owned() });
        };
        let target =
            self.state.installed.clone().filter(|release| Some(release.dir_name().as_str()) == damaged);
        let job = Job {
            cause: Cause::Repair,
            target: target.unwrap_or_else(|| good.clone()),
            previous: candidates.get(1).cloned().filter(|second| *second != good),
            from: Some(good),
            floor: None,
            allowance_ms: 0,
            baseline: Baseline::default(),
        };
        self.drive(Input::Revert(Box::new(job), Failure::new(FailureKind::Damaged, why)), None)
    }
}
