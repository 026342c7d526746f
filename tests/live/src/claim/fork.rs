//! Processes that are made and never execute anything.

use crate::cgroup;
use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    a_fork_names_its_parent_and_its_end_has_the_same_uid,
    a_fork_in_a_container_carries_it_to_its_end,
    a_fork_that_executes_has_one_uid_for_both,
];

fn a_fork_names_its_parent_and_its_end_has_the_same_uid(stage: &Stage) -> Result<Check> {
    let deed = stage.act(&["fork", "exit", "9"])?;
    let child = u32::try_from(deed.number("child")?).unwrap_or(0);
    check(move |run| {
        let maker = crate::recording::one(run.execs_of(deed.pid), "exec of the maker")?;
        let fork = crate::recording::one(run.forks_of(child), "fork")?;
        let uid = maker.text("process.uid")?;
        fork.has("actor.process.uid", uid)?.has("process.parent_process.uid", uid)?;
        fork.has("process.ancestry.0.uid", uid)?.lacks("process.file.hashes")?;
        if !run.execs_of(child).is_empty() {
            return fork.refuse("an exec is told of a process that made none");
        }
        let end = run.exit_of(child)?;
        end.has("exit_code", 9)?.has("process.uid", fork.text("process.uid")?).map(drop)
    })
}

fn a_fork_in_a_container_carries_it_to_its_end(stage: &Stage) -> Result<Check> {
    let id = "5e".repeat(32);
    let group = cgroup::Group::make(&format!("{}/docker/{id}", stage.token()))?;
    let deed = stage.act(&["cgroup", &group.dir.to_string_lossy(), "fork", "exit", "0"])?;
    let child = u32::try_from(deed.number("child")?).unwrap_or(0);
    check(move |run| {
        let fork = crate::recording::one(run.forks_of(child), "fork")?;
        let end = run.exit_of(child)?;
        for event in [&fork, &end] {
            event.has("process.container.uid", id.as_str())?.has("process.container.runtime", "docker")?;
        }
        Ok(())
    })
}

fn a_fork_that_executes_has_one_uid_for_both(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let deed = stage.act(&["fork", "exec", &tool.text(), &token])?;
    let child = u32::try_from(deed.number("child")?).unwrap_or(0);
    check(move |run| {
        let fork = crate::recording::one(run.forks_of(child), "fork")?;
        let Some(exec) = run.execs_of(child).pop() else { return wrong("there is no exec") };
        exec.has("process.uid", fork.text("process.uid")?).map(drop)
    })
}
