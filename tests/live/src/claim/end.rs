//! How a process ends, and how long it lived.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::claims;
use crate::event::Event;
use crate::program::Behaviour;
use crate::stage::{Deed, Stage};
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    an_exit_has_its_code,
    a_process_that_was_killed_has_the_signal_and_no_code,
    a_process_that_crashed_has_the_signal,
    the_runtime_is_between_what_was_slept_and_what_was_waited,
    an_end_refers_to_its_exec_by_uid,
    a_name_that_the_process_took_later_does_no_harm,
    a_process_is_described_before_its_end_is_told,
];

fn an_exit_has_its_code(stage: &Stage) -> Result<Check> {
    let mut deeds = Vec::new();
    for code in [0_u8, 1, 42, 255] {
        let (tool, token) = (stage.program(Behaviour::Exit(code))?, stage.token());
        stage.run(&tool.path, &[&token])?;
        deeds.push((token, code));
    }
    check(move |run| {
        for (token, code) in deeds {
            let end = run.end_of(&run.exec(&token)?)?;
            end.has("exit_code", code)?.lacks("process.xattributes.signal")?;
        }
        Ok(())
    })
}

fn a_process_that_was_killed_has_the_signal_and_no_code(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.guard(), 0))?, stage.token());
    let child = stage.start(&tool.path, &[&token])?;
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return wrong("no pid") };
    kill_process(pid, Signal::KILL).doing("kill")?;
    let deed = stage.finish(child)?;
    check(move |run| ended_by(&run.end_of(&run.exec(&token)?)?, &deed, 9))
}

fn a_process_that_crashed_has_the_signal(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Crash)?, stage.token());
    let deed = stage.run(&tool.path, &[&token])?;
    check(move |run| ended_by(&run.end_of(&run.exec(&token)?)?, &deed, 11))
}

fn ended_by(end: &Event, deed: &Deed, signal: i32) -> Result {
    use std::os::unix::process::ExitStatusExt;
    if deed.end() != (None, Some(signal)) {
        return wrong(format!("the process ended with {}", deed.status));
    }
    end.has("process.xattributes.signal", signal)?.lacks("exit_code")?;
    let dumped = end.at("process.xattributes.core_dumped").as_bool().unwrap_or(false);
    if dumped == deed.status.core_dumped() {
        return Ok(());
    }
    end.refuse(&format!("a core was dumped: {}", deed.status.core_dumped()))
}

fn the_runtime_is_between_what_was_slept_and_what_was_waited(stage: &Stage) -> Result<Check> {
    let nap = Duration::from_millis(250);
    let (tool, token) = (stage.program(Behaviour::Sleep(nap, 0))?, stage.token());
    let start = Instant::now();
    stage.run(&tool.path, &[&token])?;
    let waited = start.elapsed();
    check(move |run| {
        let end = run.end_of(&run.exec(&token)?)?;
        let runtime = Duration::from_nanos(end.number("process.xattributes.runtime_ns")?);
        if runtime >= nap && runtime <= waited {
            return Ok(());
        }
        end.refuse(&format!("the runtime is {runtime:?}, not between {nap:?} and {waited:?}"))
    })
}

fn an_end_refers_to_its_exec_by_uid(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(3))?, stage.token());
    let deed = stage.run(&tool.path, &[&token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        let end = run.end_of(&exec)?;
        let uid = exec.text("process.uid")?;
        end.has("process.pid", deed.pid)?.has("process.name", "tool")?.has("actor.process.uid", uid)?;
        let (began, ended) = (exec.number("time")?, end.number("time")?);
        // Both come from one clock; the order of their milliseconds is that of the events.
        if ended >= began { Ok(()) } else { end.refuse(&format!("it ended before its exec, at {began}")) }
    })
}

fn a_name_that_the_process_took_later_does_no_harm(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let deed =
        stage.act(&["name", "\x1b[2J\u{9b}evil\n", "exec", "/proc/self/exe", "act", "name", &token])?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        if execs.len() != 2 {
            return wrong(format!("{} execs, not 2", execs.len()));
        }
        run.exit_of(deed.pid)?.has("exit_code", 0).map(drop)
    })
}

/// An exec waits for its hash; its end, which has none, must not overtake it.
fn a_process_is_described_before_its_end_is_told(stage: &Stage) -> Result<Check> {
    let mut tokens = Vec::new();
    for _ in 0..stage.fewer(50) {
        let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
        stage.run_well(&tool.path, &[&token])?;
        tokens.push(token);
    }
    check(move |run| {
        for token in tokens {
            let exec = run.exec(&token)?;
            let end = run.end_of(&exec)?;
            let place = |event: &Event| event.number("metadata.sequence");
            if place(&exec)? >= place(&end)? {
                return end
                    .refuse(&format!("its exec stands behind it, at {}", exec.at("metadata.sequence")));
            }
        }
        Ok(())
    })
}
