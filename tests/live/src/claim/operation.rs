//! The agent as its operator handles it: status, restart, kill, standard output, the live view.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::{Agent, Room};
use crate::event::at;
use crate::program::Behaviour;
use crate::stage::{Deed, Stage};
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("status_is_0_while_the_agent_runs_and_1_afterwards", status),
    Case::Alone("a_self_test_sees_its_own_event", self_test),
    Case::Alone("a_killed_agent_starts_again_at_once", killed),
    Case::AloneOnHost("a_line_torn_by_a_crash_does_not_spoil_the_next", torn_line),
    Case::AloneOnHost("standard_output_has_the_same_events_as_the_file", to_standard_output),
    Case::AloneOnHost("a_standard_output_that_nobody_reads_does_not_stop_the_file", closed_pipe),
    Case::AloneOnHost("an_agent_without_a_standard_output_works", no_standard_output),
    Case::AloneOnHost("an_interrupt_stops_it_as_cleanly_as_a_termination", interrupt),
    Case::Alone("the_agents_own_test_event_is_seen_and_left_out", canary),
    Case::AloneOnHost("health_reports_stand_among_the_events", health_reports),
    Case::AloneOnHost("the_live_view_writes_no_control_character_of_a_process", live_view),
    Case::AloneOnHost("the_live_view_follows_an_agent_that_runs", live_view_beside_an_agent),
];

/// Runs a command of the agent to its end.
fn ask(stage: &Stage, room: &Room, command: &str, more: &[&str]) -> Result<Deed> {
    let settings = room.settings(&json!({}))?.to_string_lossy().into_owned();
    stage.run(&stage.agent, &[&[command, "--settings", &settings], more].concat())
}

fn is(deed: &Deed, code: i32) -> Result {
    if deed.status.code() == Some(code) {
        return Ok(());
    }
    wrong(format!("it ended with {}, not {code}: {} {}", deed.status, deed.said, deed.complaint))
}

/// Executes something and gives the word by which it is found.
fn mark(stage: &Stage) -> Result<String> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run_well(&tool.path, &[&token])?;
    Ok(token)
}

fn status(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    is(&ask(stage, &room, "status", &[])?, 1)?;
    let agent = Agent::start_in(stage, room.clone(), &json!({}), &[])?;
    agent.await_health("a document", |health| {
        at(health, "state") == "running" || at(health, "state") == "degraded"
    })?;
    // What is missing here is another claim's business; 3 says that the agent runs, with less than it should.
    let running = ask(stage, &room, "status", &[])?;
    let state = if at(&room.health(), "state") == "degraded" { 3 } else { 0 };
    is(&running, state)?;
    let json = ask(stage, &room, "status", &["--json"])?;
    is(&json, state)?;
    let document: Value = serde_json::from_str(&json.said).doing("status --json")?;
    if at(&document, "pid") != agent.pid() || at(&document, "hooks").as_array().is_none_or(Vec::is_empty) {
        return wrong(format!("the document does not tell of the agent {}: {document}", agent.pid()));
    }
    wholeness::check(&agent.stop()?, Expect::All)?;
    is(&ask(stage, &room, "status", &[])?, 1)?;
    Ok(format!("running: {state}, {}", running.said.lines().next().unwrap_or_default()))
}

fn self_test(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    is(&ask(stage, &room, "self-test", &[])?, 0)?;
    let json = ask(stage, &room, "self-test", &["--json"])?;
    is(&json, 0)?;
    let told: Value = serde_json::from_str(&json.said).doing("self-test --json")?;
    if told.is_object() { Ok(String::new()) } else { wrong(format!("no object: {told}")) }
}

fn killed(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let first = mark(stage)?;
    agent.await_output(&first)?;
    let room = agent.kill()?;
    let agent = Agent::start_in(stage, room, &json!({}), &[])?;
    let second = mark(stage)?;
    let run = agent.stop()?;
    run.exec(&first)?;
    run.exec(&second)?;
    // The counters are those of the second agent, the file is that of both.
    wholeness::check(&run, Expect::Part)?;
    Ok(String::new())
}

fn torn_line(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let before = mark(stage)?;
    agent.await_output(&before)?;
    let room = agent.kill()?;
    // What a crash of the machine leaves: the beginning of a line.
    let mut file = OpenOptions::new().append(true).open(&room.events).doing("open the output")?;
    file.write_all(b"{\"time\":17,\"class_uid\":1007,\"proc").doing("tear a line")?;
    drop(file);
    let agent = Agent::start_in(stage, room, &json!({}), &[])?;
    let after = mark(stage)?;
    let run = agent.stop()?;
    run.exec(&before)?;
    run.exec(&after)?;
    let faulty = run.lines().filter(|line| serde_json::from_slice::<Value>(line).is_err()).count();
    let starts = run.holding("\"type_uid\":600203").len();
    if faulty <= 1 && starts == 2 {
        return Ok(format!("{faulty} torn lines are left"));
    }
    wrong(format!("{faulty} lines are torn, {starts} of 2 starts can be read"))
}

fn to_standard_output(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let agent = Agent::start_in(stage, room.clone(), &json!({}), &["--stdout"])?;
    let token = mark(stage)?;
    let run = agent.stop()?;
    run.exec(&token)?;
    let written = wholeness::check(&run, Expect::All)?;
    let printed = fs::read(room.dir.join("stdout")).doing("read the standard output")?;
    if printed == run.output {
        return Ok(format!("{written} events"));
    }
    wrong(format!("{} bytes in the file, {} on the standard output", run.output.len(), printed.len()))
}

