//! When a plugin is started, asked, stopped, killed and given up. Pure: no clock, no process; time is a parameter.
//!
//! A plugin has to be `ready` in time after its start, and to answer a ping now and then. What ends without having been
//! asked to is a failure; after some of them within a time it is disabled, with the last reason, until its settings
//! change or the agent starts anew.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The times of a plugin's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From its start until `ready`.
    pub ready: Duration,
    /// Between two pings.
    pub ping: Duration,
    /// Until the answer. A plugin that saves processor time sleeps for long, but never deaf.
    pub pong: Duration,
    /// From the end of its input until SIGTERM.
    pub ask: Duration,
    /// From SIGTERM until SIGKILL.
    pub terminate: Duration,
    /// The first wait after a failure; doubled with each further one.
    pub back_off: Duration,
    /// The longest wait.
    pub back_off_max: Duration,
    /// Failures within [`Timing::window`] that disable it.
    pub failures: usize,
    /// How long a failure counts.
    pub window: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(30),
            ping: Duration::from_secs(60),
            pong: Duration::from_secs(60),
            ask: Duration::from_secs(1),
            terminate: Duration::from_secs(2),
            back_off: Duration::from_secs(1),
            back_off_max: Duration::from_secs(60),
            failures: 5,
            window: Duration::from_secs(600),
        }
    }
}

/// Where a plugin is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To be started at this time.
    Waiting {
        /// When.
        until: Instant,
        /// Why not at once, where it failed before.
        reason: Option<String>,
    },
    /// Started; `ready` is awaited.
    Starting {
        /// Until then.
        until: Instant,
    },
    /// Works.
    Running {
        /// The time of the next ping, or until which the answer is awaited.
        next: Instant,
        /// The ping that is unanswered.
        asked: Option<u64>,
    },
    /// On its way out.
    Stopping {
        /// When the next harder means is due.
        next: Instant,
        /// What that will be.
        means: Means,
        /// Why it was a failure, where it was one.
        failure: Option<String>,
    },
    /// Given up.
    Disabled {
        /// Why.
        reason: String,
    },
    /// Ended as it was asked to.
    Stopped,
}

/// What is done next to something that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// SIGTERM.
    Terminate,
    /// SIGKILL, again and again.
    Kill,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// It was started.
    Started,
    /// It could not be started, or its process ended; how.
    Ended(String),
    /// It said that it works.
    Ready,
    /// It answered.
    Pong(u64),
    /// It does what must not go on.
    Abuse(String),
    /// It is to end.
    Stop,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Start the process.
    Start,
    /// Write a ping.
    Ping(u64),
    /// Close its input.
    Ask,
    /// Send SIGTERM.
    Terminate,
    /// Send SIGKILL to all of it.
    Kill,
}

/// The supervisor of one plugin.
#[derive(Clone, Debug)]
pub struct Supervisor {
    timing: Timing,
    phase: Phase,
    failures: VecDeque<Instant>,
    pings: u64,
    /// The stop is for good.
    ending: bool,
}

impl Supervisor {
    /// To be started at once.
    #[must_use]
    pub fn new(timing: Timing, now: Instant) -> Self {
        let phase = Phase::Waiting { until: now, reason: None };
        Self { timing, phase, failures: VecDeque::new(), pings: 0, ending: false }
    }

