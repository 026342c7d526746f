//! The sensor stays small: pressed for processor time, memory or room at an output, it leaves things out in a fixed order, says so among
//! the events, counts each of them, and takes them up again by itself.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::{Agent, Room};
use crate::event::{Event, at};
use crate::program::Behaviour;
use crate::recording::Recording;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, not_here, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("a_tiny_processor_limit_sheds_in_order_and_is_recovered_from", processor),
    Case::AloneOnHost("a_memory_limit_lowered_under_load_sheds_instead_of_being_killed", memory),
    Case::AloneOnHost("a_slow_reader_of_the_output_sheds_and_is_recovered_from", output),
];

/// How often more is put into the agent's cgroup.
const MOST_BALLAST: usize = 30;
/// Somewhat more than the time between two looks of the agent.
const LOOK: Duration = Duration::from_millis(2500);

/// Workers that execute a program over and over until this is dropped.
struct Load<'s> {
    stage: &'s Stage,
    workers: Vec<std::process::Child>,
}

impl<'s> Load<'s> {
    fn begin(stage: &'s Stage, filler: usize) -> Result<Self> {
        let tool = stage.program(Behaviour::Exit(0))?;
        let token = stage.token();
        let steps = ["storm", "10000000", &filler.to_string(), &tool.text(), &token];
        let workers = (0..2).map(|_| stage.start_act(&steps)).collect::<Result<_>>()?;
        Ok(Self { stage, workers })
    }

    /// Ends it, and waits until it has.
    fn end(mut self) -> Result {
        for mut worker in std::mem::take(&mut self.workers) {
            worker.kill().doing("end the load")?;
            self.stage.finish(worker)?;
        }
        Ok(())
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // It may have ended by itself.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn sheds(health: &Value, thing: &str) -> bool {
    at(health, "shedding.now").as_array().is_some_and(|now| now.iter().any(|one| one == thing))
}

fn sheds_nothing(health: &Value) -> bool {
    at(health, "shedding.now").as_array().is_some_and(Vec::is_empty)
        && at(health, "shedding.times").as_u64() > Some(0)
}

/// What each change of shedding left out afterwards, in the order of the stream.
fn changes(run: &Recording) -> Vec<(bool, Vec<String>)> {
    let is_change = |event: &Event| [600_206, 600_207].iter().any(|id| event.at("type_uid") == id);
    run.holding("\"shedding\":")
        .into_iter()
        .filter(is_change)
        .map(|event| {
            let now = event.at("unmapped.shedding.now").as_array().cloned().unwrap_or_default();
            let names = now.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
            (*event.at("type_uid") == 600_207, names)
        })
        .collect()
}

/// Each step gives up the next thing or takes the last one back, the first two in the fixed order, and the end is nothing.
fn check_order(run: &Recording) -> Result<String> {
    let mut now: Vec<String> = Vec::new();
    let changes = changes(run);
    for (sheds, after) in &changes {
        let kept = if *sheds { now.len() } else { now.len().saturating_sub(1) };
        if after.get(..kept) != now.get(..kept) || after.len() != kept + usize::from(*sheds) {
            return wrong(format!("{now:?} is followed by {after:?}: {changes:?}"));
        }
        now.clone_from(after);
        let order = ["script_content", "hash"];
        if now.iter().zip(order).any(|(one, wanted)| one != wanted) {
            return wrong(format!("this is left out in the wrong order: {now:?}"));
        }
    }
    if changes.is_empty() || !now.is_empty() {
        return wrong(format!("the changes that are told do not end with nothing left out: {changes:?}"));
    }
    Ok(format!("{} changes", changes.len()))
}

/// What is said to be left out, in the health document and in the account, is what the events lack.
fn check_counts(run: &Recording, cause: &str) -> Result<String> {
    let lacking = |what: &str| {
        let text = format!("\"{what}\":\"shed\"");
        run.lines()
            .filter_map(|line| std::str::from_utf8(line).ok())
            .map(|line| line.matches(&text).count() as u64)
            .sum::<u64>()
    };
    let counted = |thing: &str| run.health(&format!("shedding.counts.{thing}")).as_u64().unwrap_or(0);
    let of_forks = run.health(&format!("losses.fork.shed.{cause}")).as_u64().unwrap_or(0);
    for (thing, found) in [
        ("hash", lacking("hash_missing")),
        ("script_content", lacking("content_missing")),
        ("fork", of_forks),
    ] {
        if counted(thing) != found {
            return wrong(format!("{thing}: {} counted, {found} found", counted(thing)));
        }
    }
    for kind in ["exec", "exit"] {
        let shed = crate::equation::sum(Some(run.health(&format!("losses.{kind}.shed"))));
        if shed != 0 {
            return wrong(format!("{shed} of {kind} were shed, and none ever is"));
        }
    }
    Ok(run.health("shedding.counts").to_string())
}

fn processor(stage: &Stage) -> Result<String> {
    let settings = json!({
        "limits": {"enabled": true, "cpu_permille": 30},
        "ring": {"bytes": 1 << 20},
        "events": {"fork": true},
    });
    let agent = Agent::start(stage, &settings)?;
    let load = Load::begin(stage, 0)?;
    agent.await_health("hashes that are left out", |health| sheds(health, "hash"))?;
    // Nobody has met these before. Some of their execs are lost in the ring; what counts is what is told of the others.
    let unknown: Vec<_> = (0..20).map(|_| stage.program(Behaviour::Exit(0))).collect::<Result<_>>()?;
    let marked = stage.token();
    for tool in &unknown {
        stage.run_well(&tool.path, &[&marked])?;
    }
    agent.await_health("forks that are left out", |health| sheds(health, "fork"))?;
    load.end()?;
    agent.await_health("an end of it", sheds_nothing)?;
    let (later, tool) = (stage.token(), stage.program(Behaviour::Exit(0))?);
    stage.run_well(&tool.path, &[&later])?;
    agent.await_output(&later)?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&later)?.is_of(&tool.sha256)?;
    let order = check_order(&run)?;
    let counts = check_counts(&run, "cpu")?;
    if at(&run.health, "shedding.counts.fork").as_u64() == Some(0) {
        return wrong(format!("no fork was left out: {counts}"));
    }
    let lost = run.count("exec", "lost_ring");
    Ok(format!("{order}; left out {counts}; {lost} of {} execs lost", run.count("exec", "attempted")))
}