fn closed_pipe(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let mut command = room.command(stage, &json!({}), &["--stdout"])?;
    let (reader, writer) = std::io::pipe().doing("make a pipe")?;
    let stderr = fs::File::create(room.dir.join("stderr")).doing("create")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(stderr);
    let agent = Agent::launch(stage, room, command)?;
    drop(reader);
    let tokens: Vec<String> = (0..20).map(|_| mark(stage)).collect::<Result<_>>()?;
    let run = agent.stop()?;
    for token in &tokens {
        run.exec(token)?;
    }
    // What standard output did not take was not handed to every sink.
    wholeness::check(&run, Expect::Part)?;
    let sinks = run.health("sinks");
    let tells_of_it =
        |sink: &Value| at(sink, "dropped").as_u64() > Some(0) && at(sink, "last_error").is_string();
    if sinks.as_array().is_some_and(|sinks| sinks.iter().any(tells_of_it)) {
        return Ok(String::new());
    }
    wrong(format!("no sink tells of the loss: {sinks}"))
}

fn no_standard_output(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let settings = room.settings(&json!({}))?.to_string_lossy().into_owned();
    let mut command = Command::new("/bin/sh");
    let agent = stage.agent.to_string_lossy().into_owned();
    command
        .args(["-c", "exec \"$0\" run --settings \"$1\" <&- >&- 2>&-", &agent, &settings])
        .current_dir("/");
    let agent = Agent::launch(stage, room, command)?;
    let token = mark(stage)?;
    let run = agent.stop()?;
    run.exec(&token)?;
    wholeness::check(&run, Expect::All)?;
    Ok(String::new())
}

fn interrupt(stage: &Stage) -> Result<String> {
    let mut agent = Agent::start(stage, &json!({}))?;
    let token = mark(stage)?;
    agent.signal(Signal::INT)?;
    let run = agent.recording()?;
    run.exec(&token)?;
    wholeness::check(&run, Expect::All)?;
    Ok(String::new())
}

fn canary(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"health": {"canary_interval_s": 1}}))?;
    let pid = agent.pid();
    let seen =
        agent.await_health("two test events", |health| at(health, "canary.seen").as_u64() >= Some(2))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let own = run.holding(&format!("\"pid\":{pid},"));
    if let Some(event) = own.iter().find(|event| event.at("actor.process.pid") == pid) {
        return event.refuse("a process of the agent's own is written");
    }
    if run.count("exec", "filtered.canary") < 2 {
        return wrong(format!("it is not counted as left out: {}", run.health("losses.exec")));
    }
    Ok(at(&seen, "canary").to_string())
}

fn health_reports(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({"health": {"report_interval_s": 1}}))?;
    agent.await_output("\"type_uid\":600299")?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let reports = run.holding("\"type_uid\":600299");
    let Some(report) = reports.first() else { return wrong("there is no report") };
    report.has("activity_name", "Health Report")?;
    match report.at("unmapped").as_object() {
        Some(told) => Ok(told.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        None => report.refuse("it tells nothing"),
    }
}

/// Beside an agent the view is a reader; it must not be another sensor, nor disturb the one that runs.
fn live_view_beside_an_agent(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let agent = Agent::start_in(stage, room.clone(), &json!({}), &[])?;
    let shown = view(stage, &room)?;
    wholeness::check(&agent.stop()?, Expect::All)?;
    Ok(shown)
}

fn live_view(stage: &Stage) -> Result<String> {
    view(stage, &Room::new(stage)?)
}

/// Without colours whatever control character comes out can only be one of a process.
fn view(stage: &Stage, room: &Room) -> Result<String> {
    let settings = room.settings(&json!({}))?.to_string_lossy().into_owned();
    let tool = stage.program(Behaviour::Exit(0))?;
    let mut view = stage.start(&stage.agent, &["watch", "--plain", "--settings", &settings])?;
    let Some(mut stdout) = view.stdout.take() else { return wrong("no standard output") };
    let token = stage.token();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = std::sync::Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(len @ 1..) = stdout.read(&mut chunk) {
            let new = chunk.get(..len).unwrap_or_default();
            into.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(new);
        }
    });
    let shown = stage.await_that("the process in the live view", || {
        stage.run(&tool.path, &[&token, "\x1b[2J\x1b]0;x\x07", "\u{9b}31m", "\r\n\x08"])?;
        if let Some(status) = view.try_wait().doing("look at the view")? {
            return wrong(format!("the live view ended with {status}"));
        }
        let shown = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&shown).into_owned();
        Ok(text.rsplit_once('\n').is_some_and(|(whole, _)| whole.contains(&token)).then_some(text))
    });
    let pid = i32::try_from(view.id()).ok().and_then(rustix::process::Pid::from_raw);
    let ended = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
    let deed = stage.finish(view)?;
    drop(reader.join());
    let shown = shown.map_err(|trouble| trouble.while_doing(&deed.complaint))?;
    // A view that only reads has nothing to clean up, so the signal may end it as it ends any reader.
    let is_well = deed.status.code() == Some(0) || deed.end().1 == Some(Signal::TERM.as_raw());
    if !matches!(ended, Some(Ok(()))) || !is_well {
        return wrong(format!("the live view ended with {}: {}", deed.status, deed.complaint));
    }
    match shown.chars().find(|ch| ch.is_control() && *ch != '\n') {
        None => Ok(shown.lines().find(|line| line.contains(&token)).unwrap_or_default().trim().to_owned()),
        Some(ch) => wrong(format!("there is a {ch:?} in {shown:?}")),
    }
}
