//! Processes that settings leave out: counted by the rule's name, whole or not at all, and no place to hide in.

use serde_json::json;

use crate::agent::Agent;
use crate::program::{Behaviour, Program};
use crate::recording::Recording;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("an_ignored_process_is_left_out_from_exec_to_exit_and_counted_by_name", ignored),
    Case::AloneOnHost("a_program_mounted_over_an_ignored_one_is_told", mounted_over),
    Case::AloneOnHost("sampled_processes_are_told_whole_or_not_at_all", sampled),
];

fn left_out(run: &Recording, kind: &str, reason: &str) -> u64 {
    let filtered = run.health(&format!("losses.{kind}.filtered"));
    filtered.get(reason).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn ignored(stage: &Stage) -> Result<String> {
    let (quiet, loud) = (stage.program(Behaviour::Exit(0))?, stage.program(Behaviour::Exit(0))?);
    let token = stage.token();
    let rules = json!({"ignore": {
        "quiet": {"exe": quiet.text(), "args": [token, "*"]},
        "of-nobody": {"exe": loud.text(), "uids": [12345]},
    }});
    let agent = Agent::start(stage, &rules)?;
    for _ in 0..3 {
        stage.run_well(&quiet.path, &[&token, "x"])?;
    }
    // Other arguments, another file, another user than the rule's.
    let (other, elsewhere) = (stage.token(), stage.token());
    stage.run_well(&quiet.path, &[&other, "x"])?;
    let copy = Program { path: stage.room()?.join("quiet"), sha256: quiet.sha256.clone() };
    std::fs::copy(&quiet.path, &copy.path).doing("copy")?;
    stage.run_well(&copy.path, &[&elsewhere, "x"])?;
    let theirs = stage.token();
    stage.run_well(&loud.path, &[&theirs])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    if let Some(event) = run
        .execs(&token)
        .iter()
        .find(|event| event.at("process.file.path").as_str().is_some_and(|path| path == quiet.text()))
    {
        return event.refuse("this is told, though a rule ignores it");
    }
    for token in [&other, &elsewhere, &theirs] {
        run.end_of(&run.exec(token)?)?;
    }
    let counts = ["exec", "exit"].map(|kind| left_out(&run, kind, "ignore:quiet"));
    if counts != [3, 3] || left_out(&run, "exec", "ignore:of-nobody") != 0 {
        return wrong(format!("{counts:?} are counted: {}", run.health("losses")));
    }
    Ok(format!("{counts:?}"))
}

/// Whoever may make a mount namespace can put a program at any path.
fn mounted_over(stage: &Stage) -> Result<String> {
    let (good, evil) = (stage.program(Behaviour::Exit(0))?, stage.program(Behaviour::Exit(0))?);
    let agent = Agent::start(stage, &json!({"ignore": {"good": {"exe": good.text()}}}))?;
    let token = stage.token();
    stage.act(&["unshare", "mnt", "bind", &evil.text(), &good.text(), "exec", &good.text(), &token])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let exec = run.exec(&token)?;
    exec.has("process.file.path", good.text())?.is_of(&evil.sha256)?;
    run.end_of(&exec)?;
    Ok(String::new())
}

fn sampled(stage: &Stage) -> Result<String> {
    const RUNS: u64 = 200;
    let agent = Agent::start(stage, &json!({"sampling": {"exec_permille": 500}}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    for _ in 0..RUNS {
        stage.run_well(&tool.path, &[&token])?;
    }
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let execs = run.execs(&token);
    for exec in &execs {
        run.end_of(exec)?;
    }
    let told = execs.len() as u64;
    let counts = ["exec", "exit"].map(|kind| left_out(&run, kind, "sampled"));
    // Seven standard deviations of the draw; other processes of this machine are drawn as well.
    if !(50..=150).contains(&told) || counts.iter().any(|count| *count < RUNS - told) {
        return wrong(format!("{told} of {RUNS} told, {counts:?} counted: {}", run.health("losses")));
    }
    Ok(format!("{told} of {RUNS} told"))
}
