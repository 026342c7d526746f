//! Settings that change while the agent runs.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::event::at;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("changed_settings_are_followed_without_a_restart", followed),
    Case::AloneOnHost("wrong_settings_are_refused_and_the_former_ones_stay", refused),
];

/// Has the settings read again, and waits for the health document to tell of it.
fn reload(agent: &Agent, changes: &Value, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    agent.room.settings(changes)?;
    agent.signal(Signal::HUP)?;
    agent.await_health(what, |health| is_so(at(health, "settings")))
}

fn followed(stage: &Stage) -> Result<String> {
    let limits = json!({"enabled": true, "cpu_permille": 500});
    let agent = Agent::start(stage, &json!({"limits": limits}))?;
    let (tool, before, while_off, after) =
        (stage.program(Behaviour::Exit(0))?, stage.token(), stage.token(), stage.token());
    stage.run_well(&tool.path, &[&before])?;
    agent.await_output(&before)?;

    let limits = json!({"enabled": true, "cpu_permille": 400, "memory_max_bytes": 100 << 20});
    let off = json!({"limits": limits, "events": {"exec": false, "script": false}, "hash": {"enabled": false}, "argv_max_bytes": 100});
    let is_there = |health: &Value| !at(health, "settings.loaded_at").is_null();
    let first_loaded = at(&agent.await_health("a health document", is_there)?, "settings.loaded_at").clone();
    let health = reload(&agent, &off, "the settings read again", |settings| {
        at(settings, "loaded_at") != &first_loaded
    })?;
    let pending = at(&health, "settings.pending_restart");
    if *pending != json!(["argv_max_bytes"]) {
        return wrong(format!("{pending} wait for a restart, and argv_max_bytes should"));
    }
    for (key, value) in [("cpu_quota_us", 40_000), ("memory_max_bytes", 100 << 20)] {
        let found = at(&health, &format!("limits.in_force.{key}"));
        if *found != json!(value) {
            return wrong(format!(
                "limits.in_force.{key} is {found}, not {value}: {}",
                at(&health, "limits")
            ));
        }
    }
    let deed = stage.run_well(&tool.path, &[&while_off])?;
    // What counts is when its record is read; its end, which is told, comes behind it.
    let end = format!("\"pid\":{},", deed.pid);
    stage.await_that("the end of what is left out", || {
        let text = fs::read_to_string(&agent.room.events).doing("read the output")?;
        let is_there = text.lines().any(|line| line.contains(&end) && line.contains("\"type_uid\":100702"));
        Ok(is_there.then_some(()))
    })?;
    let second_loaded = at(&health, "settings.loaded_at").clone();
    reload(&agent, &json!({"limits": limits}), "the settings read again", |settings| {
        at(settings, "loaded_at") != &second_loaded
    })?;
    stage.run_well(&tool.path, &[&after])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&before)?;
    run.exec(&after)?.is_of(&tool.sha256)?;
    if let Some(event) = run.execs(&while_off).first() {
        return event.refuse("this is written, though execs were switched off");
    }
    let left_out = run.count("exec", "filtered.disabled");
    if left_out == 0 {
        return wrong(format!("nothing is counted as switched off: {}", run.health("losses.exec")));
    }
    Ok(format!("{left_out} execs were left out meanwhile"))
}

fn refused(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let is_told =
        |settings: &Value| at(settings, "refused").as_str().is_some_and(|why| why.contains("argv_max_bytes"));
    let wrong_ones = json!({"argv_max_bytes": 9_000_000, "events": {"exec": false}});
    reload(&agent, &wrong_ones, "the refusal in the health document", is_told)?;
    stage.run_well(&tool.path, &[&token])?;
    agent.await_output(&token)?;
    let health =
        reload(&agent, &json!({}), "the end of the refusal", |settings| at(settings, "refused").is_null())?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&token)?.is_of(&tool.sha256)?;
    Ok(format!("{} afterwards", at(&health, "state")))
}
