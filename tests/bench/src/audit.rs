//! The kernel's audit state: taken over for the run, put back afterwards.
//!
//! Once an audit daemon has run, the kernel gives every new process an audit context and sends all of its syscalls
//! down the slow path, until the next boot, even with no rule loaded. That would burden every subject after the first
//! audit daemon, and the runs without a sensor. The rule `never,task` takes it off again (`audit_alloc` makes no context
//! then), so it is loaded whenever the subject is not an audit daemon.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::search_path::find_program;
use crate::undo::{Promises, Undo};

/// What `auditctl -s` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    /// 0 off, 1 on, 2 locked.
    enabled: u32,
    /// The process id of the audit daemon, or 0.
    daemon: u32,
    failure: u32,
    rate_limit: u32,
    backlog_limit: u32,
    backlog_wait_time: u32,
}

fn parse_status(text: &str) -> Option<Status> {
    let number = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(' ')?;
            (name == key).then(|| value.trim().parse().ok())?
        })
    };
    Some(Status {
        enabled: number("enabled")?,
        daemon: number("pid")?,
        failure: number("failure")?,
        rate_limit: number("rate_limit")?,
        backlog_limit: number("backlog_limit")?,
        backlog_wait_time: number("backlog_wait_time")?,
    })
}

/// The audit state, or why it is not ours to take.
pub enum Audit {
    /// Taken over; the daemons of this run may use it.
    Ours,
    /// Left alone.
    NotOurs {
        /// Why, and what to do about it.
        reason: String,
    },
}

impl Audit {
    /// Takes the audit state over, if nobody else uses it.
    pub fn take(promises: &mut Promises) -> Result<Self> {
        let status = match auditctl(&["-s"]) {
            Ok(text) => parse_status(&text).context("read what auditctl -s printed")?,
            Err(error) => return Ok(Self::NotOurs { reason: format!("{error:#}") }),
        };
        let rules = auditctl(&["-l"])?;
        if let Some(reason) = foreign_use(&status, &rules) {
            return Ok(Self::NotOurs { reason });
        }
        let program = find_program("auditctl").context("find auditctl")?.to_string_lossy().into_owned();
        for argv in restoring(&status) {
            let argv = std::iter::once(program.clone()).chain(argv).collect();
            let _kept_by_the_guard = promises.promise(Undo::Run(argv))?;
        }
        let audit = Self::Ours;
        audit.close()?;
        Ok(audit)
    }

    /// Why the audit daemons cannot run, if so.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Ours => None,
            Self::NotOurs { reason } => Some(reason),
        }
    }

    /// Loads rules instead of `never,task`: processes made from now on are audited.
    pub fn open(&self, rules: &Path) -> Result<()> {
        auditctl(&["-D"])?;
        auditctl(&["-R", &rules.to_string_lossy()])?;
        Ok(())
    }

    /// Unloads the rules: processes made from now on have no audit context.
    pub fn close(&self) -> Result<()> {
        if matches!(self, Self::Ours) {
            auditctl(&["-D"])?;
            auditctl(&["-a", "never,task"])?;
        }
        Ok(())
    }

    /// Whether this process is the registered audit daemon.
    pub fn daemon_is(pid: u32) -> Result<bool> {
        let status = parse_status(&auditctl(&["-s"])?).context("read what auditctl -s printed")?;
        Ok(status.daemon == pid && status.enabled == 1)
    }
}

fn foreign_use(status: &Status, rules: &str) -> Option<String> {
    if status.daemon != 0 {
        return Some(format!("another audit daemon runs (process {}): stop it for the run", status.daemon));
    }
    if status.enabled > 1 {
        return Some("the audit settings are locked (enabled 2) until the next boot".to_owned());
    }
    if !rules.starts_with("No rules") {
        return Some(
            "audit rules are loaded that are not this program's: unload them for the run".to_owned(),
        );
    }
    None
}

/// The commands that put the status back, to be run from the last to the first.
fn restoring(status: &Status) -> Vec<Vec<String>> {
    let set = |option: &str, value: u32| vec![option.to_owned(), value.to_string()];
    vec![
        set("-f", status.failure),
        set("-r", status.rate_limit),
        set("-b", status.backlog_limit),
        set("--backlog_wait_time", status.backlog_wait_time),
        set("-e", status.enabled),
        vec!["-D".to_owned()],
    ]
}

fn auditctl(arguments: &[&str]) -> Result<String> {
    let program = find_program("auditctl").context("auditctl is not installed: apt-get install auditd")?;
    let output = Command::new(program).args(arguments).output().context("run auditctl")?;
    if !output.status.success() {
        bail!("auditctl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: &str = "enabled 0\nfailure 1\npid 0\nrate_limit 0\nbacklog_limit 64\nlost 0\nbacklog 0\n\
                         backlog_wait_time 15000\nbacklog_wait_time_actual 0\nloginuid_immutable 0 unlocked\n";

    #[test]
    fn the_status_is_read_by_whole_keys() {
        let status = parse_status(QUIET).unwrap();
        assert_eq!((status.backlog_limit, status.backlog_wait_time), (64, 15_000));
        assert_eq!(parse_status("enabled 0\n"), None);
    }

    #[test]
    fn audit_in_use_is_left_alone() {
        let quiet = parse_status(QUIET).unwrap();
        assert_eq!(foreign_use(&quiet, "No rules\n"), None);
        assert!(foreign_use(&quiet, "-a always,exit -S all\n").is_some());
        assert!(foreign_use(&Status { daemon: 7, ..quiet.clone() }, "No rules\n").is_some());
        assert!(foreign_use(&Status { enabled: 2, ..quiet }, "No rules\n").is_some());
    }

    #[test]
    fn the_rules_go_before_the_status_is_put_back() {
        let commands = restoring(&parse_status(QUIET).unwrap());
        assert_eq!(commands.last(), Some(&vec!["-D".to_owned()]));
        assert!(commands.contains(&vec!["-b".to_owned(), "64".to_owned()]));
    }
}
