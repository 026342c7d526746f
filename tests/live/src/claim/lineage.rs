//! Who made a process: parent and ancestors, each by the uid that its own exec event has.

use serde_json::Value;

use crate::claims;
use crate::event::Event;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    a_parent_is_named_by_the_uid_of_its_own_exec,
    of_ten_nested_processes_the_last_names_eight_ancestors,
    an_orphan_is_told_under_the_parent_that_adopted_it,
    a_process_keeps_its_uid_over_an_exec,
    a_uid_is_made_of_boot_and_pid_and_start_as_proc_tells_them,
    processes_that_follow_one_another_have_uids_of_their_own,
];

fn a_parent_is_named_by_the_uid_of_its_own_exec(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let deed = stage.act(&["spawn", &tool.text(), &token])?;
    let child = deed.number("child")?;
    check(move |run| {
        let execs = run.execs(&token);
        let of = |pid: u64| execs.iter().find(|exec| exec.at("process.pid") == pid);
        let (Some(parent), Some(child)) = (of(deed.pid.into()), of(child)) else {
            return wrong(format!("{} execs, of {} and {child} not both", execs.len(), deed.pid));
        };
        let uid = parent.text("process.uid")?;
        child.has("actor.process.uid", uid)?.has("actor.process.pid", deed.pid)?;
        child.has("actor.process.path", parent.text("process.file.path")?)?;
        child.has("actor.process.name", parent.text("process.name")?)?;
        child.has("process.parent_process.uid", uid)?.has("process.parent_process.pid", deed.pid)?;
        child.has("process.ancestry.0.uid", uid).map(drop)
    })
}

fn of_ten_nested_processes_the_last_names_eight_ancestors(stage: &Stage) -> Result<Check> {
    const HEIGHT: usize = 10;
    const ANCESTORS: usize = 8;
    let token = stage.token();
    let deed = stage.act(&["nest", &HEIGHT.to_string(), &token])?;
    let mut pids: Vec<u64> = Vec::new();
    for pid in deed.all("pid") {
        pids.push(pid.parse().doing("pid")?);
    }
    check(move |run| {
        let execs = run.execs(&token);
        let uid_of = |pid: &u64| {
            let exec = execs.iter().find(|exec| exec.at("process.pid") == *pid);
            exec.map(|exec| exec.at("process.uid").clone()).unwrap_or_default()
        };
        let mut uids: Vec<Value> = pids.iter().rev().map(uid_of).collect();
        if uids.len() != HEIGHT || uids.contains(&Value::Null) {
            return wrong(format!("of {pids:?} not all {HEIGHT} were seen: {uids:?}"));
        }
        let own = uids.remove(0);
        uids.truncate(ANCESTORS);
        let last = execs.iter().find(|exec| *exec.at("process.uid") == own);
        let Some(last) = last else { return wrong("the last process was not seen") };
        let list = last.at("process.ancestry").as_array().cloned().unwrap_or_default();
        let told: Vec<Value> = list.into_iter().map(|one| Event(one).at("uid").clone()).collect();
        if told == uids { Ok(()) } else { last.refuse(&format!("the ancestors are {told:?}, not {uids:?}")) }
    })
}

fn an_orphan_is_told_under_the_parent_that_adopted_it(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let deed = stage.act(&["orphan", "exec", &tool.text(), &token])?;
    let (child, adopter) = (deed.number("child")?, deed.number("parent")?);
    check(move |run| {
        let Some(exec) = run.execs(&token).into_iter().find(|exec| exec.at("process.pid") == child) else {
            return wrong(format!("the exec of {child} is missing"));
        };
        exec.has("actor.process.pid", adopter)?.has("process.parent_process.pid", adopter)?;
        exec.has("process.ancestry.0.pid", adopter).map(drop)
    })
}

fn a_process_keeps_its_uid_over_an_exec(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(4))?, stage.token());
    let deed = stage.act(&["exec", &tool.text(), &token])?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let [first, second] = execs.as_slice() else {
            return wrong(format!("{} execs of {}, not 2", execs.len(), deed.pid));
        };
        second.has("process.uid", first.text("process.uid")?)?.has("process.xattributes.exec_count", 2)?;
        second.has("actor.process.uid", first.text("actor.process.uid")?)?.is_of(&tool.sha256)?;
        run.end_of(first)?.has("exit_code", 4).map(drop)
    })
}

fn a_uid_is_made_of_boot_and_pid_and_start_as_proc_tells_them(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let deed = stage.act(&["say", "exec", "/proc/self/exe", "act", "name", &token])?;
    let start = deed.number("start")?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").doing("boot id")?;
    let boot = boot.split('-').next().unwrap_or_default().to_owned();
    check(move |run| {
        let Some(exec) = run.execs_of(deed.pid).pop() else { return wrong("there is no exec") };
        exec.has("process.uid", format!("{boot}-{:x}-{start:x}", deed.pid)).map(drop)
    })
}

fn processes_that_follow_one_another_have_uids_of_their_own(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    for _ in 0..20 {
        stage.run(&tool.path, &[&token])?;
    }
    check(move |run| {
        let execs = run.execs(&token);
        let uids: std::collections::HashSet<_> =
            execs.iter().map(|exec| exec.at("process.uid").to_string()).collect();
        if execs.len() == 20 && uids.len() == 20 {
            return Ok(());
        }
        wrong(format!("{} execs with {} uids, not 20", execs.len(), uids.len()))
    })
}
