//! Holds the agent's events against a storm: each exec there exactly once, and right.
//!
//! Right means: the argv that was given, the worker as the parent (by process id and by the one uid that the worker's
//! own exec event carries), and the SHA-256 of the program. The events are OCSF, one JSON object a line; an exec is a
//! Process Activity (class 1007), Launch (activity 1), and says who started it in `actor.process`.
//!
//! What is missing is counted apart from what is wrong: a sensor under a tight limit may lose events and say so, but
//! nothing that it says may be false.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::storm::Outcome;
use crate::token::{Token, tokens};

/// OCSF Process Activity.
const PROCESS_ACTIVITY: u32 = 1007;
/// Its activity for an exec.
const LAUNCH: u32 = 1;
/// How many examples of each kind of fault are kept.
const EXAMPLES_MAX: usize = 10;

#[derive(Deserialize)]
struct Event {
    class_uid: Option<u32>,
    activity_id: Option<u32>,
    actor: Option<Actor>,
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Actor {
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Process {
    pid: Option<u32>,
    uid: Option<String>,
    cmd_line: Option<String>,
    file: Option<Executable>,
}

#[derive(Deserialize)]
struct Executable {
    #[serde(default)]
    hashes: Vec<Fingerprint>,
}

#[derive(Deserialize)]
struct Fingerprint {
    value: Option<String>,
}

/// Something that an event says and that is not so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Whose event.
    pub token: String,
    /// Which of its fields.
    pub field: &'static str,
    /// What is so.
    pub expected: String,
    /// What the event says; empty when it says nothing.
    pub found: String,
}

/// What the verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Execs that the storm made.
    pub expected: u64,
    /// Execs of which there is at least one event.
    pub found: u64,
    /// Execs of which there is none.
    pub missing: u64,
    /// The first of them.
    pub missing_examples: Vec<String>,
    /// Events beyond the first of an exec.
    pub repeated: u64,
    /// Events of the storm's name that it never made.
    pub invented: u64,
    /// Exec events without a hash of the executable. A fault too, unless the caller allows it.
    pub without_hash: u64,
    /// How many things are wrong, a missing hash not among them.
    pub faults: u64,
    /// The first of them.
    pub fault_examples: Vec<Fault>,
}

impl Verdict {
    /// Every exec is there exactly once and everything said of it is right and complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_true() && self.missing == 0 && self.without_hash == 0
    }

    /// Nothing is said that is not so; something may be missing.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.repeated == 0 && self.invented == 0 && self.faults == 0
    }

    fn fault(&mut self, token: Token<'_>, field: &'static str, expected: &str, found: Option<&str>) {
        self.faults += 1;
        if self.fault_examples.len() < EXAMPLES_MAX {
            self.fault_examples.push(Fault {
                token: token.to_string(),
                field,
                expected: expected.to_owned(),
                found: found.unwrap_or_default().to_owned(),
            });
        }
    }
}

/// What the event of one exec said of its parent; judged at the end, when the workers' own events are known.
struct Parentage {
    worker: u32,
    index: u32,
    uid: Option<String>,
}

/// The verification of one storm, fed line by line.
pub struct Verification<'a> {
    storm: &'a Outcome,
    sha256: &'a str,
    sightings: HashMap<(u32, u32), u64>,
    worker_uids: HashMap<u32, String>,
    parentages: Vec<Parentage>,
    verdict: Verdict,
}

impl<'a> Verification<'a> {
    /// Begins. `sha256` is the digest of the storm's program, in lower-case hexadecimal digits.
    #[must_use]
    pub fn new(storm: &'a Outcome, sha256: &'a str) -> Self {
        Self {
            storm,
            sha256,
            sightings: HashMap::new(),
            worker_uids: HashMap::new(),
            parentages: Vec::new(),
            verdict: Verdict { expected: u64::from(storm.execs), ..Verdict::default() },
        }
    }

