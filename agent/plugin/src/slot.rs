//! One plugin: its process, its supervisor and what it says. How it is started is in `start`, its books in `account`.

mod account;
mod start;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use linnet_fleet::health::Trial;
use linnet_limits::Beside;
use rustix::process::Signal;
use serde_json::json;

use crate::child::{Running, in_words};
use crate::event::Checked;
use crate::host::{Chosen, Options};
use crate::policy::{Grant, Policy};
use crate::protocol::{self, Invalid, Lines, Said};
use crate::rate::{Bucket, Day};
use crate::sandbox::{FirstLine, Report};
use crate::state::State;
use crate::supervisor::{Action, Input, Phase, Supervisor, Timing};

pub(crate) use account::Books;

/// Bytes a second that are read from a plugin, and at once. What it writes above that waits in its pipe.
const READ_PER_SECOND: f64 = 1_048_576.0;
const READ_BURST: f64 = 2_097_152.0;
/// Lines in one run that are not understood before it is killed for them.
const MAX_INVALID: u64 = 100;
/// Lines of its log that are passed on, in the long run and at once.
const LOG_PER_SECOND: f64 = 0.2;
const LOG_BURST: f64 = 30.0;
/// Failures that end a trial: one may be the machine's fault.
const TRIAL_FAILURES: usize = 3;
/// The least time to get ready or to answer, on trial too: a machine may be busy.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// Who made an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The plugin.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An event of a plugin, checked.
#[derive(Debug)]
pub struct PluginEvent {
    /// Who made it.
    pub source: Arc<Source>,
    /// The event.
    pub event: Checked,
}

/// What belongs to one run of its process.
struct Run {
    process: Running,
    lines: Lines,
    error_lines: Lines,
    read: Bucket,
    invalid: u64,
    launched: bool,
}

/// A plugin that the settings enable.
pub(crate) struct Slot {
    name: String,
    chosen: Chosen,
    policy: Policy,
    source: Arc<Source>,
    classes: Vec<u32>,
    granted: Option<Grant>,
    supervisor: Supervisor,
    since: Timestamp,
    phase_name: &'static str,
    /// Since when it runs, and whether it has answered a ping since.
    well: Option<(Instant, bool)>,
    run: Option<Run>,
    cgroup: Option<Beside>,
    limits_problems: Vec<String>,
    report: Report,
    state: State,
    rate: Bucket,
    day: Day,
    log_rate: Bucket,
    books: Books,
    /// Refused before it could be started.
    refused: bool,
    /// What it last complained of; a reason for its end, where it ends.
    complaint: Option<String>,
    /// Events that the agent had no room for yet; nothing is read meanwhile.
    held: std::collections::VecDeque<PluginEvent>,
}

/// The times of a plugin's life; on trial it is asked within the trial, and given up sooner.
fn timing(options: &Options, chosen: &Chosen) -> Timing {
    let timing = options.timing;
    let Some(trial) = chosen.trial else { return timing };
    Timing {
        ready: timing.ready.min(trial.max(LEAST_PATIENCE)),
        ping: timing.ping.min(trial / 2),
        pong: timing.pong.min(trial.max(LEAST_PATIENCE)),
        failures: timing.failures.min(TRIAL_FAILURES),
        ..timing
    }
}

