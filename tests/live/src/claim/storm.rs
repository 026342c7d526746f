//! Storms: many processes in a short time, on an agent that has room, has limits, or is being stopped.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde_json::json;

use crate::agent::Agent;
use crate::program::{Behaviour, Program};
use crate::recording::Recording;
use crate::stage::{Stage, Where};
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("of_a_storm_of_two_workers_every_exec_is_there_once_and_right", complete),
    Case::Alone("a_storm_under_the_default_limits_is_there_or_counted", under_default_limits),
    Case::Alone("an_agent_that_is_stopped_in_a_storm_ends_cleanly", stopped),
    Case::Alone("a_flood_under_64_mib_kills_nothing_and_the_agent_recovers", flood),
];

const WORKERS: usize = 2;

/// A storm that has passed.
struct Storm {
    tool: Program,
    /// One for each worker: its pid and its token.
    workers: Vec<(u32, String)>,
    execs: u32,
}

impl Storm {
    /// Lets two workers execute a program so often each; `meanwhile` runs when they have begun.
    fn raise(stage: &Stage, execs: u32, filler: usize, meanwhile: impl FnOnce() -> Result) -> Result<Self> {
        let tool = stage.program(Behaviour::Exit(0))?;
        let mut workers = Vec::new();
        let mut children = Vec::new();
        for _ in 0..WORKERS {
            let token = stage.token();
            let steps = ["storm", &execs.to_string(), &filler.to_string(), &tool.text(), &token];
            let child = stage.start_act(&steps)?;
            workers.push((child.id(), token));
            children.push(child);
        }
        let done = meanwhile();
        for child in children {
            let deed = stage.finish(child)?;
            if !deed.status.success() {
                return wrong(format!("a worker ended with {}: {}", deed.status, deed.complaint));
            }
        }
        done.map(|()| Self { tool, workers, execs })
    }

    /// How often each exec is in the output; each that is there is right.
    fn found(&self, run: &Recording) -> Result<HashMap<(usize, u32), u32>> {
        let mut found = HashMap::new();
        for (number, (pid, token)) in self.workers.iter().enumerate() {
            let parent = run.execs_of(*pid).pop();
            let uid = parent.as_ref().map(|parent| parent.text("process.uid")).transpose()?;
            for event in run.holding(&format!(" {token}.")) {
                let line = event.at("process.cmd_line").as_str().unwrap_or_default();
                let Some(rest) = line.strip_prefix(&format!("{} {token}.", self.tool.text())) else {
                    continue;
                };
                let index: u32 =
                    rest.split(' ').next().unwrap_or_default().parse().doing("number of an exec")?;
                event.has("actor.process.pid", *pid)?;
                if let Some(uid) = uid {
                    event.has("actor.process.uid", uid)?;
                }
                event.is_of_or_says_why(&self.tool.sha256)?;
                *found.entry((number, index)).or_default() += 1;
            }
        }
        match found.iter().find(|(_, times)| **times > 1) {
            Some((which, times)) => wrong(format!("the exec {which:?} is there {times} times")),
            None => Ok(found),
        }
    }

    fn all(&self) -> u64 {
        u64::from(self.execs) * self.workers.len() as u64
    }
}

fn complete(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"limits": {"enabled": true, "cpu_permille": 1000}}))?;
    let start = Instant::now();
    let execs = match stage.place {
        Where::Host => 10_000,
        Where::Vm => 200,
    };
    let storm = Storm::raise(stage, execs, 0, || Ok(()))?;
    let took = start.elapsed();
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let missing = storm.all() - storm.found(&run)?.len() as u64;
    // A kernel that lets programs be preempted (7.x) skips the run of another task on that processor, and counts it.
    // Emulation stretches the moment in which that can happen a hundredfold.
    let skipped = if stage.place == Where::Vm { run.count("exec", "missed_by_kernel") } else { 0 };
    if missing > skipped {
        return wrong(format!("{missing} of {} are missing: {}", storm.all(), run.health("losses.exec")));
    }
    let mut roads = BTreeMap::<String, u32>::new();
    for (_, token) in &storm.workers {
        for event in
            run.holding(&format!(" {token}.")).iter().filter(|event| event.at("process.name") == "tool")
        {
            event.is_of(&storm.tool.sha256)?;
            *roads.entry(event.text("process.file.xattributes.hash_road")?.to_owned()).or_default() += 1;
        }
    }
    let skipped =
        if missing > 0 { format!("; {missing} skipped by the kernel itself") } else { String::new() };
    Ok(format!("{} execs in {took:.1?}; hashes by {roads:?}{skipped}", storm.all()))
}

