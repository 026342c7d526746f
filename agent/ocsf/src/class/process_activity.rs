//! A process was launched or ended.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::base::{Base, Class};
use crate::object::{Actor, Process};

const CLASS: Class = Class { uid: 1007, category_uid: 1 };

/// OCSF Process Activity.
///
/// # Shape
///
/// - *Exec*: `process` is the new image, described whole: this is the one place where it is. `actor.process` is
///   its parent as a reference (pid, uid, name, path), `process.parent_process` has pid and uid only, and
///   `process.ancestry` lists the ancestors, the parent first (pid, uid, name each).
/// - *Fork without exec*: the same with [`LaunchKind::Fork`]; the image is the parent's, so `process` has no hash.
/// - *Exit*: `process` is a reference (pid, uid, name, container) with its end; `actor.process` is the same
///   process by pid and uid, as OCSF asks where a process ends by itself or the killer is not known.
#[derive(Debug, Clone, Copy)]
pub struct ProcessActivity<'a> {
    /// What every event has.
    pub base: Base<'a>,
    /// What happened.
    pub event: ProcessEvent,
    /// Who did it.
    pub actor: Actor<'a>,
    /// To which process it happened.
    pub process: Process<'a>,
}

/// What happened to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It was launched.
    Launch(LaunchKind),
    /// It ended.
    Terminate {
        /// Its exit code; none where a signal ended it.
        exit_code: Option<i32>,
    },
}

/// OCSF `launch_type_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LaunchKind {
    /// Both steps at once.
    Spawn = 1,
    /// A process made a copy of itself.
    Fork = 2,
    /// A process took on a new image.
    Exec = 3,
}

impl Serialize for ProcessActivity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let activity_id = match self.event {
            ProcessEvent::Launch(_) => 1,
            ProcessEvent::Terminate { .. } => 2,
        };
        let mut event = self.base.begin(serializer, CLASS, activity_id)?;
        match self.event {
            ProcessEvent::Launch(kind) => event.serialize_field("launch_type_id", &(kind as u8))?,
            ProcessEvent::Terminate { exit_code: Some(code) } => event.serialize_field("exit_code", &code)?,
            ProcessEvent::Terminate { exit_code: None } => {}
        }
        event.serialize_field("process", &self.process)?;
        event.serialize_field("actor", &self.actor)?;
        self.base.end(event)
    }
}
