//! A container that makes more than one may is held back in the kernel; its neighbour loses nothing, and nothing goes uncounted.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cgroup::Group;
use crate::event::{Event, at};
use crate::program::{Behaviour, Program};
use crate::recording::Recording;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] =
    &[Case::Alone("a_noisy_cgroup_is_held_back_and_its_neighbour_is_whole", held_back)];

/// Records a second. Every machine is faster than this, an emulated one too.
const RATE: u32 = 20;
/// What a storm of one program each makes: more than is allowed at once, by far.
const EXECS: u32 = 300;

struct Container {
    id: String,
    group: Group,
    tool: Program,
    token: String,
}

impl Container {
    fn new(stage: &Stage) -> Result<Self> {
        let id = crate::program::sha256(stage.token().as_bytes());
        let group = Group::make(&format!("{}/docker/{id}", stage.token()))?;
        Ok(Self { id, group, tool: stage.program(Behaviour::Exit(0))?, token: stage.token() })
    }

    fn storm(&self, stage: &Stage, execs: u32) -> Result {
        let (dir, execs) = (self.group.dir.to_string_lossy(), execs.to_string());
        stage.act(&["cgroup", &dir, "storm", &execs, "0", &self.tool.text(), &self.token]).map(drop)
    }

    /// Two at once, on as many processors as there are: what they change together must come out right.
    fn storm_of_two(&self, stage: &Stage) -> Result {
        let (dir, execs) = (self.group.dir.to_string_lossy(), EXECS.to_string());
        let start = |worker: &str| {
            let token = format!("{}.{worker}", self.token);
            stage.start_act(&["cgroup", &dir, "storm", &execs, "0", &self.tool.text(), &token])
        };
        let workers = [start("a")?, start("b")?];
        for worker in workers {
            let deed = stage.finish(worker)?;
            if !deed.status.success() {
                return wrong(format!("a storm ended with {}: {}", deed.status, deed.complaint));
            }
        }
        Ok(())
    }

    /// Its execs that are told.
    fn execs(&self, run: &Recording) -> Vec<Event> {
        let is_its = |event: &Event| event.is_exec() && *event.at("process.container.uid") == *self.id;
        run.holding(&format!(" {}.", self.token)).into_iter().filter(is_its).collect()
    }
}

fn settings(rate: u32) -> Value {
    json!({"ring": {"cgroup_records_per_s": rate}, "events": {"fork": true}, "health": {"interval_s": 1}})
}

fn held_back(stage: &Stage) -> Result<String> {
    let (free, loud, quiet) = (Container::new(stage)?, Container::new(stage)?, Container::new(stage)?);
    let agent = Agent::start(stage, &settings(0))?;
    free.storm(stage, EXECS)?;
    agent.room.settings(&settings(RATE))?;
    agent.signal(Signal::HUP)?;
    let is_set = |health: &Value| *at(health, "rate_limits.records_per_s") == RATE;
    agent.await_health("the limit", is_set)?;
    loud.storm_of_two(stage)?;
    quiet.storm(stage, 3)?;
    let is_told = |health: &Value| {
        let now = at(health, "rate_limits.now").as_array();
        now.is_some_and(|now| now.iter().any(|group| *at(group, "container") == *loud.id))
    };
    let health = agent.await_health("the noisy cgroup", is_told)?;
    if !at(&health, "degraded").to_string().contains("ring.cgroup_records_per_s") {
        return wrong(format!("nobody says what to do: {}", at(&health, "degraded")));
    }
    // Another storm while it is limited: told to be one time with the first.
    loud.storm_of_two(stage)?;
    // What else runs on the machine may be limited still.
    agent.await_health("the end of it", |health| !is_told(health))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    if free.execs(&run).len() != EXECS as usize {
        return wrong(format!("without a limit {} of {EXECS} execs are there", free.execs(&run).len()));
    }
    let execs = quiet.execs(&run);
    if execs.len() != 3 {
        return wrong(format!("{} of the neighbour's 3 execs are there", execs.len()));
    }
    for exec in &execs {
        run.end_of(exec)?;
    }
    account(&loud, &run)
}

/// One beginning, one end; what the end says was left out is what is missing.
fn account(loud: &Container, run: &Recording) -> Result<String> {
    let of_loud = |event: &Event| *event.at("unmapped.rate_limit.group.container") == *loud.id;
    let told: Vec<_> = run.holding("\"rate_limit\":").into_iter().filter(of_loud).collect();
    let types: Vec<_> = told.iter().filter_map(|event| event.at("type_uid").as_u64()).collect();
    let [_, end] = told.as_slice() else { return wrong(format!("told by {types:?}, not by two events")) };
    if types != [600_207, 600_206] {
        return wrong(format!("told by {types:?}, not by Disable and Enable"));
    }
    let left_out = |kind: &str| end.number(&format!("unmapped.rate_limit.group.counts.{kind}"));
    let missing = u64::from(4 * EXECS) - loud.execs(run).len() as u64;
    // A kernel that lets programs be preempted (7.x) skips some runs, and counts them, whosever they were.
    let skipped = run.count("exec", "missed_by_kernel");
    if missing == 0 || !(missing.saturating_sub(skipped)..=missing).contains(&left_out("exec")?) {
        return wrong(format!(
            "{missing} execs are missing, {} were left out, {skipped} skipped by the kernel itself",
            left_out("exec")?
        ));
    }
    // Forks go first: half of what may be used ahead is not theirs.
    if left_out("fork")? < missing {
        return wrong(format!("{} forks were left out and {missing} execs", left_out("fork")?));
    }
    for kind in ["fork", "exec", "exit"] {
        let (all, its) = (run.count(kind, "rate_limited"), left_out(kind)?);
        if its > all {
            return wrong(format!("{its} of {kind} were left out of one cgroup, {all} of all"));
        }
    }
    Ok(format!("of {} execs {missing} were left out", 4 * EXECS))
}
