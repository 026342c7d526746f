//! Bounds of the agent's own memory and work: what is beyond them is given up, counted, and explained.

use serde_json::json;

use crate::agent::Agent;
use crate::event::at;
use crate::program::{Behaviour, Program};
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("a_process_table_at_its_bound_forgets_processes_and_goes_on", full_table),
    Case::Alone("processes_whose_end_was_lost_are_swept_from_the_table", swept),
    Case::AloneOnHost("a_hash_beyond_the_rate_is_left_out_with_a_reason", hash_rate),
];

fn full_table(stage: &Stage) -> Result<String> {
    const BOUND: u64 = 256 * 1024;
    let agent = Agent::start(stage, &json!({"process_table": {"max_bytes": BOUND}}))?;
    let crowd = stage.start_ready(&["crowd", "2000"])?;
    let pid = crowd.id();
    let health =
        agent.await_health("an eviction", |health| at(health, "process_table.evicted").as_u64() > Some(0))?;
    let bytes = at(&health, "process_table.bytes").as_u64().unwrap_or(u64::MAX);
    stage.finish(crowd)?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let parent = stage.act(&["spawn", &tool.text(), &token])?.pid;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    if bytes > BOUND {
        return wrong(format!("{bytes} bytes are more than {BOUND}: {}", at(&health, "process_table")));
    }
    run.exec(&token)?.has("actor.process.pid", parent)?;
    run.exit_of(pid)?;
    Ok(at(&health, "process_table").to_string())
}

fn swept(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"ring": {"bytes": 65536}, "health": {"report_interval_s": 1}}))?;
    let tool = stage.program(Behaviour::Exit(0))?;
    let crowd = stage.start_ready(&["crowd", "20"])?;
    agent.await_health("the crowd in the table", |health| {
        at(health, "process_table.entries").as_u64() > Some(20)
    })?;
    agent.while_it_sleeps(|| {
        let filler = "f".repeat(4000);
        for _ in 0..100 {
            stage.run_well(&tool.path, &[&filler])?;
        }
        stage.finish(crowd)
    })?;
    let health =
        agent.await_health("a sweep", |health| at(health, "process_table.swept").as_u64() >= Some(20))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    Ok(at(&health, "process_table").to_string())
}

fn hash_rate(stage: &Stage) -> Result<String> {
    const LEN: u64 = 1 << 20;
    let settings = json!({"hash": {"max_file_bytes": 4 * LEN, "bytes_per_second": 65536, "wait_ms": 5000}});
    let agent = Agent::start(stage, &settings)?;
    let mut deeds = Vec::new();
    for _ in 0..12 {
        let (tool, token): (Program, String) = (stage.program(Behaviour::Exit(0))?, stage.token());
        let file = std::fs::OpenOptions::new().write(true).open(&tool.path).doing("open")?;
        file.set_len(LEN).doing("lengthen")?;
        drop(file);
        let sha256 = crate::program::sha256(&std::fs::read(&tool.path).doing("read")?);
        stage.run_well(&tool.path, &[&token])?;
        deeds.push((token, sha256));
    }
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let mut reasons = std::collections::BTreeMap::<String, u32>::new();
    for (token, sha256) in deeds {
        let exec = run.exec(&token)?;
        let reason = exec.is_of_or_says_why(&sha256)?.unwrap_or("hashed").to_owned();
        *reasons.entry(reason).or_default() += 1;
    }
    let limited = reasons.get("rate_limited").copied().unwrap_or(0);
    if limited > 0 && reasons.contains_key("hashed") {
        return Ok(format!("{reasons:?}"));
    }
    wrong(format!("not some hashed and some rate_limited: {reasons:?}"))
}
