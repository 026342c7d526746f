//! Linnet itself, with its default enrichment: container, ancestry, file facts, hash and script of every exec.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Availability, Subject, title, version};
use crate::stage::{Launched, Room, Stage};

/// The agent under one set of limits.
pub struct Linnet {
    /// Its name among the subjects.
    pub name: &'static str,
    /// The agent's program.
    pub agent: PathBuf,
    /// The cpu limit in thousandths of a core; the agent's default if none.
    pub cpu_permille: Option<u32>,
}

impl Subject for Linnet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn availability(&self, _stage: &Stage) -> Availability {
        if !self.agent.is_file() {
            let reason =
                format!("{} is not there: make build, or name it with --agent", self.agent.display());
            return Availability::Missing { reason };
        }
        let limit =
            self.cpu_permille.map_or("default cpu limit".to_owned(), |limit| format!("cpu limit {limit} ‰"));
        let name = title("Linnet", version(&self.agent, "--version"));
        Availability::Ready { title: format!("{name}, {limit}"), executables: vec![self.agent.clone()] }
    }

    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched> {
        let settings = room.dir.join("linnet.json");
        let runtime_dir = room.dir.join("run");
        fs::create_dir(&runtime_dir).with_context(|| format!("make {}", runtime_dir.display()))?;
        let mut document = json!({
            "output": {"file": {"path": room.output.join("events.ndjson"), "max_bytes": 4_000_000_000_u64, "keep": 1}},
            "runtime_dir": runtime_dir,
        });
        if let (Some(limit), Some(object)) = (self.cpu_permille, document.as_object_mut()) {
            object.insert("limits".to_owned(), json!({"cpu_permille": limit}));
        }
        fs::write(&settings, document.to_string())
            .with_context(|| format!("write {}", settings.display()))?;
        let agent =
            fs::canonicalize(&self.agent).with_context(|| format!("find {}", self.agent.display()))?;
        let argv = [agent.into_os_string(), "run".into(), "--settings".into(), settings.into_os_string()];
        stage.launch(room, self.name, &argv.map(OsString::from))
    }

    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()> {
        stage.stop(launched)
    }
}