    /// Other times from the next step on.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether nothing is left to be done.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Stopped) || (self.ending && matches!(self.phase, Phase::Disabled { .. }))
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until, .. } | Phase::Starting { until } => Some(*until),
            Phase::Running { next, .. } | Phase::Stopping { next, .. } => Some(*next),
            Phase::Disabled { .. } | Phase::Stopped => None,
        }
    }

    /// Takes in what happened, and says what to do.
    pub fn step(&mut self, input: Input, now: Instant) -> Action {
        match (self.phase.clone(), input) {
            (Phase::Waiting { .. } | Phase::Disabled { .. }, Input::Stop) => {
                self.ending = true;
                self.phase = Phase::Stopped;
                Action::Nothing
            }
            (Phase::Waiting { until, .. }, Input::Tick) if now >= until => Action::Start,
            (Phase::Waiting { .. }, Input::Started) => {
                self.phase = Phase::Starting { until: now + self.timing.ready };
                Action::Nothing
            }
            (Phase::Starting { .. }, Input::Ready) => {
                self.phase = Phase::Running { next: now + self.timing.ping, asked: None };
                Action::Nothing
            }
            (Phase::Starting { until }, Input::Tick) if now >= until => {
                let message = format!("not ready after {} s", self.timing.ready.as_secs_f32());
                self.kill(message, now)
            }
            (Phase::Running { next, asked: Some(_) }, Input::Tick) if now >= next => {
                let message = format!("hangs: no answer for {} s", self.timing.pong.as_secs_f32());
                self.kill(message, now)
            }
            (Phase::Running { next, asked: None }, Input::Tick) if now >= next => {
                self.pings += 1;
                self.phase = Phase::Running { next: now + self.timing.pong, asked: Some(self.pings) };
                Action::Ping(self.pings)
            }
            (Phase::Running { asked: Some(asked), .. }, Input::Pong(answer)) if answer == asked => {
                self.phase = Phase::Running { next: now + self.timing.ping, asked: None };
                Action::Nothing
            }
            (Phase::Starting { .. } | Phase::Running { .. }, Input::Abuse(why)) => self.kill(why, now),
            (Phase::Starting { .. } | Phase::Running { .. }, Input::Stop) => {
                self.ending = true;
                self.phase =
                    Phase::Stopping { next: now + self.timing.ask, means: Means::Terminate, failure: None };
                Action::Ask
            }
            (Phase::Stopping { failure, .. }, Input::Stop) => {
                self.ending = true;
                let _ = failure;
                Action::Nothing
            }
            (Phase::Stopping { next, means: Means::Terminate, failure }, Input::Tick) if now >= next => {
                self.phase =
                    Phase::Stopping { next: now + self.timing.terminate, means: Means::Kill, failure };
                Action::Terminate
            }
            (Phase::Stopping { next, means: Means::Kill, failure }, Input::Tick) if now >= next => {
                self.phase =
                    Phase::Stopping { next: now + self.timing.terminate, means: Means::Kill, failure };
                Action::Kill
            }
            (Phase::Stopping { .. }, Input::Ended(_)) if self.ending => {
                self.phase = Phase::Stopped;
                Action::Nothing
            }
            (Phase::Stopping { failure, .. }, Input::Ended(how)) => {
                self.failed(failure.unwrap_or(how), now);
                Action::Nothing
            }
            (Phase::Waiting { .. } | Phase::Starting { .. } | Phase::Running { .. }, Input::Ended(how)) => {
                self.failed(how, now);
                Action::Nothing
            }
            // An early tick, an answer to nobody's question, a word on the way out.
            _ => Action::Nothing,
        }
    }

    fn kill(&mut self, why: String, now: Instant) -> Action {
        let next = now + self.timing.terminate;
        self.phase = Phase::Stopping { next, means: Means::Kill, failure: Some(why) };
        Action::Kill
    }

    fn failed(&mut self, why: String, now: Instant) {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now.saturating_duration_since(*at) > self.timing.window)
        {
            self.failures.pop_front();
        }
        let count = self.failures.len();
        if count >= self.timing.failures {
            let seconds = self.timing.window.as_secs();
            let reason = format!("{count} failures within {seconds} s, the last: {why}");
            self.phase = Phase::Disabled { reason };
            return;
        }
        let doublings = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        let wait = (self.timing.back_off * (1 << doublings)).min(self.timing.back_off_max);
        self.phase = Phase::Waiting { until: now + wait, reason: Some(why) };
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