/// The limit is lowered, and then something in its cgroup takes up what is left, little by little.
///
/// The limit is one at which the last tenth is still megabytes, and the steps are small: what the agent itself takes between two
/// looks at its account, for a larger process table for one, must have room, or the kernel ends it before anything is shed.
fn memory(stage: &Stage) -> Result<String> {
    let mut settings =
        json!({"limits": {"enabled": true, "memory_max_bytes": 192 << 20, "cpu_permille": 1000}});
    let agent = Agent::start(stage, &settings)?;
    let load = Load::begin(stage, 2000)?;
    let held = |health: &Value| at(health, "usage.memory_held_bytes").as_u64().unwrap_or(0);
    let health = agent.await_health("what it holds under load", |health| held(health) > 8 << 20)?;
    let limit = (held(&health) * 2).max(96 << 20);
    if let Some(asked) = settings.pointer_mut("/limits/memory_max_bytes") {
        *asked = json!(limit);
    }
    agent.room.settings(&settings)?;
    agent.signal(Signal::HUP)?;
    let health = agent.await_health("the lower limit", |health| {
        at(health, "limits.in_force.memory_max_bytes").as_u64().is_some_and(|now| now <= limit)
    })?;
    // What it holds falls again when the kernel reclaims, so more is put there until it is pressed.
    let mut ballast = Vec::new();
    let is_pressed =
        |health: &Value| sheds(health, "script_content") && *at(health, "shedding.cause") == "memory";
    let mut pressed = health.clone();
    while !is_pressed(&pressed) {
        if ballast.len() == MOST_BALLAST {
            return wrong(format!("nothing is left out for memory: {}", at(&pressed, "shedding")));
        }
        let share = 75 + ballast.len() as u64;
        let room = (limit * share.min(94) / 100).saturating_sub(held(&pressed));
        ballast.push(Ballast::load(stage, &pressed, room)?);
        let before = at(&pressed, "updated_at").clone();
        pressed = agent.await_health("a newer account", |health| {
            is_pressed(health) || *at(health, "updated_at") != before
        })?;
        std::thread::sleep(LOOK);
        if !is_pressed(&pressed) {
            pressed = agent.await_health("its account", |_| true)?;
        }
    }
    load.end()?;
    drop(ballast);
    agent.await_health("an end of it", sheds_nothing)?;
    let (later, tool) = (stage.token(), stage.program(Behaviour::Exit(0))?);
    stage.run_well(&tool.path, &[&later])?;
    agent.await_output(&later)?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&later)?.is_of(&tool.sha256)?;
    let order = check_order(&run)?;
    let counts = check_counts(&run, "memory")?;
    if run.health("usage.memory_events.oom_kill").as_u64() > Some(0) {
        return wrong("the kernel killed for memory");
    }
    Ok(format!(
        "{} bytes held, limit lowered to {limit}, pressed at {} permille; {order}; left out {counts}",
        held(&health),
        at(&pressed, "shedding.pressure.memory_permille"),
    ))
}

