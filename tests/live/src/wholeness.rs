//! What must hold of every run of the agent, whatever was tried: it ended well, its output is whole and safe to
//! print, and its counters add up and agree with what is written.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::equation;
use crate::event::Event;
use crate::recording::Recording;
use crate::trouble::{Doing, Result, never, wrong};

/// Names an executable that reads the file given as its argument and exits with other than 0 on faults.
pub const CHECKER: &str = "LINNET_OCSF_CHECK";
/// Most faults that are told of one run.
const FAULTS_MAX: usize = 12;

/// What a run may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Everything from its start on is in the output.
    All,
    /// Old files were given up, or the disk was full: counted, but not there.
    Part,
}

/// Holds a run against all of it; gives how many events it wrote.
pub fn check(run: &Recording, expect: Expect) -> Result<usize> {
    let mut faults = equation::faults(&run.health);
    if !run.status.success() {
        faults.push(format!("the agent ended with {}: {}", run.status, run.complaint));
    }
    let written = read_lines(run, &mut faults);
    if expect == Expect::All {
        for (kind, written) in [("exec", written.execs), ("fork", written.forks), ("exit", written.exits)] {
            let delivered = run.count(kind, "delivered");
            if delivered != written {
                faults
                    .push(format!("{kind}: {delivered} delivered by the counters, {written} in the output"));
            }
        }
        if written.starts == 0 || !written.starts_first {
            faults.push("the first event is not the start".to_owned());
        }
    }
    if !written.stops_last {
        faults.push("the last event is not the stop".to_owned());
    }
    if let Err(trouble) = ocsf(run) {
        faults.push(trouble.to_string());
    }
    let more = faults.len().saturating_sub(FAULTS_MAX);
    if faults.is_empty() {
        return Ok(written.all);
    }
    faults.truncate(FAULTS_MAX);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    never(faults.join("\n"))
}

#[derive(Default)]
struct Written {
    all: usize,
    execs: u64,
    forks: u64,
    exits: u64,
    starts: u64,
    starts_first: bool,
    stops_last: bool,
}

fn read_lines(run: &Recording, faults: &mut Vec<String>) -> Written {
    let mut written = Written::default();
    if run.output.last() != Some(&b'\n') {
        faults.push("the output does not end with a line feed".to_owned());
    }
    for line in run.lines() {
        written.all += 1;
        let number = written.all;
        if let Some(fault) = terminal_fault(line) {
            faults.push(format!("line {number}: {fault}: {}", String::from_utf8_lossy(line)));
        }
        match serde_json::from_slice::<Value>(line) {
            Ok(value @ Value::Object(_)) => {
                let event = Event(value);
                written.execs += u64::from(event.is_exec());
                written.forks += u64::from(event.is_fork());
                written.exits += u64::from(event.is_exit());
                written.starts += u64::from(event.is_start());
                written.starts_first |= number == 1 && event.is_start();
                written.stops_last = event.is_stop();
            }
            Ok(other) => faults.push(format!("line {number} is no object: {other}")),
            Err(error) => {
                faults.push(format!("line {number} is no JSON ({error}): {}", String::from_utf8_lossy(line)));
            }
        }
    }
    written
}

/// What in a line could make a terminal do something.
fn terminal_fault(line: &[u8]) -> Option<String> {
    if let Some(byte) = line.iter().find(|byte| **byte < b' ' || **byte == 0x7f) {
        return Some(format!("control byte {byte:#04x}"));
    }
    match std::str::from_utf8(line) {
        Ok(text) => text.chars().find(|ch| ch.is_control()).map(|ch| format!("control character {ch:?}")),
        Err(error) => Some(format!("not UTF-8: {error}")),
    }
}

/// Runs the checker that the environment names over each output file.
fn ocsf(run: &Recording) -> Result {
    let Some(checker) = std::env::var_os(CHECKER) else { return Ok(()) };
    for file in &run.files {
        let answer = Command::new(&checker)
            .arg(file)
            .stdin(Stdio::null())
            .output()
            .doing(format_args!("run {}", checker.display()))?;
        if !answer.status.success() {
            let said = String::from_utf8_lossy(&answer.stdout);
            let complaint = String::from_utf8_lossy(&answer.stderr);
            let told: Vec<&str> = said.lines().chain(complaint.lines()).take(FAULTS_MAX).collect();
            return wrong(format!("the OCSF checker ended with {}:\n{}", answer.status, told.join("\n")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_found() {
        for (line, is_fault) in [
            (&b"{\"a\":\"plain\"}"[..], false),
            ("{\"a\":\"雀 \\u001b\"}".as_bytes(), false),
            (b"{\"a\":\"\x1b[2J\"}", true),
            (b"{\"a\":\"\x7f\"}", true),
            ("{\"a\":\"\u{9b}2J\"}".as_bytes(), true),
            (b"{\"a\":\"\x9b2J\"}", true),
        ] {
            assert_eq!(terminal_fault(line).is_some(), is_fault, "{line:?}");
        }
    }
}
