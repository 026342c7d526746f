//! The ring overflows: what is lost is counted to the last event, and reported among the events.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("a_ring_that_overflows_is_counted_exactly_and_reported", overflow),
    Case::Alone("processes_whose_beginning_was_lost_are_told_nevertheless", lost_beginnings),
];

/// The smallest ring there may be.
const RING: u64 = 64 * 1024;

fn settings() -> Value {
    json!({"ring": {"bytes": RING}, "health": {"report_interval_s": 1}, "events": {"fork": true}})
}

fn overflow(stage: &Stage) -> Result<String> {
    let tool = stage.program(Behaviour::Exit(0))?;
    let agent = Agent::start(stage, &settings())?;
    let tokens: Vec<String> = (0..stage.fewer(1000)).map(|_| stage.token()).collect();
    let filler = "f".repeat(4000);
    agent.while_it_sleeps(|| {
        for token in &tokens {
            stage.run_well(&tool.path, &[token, &filler])?;
        }
        Ok(())
    })?;
    agent.await_output("\"class_uid\":6008")?;
    let later = stage.token();
    stage.run_well(&tool.path, &[&later])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&later)?.is_of(&tool.sha256)?;
    let (lost, attempted) = (run.count("exec", "lost_ring"), run.count("exec", "attempted"));
    if lost == 0 {
        return wrong(format!("nothing was lost of {attempted}, so nothing was tried"));
    }
    let missing = tokens.iter().filter(|token| run.execs(token).is_empty()).count() as u64;
    if missing > lost || missing == 0 {
        return wrong(format!("{missing} execs are missing in the output, {lost} are counted as lost"));
    }
    let reports: Vec<_> =
        run.holding("\"class_uid\":6008").into_iter().filter(crate::event::Event::is_loss).collect();
    let reported: u64 = reports.iter().filter_map(|report| report.at("count").as_u64()).sum();
    let of = |kind| run.count(kind, "lost_ring") + run.count(kind, "missed_by_kernel");
    let lost_of_all: u64 = ["fork", "exec", "exit"].into_iter().map(of).sum();
    if reported != lost_of_all {
        return wrong(format!("{reported} events are reported as lost, {lost_of_all} are counted"));
    }
    Ok(format!("{lost} of {attempted} execs lost, {missing} of {} missing, all reported", tokens.len()))
}

/// A process whose fork and exec were lost lives on: its children and its end are told, and say what is not known.
fn lost_beginnings(stage: &Stage) -> Result<String> {
    use std::io::Write;
    let tool = stage.program(Behaviour::Exit(0))?;
    let agent = Agent::start(stage, &settings())?;
    let mut spawner = agent.while_it_sleeps(|| {
        let filler = "f".repeat(4000);
        for _ in 0..stage.fewer(600) {
            stage.run_well(&tool.path, &[&filler])?;
        }
        // It says so after its exec, which is over only then.
        stage.start_ready(&["spawn-on-demand"])
    })?;
    let pid = spawner.id();
    agent.await_output("\"class_uid\":6008")?;
    let token = stage.token();
    if let Some(orders) = spawner.stdin.as_mut() {
        writeln!(orders, "{} {token}", tool.text()).or_else(|error| wrong(error.to_string()))?;
    }
    stage.finish(spawner)?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    if !run.execs_of(pid).is_empty() {
        return wrong("its exec was not lost, so nothing was tried");
    }
    let exec = run.exec(&token)?;
    exec.has("actor.process.pid", pid)?.is_of(&tool.sha256)?;
    let end = run.exit_of(pid)?;
    end.has("exit_code", 0)?.has("process.uid", exec.text("actor.process.uid")?)?;
    Ok(format!("{}", exec.at("actor.process")))
}