fn output(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let (reader, writer) = rustix::pipe::pipe().doing("make a pipe")?;
    let mut command = room.command(stage, &json!({"health": {"interval_s": 1}}), &["--stdout"])?;
    let stderr = fs::File::create(room.dir.join("stderr")).doing("create stderr")?;
    command.stdin(Stdio::null()).stdout(Stdio::from(writer)).stderr(stderr);
    let hurry = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&hurry);
    let reading = std::thread::spawn(move || {
        let mut pipe = fs::File::from(reader);
        let mut buffer = vec![0; 16 << 10];
        while pipe.read(&mut buffer).is_ok_and(|count| count > 0) {
            if !told.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(60));
            }
        }
    });
    let agent = Agent::launch(stage, room, command)?;
    let load = Load::begin(stage, 500)?;
    let from = Instant::now();
    agent.await_health("things left out for the output", |health| {
        sheds(health, "hash") && *at(health, "shedding.cause") == "output"
    })?;
    let took = from.elapsed();
    load.end()?;
    hurry.store(true, Ordering::Relaxed);
    agent.await_health("an end of it", sheds_nothing)?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    let order = check_order(&run)?;
    let counts = check_counts(&run, "output")?;
    if reading.join().is_err() {
        return wrong("the reader panicked");
    }
    Ok(format!("after {took:.1?}; {order}; left out {counts}"))
}

/// Memory that is charged to the agent's cgroup and can't be reclaimed, until this is dropped: a file in memory that was written by a
/// process in that cgroup.
struct Ballast(PathBuf);

impl Ballast {
    fn load(stage: &Stage, health: &Value, bytes: u64) -> Result<Self> {
        let cgroups = at(health, "limits.cgroups");
        let places = [
            ("memory", "/sys/fs/cgroup/memory"),
            ("unified", "/sys/fs/cgroup"),
            ("unified", "/sys/fs/cgroup/unified"),
        ];
        let group = places.into_iter().find_map(|(name, mount)| {
            let path = cgroups.get(name)?.as_str()?;
            let group = PathBuf::from(format!("{mount}{path}"));
            group.join("cgroup.procs").exists().then_some(group)
        });
        let Some(group) = group else {
            return not_here(format!("the agent's cgroup is out of sight: {cgroups}"));
        };
        if !PathBuf::from("/dev/shm").is_dir() {
            return not_here("no memory file system at /dev/shm");
        }
        let ballast = Self(PathBuf::from(format!("/dev/shm/linnet-live-{}", stage.token())));
        let script = format!(
            "echo $$ > {}/cgroup.procs && head -c {bytes} /dev/zero > {}",
            group.display(),
            ballast.0.display()
        );
        stage.run_well(&PathBuf::from("/bin/sh"), &["-c", &script])?;
        Ok(ballast)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // What stays there stays until the next boot.
        let _ = fs::remove_file(&self.0);
    }
}
