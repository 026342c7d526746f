//! The agent under test: started with its own settings in its own room, stopped, and read out.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::recording::Recording;
use crate::stage::Stage;
use crate::trouble::{Doing, Result, wrong};
use crate::watchdog;

/// Where an agent keeps its files. Several agents can follow one another in a room.
#[derive(Debug, Clone)]
pub struct Room {
    /// The directory of them all.
    pub dir: PathBuf,
    /// The current output file.
    pub events: PathBuf,
    settings: PathBuf,
    /// `runtime_dir`.
    pub runtime: PathBuf,
}

impl Room {
    /// A new room.
    pub fn new(stage: &Stage) -> Result<Self> {
        let dir = stage.room()?;
        Ok(Self {
            events: dir.join("events.ndjson"),
            settings: dir.join("linnet.json"),
            runtime: dir.join("run"),
            dir,
        })
    }

    /// Writes the settings: what every claim needs, and `changes` over it as a JSON merge patch.
    pub fn settings(&self, changes: &Value) -> Result<&Path> {
        let mut settings = json!({
            "output": {"file": {"path": self.events, "max_bytes": 1_u64 << 33, "keep": 1}},
            // A cgroup of its own is a claim of its own; the others are not about a slow agent.
            "limits": {"enabled": false},
            // As long as may be: a slow machine is no reason for a missing hash.
            "hash": {"wait_ms": 5000},
            "health": {"interval_s": 1, "report_interval_s": 3600, "canary_interval_s": 3600},
            "runtime_dir": self.runtime,
        });
        merge(&mut settings, changes);
        fs::write(&self.settings, settings.to_string()).doing("write the settings")?;
        Ok(&self.settings)
    }

    /// The health document as it is now; `Null` where there is none yet.
    pub fn health(&self) -> Value {
        let text = fs::read(self.runtime.join("health.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The command that runs the agent here.
    pub fn command(&self, stage: &Stage, changes: &Value, extra: &[&str]) -> Result<Command> {
        let settings = self.settings(changes)?.as_os_str().to_owned();
        let mut args: Vec<OsString> = vec!["run".into(), "--settings".into(), settings];
        args.extend(extra.iter().map(OsString::from));
        Ok(stage.command(&stage.agent, &args))
    }
}

/// JSON merge patch (RFC 7396), with which settings are changed for a claim.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => target.clone_from(patch),
    }
}

/// An agent that runs. One that is dropped is killed.
#[derive(Debug)]
pub struct Agent<'s> {
    stage: &'s Stage,
    /// Its files.
    pub room: Room,
    child: Child,
    ended: Option<ExitStatus>,
}

impl<'s> Agent<'s> {
    /// Starts one in a new room and waits for its first event.
    pub fn start(stage: &'s Stage, changes: &Value) -> Result<Self> {
        Self::start_in(stage, Room::new(stage)?, changes, &[])
    }

    /// The same in a given room, with more arguments.
    pub fn start_in(stage: &'s Stage, room: Room, changes: &Value, extra: &[&str]) -> Result<Self> {
        let log = |name: &str| File::create(room.dir.join(name)).doing(format_args!("create {name}"));
        let (stdout, stderr) = (log("stdout")?, log("stderr")?);
        let mut command = room.command(stage, changes, extra)?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Self::launch(stage, room, command)
    }

    /// Starts one by a command of the room, and waits for the event that says so.
    pub fn launch(stage: &'s Stage, room: Room, mut command: Command) -> Result<Self> {
        let before = starts(&room.events);
        let child = command.spawn().doing("start the agent")?;
        watchdog::will_end(child.id());
        let mut agent = Self { stage, room, child, ended: None };
        stage.await_that("the agent's start event", || {
            if starts(&agent.room.events) > before {
                return Ok(Some(()));
            }
            match agent.child.try_wait().doing("look at the agent")? {
                None => Ok(None),
                Some(status) => {
                    agent.ended = Some(status);
                    wrong(format!("the agent ended with {status} at its start: {}", agent.complaint()))
                }
            }
        })?;
        Ok(agent)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard error so far.
    pub fn complaint(&self) -> String {
        let text = fs::read(self.room.dir.join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let tail = text.char_indices().rev().nth(3000).map_or(0, |(place, _)| place);
        text.get(tail..).unwrap_or_default().to_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.map_or_else(|| wrong("no such pid"), |pid| kill_process(pid, signal).doing("signal the agent"))
    }

    /// Stops it, does something, and lets it go on.
    pub fn while_it_sleeps<T>(&self, deed: impl FnOnce() -> Result<T>) -> Result<T> {
        self.signal(Signal::STOP)?;
        let asleep = self.stage.await_that("the agent to stand still", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).doing("read its state")?;
            Ok(stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(()))
        });
        let done = asleep.and_then(|()| deed());
        self.signal(Signal::CONT)?;
        done
    }

    /// Waits until the health document satisfies `is_so`, and gives it.
    pub fn await_health(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        self.stage.await_that(what, || {
            let health = self.room.health();
            Ok(is_so(&health).then_some(health))
        })
    }

    /// Waits until the current output file holds a text.
    pub fn await_output(&self, text: &str) -> Result {
        self.stage.await_that(&format!("{text} in the output"), || {
            let bytes = fs::read(&self.room.events).unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).contains(text).then_some(()))
        })
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let stage = self.stage;
        let status =
            stage.await_that("the agent's end", || self.child.try_wait().doing("wait for the agent"))?;
        watchdog::has_ended(self.child.id());
        self.ended = Some(status);
        Ok(status)
    }

    /// Kills it without a chance to clean up.
    pub fn kill(mut self) -> Result<Room> {
        self.signal(Signal::KILL)?;
        let status = self.wait()?;
        if status.signal() == Some(9) {
            Ok(self.room.clone())
        } else {
            wrong(format!("the agent ended with {status} before it was killed"))
        }
    }

    /// Stops it in order and reads what it left.
    pub fn stop(mut self) -> Result<Recording> {
        self.signal(Signal::TERM)?;
        self.recording()
    }

    /// Waits for its end and reads what it left.
    pub fn recording(&mut self) -> Result<Recording> {
        let status = self.wait()?;
        Recording::read(&self.room.events, self.room.health(), status, self.complaint())
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
            watchdog::has_ended(self.child.id());
        }
    }
}

/// How many start events a file holds.
fn starts(events: &Path) -> usize {
    let text = fs::read(events).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.matches("\"type_uid\":600203").count()
}
