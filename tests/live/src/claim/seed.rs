//! Processes that were there before the agent, and process ids that are given out again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};
use std::time::Duration;

use serde_json::json;

use crate::agent::Agent;
use crate::cgroup;
use crate::event::at;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("a_process_from_before_the_agent_has_the_same_uid_after_a_restart", same_uid_after_a_restart),
    Case::Alone("a_process_from_before_the_agent_is_known_with_path_and_ancestors", known_with_path),
    Case::Alone("the_end_of_a_process_from_before_the_agent_is_told_with_its_container", end_is_told),
    Case::Alone("an_agent_starts_beside_a_process_under_3000_cgroups", starts_beside_a_deep_cgroup),
    Case::Alone("a_process_id_that_is_given_out_again_has_another_uid", pid_reuse),
];

/// An actor that lives longer than an agent and executes things when it is told to.
struct Spawner {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Spawner {
    fn start(stage: &Stage, before: &[&str]) -> Result<Self> {
        let mut child = stage.start_act(&[before, &["spawn-on-demand"]].concat())?;
        let Some(stdout) = child.stdout.take() else { return wrong("the actor has no standard output") };
        let mut spawner = Self { child, answers: BufReader::new(stdout) };
        spawner.answer("ready")?;
        Ok(spawner)
    }

    fn spawn(&mut self, command: &str) -> Result {
        let Some(orders) = self.child.stdin.as_mut() else { return wrong("the actor has no standard input") };
        writeln!(orders, "{command}").doing("order")?;
        self.answer("ended")
    }

    fn answer(&mut self, key: &str) -> Result {
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).doing("read the actor's answer")? == 0 {
                return wrong(format!("the actor ended before it said {key}"));
            }
            if line.starts_with(key) {
                return Ok(());
            }
        }
    }

    fn end(mut self) -> Result {
        drop(self.child.stdin.take());
        self.child.wait().map(drop).doing("wait for the actor")
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // After `end` there is nothing left of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn same_uid_after_a_restart(stage: &Stage) -> Result<String> {
    let tool = stage.program(Behaviour::Exit(0))?;
    let mut spawner = Spawner::start(stage, &[])?;
    let mut uids = Vec::new();
    for _ in 0..2 {
        let token = stage.token();
        let agent = Agent::start(stage, &json!({}))?;
        spawner.spawn(&format!("{} {token}", tool.text()))?;
        let run = agent.stop()?;
        let exec = run.exec(&token)?;
        exec.has("actor.process.pid", spawner.child.id())?;
        uids.push(exec.text("actor.process.uid")?.to_owned());
        wholeness::check(&run, Expect::All)?;
    }
    spawner.end()?;
    match uids.as_slice() {
        [first, second] if first == second => Ok(first.clone()),
        _ => wrong(format!("one process, two uids: {uids:?}")),
    }
}

/// The name that the process took has escapes, which must not get out.
fn known_with_path(stage: &Stage) -> Result<String> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let mut spawner = Spawner::start(stage, &["name", "\x1b[31m)\n 1 2"])?;
    let agent = Agent::start(stage, &json!({}))?;
    spawner.spawn(&format!("{} {token}", tool.text()))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let exec = run.exec(&token)?;
    exec.has("actor.process.path", stage.itself.to_string_lossy())?;
    exec.has("process.ancestry.0.pid", spawner.child.id())?
        .has("process.ancestry.1.pid", std::process::id())?;
    spawner.end()?;
    Ok(String::new())
}

/// An agent that has read what was there before it: that takes a moment longer than its first event.
fn seeded(stage: &Stage) -> Result<Agent<'_>> {
    let agent = Agent::start(stage, &json!({}))?;
    agent.await_health("the processes that were there before", |health| {
        at(health, "process_table.entries").as_u64().is_some_and(|count| count >= 3)
    })?;
    Ok(agent)
}

fn end_is_told(stage: &Stage) -> Result<String> {
    let id = crate::program::sha256(stage.token().as_bytes());
    let group = cgroup::Group::make(&format!("{}/docker/{id}", stage.token()))?;
    let spawner = Spawner::start(stage, &["cgroup", &group.dir.to_string_lossy()])?;
    let pid = spawner.child.id();
    let agent = seeded(stage)?;
    spawner.end()?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exit_of(pid)?.has("exit_code", 0)?.has("process.container.uid", id)?;
    Ok(String::new())
}

fn starts_beside_a_deep_cgroup(stage: &Stage) -> Result<String> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let top = cgroup::Group::make(&stage.token())?;
    let levels = stage.fewer(3000).to_string();
    let mut spawner = Spawner::start(stage, &["deep-cgroup", &top.dir.to_string_lossy(), &levels])?;
    let agent = seeded(stage)?;
    spawner.spawn(&format!("{} {token}", tool.text()))?;
    spawner.end()?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&token)?.has("process.ancestry.1.pid", std::process::id())?;
    Ok(String::new())
}

fn pid_reuse(stage: &Stage) -> Result<String> {
    let tool = stage.program(Behaviour::Exit(0))?;
    let agent = Agent::start(stage, &json!({}))?;
    // The id of a process that has just ended is free.
    let pid = stage.run(&tool.path, &[&stage.token()])?.pid;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        // Start times are told in ticks of 10 ms. That a pid comes again within one would take a whole round of all.
        std::thread::sleep(Duration::from_millis(50));
        let token = stage.token();
        let deed = stage.act(&["fork-with-pid", &pid.to_string(), "exec", &tool.text(), &token])?;
        if deed.number("child")? != u64::from(pid) {
            return wrong(format!("the child did not get the pid {pid}"));
        }
        tokens.push(token);
    }
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let mut uids = std::collections::HashSet::new();
    for token in tokens {
        let Some(exec) = run.execs(&token).into_iter().find(|exec| exec.at("process.pid") == pid) else {
            return wrong(format!("the exec with {token} in the process {pid} is missing"));
        };
        run.end_of(&exec)?;
        uids.insert(exec.text("process.uid")?.to_owned());
    }
    if uids.len() == 2 { Ok(format!("{uids:?}")) } else { wrong(format!("two processes, one uid: {uids:?}")) }
}
