//! The acts from the switch on.
//!
//! The dead-man is armed before anything is switched and taken back after everything is. Links and units are changed in an
//! order in which each state in between is one that a recovery knows.

use crate::layout::Link;
use crate::machine::{Failure, FailureKind, Job, Phase, Release};
use crate::probation::{self, Rules, Verdict, Watch};
use crate::release_dir;
use crate::service::Armed;
use crate::{exit_code, kill_point, units};

use super::Engine;

fn host(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Host, error.to_string()).with_exit(exit_code::ROLLED_BACK)
}

impl Engine<'_> {
    pub(super) fn switch(&self, job: &Job) -> Result<(), Failure> {
        let (to, from) = (job.target.dir_name(), job.from.as_ref().map(Release::dir_name));
        (self.tell)(&format!("switching to {}", job.target));
        self.arm(job)?;
        if let Some(from) = &from {
            release_dir::switch_link(self.layout, Link::Previous, from).map_err(|e| host(&e))?;
        }
        release_dir::switch_link(self.layout, Link::Current, &to).map_err(|e| host(&e))?;
        kill_point::reach("before-units");
        units::apply(self.layout, from.as_deref(), Some(&to)).map_err(|e| host(&e))?;
        kill_point::reach("after-units");
        self.service.reload().map_err(|e| host(&e))
    }

    fn arm(&self, job: &Job) -> Result<(), Failure> {
        kill_point::reach("before-arm");
        let after = Self::allowance(job);
        Armed::new(job, self.clock.moment(), after).write(self.layout).map_err(|e| host(&e))?;
        kill_point::reach("armed-on-disk");
        self.service.arm(after, &self.own).map_err(|e| host(&e))?;
        kill_point::reach("armed");
        Ok(())
    }

    fn disarm(&self) -> Result<(), Failure> {
        kill_point::reach("before-disarm");
        self.service.disarm().map_err(|e| host(&e))?;
        Armed::remove(self.layout).map_err(|e| host(&e))?;
        kill_point::reach("disarmed");
        Ok(())
    }

    pub(super) fn watch(&self, job: &Job) -> Result<(), Failure> {
        // For the first attempt this moves the deadline by what the switch took; after an interruption it is a new one.
        self.arm(job)?;
        self.service.restart().map_err(|e| host(&e))?;
        kill_point::reach("agent-restarted");
        let wanted = &self.settings.probation;
        let rules = Rules {
            version: job.target.version.to_string(),
            stable_ms: u64::from(wanted.stable_s) * 1000,
            deadline_ms: u64::from(wanted.patience_s) * 1000,
            restarts: wanted.restarts,
            stale_ms: u64::from(wanted.stale_s) * 1000,
            baseline: job.baseline.clone(),
        };
        (self.tell)(&format!("{} runs on probation for {} s", job.target, wanted.stable_s));
        let told = |why: &str| (self.tell)(&format!("probation: {why}"));
        match probation::watch(Watch::new(rules), self.layout, self.service, self.clock, told) {
            Verdict::Bad(why) => Err(Failure::new(FailureKind::Release, format!("probation: {why}"))
                .with_exit(exit_code::ROLLED_BACK)),
            Verdict::Good | Verdict::Wait(_) => Ok(()),
        }
    }

    pub(super) fn settle(&self, job: &Job) -> Result<(), Failure> {
        let name = job.target.dir_name();
        release_dir::switch_link(self.layout, Link::Committed, &name).map_err(|e| host(&e))?;
        self.disarm()?;
        self.collect();
        Ok(())
    }

    /// Garbage is no reason to fail.
    pub(super) fn collect(&self) {
        let named = self.state.phase.job().into_iter().flat_map(|job| {
            [Some(&job.target), job.from.as_ref(), job.previous.as_ref()].into_iter().flatten()
        });
        let keep: Vec<_> = named.map(Release::dir_name).collect();
        if let Err(error) = release_dir::collect(self.layout, &keep, std::path::Path::new("/proc")) {
            (self.tell)(&format!("removing old releases: {error}"));
        }
    }

    pub(super) fn restore(&self, job: &Job) -> Result<(), Failure> {
        let failed = job.target.dir_name();
        let from = job.from.as_ref().map(Release::dir_name);
        let why = self.state.phase.failure().map(|failure| failure.why.clone()).unwrap_or_default();
        match &from {
            Some(name) => {
                (self.tell)(&format!("rolling back to {name}: {why}"));
                release_dir::switch_link(self.layout, Link::Current, name).map_err(|e| host(&e))?;
            }
            None => {
                (self.tell)(&format!("taking {failed} back: {why}"));
                self.service.stop().map_err(|e| host(&e))?;
                release_dir::remove_link(self.layout, Link::Current).map_err(|e| host(&e))?;
            }
        }
        kill_point::reach("restored-current");
        match &job.previous {
            Some(previous) => release_dir::switch_link(self.layout, Link::Previous, &previous.dir_name()),
            None => release_dir::remove_link(self.layout, Link::Previous),
        }
        .map_err(|e| host(&e))?;
        units::apply(self.layout, Some(&failed), from.as_deref()).map_err(|e| host(&e))?;
        kill_point::reach("restored-units");
        self.service.reload().map_err(|e| host(&e))
    }

    pub(super) fn revive(&self, job: &Job) -> Result<(), Failure> {
        if let Some(from) = &job.from {
            self.service.restart().map_err(|e| host(&e))?;
            kill_point::reach("old-agent-restarted");
            if !self.service.runs() {
                release_dir::switch_link(self.layout, Link::Committed, &from.dir_name())
                    .map_err(|e| host(&e))?;
                return self.disarm();
            }
            let patience = std::time::Duration::from_secs(u64::from(self.settings.probation.patience_s));
            let version = from.version.to_string();
            probation::revived(&version, patience, self.layout, self.service, self.clock)
                .map_err(|e| host(&e))?;
            // After a rollback by hand the updater goes along; otherwise this is what it was.
            release_dir::switch_link(self.layout, Link::Committed, &from.dir_name()).map_err(|e| host(&e))?;
        }
        self.disarm()
    }

    /// Whether something waits for this host to be put right.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.state.phase != Phase::Idle
    }
}