impl Slot {
    pub(crate) fn new(
        name: &str,
        chosen: Chosen,
        policy: &Policy,
        books: Books,
        options: &Options,
        now: Instant,
    ) -> Self {
        Self {
            name: name.to_owned(),
            supervisor: Supervisor::new(timing(options, &chosen), now),
            chosen,
            policy: policy.clone(),
            source: Arc::new(Source { name: name.to_owned(), version: String::new() }),
            classes: Vec::new(),
            granted: None,
            since: Timestamp::now(),
            phase_name: "waiting",
            well: None,
            run: None,
            cgroup: None,
            limits_problems: Vec::new(),
            report: Report::default(),
            state: State::load(&options.state_directory, name),
            rate: Bucket::new(1.0, 1.0, now),
            day: Day::new(0, now),
            log_rate: Bucket::new(LOG_PER_SECOND, LOG_BURST, now),
            books,
            refused: false,
            complaint: None,
            held: std::collections::VecDeque::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is left of it: its books, and its cgroup, to be removed.
    pub(crate) fn into_parts(self) -> (Books, Option<Beside>) {
        (self.books, self.cgroup)
    }

    /// Whether it was asked to end and has.
    pub(crate) fn is_over(&self) -> bool {
        self.supervisor.is_over() && self.run.is_none()
    }

    pub(crate) fn process(&self) -> Option<&Running> {
        self.run.as_ref().map(|run| &run.process)
    }

    /// Whether its output may be read now, and from when on where not.
    pub(crate) fn may_read(&mut self, now: Instant) -> Result<(), Option<Duration>> {
        if !self.held.is_empty() {
            return Err(None);
        }
        match self.run.as_mut().and_then(|run| run.read.wait(now)) {
            Some(wait) => Err(Some(wait)),
            None => Ok(()),
        }
    }

    /// Whether the agent has yet to take events.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// When it wants to be looked at.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        [self.supervisor.deadline(), self.state.due(now)].into_iter().flatten().min()
    }

    /// Whether it can go on as this: another program or other rights need another process.
    pub(crate) fn can_become(&self, chosen: &Chosen, policy: &Policy) -> bool {
        self.policy == *policy && self.chosen.place == chosen.place
    }

    /// New settings, told to it where it runs; one that was given up gets another chance.
    pub(crate) fn configure(&mut self, chosen: Chosen, options: &Options, now: Instant) {
        let before = std::mem::replace(&mut self.chosen, chosen);
        if before.trial != self.chosen.trial {
            self.supervisor.set_timing(timing(options, &self.chosen));
        }
        if before.settings == self.chosen.settings {
            return;
        }
        if matches!(self.supervisor.phase(), Phase::Disabled { .. }) {
            self.supervisor = Supervisor::new(timing(options, &self.chosen), now);
        }
        let line = json!({ "settings": self.chosen.settings }).to_string();
        if let Some(run) = &mut self.run
            && !run.process.say(line.as_bytes())
        {
            self.take(Input::Abuse("does not read its settings".to_owned()), options, now);
        }
    }

    /// Hands held events over as far as the agent takes them.
    pub(crate) fn hand_over(&mut self, deliver: &mut dyn FnMut(PluginEvent) -> Result<(), PluginEvent>) {
        while let Some(event) = self.held.pop_front() {
            if let Err(event) = deliver(event) {
                self.held.push_front(event);
                return;
            }
            self.books.handed += 1;
        }
    }

    /// Lets the supervisor decide, and does it.
    pub(crate) fn take(&mut self, input: Input, options: &Options, now: Instant) {
        let failed = matches!(&input, Input::Ended(_));
        let asked = matches!(self.supervisor.phase(), Phase::Stopping { failure: None, .. });
        if failed && !asked {
            self.books.failures += 1;
        }
        let mut action = self.supervisor.step(input, now);
        if action == Action::Start {
            let outcome = self.start(options, now);
            let input = match outcome {
                Ok(()) => Input::Started,
                Err(why) => {
                    self.books.failures += 1;
                    Input::Ended(why)
                }
            };
            action = self.supervisor.step(input, now);
        }
        self.act(action, options, now);
        self.note_phase();
    }

    fn act(&mut self, action: Action, options: &Options, now: Instant) {
        let Some(run) = &mut self.run else { return };
        match action {
            Action::Nothing | Action::Start => {}
            Action::Ping(number) => {
                if !run.process.say(json!({ "ping": number }).to_string().as_bytes()) {
                    self.take(Input::Abuse("does not read its input".to_owned()), options, now);
                }
            }
            Action::Ask => run.process.close_input(),
            Action::Terminate => run.process.signal(Signal::TERM),
            Action::Kill => self.kill(),
        }
    }

    /// Kills all that is in its cgroup, and its process in any case.
    fn kill(&mut self) {
        if let Some(cgroup) = &self.cgroup
            && !cgroup.kill()
        {
            for pid in cgroup.processes() {
                if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
        }
        if let Some(run) = &self.run {
            run.process.signal(Signal::KILL);
        }
    }

    /// Reads what it said, as much as one round may.
    pub(crate) fn read_output(&mut self, buffer: &mut Vec<u8>, options: &Options, now: Instant) {
        let Some(run) = &mut self.run else { return };
        let count = run.process.read_output(buffer);
        if count == 0 {
            return;
        }
        run.read.overdraw(count as f64, now);
        let mut lines = std::mem::take(&mut run.lines);
        lines.feed(buffer, |line| self.line(line, options, now));
        if let Some(run) = &mut self.run {
            run.lines = lines;
        }
    }

    fn line(&mut self, line: Result<&[u8], Invalid>, options: &Options, now: Instant) {
        let Some(run) = &mut self.run else { return };
        if !std::mem::replace(&mut run.launched, true) {
            // The launcher speaks before the plugin can.
            if let Some(first) = line.ok().and_then(|line| serde_json::from_slice::<FirstLine>(line).ok()) {
                self.report = first.launched;
                return;
            }
        }
        let now_ms = Timestamp::now().as_millisecond();
        let bytes = line.map_or(0, <[u8]>::len) as u64;
        match line.and_then(|line| protocol::read(line, &self.classes, now_ms)) {
            Ok(Said::Ready) => self.take(Input::Ready, options, now),
            Ok(Said::Pong(number)) => {
                self.take(Input::Pong(number), options, now);
                // Only the answer that is awaited ends the wait for it.
                if matches!(self.supervisor.phase(), Phase::Running { asked: None, .. })
                    && let Some((_, has_answered)) = &mut self.well
                {
                    *has_answered = true;
                }
            }
            Ok(Said::State(value)) => self.state.set(value),
            Ok(Said::Log(level, message)) => self.log(level, &message, now),
            Ok(Said::Event(event)) => {
                self.books.received += 1;
                if !self.rate.take(1.0, now) {
                    self.books.over_rate += 1;
                } else if self.day.take(bytes, now) {
                    self.held.push_back(PluginEvent { source: Arc::clone(&self.source), event });
                } else {
                    self.books.over_day += 1;
                }
            }
            Err(reason) => {
                self.books.received += 1;
                if let Some(count) = self.books.invalid.get_mut(reason as usize) {
                    *count += 1;
                }
                let Some(run) = &mut self.run else { return };
                run.invalid += 1;
                if run.invalid == MAX_INVALID {
                    let why =
                        format!("{MAX_INVALID} lines that are no event, the last one {}", reason.as_str());
                    self.take(Input::Abuse(why), options, now);
                }
            }
        }
    }

    /// Reads its standard error, where the launcher says what went wrong and a panic its message.
    pub(crate) fn read_errors(&mut self, buffer: &mut Vec<u8>, now: Instant) {
        let Some(run) = &mut self.run else { return };
        let count = run.process.read_errors(buffer);
        run.read.overdraw(count as f64, now);
        let mut lines = std::mem::take(&mut run.error_lines);
        lines.feed(buffer, |line| {
            if let Ok(line) = line {
                let text: String = String::from_utf8_lossy(line).chars().take(500).collect();
                self.log(log::Level::Error, &text, now);
            }
        });
        if let Some(run) = &mut self.run {
            run.error_lines = lines;
        }
    }

    fn log(&mut self, level: log::Level, message: &str, now: Instant) {
        if level == log::Level::Error {
            self.complaint = Some(message.to_owned());
        }
        if self.log_rate.take(1.0, now) {
            self.books.log_lines += 1;
            log::log!(level, "plugin {}: {message}", self.name);
        } else {
            self.books.log_lines_dropped += 1;
        }
    }

    pub(crate) fn write(&mut self) {
        if let Some(run) = &mut self.run {
            run.process.write();
        }
    }

    /// Looks whether its process has ended, after all that it said was read.
    pub(crate) fn reap(&mut self, buffer: &mut Vec<u8>, options: &Options, now: Instant) {
        let Some(status) = self.run.as_mut().and_then(|run| run.process.take_end()) else { return };
        // At most what fits into its pipes.
        for _ in 0..16 {
            self.read_output(buffer, options, now);
            self.read_errors(buffer, now);
        }
        self.kill();
        self.run = None;
        self.state.write(now);
        let oom = self.cgroup.as_ref().and_then(|cgroup| cgroup.usage().memory_events.oom_kill).unwrap_or(0);
        let mut how = in_words(status);
        if let Some(complaint) = self.complaint.take() {
            how = format!("{how}: {complaint}");
        }
        if oom > 0 {
            how.push_str(" (its memory limit was felt: raise needs.memory_max_bytes and plugins.policy)");
        }
        self.take(Input::Ended(how), options, now);
    }

    /// Writes its state, where that is due.
    pub(crate) fn tend_state(&mut self, now: Instant) {
        if self.state.due(now).is_some_and(|due| due <= now) {
            self.state.write(now);
        }
    }

    fn note_phase(&mut self) {
        let name = match self.supervisor.phase() {
            Phase::Waiting { .. } => "waiting",
            Phase::Starting { .. } => "starting",
            Phase::Running { .. } => "running",
            Phase::Stopping { .. } => "stopping",
            Phase::Disabled { .. } if self.refused => "refused",
            Phase::Disabled { .. } => "disabled",
            Phase::Stopped => "stopped",
        };
        if name == self.phase_name {
            return;
        }
        self.phase_name = name;
        self.well = (name == "running").then(|| (Instant::now(), false));
        self.since = Timestamp::now();
        match (name, self.reason()) {
            ("disabled" | "refused", Some(reason)) => log::error!("plugin {} is {name}: {reason}", self.name),
            (_, Some(reason)) => log::warn!("plugin {} is {name}: {reason}", self.name),
            _ => log::info!("plugin {} is {name}", self.name),
        }
    }

    /// How its trial stands, where it is on one.
    fn trial(&self) -> Option<Trial> {
        let time = self.chosen.trial?;
        Some(match (self.supervisor.phase(), self.well) {
            (Phase::Disabled { .. }, _) => Trial::Failed,
            (_, Some((since, true))) if since.elapsed() >= time => Trial::Passed,
            _ => Trial::UnderWay,
        })
    }

    /// Why it is in its phase, where there is a reason.
    fn reason(&self) -> Option<String> {
        match self.supervisor.phase() {
            Phase::Waiting { reason, .. } => reason.clone(),
            Phase::Stopping { failure, .. } => failure.clone(),
            Phase::Disabled { reason } => Some(reason.clone()),
            _ => None,
        }
    }
}
