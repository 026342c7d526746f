//! A script was executed.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::base::{Base, Class, unmapped};
use crate::object::{Actor, Script};

const CLASS: Class = Class { uid: 1009, category_uid: 1 };

/// OCSF Script Activity, Execute: the script's content and hash, once for each execution.
///
/// `actor.process` is the process that runs the script, as a reference to its exec event (pid, uid, name,
/// container). Content that is not UTF-8 is base64, and `unmapped.script_encoding` says so.
#[derive(Debug, Clone, Copy)]
pub struct ScriptActivity<'a> {
    /// What every event has.
    pub base: Base<'a>,
    /// The process that runs it.
    pub actor: Actor<'a>,
    /// The script.
    pub script: Script<'a>,
}

#[derive(Serialize)]
struct Encoding {
    script_encoding: &'static str,
}

impl Serialize for ScriptActivity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = self.base.begin(serializer, CLASS, 1)?;
        event.serialize_field("script", &self.script)?;
        event.serialize_field("actor", &self.actor)?;
        let encoding = self.script.content.is_base64().then_some(Encoding { script_encoding: "base64" });
        unmapped(&mut event, encoding.as_ref())?;
        self.base.end(event)
    }
}