/// What is missing must be counted as lost; gives the share.
fn explained(storm: &Storm, run: &Recording) -> Result<String> {
    let missing = storm.all() - storm.found(run)?.len() as u64;
    let losses = run.health("losses.exec");
    let given_up = ["shed", "dropped"].map(|map| crate::equation::sum(losses.get(map))).iter().sum::<u64>();
    let lost = run.count("exec", "lost_ring") + run.count("exec", "missed_by_kernel") + given_up;
    if missing > lost {
        return wrong(format!("{missing} execs are missing, only {lost} are counted as lost: {losses}"));
    }
    Ok(format!("{missing} of {} execs are missing, {lost} counted as lost", storm.all()))
}

fn under_default_limits(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"limits": {"enabled": true}, "hash": {"wait_ms": 2000}}))?;
    let storm = Storm::raise(stage, stage.fewer(5000), 0, || Ok(()))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    explained(&storm, &run)
}

fn stopped(stage: &Stage) -> Result<String> {
    let mut agent = Agent::start(stage, &json!({}))?;
    let mut run = None;
    let storm = Storm::raise(stage, stage.fewer(20_000), 0, || {
        std::thread::sleep(stage.nap());
        agent.signal(rustix::process::Signal::TERM)?;
        run = Some(agent.recording()?);
        Ok(())
    })?;
    let Some(run) = run else { return wrong("the agent was not read") };
    wholeness::check(&run, Expect::All)?;
    let seen = storm.found(&run)?.len() as u64;
    if seen == storm.all() {
        return wrong("the storm was over before the agent was stopped, so nothing was tried");
    }
    Ok(format!("{seen} of {} execs were seen before the stop", storm.all()))
}

fn flood(stage: &Stage) -> Result<String> {
    const MEMORY: u64 = 64 << 20;
    let limits = json!({"enabled": true, "memory_max_bytes": MEMORY, "cpu_permille": 1000});
    // On a tmpfs the output is charged to the agent, so it must be small beside the limit.
    let output = json!({"file": {"max_bytes": 4 << 20, "keep": 1}});
    let settings = json!({"limits": limits, "hash": {"wait_ms": 2000}, "output": output});
    let agent = Agent::start(stage, &settings)?;
    let execs = match stage.place {
        Where::Host => 50_000,
        Where::Vm => 500,
    };
    let storm = Storm::raise(stage, execs, 100_000, || Ok(()))?;
    let tool = stage.program(Behaviour::Exit(0))?;
    let later = stage.token();
    stage.run_well(&tool.path, &[&later])?;
    agent.await_output(&later)?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::Part)?;
    run.exec(&later)?.is_of(&tool.sha256)?;
    storm.found(&run)?;
    let (all, lost) = (run.count("exec", "attempted"), run.count("exec", "lost_ring"));
    let shed = crate::equation::sum(Some(run.health("losses.exec.shed")));
    let said = format!("of {all} execs {lost} were lost in the ring, {shed} shed");
    // Since 7.x the kernel itself may skip a preempted program; it counts what it skipped, and emulation makes it likely.
    let skipped = if stage.place == Where::Vm { run.count("exec", "missed_by_kernel") } else { 0 };
    if all + skipped < storm.all() {
        return wrong(format!("{said}: fewer than the {} that there were", storm.all()));
    }
    let peak = run.health("usage.memory_peak_bytes").as_u64();
    let peak = peak.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    Ok(format!("{said}; memory at peak {peak}"))
}
