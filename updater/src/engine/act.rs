//! The acts of the phases up to the switch. Each may be done again after a crash in its middle.

use std::time::Duration;

use crate::layout::Link;
use crate::machine::{Action, Failure, FailureKind, Job};
use crate::release_dir::{self, StageError, Staging};
use crate::{disk, exit_code, kill_point, preflight};

use super::{Engine, Supplied, Supply};

impl Engine<'_> {
    pub(super) fn perform(
        &mut self,
        action: Action,
        supplied: &mut Option<Supplied>,
        supply: Option<&mut (dyn Supply + '_)>,
    ) -> Result<(), Failure> {
        let Some(job) = self.state.phase.job().cloned() else { return Ok(()) };
        match action {
            Action::Rest => Ok(()),
            Action::Download => {
                (self.tell)(&format!("fetching {}", job.target));
                *supplied = Some(supply.ok_or_else(|| lost("where the package comes from"))?.fetch()?);
                Ok(())
            }
            Action::Stage => self.stage(&job, supplied.take().ok_or_else(|| lost("the package"))?),
            Action::Verify => self.verify(&job),
            Action::Preflight | Action::Watch if !self.service.runs() => Ok(()),
            Action::Preflight => {
                (self.tell)(&format!("trying {} on this host before anything is switched", job.target));
                preflight::run(self.layout, self.settings, &self.own, &job.target.dir_name())
            }
            Action::Switch => self.switch(&job),
            Action::Watch => self.watch(&job),
            Action::Settle => self.settle(&job),
            Action::Clean => self.clean(&job),
            Action::Restore => self.restore(&job),
            Action::Revive => self.revive(&job),
        }
    }

    fn stage(&self, job: &Job, supplied: Supplied) -> Result<(), Failure> {
        (self.tell)("verified; unpacking");
        let staging = Staging {
            package: &supplied.file,
            bytes: supplied.bytes,
            release: job.target.clone(),
            signed: supplied.signed,
            reserve_bytes: self.settings.disk.reserve_bytes,
            now: self.clock.now(),
        };
        release_dir::stage(self.layout, &staging).map(|_| ()).map_err(|error| unstaged(&error))?;
        // It has done its service, and its room is wanted.
        drop(supplied.file);
        if let Err(error) = disk::empty(&self.layout.downloads()) {
            (self.tell)(&error.to_string());
        }
        kill_point::reach("download-removed");
        Ok(())
    }

    fn verify(&self, job: &Job) -> Result<(), Failure> {
        let marker =
            release_dir::verify(self.layout, &job.target.dir_name()).map_err(|error| unstaged(&error))?;
        if marker.release != job.target {
            return Err(Failure::new(
                FailureKind::Release,
                "the directory holds another package of this name",
            ));
        }
        Ok(())
    }

    fn clean(&self, job: &Job) -> Result<(), Failure> {
        // A partial download stays for the next attempt; a part of a release does not, nor one that failed.
        let name = job.target.dir_name();
        let linked =
            Link::ALL.iter().any(|link| release_dir::read_link(self.layout, *link).as_ref() == Some(&name));
        if !linked {
            let removed = release_dir::remove(self.layout, &name);
            removed.map_err(|error| Failure::new(FailureKind::Host, error.to_string()))?;
        }
        Ok(())
    }
}

impl Engine<'_> {
    /// Time until the dead-man, from now.
    pub(super) fn allowance(job: &Job) -> Duration {
        Duration::from_millis(job.allowance_ms)
    }
}

fn lost(what: &str) -> Failure {
    Failure::new(FailureKind::Interrupted, format!("{what} is not known any more"))
}

/// A full disk is the host's; a package that is not as signed is somebody's fault, but not this host's to try again.
fn unstaged(error: &StageError) -> Failure {
    let text = error.to_string();
    match error {
        StageError::NoRoom { .. } => Failure::new(FailureKind::Host, text).with_exit(exit_code::SIZE),
        _ => match error.system() {
            Some(system) if disk::is_full(system) => {
                Failure::new(FailureKind::Host, text).with_exit(exit_code::SIZE)
            }
            Some(_) => Failure::new(FailureKind::Host, text).with_exit(exit_code::ERROR),
            None => Failure::new(FailureKind::Release, text).with_exit(exit_code::SIGNATURE),
        },
    }
}
