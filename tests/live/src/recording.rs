//! What an agent left: its output, its last health document, its end.
//!
//! Lines are parsed when they are asked for, because a storm leaves more than is good to hold as JSON values.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use crate::event::{Event, at};
use crate::trouble::{Doing, Result, wrong};

/// The recording of one agent's run.
#[derive(Debug)]
pub struct Recording {
    /// All output files, the oldest first, one after another.
    pub output: Vec<u8>,
    /// The output files, the oldest first.
    pub files: Vec<PathBuf>,
    /// The last health document.
    pub health: Value,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard error.
    pub complaint: String,
}

impl Recording {
    /// Reads the output of an agent that has ended.
    pub fn read(events: &Path, health: Value, status: ExitStatus, complaint: String) -> Result<Self> {
        let files = output_files(events);
        let mut output = Vec::new();
        for file in &files {
            output.extend(fs::read(file).doing(format_args!("read {}", file.display()))?);
        }
        Ok(Self { output, files, health, status, complaint })
    }

    /// The lines, without their line feeds; the last may be torn.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.output.strip_suffix(b"\n").unwrap_or(&self.output);
        whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    /// The events whose line holds a text.
    pub fn holding(&self, text: &str) -> Vec<Event> {
        self.lines()
            .filter_map(|line| std::str::from_utf8(line).ok())
            .filter(|line| line.contains(text))
            .filter_map(|line| serde_json::from_str(line).ok().map(Event))
            .collect()
    }

    /// The execs in whose command line a token stands as a word.
    pub fn execs(&self, token: &str) -> Vec<Event> {
        let is_wanted = |event: &Event| {
            event.is_exec()
                && event
                    .at("process.cmd_line")
                    .as_str()
                    .is_some_and(|line| line.split(' ').any(|word| word == token))
        };
        self.holding(token).into_iter().filter(is_wanted).collect()
    }

    /// The one exec with a token, that of the actor that prepared it left out.
    pub fn exec(&self, token: &str) -> Result<Event> {
        let is_actor = |event: &Event| {
            event.at("process.cmd_line").as_str().is_some_and(|line| line.contains("linnet-live act "))
        };
        let execs = self.execs(token).into_iter().filter(|event| !is_actor(event));
        one(execs.collect(), &format!("exec with the argument {token}"))
    }

    /// The execs of a process id.
    pub fn execs_of(&self, pid: u32) -> Vec<Event> {
        self.of_pid(pid, Event::is_exec)
    }

    /// The forks that made a process id.
    pub fn forks_of(&self, pid: u32) -> Vec<Event> {
        self.of_pid(pid, Event::is_fork)
    }

    /// The ends of a process id.
    pub fn exits_of(&self, pid: u32) -> Vec<Event> {
        self.of_pid(pid, Event::is_exit)
    }

    /// The one end of a process id.
    pub fn exit_of(&self, pid: u32) -> Result<Event> {
        one(self.exits_of(pid), &format!("end of the process {pid}"))
    }

    /// The one end of the process of an exec.
    pub fn end_of(&self, exec: &Event) -> Result<Event> {
        let uid = exec.text("process.uid")?;
        let ends =
            self.holding(uid).into_iter().filter(|event| event.is_exit() && event.at("process.uid") == uid);
        one(ends.collect(), &format!("end of the process {uid}"))
    }

    /// The scripts that the process of an exec ran.
    pub fn scripts_of(&self, exec: &Event) -> Result<Vec<Event>> {
        let uid = exec.text("process.uid")?;
        let all = self.holding(uid).into_iter();
        Ok(all.filter(|event| event.is_script() && event.at("actor.process.uid") == uid).collect())
    }

    /// The one script that the process of an exec ran.
    pub fn script_of(&self, exec: &Event) -> Result<Event> {
        one(self.scripts_of(exec)?, &format!("script of {}", exec.evidence()))
    }

    fn of_pid(&self, pid: u32, kind: fn(&Event) -> bool) -> Vec<Event> {
        let events = self.holding(&format!("\"pid\":{pid}")).into_iter();
        events.filter(|event| kind(event) && event.at("process.pid") == pid).collect()
    }

    /// What the health document says at a dotted path.
    pub fn health(&self, path: &str) -> &Value {
        at(&self.health, path)
    }

    /// A counter of one kind of event.
    pub fn count(&self, kind: &str, counter: &str) -> u64 {
        self.health(&format!("losses.{kind}.{counter}")).as_u64().unwrap_or(0)
    }
}

/// The current file and its predecessors, the oldest first.
fn output_files(current: &Path) -> Vec<PathBuf> {
    let older = |number: u32| {
        let mut name = current.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut files: Vec<PathBuf> = (1..1000).map(older).take_while(|path| path.exists()).collect();
    files.reverse();
    files.extend(current.exists().then(|| current.to_owned()));
    files
}

/// The only one of a list.
pub fn one(mut events: Vec<Event>, what: &str) -> Result<Event> {
    match (events.pop(), events.len()) {
        (Some(event), 0) => Ok(event),
        (None, _) => wrong(format!("there is no {what}")),
        (Some(last), more) => {
            let others: Vec<String> = events.iter().map(Event::evidence).collect();
            wrong(format!("there are {} of {what}:\n{}\n{}", more + 1, others.join("\n"), last.evidence()))
        }
    }
}
