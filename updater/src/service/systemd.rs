//! systemd, by `systemctl` and `systemd-run`.
//!
//! In an image that is being made, and in a container, systemd's files may be there and no systemd runs. Then nothing can
//! be started or stopped; what starts at boot can still be told, since `systemctl enable` only makes links.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Output};
use crate::kill_point;
use crate::settings::Systemd;

use super::{Condition, SelfCall, Service, ServiceError};

/// No call waits for a job, so this is time enough even for a busy host.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Made for one transaction and gone with it. There are two names, because a dead-man is set anew before the one that was
/// set is taken back: a kill between the two leaves both, never none.
const DEAD_MEN: [&str; 2] = ["linnet-dead-man-1", "linnet-dead-man-2"];
const UPDATE_TIMER: &str = "linnet-updater.timer";
const ROLLBACK_SERVICE: &str = "linnet-rollback.service";
/// Made by systemd when it is the first process (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// The agent as a systemd unit.
#[derive(Clone, Debug)]
pub struct SystemdService {
    unit: String,
    runs: bool,
}

impl SystemdService {
    /// With the unit of the settings.
    #[must_use]
    pub fn new(settings: &Systemd) -> Self {
        Self { unit: settings.agent_unit.clone(), runs: Path::new(BOOTED).is_dir() }
    }

    /// Of a running systemd only.
    fn call(&self, program: &str, arguments: &[&str]) -> Result<(), ServiceError> {
        if self.runs { call(program, arguments) } else { Ok(()) }
    }

    /// `systemctl enable` or `disable`. Where systemd does not run it may not be installed either.
    fn at_boot(&self, verb: &str, unit: &str, now: bool) -> Result<(), ServiceError> {
        let mut arguments = vec![verb];
        arguments.extend((now && self.runs).then_some("--now"));
        arguments.push(unit);
        match call("systemctl", &arguments) {
            Err(_) if !self.runs => Ok(()),
            other => other,
        }
    }

    /// Whether the timer or what it started is there, so that its name can't be had.
    fn is_taken(&self, dead_man: &str) -> bool {
        let (timer, service) = (format!("{dead_man}.timer"), format!("{dead_man}.service"));
        self.call("systemctl", &["is-active", "--quiet", &timer, &service]).is_ok()
    }

    fn take_back(&self, dead_man: &str) -> Result<(), ServiceError> {
        // Not loaded is what is wanted; systemctl has its own code for it.
        match self.call("systemctl", &["stop", &format!("{dead_man}.timer")]) {
            Err(error) if error.why.contains("not loaded") => Ok(()),
            other => other,
        }
    }

    fn properties(&self) -> Option<BTreeMap<String, String>> {
        let arguments = ["show", &self.unit, "--property=ActiveState,SubState,Result,NRestarts"];
        let mut command = Command::new("systemctl");
        command.args(arguments);
        let ended = child::run(command, TIMEOUT, Output::Tail).ok().filter(child::Ended::well)?;
        let pairs = ended.tail.lines().filter_map(|line| line.split_once('='));
        Some(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

fn call(program: &str, arguments: &[&str]) -> Result<(), ServiceError> {
    let error = |why| ServiceError { what: format!("{program} {}", arguments.join(" ")), why };
    let mut command = Command::new(program);
    command.args(arguments);
    let ended = child::run(command, TIMEOUT, Output::Tail).map_err(|source| error(source.to_string()))?;
    if ended.well() { Ok(()) } else { Err(error(ended.in_words())) }
}

impl Service for SystemdService {
    fn restart(&self) -> Result<(), ServiceError> {
        // The start limit may have been used up by the release that is being left.
        let _ = self.call("systemctl", &["reset-failed", &self.unit]);
        self.call("systemctl", &["restart", "--no-block", &self.unit])
    }

    fn stop(&self) -> Result<(), ServiceError> {
        self.call("systemctl", &["stop", &self.unit])
    }

    fn reload(&self) -> Result<(), ServiceError> {
        self.call("systemctl", &["daemon-reload"])
    }

    fn enable(&self) -> Result<(), ServiceError> {
        self.at_boot("enable", &self.unit, false)?;
        self.at_boot("enable", ROLLBACK_SERVICE, false)?;
        self.at_boot("enable", UPDATE_TIMER, true)
    }

    fn disable(&self) -> Result<(), ServiceError> {
        self.at_boot("disable", UPDATE_TIMER, true)?;
        self.at_boot("disable", &self.unit, true)?;
        self.at_boot("disable", ROLLBACK_SERVICE, false)
    }

    fn condition(&self) -> Condition {
        let Some(properties) = self.properties() else { return Condition::Unknown };
        let value = |key: &str| properties.get(key).map(String::as_str).unwrap_or_default();
        match value("ActiveState") {
            "failed" => Condition::Failed(format!("systemd gave {} up: {}", self.unit, value("Result"))),
            "" => Condition::Unknown,
            _ => Condition::Up { restarts: value("NRestarts").parse().unwrap_or(0) },
        }
    }

    fn arm(&self, after: Duration, self_call: &SelfCall) -> Result<(), ServiceError> {
        let [first, second] = DEAD_MEN;
        let (new, old) = if self.is_taken(first) { (second, first) } else { (first, second) };
        self.take_back(new)?;
        let program = self_call.program.to_string_lossy();
        let on_active = format!("--on-active={}ms", after.as_millis());
        let unit = format!("--unit={new}");
        let mut arguments = vec![
            "--quiet",
            "--collect",
            &unit,
            &on_active,
            "--timer-property=AccuracySec=1s",
            "--description=Linnet: roll an update back whose watcher is gone",
            "--",
            &*program,
        ];
        arguments.extend(self_call.arguments.iter().map(String::as_str));
        arguments.extend(["recover", "--dead-man"]);
        self.call("systemd-run", &arguments)?;
        if self.is_taken(old) {
            kill_point::reach("armed-anew");
            self.take_back(old)?;
        }
        Ok(())
    }

    fn disarm(&self) -> Result<(), ServiceError> {
        DEAD_MEN.iter().try_for_each(|dead_man| self.take_back(dead_man))
    }

    fn has_units(&self) -> bool {
        true
    }

    fn runs(&self) -> bool {
        self.runs
    }
}
