//! Settings do what they say.

use serde_json::json;

use crate::agent::{Agent, Room};
use crate::event::at;
use crate::program::{Behaviour, put};
use crate::recording::Recording;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, not_here, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("forks_are_left_out_by_default_and_counted", forks_are_left_out),
    Case::AloneOnHost("switched_off_events_are_left_out_and_counted", switched_off),
    Case::AloneOnHost("without_hashing_every_exec_says_why_it_has_no_hash", without_hashing),
    Case::AloneOnHost("without_content_a_script_has_its_hash_and_no_content", without_content),
    Case::AloneOnHost("a_lower_bound_on_arguments_is_kept", fewer_arguments),
    Case::AloneOnHost("a_lower_bound_on_hashed_files_is_kept", smaller_files),
    Case::Alone("limits_are_in_force_and_read_back", limits_in_force),
    Case::Alone("limits_that_cannot_be_enforced_degrade_an_agent_that_says_so", limits_not_enforced),
];

fn left_out(run: &Recording, kind: &str, reason: &str) -> u64 {
    run.count(kind, &format!("filtered.{reason}"))
}

fn forks_are_left_out(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let deed = stage.act(&["fork", "exit", "0"])?;
    let child = u32::try_from(deed.number("child")?).unwrap_or(0);
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exit_of(deed.pid)?;
    if !run.forks_of(child).is_empty() || !run.exits_of(child).is_empty() {
        return wrong(format!("the process {child}, which was only forked, is told"));
    }
    let (forks, exits) = (left_out(&run, "fork", "disabled"), left_out(&run, "exit", "fork_only"));
    if forks >= 2 && exits >= 1 {
        return Ok(format!("{forks} forks and {exits} ends"));
    }
    wrong(format!("{forks} forks and {exits} ends are counted as left out: {}", run.health("losses")))
}

fn switched_off(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"events": {"exec": false, "exit": false, "script": false}}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run_well(&tool.path, &[&token])?;
    let script = stage.room()?.join("job.sh");
    put(&script, format!("#!{}\n", tool.text()).as_bytes(), 0o755)?;
    stage.run_well(&script, &[&token])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    if let Some(event) = run.holding(&token).first() {
        return event.refuse("this is written, though it is switched off");
    }
    let written = run.lines().count();
    let left_out = ["exec", "exit"].map(|kind| left_out(&run, kind, "disabled"));
    if left_out.iter().all(|count| *count >= 2) {
        return Ok(format!("{written} events, {left_out:?} left out"));
    }
    wrong(format!("{left_out:?} execs and ends are counted as left out: {}", run.health("losses")))
}

fn without_hashing(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"hash": {"enabled": false}}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run_well(&tool.path, &[&token])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let exec = run.exec(&token)?;
    exec.lacks("process.file.hashes")?.has("process.file.xattributes.hash_missing", "disabled")?;
    Ok(String::new())
}

fn without_content(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"script": {"content": false}}))?;
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let script = stage.room()?.join("job.sh");
    let content = format!("#!{}\n# a secret\n", tool.text());
    put(&script, content.as_bytes(), 0o755)?;
    stage.run_well(&script, &[&token])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let exec = run.exec(&token)?;
    if let Some(event) = run.holding("a secret").first() {
        return event.refuse("the content is written, though it is switched off");
    }
    for script in run.scripts_of(&exec)? {
        script.has("script.hashes.0.value", crate::program::sha256(content.as_bytes()))?;
    }
    exec.has("process.xattributes.script", script.to_string_lossy())?;
    Ok(String::new())
}

fn fewer_arguments(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"argv_max_bytes": 256}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run_well(&tool.path, &[token.as_str(), &"x".repeat(1000)])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let exec = run.exec(&token)?;
    exec.has("process.xattributes.argv_cut", true)?;
    let len = exec.text("process.cmd_line")?.len();
    if (200..=256).contains(&len) { Ok(format!("{len} bytes")) } else { exec.refuse(&format!("{len} bytes")) }
}

fn smaller_files(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"hash": {"max_file_bytes": 4096}}))?;
    let (small, at) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let (large, above) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let file = std::fs::OpenOptions::new().write(true).open(&large.path).doing("open")?;
    file.set_len(4097).doing("lengthen")?;
    drop(file);
    stage.run_well(&small.path, &[&at])?;
    stage.run_well(&large.path, &[&above])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&at)?.is_of(&small.sha256)?;
    run.exec(&above)?
        .lacks("process.file.hashes")?
        .has("process.file.xattributes.hash_missing", "too_large")?;
    Ok(String::new())
}

fn limits_in_force(stage: &Stage) -> Result<String> {
    const MEMORY: u64 = 96 << 20;
    let room = Room::new(stage)?;
    let limits =
        json!({"limits": {"enabled": true, "cpu_permille": 700, "memory_max_bytes": MEMORY, "pids_max": 48}});
    let agent = Agent::start_in(stage, room, &limits, &[])?;
    let health = agent
        .await_health("limits in the health document", |health| at(health, "limits.mode").is_string())?;
    let memberships =
        std::fs::read_to_string(format!("/proc/{}/cgroup", agent.pid())).doing("the agent's cgroup")?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let limits = at(&health, "limits");
    if at(limits, "enforced") != true {
        return not_here(format!("this machine does not enforce them: {}", at(limits, "problems")));
    }
    let in_force = at(limits, "in_force");
    if at(in_force, "memory_max_bytes") != MEMORY || at(in_force, "pids_max") != 48 {
        return wrong(format!("in force is {in_force}"));
    }
    let share = |name: &str| at(in_force, name).as_f64().unwrap_or(0.0);
    if (share("cpu_quota_us") / share("cpu_period_us") - 0.7).abs() > 0.01 {
        return wrong(format!("in force is {in_force}"));
    }
    let paths = at(limits, "cgroups").as_object().cloned().unwrap_or_default();
    for path in paths.values().filter_map(|path| path.as_str()) {
        if !memberships.lines().any(|line| line.ends_with(path)) {
            return wrong(format!("the agent is not in {path}: {memberships}"));
        }
    }
    Ok(format!("{} in {}", at(limits, "mode"), at(limits, "cgroups")))
}

/// In a mount namespace without any cgroup hierarchy.
fn limits_not_enforced(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let settings = room.settings(&json!({"limits": {"enabled": true}}))?.to_string_lossy().into_owned();
    let agent = stage.agent.to_string_lossy().into_owned();
    let hide = [
        "act",
        "unshare",
        "mnt",
        "unmount",
        "/sys/fs/cgroup",
        "exec",
        &agent,
        "run",
        "--settings",
        &settings,
    ];
    let mut command = stage.command(&stage.itself, &hide);
    let stderr = std::fs::File::create(room.dir.join("stderr")).doing("create")?;
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(stderr);
    let agent = Agent::launch(stage, room, command)?;
    let health = agent.await_health("a degraded state", |health| at(health, "state") == "degraded")?;
    wholeness::check(&agent.stop()?, Expect::All)?;
    if at(&health, "limits.enforced") == false && !at(&health, "degraded.0").is_null() {
        return Ok(at(&health, "degraded").to_string());
    }
    wrong(format!("enforced {}, degraded {}", at(&health, "limits.enforced"), at(&health, "degraded")))
}
