//! Linnet itself, with its default enrichment: container, ancestry, file facts, hash and script of every exec.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use linnet_bench::equation;
use linnet_fleet::health::Health;
use serde_json::{Value, json};

use super::{Availability, Subject, title, version};
use crate::processes;
use crate::stage::{Launched, Room, Stage};

/// Larger than all that a session writes: the output is on a tmpfs here, whose pages are charged to the writer and
/// cannot be reclaimed, and the default limit would end the agent for what on a disk is mere page cache. The agent
/// itself takes no more for a higher limit.
const MEMORY_MAX_BYTES: u64 = 8 << 30;
/// The kernel's short name of the agent's process.
const PROCESS_NAME: &str = "linnet-agent";

/// The agent under one cpu limit.
pub struct Linnet {
    name: &'static str,
    agent: PathBuf,
    cpu_permille: Option<u32>,
    health: PathBuf,
}

impl Linnet {
    /// `name` is its name among the subjects, `agent` the program, `cpu_permille` the limit in thousandths of a core,
    /// or none for the agent's default.
    pub fn new(name: &'static str, agent: PathBuf, cpu_permille: Option<u32>) -> Self {
        Self { name, agent, cpu_permille, health: PathBuf::new() }
    }

    fn settings(&self, room: &Room) -> Value {
        let mut limits = json!({"memory_max_bytes": MEMORY_MAX_BYTES});
        if let (Some(limit), Some(limits)) = (self.cpu_permille, limits.as_object_mut()) {
            limits.insert("cpu_permille".to_owned(), json!(limit));
        }
        json!({
            "output": {"file": {"path": room.output.join("events.ndjson"), "max_bytes": MEMORY_MAX_BYTES, "keep": 1}},
            "limits": limits,
            "runtime_dir": room.dir.join("run"),
        })
    }
}

impl Subject for Linnet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn availability(&self, _stage: &Stage) -> Availability {
        let missing = |reason| Availability::Missing { reason };
        if !self.agent.is_file() {
            return missing(format!(
                "{} is not there: make build, or name it with --agent",
                self.agent.display()
            ));
        }
        match processes::find(PROCESS_NAME) {
            Ok(None) => {}
            Ok(Some(pid)) => {
                return missing(format!("an agent runs already (process {pid}): stop it for the run"));
            }
            Err(error) => return missing(format!("{error:#}")),
        }
        let limit =
            self.cpu_permille.map_or("default cpu limit".to_owned(), |limit| format!("cpu limit {limit} ‰"));
        let name = title("Linnet", version(&self.agent, "--version"));
        Availability::Ready { title: format!("{name}, {limit}"), executables: vec![self.agent.clone()] }
    }

    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched> {
        let runtime_dir = room.dir.join("run");
        fs::create_dir(&runtime_dir).with_context(|| format!("make {}", runtime_dir.display()))?;
        self.health = runtime_dir.join("health.json");
        let settings = room.dir.join("linnet.json");
        let text = self.settings(room).to_string();
        fs::write(&settings, text).with_context(|| format!("write {}", settings.display()))?;
        let agent =
            fs::canonicalize(&self.agent).with_context(|| format!("find {}", self.agent.display()))?;
        let argv = [agent.into_os_string(), "run".into(), "--settings".into(), settings.into_os_string()];
        stage.launch(room, self.name, &argv.map(OsString::from))
    }

    /// Also holds its last health document against the loss equation: figures of an agent that loses without saying
    /// so are worth nothing.
    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()> {
        stage.stop(launched)?;
        let health = Health::read(&self.health)?;
        if !health.limits.enforced {
            eprintln!("WARNING: {}: its limits are not enforced: {:?}", self.name, health.degraded);
        }
        let contradictions = equation::account(&health, None).contradictions;
        if !contradictions.is_empty() {
            bail!("the loss equation does not come out: {}", contradictions.join("; "));
        }
        Ok(())
    }
}
