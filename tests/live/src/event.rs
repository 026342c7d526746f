//! One event of the output, and what claims ask of it. A refusal shows the whole event.

use serde_json::Value;

use crate::trouble::{Result, never, wrong};

/// Longest evidence that is printed of one event, in characters.
const EVIDENCE_MAX: usize = 3000;

/// An event.
#[derive(Debug, Clone)]
pub struct Event(pub Value);

/// The value at a dotted path in a document, `Null` where there is none.
pub fn at<'v>(document: &'v Value, path: &str) -> &'v Value {
    static NOTHING: Value = Value::Null;
    document.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&NOTHING)
}

impl Event {
    /// The value at a dotted path, `Null` where there is none.
    pub fn at(&self, path: &str) -> &Value {
        at(&self.0, path)
    }

    fn is(&self, class: u64, activity: u64) -> bool {
        self.at("class_uid") == class && self.at("activity_id") == activity
    }

    /// Process Activity, Launch by exec.
    pub fn is_exec(&self) -> bool {
        self.is(1007, 1) && self.at("launch_type_id") == 3
    }

    /// Process Activity, Launch by fork.
    pub fn is_fork(&self) -> bool {
        self.is(1007, 1) && self.at("launch_type_id") == 2
    }

    /// Process Activity, Terminate.
    pub fn is_exit(&self) -> bool {
        self.is(1007, 2)
    }

    /// Script Activity.
    pub fn is_script(&self) -> bool {
        self.is(1009, 1)
    }

    /// Application Lifecycle, Start.
    pub fn is_start(&self) -> bool {
        self.is(6002, 3)
    }

    /// Application Lifecycle, Stop.
    pub fn is_stop(&self) -> bool {
        self.is(6002, 4)
    }

    /// Application Error: the loss report.
    pub fn is_loss(&self) -> bool {
        self.at("class_uid") == 6008
    }

    /// The value at a path is this one.
    pub fn has(&self, path: &str, wanted: impl Into<Value>) -> Result<&Self> {
        let (found, wanted) = (self.at(path), wanted.into());
        if *found == wanted { Ok(self) } else { self.refuse(&format!("{path} is {found}, not {wanted}")) }
    }

    /// There is nothing at a path.
    pub fn lacks(&self, path: &str) -> Result<&Self> {
        match self.at(path) {
            Value::Null => Ok(self),
            found => self.refuse(&format!("{path} is {found}, where nothing should be")),
        }
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Result<&str> {
        self.at(path).as_str().map_or_else(|| self.refuse(&format!("{path} is no text")), Ok)
    }

    /// The number at a path.
    pub fn number(&self, path: &str) -> Result<u64> {
        self.at(path).as_u64().map_or_else(|| self.refuse(&format!("{path} is no number")), Ok)
    }

    /// The hash of the executable, where there is one.
    pub fn hash(&self) -> Option<&str> {
        self.at("process.file.hashes.0.value").as_str()
    }

    /// The hash of the executable is this one.
    pub fn is_of(&self, sha256: &str) -> Result<&Self> {
        match self.hash() {
            Some(other) if other != sha256 => {
                never(format!("a wrong hash, {sha256} is right\n{}", self.evidence()))
            }
            _ => self.has("process.file.hashes.0.value", sha256),
        }
    }

    /// The hash of the executable is this one, or the event says why there is none.
    pub fn is_of_or_says_why(&self, sha256: &str) -> Result<Option<&str>> {
        match self.hash() {
            Some(_) => self.is_of(sha256).map(|_| None),
            None => self.text("process.file.xattributes.hash_missing").map(Some),
        }
    }

    /// A refusal with this event as evidence.
    pub fn refuse<T>(&self, why: &str) -> Result<T> {
        wrong(format!("{why}\n{}", self.evidence()))
    }

    /// The event as text, cut where it is very long.
    pub fn evidence(&self) -> String {
        let text = self.0.to_string();
        match text.char_indices().nth(EVIDENCE_MAX) {
            Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
            None => text,
        }
    }
}
