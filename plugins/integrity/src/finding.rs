//! Its events: OCSF Detection Finding (2004).

use linnet_plugin::{Event, Severity, files};
use serde_json::{Map, Value, json};

use crate::executable::{Place, Verdict};
use crate::running::Running;

const DETECTION_FINDING: u32 = 2004;
const CREATE: u8 = 1;

/// Something that is wrong.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The same for the same thing, as long as it lasts.
    pub(crate) uid: String,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) kind: &'static str,
    /// MITRE ATT&CK: tactic, technique.
    pub(crate) attack: Option<[(&'static str, &'static str); 2]>,
    pub(crate) evidence: Map<String, Value>,
    pub(crate) container: Option<Value>,
}

impl Finding {
    /// As an event.
    pub(crate) fn into_event(mut self) -> Event {
        if let Some(container) = self.container.take() {
            self.evidence.insert("container".to_owned(), container);
        }
        let mut info = Map::new();
        info.insert("uid".to_owned(), self.uid.into());
        info.insert("title".to_owned(), self.title.clone().into());
        info.insert("types".to_owned(), json!(["integrity", self.kind]));
        if let Some([(tactic, tactic_name), (technique, technique_name)]) = self.attack {
            let attack = json!([{
                "tactic": { "uid": tactic, "name": tactic_name },
                "technique": { "uid": technique, "name": technique_name },
            }]);
            info.insert("attacks".to_owned(), attack);
        }
        Event::new(DETECTION_FINDING, CREATE, self.severity)
            .with("message", self.title)
            .with("status_id", 1)
            .with("finding_info", info)
            .with("evidences", json!([self.evidence]))
    }
}

const EVASION: (&str, &str) = ("TA0005", "Defense Evasion");

/// The finding of an executable that is not in order.
pub(crate) fn of_executable(running: &Running, verdict: &Verdict) -> Finding {
    let path = running.path.to_string_lossy().into_owned();
    let name = &running.stat.comm;
    let suspicious = Place::of(&running.path) == Place::Suspicious;
    let raised = |otherwise| if suspicious { Severity::High } else { otherwise };
    let (kind, severity, title, attack) = match verdict {
        Verdict::MemoryOnly => (
            "memory_only",
            Severity::High,
            format!("{name} runs from memory, without a file: {path}"),
            Some([EVASION, ("T1620", "Reflective Code Loading")]),
        ),
        Verdict::Deleted => (
            "deleted_executable",
            raised(Severity::Medium),
            format!("{name} runs, and its executable was deleted: {path}"),
            Some([EVASION, ("T1070.004", "File Deletion")]),
        ),
        Verdict::Replaced => (
            "replaced_executable",
            raised(Severity::Low),
            format!("{name} runs an older file than the one at its path now: {path}"),
            Some([EVASION, ("T1036", "Masquerading")]),
        ),
        Verdict::Unowned(_) | Verdict::InOrder => (
            "unowned_executable",
            if suspicious { Severity::Medium } else { Severity::Low },
            format!("{name} runs a program of no package: {path}"),
            None,
        ),
    };
    // By file for what is true of a file, by process for what is true of a process.
    let whose = match (verdict, running.file) {
        (Verdict::Unowned(_), Some(file)) => format!("{path}:{}", file.st_ino),
        _ => format!("{}:{}", running.pid, running.stat.start_ticks),
    };
    let container = running.container.as_ref().map(linnet_plugin::processes::Container::object);
    Finding {
        uid: format!("integrity:{kind}:{whose}"),
        severity,
        title,
        kind,
        attack,
        evidence: evidence(running, verdict),
        container,
    }
}

fn evidence(running: &Running, verdict: &Verdict) -> Map<String, Value> {
    let mut file = files::object(&running.path, running.file.as_ref(), None);
    if let Value::Object(members) = &mut file
        && matches!(verdict, Verdict::Deleted | Verdict::MemoryOnly)
    {
        members.insert("is_deleted".to_owned(), true.into());
    }
    let mut process = Map::new();
    process.insert("pid".to_owned(), running.pid.into());
    process.insert("name".to_owned(), running.stat.comm.clone().into());
    process.insert("file".to_owned(), file);
    process.insert("parent_process".to_owned(), json!({ "pid": running.stat.ppid }));
    if let Some(command) = running.command() {
        process.insert("cmd_line".to_owned(), command.into());
    }
    if let Some(uid) = running.uid() {
        process.insert("user".to_owned(), json!({ "uid": uid.to_string() }));
    }
    if let Some(container) = &running.container {
        process.insert("container".to_owned(), container.object());
    }
    Map::from_iter([("process".to_owned(), Value::Object(process))])
}

/// The evidence of something that is no file and no process.
pub(crate) fn data(value: Value) -> Map<String, Value> {
    Map::from_iter([("data".to_owned(), value)])
}
