//! Threads are not processes.

use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    a_process_with_eight_threads_is_one_process,
    an_exec_by_another_thread_is_that_of_the_process,
    a_leader_that_ends_first_does_not_end_the_process,
    a_process_ends_with_what_its_parent_is_told,
    two_threads_that_end_at_once_are_one_end,
];

fn a_process_with_eight_threads_is_one_process(stage: &Stage) -> Result<Check> {
    let deed = stage.act(&["threads", "8"])?;
    let tids: Vec<u32> = deed.all("tid").filter_map(|tid| tid.parse().ok()).collect();
    check(move |run| {
        if tids.len() != 8 {
            return wrong(format!("{} threads, not 8", tids.len()));
        }
        let seen = (run.forks_of(deed.pid).len(), run.execs_of(deed.pid).len(), run.exits_of(deed.pid).len());
        if seen != (1, 1, 1) {
            return wrong(format!("forks, execs and ends of {} are {seen:?}", deed.pid));
        }
        for tid in tids {
            let events = run.holding(&format!("\"pid\":{tid},"));
            if let Some(event) = events.iter().find(|event| event.at("process.pid") == tid) {
                return event.refuse(&format!("the thread {tid} is told as a process"));
            }
        }
        Ok(())
    })
}

fn an_exec_by_another_thread_is_that_of_the_process(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(5))?, stage.token());
    let deed = stage.act(&["exec-by-thread", &tool.text(), &token, "two words"])?;
    let tid = deed.number("tid")?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let [first, second] = execs.as_slice() else { return wrong(format!("{} execs, not 2", execs.len())) };
        first.lacks("process.tid")?;
        second.has("process.tid", tid)?.has("process.uid", first.text("process.uid")?)?;
        second.has("process.xattributes.argv", serde_json::json!([tool.text(), token, "two words"]))?;
        second.is_of(&tool.sha256)?;
        run.exit_of(deed.pid)?.has("exit_code", 5).map(drop)
    })
}

fn a_leader_that_ends_first_does_not_end_the_process(stage: &Stage) -> Result<Check> {
    let deed = stage.act(&["leader-first", "300", "7"])?;
    check(move |run| {
        if deed.end() != (Some(7), None) {
            return wrong(format!("the process ended with {}", deed.status));
        }
        let end = run.exit_of(deed.pid)?;
        end.has("exit_code", 7)?;
        if end.number("process.xattributes.runtime_ns")? < 300_000_000 {
            return end.refuse("the end of the leader is told as that of the process");
        }
        Ok(())
    })
}

/// A leader's code counts when the last thread ends alone; `wait(2)` and the event agree.
fn a_process_ends_with_what_its_parent_is_told(stage: &Stage) -> Result<Check> {
    let mut deeds = Vec::new();
    for code in [0, 9, 200] {
        deeds.push(stage.act(&["end-together", &code.to_string()])?);
    }
    check(move |run| {
        for deed in deeds {
            let Some(code) = deed.status.code() else { return wrong(format!("ended with {}", deed.status)) };
            run.exit_of(deed.pid)?.has("exit_code", code)?;
        }
        Ok(())
    })
}

fn two_threads_that_end_at_once_are_one_end(stage: &Stage) -> Result<Check> {
    let count = stage.fewer(200);
    let mut pids = Vec::new();
    for _ in 0..count {
        pids.push(stage.act(&["end-together", "0"])?.pid);
    }
    Ok(Box::new(move |run| {
        for pid in pids {
            run.exit_of(pid)?;
        }
        let twice = run.count("exit", "filtered.duplicate");
        Ok(format!("{count} processes; {twice} ends were seen twice by the kernel side"))
    }))
}