    /// Takes all lines of a file of events.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines is not a JSON object.
    pub fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        for (number, line) in (1..).zip(BufReader::with_capacity(1 << 18, file).lines()) {
            let line = line.map_err(Error::file("read", path))?;
            self.line(&line).map_err(|source| Error::Json {
                path: path.to_path_buf(),
                line: number,
                source,
            })?;
        }
        Ok(())
    }

    /// Takes one line.
    ///
    /// # Errors
    /// It is not a JSON object of the expected types.
    pub fn line(&mut self, line: &str) -> Result<(), serde_json::Error> {
        let event: Event = serde_json::from_str(line)?;
        if event.class_uid != Some(PROCESS_ACTIVITY) || event.activity_id != Some(LAUNCH) {
            return Ok(());
        }
        let Some(process) = event.process else { return Ok(()) };
        let Some(cmd_line) = process.cmd_line.as_deref() else { return Ok(()) };
        if let Some(worker) = self.worker(&process, cmd_line) {
            if let Some(uid) = &process.uid {
                self.worker_uids.insert(worker, uid.clone());
            }
        } else if let Some(token) = tokens(cmd_line, self.storm.name.as_str()).next() {
            let parent = event.actor.and_then(|actor| actor.process);
            self.exec(token, &process, cmd_line, parent);
        }
        Ok(())
    }

    fn worker(&self, process: &Process, cmd_line: &str) -> Option<u32> {
        let worker = self.storm.worker_pids.iter().position(|pid| process.pid == Some(*pid))?;
        let worker = u32::try_from(worker).ok()?;
        let sign = format!(" worker --storm {} --worker {worker} ", self.storm.name);
        cmd_line.contains(&sign).then_some(worker)
    }

    fn exec(&mut self, token: Token<'_>, process: &Process, cmd_line: &str, parent: Option<Process>) {
        if token.storm != self.storm.name.as_str() {
            return;
        }
        if token.index >= self.storm.execs_of(token.worker) {
            self.verdict.invented += 1;
            return;
        }
        let sightings = self.sightings.entry((token.worker, token.index)).or_default();
        *sightings += 1;
        if *sightings > 1 {
            self.verdict.repeated += 1;
            return;
        }
        let argv = self.storm.argv(token.worker, token.index).join(" ");
        if cmd_line != argv {
            self.verdict.fault(token, "process.cmd_line", &argv, Some(cmd_line));
        }
        let hashes = process.file.as_ref().map_or(&[][..], |file| &file.hashes);
        match hashes.first().and_then(|hash| hash.value.as_deref()) {
            None => self.verdict.without_hash += 1,
            Some(value) if value.eq_ignore_ascii_case(self.sha256) => {}
            Some(value) => {
                self.verdict.fault(token, "process.file.hashes[0].value", self.sha256, Some(value));
            }
        }
        let worker_pid =
            usize::try_from(token.worker).ok().and_then(|worker| self.storm.worker_pids.get(worker));
        let parent_pid = parent.as_ref().and_then(|parent| parent.pid);
        if let (Some(expected), Some(found)) = (worker_pid, parent_pid)
            && *expected != found
        {
            self.verdict.fault(token, "actor.process.pid", &expected.to_string(), Some(&found.to_string()));
        }
        let uid = parent.and_then(|parent| parent.uid);
        self.parentages.push(Parentage { worker: token.worker, index: token.index, uid });
    }

    /// Ends the verification.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        let storm = self.storm.name.as_str();
        for parentage in &self.parentages {
            let token = Token { storm, worker: parentage.worker, index: parentage.index };
            match self.worker_uids.get(&parentage.worker) {
                Some(uid) if parentage.uid.as_ref() == Some(uid) => {}
                Some(uid) => self.verdict.fault(token, "actor.process.uid", uid, parentage.uid.as_deref()),
                None => {
                    let expected =
                        format!("the uid of worker {}, whose exec event is missing", parentage.worker);
                    self.verdict.fault(token, "actor.process.uid", &expected, parentage.uid.as_deref());
                }
            }
        }
        self.verdict.found = self.sightings.len() as u64;
        for worker in (0..).take(self.storm.worker_pids.len()) {
            for index in 0..self.storm.execs_of(worker) {
                if !self.sightings.contains_key(&(worker, index)) {
                    self.verdict.missing += 1;
                    if self.verdict.missing_examples.len() < EXAMPLES_MAX {
                        self.verdict.missing_examples.push(Token { storm, worker, index }.to_string());
                    }
                }
            }
        }
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;

    const SHA256: &str = "ab12";

    fn storm() -> Outcome {
        Outcome {
            name: "s1".parse().unwrap(),
            worker_pids: vec![100, 200],
            execs: 3,
            program: PathBuf::from("/t/exit"),
            filler_bytes: 0,
            birth: crate::birth::Birth::Fork,
            elapsed_ns: 1,
        }
    }

    fn worker_event(worker: usize) -> Value {
        let pid = [100, 200][worker];
        json!({"class_uid": 1007, "activity_id": 1, "process": {
            "pid": pid, "uid": format!("W{worker}"),
            "cmd_line": format!("/b worker --storm s1 --worker {worker} --execs 2"),
        }})
    }

    fn exec_event(worker: usize, index: u32) -> Value {
        let pid = [100, 200][worker];
        json!({"class_uid": 1007, "activity_id": 1,
            "actor": {"process": {"pid": pid, "uid": format!("W{worker}")}},
            "process": {"pid": 300, "uid": "C", "cmd_line": format!("/t/exit s1.{worker}.{index}."),
                "file": {"hashes": [{"algorithm_id": 3, "value": SHA256}]}}})
    }

    fn perfect() -> Vec<Value> {
        vec![worker_event(0), exec_event(0, 0), worker_event(1), exec_event(1, 0), exec_event(0, 1)]
    }

    fn verdict(events: &[Value]) -> Verdict {
        let storm = storm();
        let mut verification = Verification::new(&storm, SHA256);
        for event in events {
            verification.line(&event.to_string()).unwrap();
        }
        verification.finish()
    }

    #[test]
    fn a_perfect_record_is_complete() {
        let verdict = verdict(&perfect());
        assert!(verdict.is_complete(), "{verdict:?}");
        assert_eq!((verdict.expected, verdict.found), (3, 3));
    }

    #[test]
    fn a_child_that_is_told_before_its_worker_is_still_attributed() {
        let mut events = perfect();
        events.reverse();
        assert!(verdict(&events).is_complete());
    }

    #[test]
    fn a_lost_exec_is_missing_but_nothing_is_untrue() {
        let mut events = perfect();
        events.pop();
        let verdict = verdict(&events);
        assert_eq!((verdict.missing, verdict.missing_examples), (1, vec!["s1.0.1.".to_owned()]));
        assert_eq!((verdict.faults, verdict.repeated), (0, 0));
    }

    #[test]
    fn an_exec_told_twice_or_never_made_is_untrue() {
        for event in [exec_event(0, 0), exec_event(1, 1)] {
            let mut events = perfect();
            events.push(event.clone());
            assert!(!verdict(&events).is_true(), "{event}");
        }
    }

    #[test]
    fn each_wrong_field_is_a_fault_of_its_name() {
        let cases = [
            ("process.cmd_line", "/process/cmd_line", json!("/t/exit s1.0.0. more")),
            ("process.file.hashes[0].value", "/process/file/hashes/0/value", json!("cd34")),
            ("actor.process.uid", "/actor/process/uid", json!("W1")),
            ("actor.process.uid", "/actor/process/uid", json!(null)),
            ("actor.process.pid", "/actor/process/pid", json!(200)),
        ];
        for (field, pointer, value) in cases {
            let mut events = perfect();
            *events[1].pointer_mut(pointer).unwrap() = value;
            let verdict = verdict(&events);
            assert_eq!(verdict.faults, 1, "{pointer}");
            assert_eq!(verdict.fault_examples[0].field, field);
            assert!(!verdict.is_true());
        }
    }

    #[test]
    fn an_event_without_a_hash_is_incomplete_but_true() {
        let mut events = perfect();
        *events[1].pointer_mut("/process/file/hashes").unwrap() = json!([]);
        let verdict = verdict(&events);
        assert!(verdict.is_true() && !verdict.is_complete());
        assert_eq!(verdict.without_hash, 1);
    }

    #[test]
    fn a_worker_without_its_own_event_leaves_its_children_unproven() {
        let events: Vec<Value> = perfect().into_iter().skip(1).collect();
        assert_eq!(verdict(&events).faults, 2);
    }

    #[test]
    fn other_events_and_other_storms_are_passed_over() {
        let mut events = perfect();
        events.push(json!({"class_uid": 1007, "activity_id": 2, "process": {"cmd_line": "/t/exit s1.0.0."}}));
        events.push(json!({"class_uid": 6002, "activity_id": 1}));
        let mut other = exec_event(0, 0);
        other["process"]["cmd_line"] = json!("/t/exit s1b.0.0.");
        events.push(other);
        assert!(verdict(&events).is_complete());
    }

    #[test]
    fn a_line_that_is_no_event_is_an_error() {
        let storm = storm();
        let mut verification = Verification::new(&storm, SHA256);
        for line in ["", "[]", "{\"class_uid\": \"x\"}", "{"] {
            assert!(verification.line(line).is_err(), "{line:?}");
        }
    }
}
