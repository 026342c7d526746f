//! The output file and the disk under it.

use std::fs;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::{Value, json};

use crate::agent::{Agent, Room};
use crate::equation;
use crate::event::at;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, not_here, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("a_full_disk_loses_counted_events_and_no_more_when_there_is_room_again", full_disk),
    Case::AloneOnHost("a_rotated_file_stays_within_its_bound_and_tears_no_line", rotation),
    Case::AloneOnHost("an_output_file_moved_away_or_deleted_does_no_harm", moved_away),
];

/// A small disk, as long as it is needed.
struct Disk {
    at: std::path::PathBuf,
}

impl Disk {
    fn mount(room: &Room) -> Result<Self> {
        let at = room.dir.join("disk");
        fs::create_dir(&at).doing("make a mount point")?;
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), c"size=256k,mode=0755")
            .or_else(|error| not_here(format!("mount a small disk: {error}")))?;
        Ok(Self { at })
    }

    fn grow(&self) -> Result {
        mount_remount(&self.at, MountFlags::empty(), c"size=64m").doing("give the disk more room")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is busy still goes with the last process that has a file open in it.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

fn full_disk(stage: &Stage) -> Result<String> {
    let mut room = Room::new(stage)?;
    let disk = Disk::mount(&room)?;
    room.events = disk.at.join("events.ndjson");
    let settings = json!({"health": {"report_interval_s": 1}});
    let agent = Agent::start_in(stage, room, &settings, &[])?;
    let tool = stage.program(Behaviour::Exit(0))?;
    let lost = |health: &Value| {
        let kinds = at(health, "losses").as_object().into_iter().flat_map(|kinds| kinds.values());
        kinds.map(|kind| equation::sum(kind.get("dropped"))).sum::<u64>()
    };
    let mut early = Vec::new();
    stage.await_that("a loss by the full disk", || {
        for _ in 0..50 {
            let token = stage.token();
            stage.run_well(&tool.path, &[&token])?;
            early.push(token);
        }
        Ok((lost(&agent.room.health()) > 0).then_some(()))
    })?;
    disk.grow()?;
    let late: Vec<String> = (0..20).map(|_| stage.token()).collect();
    // The agent may wait a while before it tries a sink again that has failed.
    stage.await_that("an event after there is room again", || {
        for token in &late {
            stage.run_well(&tool.path, &[token])?;
        }
        let text = fs::read(&agent.room.events).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(late.last().is_some_and(|token| text.contains(token.as_str())).then_some(()))
    })?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::Part)?;
    let written = early.iter().filter(|token| !run.execs(token).is_empty()).count();
    let reasons = run.health("losses.exec.dropped").clone();
    if reasons.get("disk_full").is_none() {
        return wrong(format!("the reason is not disk_full: {reasons}"));
    }
    let sinks = run.health("sinks").as_array().cloned().unwrap_or_default();
    if !sinks.iter().any(|sink| at(sink, "dropped").as_u64() > Some(0)) {
        return wrong(format!("no sink counts what it did not take: {sinks:?}"));
    }
    let reports: Vec<_> =
        run.holding("\"class_uid\":6008").into_iter().filter(crate::event::Event::is_loss).collect();
    if reports.is_empty() {
        return wrong("there is no loss report among the events");
    }
    if written == early.len() {
        return wrong("nothing is missing, though something was counted as lost");
    }
    Ok(format!("{written} of {} written, exec {reasons}, {} loss reports", early.len(), reports.len()))
}

fn rotation(stage: &Stage) -> Result<String> {
    const BOUND: u64 = 64 * 1024;
    const KEEP: usize = 3;
    let agent = Agent::start(stage, &json!({"output": {"file": {"max_bytes": BOUND, "keep": KEEP}}}))?;
    let tool = stage.program(Behaviour::Exit(0))?;
    let tokens: Vec<String> = (0..300).map(|_| stage.token()).collect();
    for token in &tokens {
        stage.run_well(&tool.path, &[token])?;
    }
    let run = agent.stop()?;
    wholeness::check(&run, Expect::Part)?;
    if run.files.len() != KEEP + 1 {
        return wrong(format!("{} files, not {}: {:?}", run.files.len(), KEEP + 1, run.files));
    }
    for file in &run.files {
        let len = fs::metadata(file).doing("stat")?.len();
        if len > BOUND {
            return wrong(format!("{} has {len} bytes, more than {BOUND}", file.display()));
        }
    }
    // From the first that is left on, none is missing: rotation itself loses nothing.
    let first = tokens.iter().position(|token| !run.execs(token).is_empty());
    let kept = tokens.get(first.unwrap_or(0)..).unwrap_or_default();
    for token in kept {
        run.exec(token)?;
    }
    if first.is_none_or(|first| first == 0) {
        return wrong("nothing was given up, so nothing was tried");
    }
    Ok(format!("the last {} of {} execs are there", kept.len(), tokens.len()))
}

fn moved_away(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let moved = agent.room.dir.join("moved");
    fs::rename(&agent.room.events, &moved).doing("rename")?;
    stage.run_well(&tool.path, &[&token])?;
    let room = agent.room.clone();
    let mut agent = agent;
    agent.signal(rustix::process::Signal::TERM)?;
    let status = agent.wait()?;
    let faults = equation::faults(&room.health());
    if !status.success() || !faults.is_empty() {
        return wrong(format!("it ended with {status}: {} {faults:?}", agent.complaint()));
    }
    let all = [moved, room.events].map(|path| fs::read(path).unwrap_or_default()).concat();
    if String::from_utf8_lossy(&all).contains(&token) {
        return Ok(String::new());
    }
    wrong("the exec after the move is in neither file")
}
