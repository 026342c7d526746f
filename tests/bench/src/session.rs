//! One session: a subject is started, waited for, put through its storms, and stopped.
//!
//! A storm's processor time is taken until the subject has drained, that is, until its output and its processor time
//! stand still: work put off to after the storm is work all the same. Memory is looked at only where nothing is timed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use linnet_bench::birth::Birth;
use linnet_bench::census::Census;
use linnet_bench::storm::{self, Load};
use linnet_bench::token::Token;
use serde::Serialize;

use crate::charge::{self, Cgroup, Sampler};
use crate::machine::Snapshot;
use crate::processes::{Pid, cpu_ns, family, kernel_thread, resident};
use crate::stage::{Launched, Room, Stage, last_words};
use crate::subject::Subject;

/// How often a probe is executed until the first is seen.
const PROBE_PERIOD: Duration = Duration::from_millis(5);
/// How long a subject has for seeing its first event.
const FIRST_EVENT_PATIENCE: Duration = Duration::from_secs(30);
/// How long everything is left alone before a storm, and before memory is looked at.
const CALM: Duration = Duration::from_millis(250);
const SETTLE: Duration = Duration::from_secs(1);
/// How often a draining subject is looked at, how long it must stand still, and how long it may take.
const DRAIN_PERIOD: Duration = Duration::from_millis(20);
const DRAIN_STILL: Duration = Duration::from_millis(300);
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
/// Processor time within which a subject counts as standing still: two clock ticks of ten milliseconds.
const STILL_CPU_NS: u64 = 20_000_000;

/// How much is done.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// How often each subject has its turn.
    pub rounds: u32,
    /// Execs of a timed storm.
    pub execs: u32,
    /// Execs of a session altogether, after which memory is looked at.
    pub events: u32,
    /// Execs of the storm that warms up.
    pub warm_up_execs: u32,
    /// How the storms' workers make their children.
    pub birth: Birth,
}

impl Plan {
    /// Execs of the storm that comes after the timed ones, to fill up the session.
    fn rest_execs(&self) -> u32 {
        self.events.saturating_sub(self.warm_up_execs).saturating_sub(self.execs.saturating_mul(2))
    }
}

/// A timed storm.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timed {
    /// Its execs.
    pub execs: u32,
    /// Its time.
    pub elapsed_ns: u64,
    /// Busy time of all processors, until the subject had drained.
    pub busy_ns: u64,
    /// The subject's own processor time, until it had drained.
    pub own_ns: u64,
    /// From the storm's end to the subject's last output.
    pub drain_ns: u64,
}

/// What there is to see of a subject while it runs.
pub struct Watch<'a> {
    /// Its processes and kernel threads.
    pids: &'a [Pid],
    /// The directory of its output.
    output: &'a Path,
}

/// A storm of a session.
#[derive(Clone, Copy)]
pub struct Storm<'a> {
    /// Whose name begins the storm's.
    pub room: &'a Room,
    /// What ends it.
    pub suffix: &'static str,
    /// How many workers.
    pub workers: u32,
    /// How many execs together.
    pub execs: u32,
    /// How children are made.
    pub birth: Birth,
}

/// Runs one storm, and waits until the subject, if there is one, has drained.
pub fn timed(stage: &Stage, storm: &Storm<'_>, watch: Option<&Watch<'_>>) -> Result<Timed> {
    let Storm { room, suffix, workers, execs, birth } = *storm;
    let load = Load {
        name: format!("{}{suffix}", room.name).parse()?,
        workers,
        execs,
        program: stage.program.path.clone(),
        filler_bytes: 0,
        birth,
    };
    let own = || watch.map_or(0, |watch| cpu_ns(watch.pids));
    sleep(CALM);
    let own_before_ns = own();
    let before = Snapshot::take()?;
    let outcome = storm::run(&stage.executable, &load)?;
    let ended = Instant::now();
    let mut after = Snapshot::take()?;
    let mut own_ns = own();
    let mut still_since = ended;
    if let Some(watch) = watch {
        let mut bytes = dir_bytes(watch.output)?;
        while still_since.elapsed() < DRAIN_STILL {
            if ended.elapsed() > DRAIN_PATIENCE {
                bail!("still writes {} s after the storm", DRAIN_PATIENCE.as_secs());
            }
            sleep(DRAIN_PERIOD);
            let (bytes_now, own_now_ns) = (dir_bytes(watch.output)?, own());
            if bytes_now != bytes || own_now_ns > own_ns + STILL_CPU_NS {
                (bytes, own_ns, after, still_since) =
                    (bytes_now, own_now_ns, Snapshot::take()?, Instant::now());
            }
        }
    }
    Ok(Timed {
        execs,
        elapsed_ns: outcome.elapsed_ns,
        busy_ns: after.busy_ns_since(&before),
        own_ns: own_ns.saturating_sub(own_before_ns),
        drain_ns: still_since.duration_since(ended).as_nanos() as u64,
    })
}

fn dir_bytes(dir: &Path) -> Result<u64> {
    let entries = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    // A file that is rotated away between the two calls is under its new name the next time.
    Ok(entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|facts| facts.len()).sum())
}

/// Memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Charged to the subject's cgroups.
    pub charged_bytes: u64,
    /// Resident in its processes.
    pub resident_bytes: u64,
}

/// What a session measured.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// From the start to the exec that is the first to be in the output.
    pub first_event_ns: u64,
    /// From the start to that being there to be read.
    pub first_visible_ns: u64,
    /// The storm of one worker.
    pub one: Timed,
    /// The storm of two.
    pub two: Timed,
    /// Memory one second after the first event.
    pub idle: Memory,
    /// Memory one second after all storms.
    pub after: Memory,
    /// The highest of each.
    pub peak: Memory,
    /// Execs of all storms.
    pub expected: u64,
    /// Those of them that are in the output.
    pub captured: u64,
    /// All output over the execs captured.
    pub bytes_per_exec: f64,
    /// All lines of output over the execs captured.
    pub lines_per_exec: f64,
    /// The mean length of the lines that hold an argv.
    pub argv_line_bytes: f64,
}

/// What is measured while the subject runs.
struct Live {
    first_event_ns: u64,
    first_visible_ns: u64,
    one: Timed,
    two: Timed,
    idle: Memory,
    after: Memory,
    peak: Memory,
}

/// Puts a subject through a session.
pub fn session(stage: &mut Stage, plan: &Plan, subject: &mut dyn Subject) -> Result<Session> {
    let room = stage.room()?;
    let started = Instant::now();
    let mut launched = subject.start(stage, &room)?;
    let log = launched.log.clone();
    let live = live(stage, plan, subject, &room, &launched, started).with_context(|| {
        let end = launched.child.try_wait().ok().flatten();
        let end = end.map_or_else(|| "it runs".to_owned(), |status| format!("it ended by itself, {status}"));
        format!("{end}; its last words: {:?}", last_words(&log))
    });
    subject.stop(stage, launched)?;
    let live = live?;
    let mut census = Census::new(&room.name);
    for entry in fs::read_dir(&room.output).with_context(|| format!("read {}", room.output.display()))? {
        census.read_file(&entry.context("read the output's directory")?.path())?;
    }
    let storms = ["w", "a", "b", "m"];
    let captured = storms.iter().map(|storm| census.found(&format!("{}{storm}", room.name))).sum::<u64>();
    let expected = u64::from(plan.warm_up_execs + 2 * plan.execs + plan.rest_execs());
    if captured != expected {
        eprintln!("captured {captured} of {expected}; it said: {:?}", last_words(&log));
    }
    stage.clear(room)?;
    let per_exec = |total: u64| total as f64 / captured.max(1) as f64;
    Ok(Session {
        first_event_ns: live.first_event_ns,
        first_visible_ns: live.first_visible_ns,
        one: live.one,
        two: live.two,
        idle: live.idle,
        after: live.after,
        peak: live.peak,
        expected,
        captured,
        bytes_per_exec: per_exec(census.bytes()),
        lines_per_exec: per_exec(census.lines()),
        argv_line_bytes: census.token_line_mean_bytes().unwrap_or(0.0),
    })
}

fn live(
    stage: &Stage,
    plan: &Plan,
    subject: &dyn Subject,
    room: &Room,
    launched: &Launched,
    started: Instant,
) -> Result<Live> {
    let main_pid = launched.child.id();
    let (first_event, first_visible) = first_event(stage, room, started)?;
    sleep(SETTLE);
    let processes = family(main_pid)?;
    let mut cgroups = vec![launched.cgroup.clone()];
    let now_in = Cgroup::of(main_pid)?;
    if !cgroups.contains(&now_in) {
        cgroups.push(now_in);
    }
    let idle = memory(&cgroups, &processes)?;
    let start_peaks: Vec<u64> =
        cgroups.iter().map(|cgroup| Ok(cgroup.charged_peak()?.unwrap_or(0))).collect::<Result<_>>()?;

    let mut watched = processes.clone();
    for name in subject.kernel_threads() {
        watched.extend(kernel_thread(name)?);
    }
    let watch = Watch { pids: &watched, output: &room.output };
    let storm = |suffix, workers, execs| {
        timed(stage, &Storm { room, suffix, workers, execs, birth: plan.birth }, Some(&watch))
    };
    storm("w", 2, plan.warm_up_execs)?;
    let one = storm("a", 1, plan.execs)?;
    let two = storm("b", 2, plan.execs)?;
    let sampler = Sampler::start(cgroups.clone());
    let rest = if plan.rest_execs() >= 2 { storm("m", 2, plan.rest_execs()).map(|_| ()) } else { Ok(()) };
    let storm_peak = sampler.finish();
    rest?;
    sleep(SETTLE);
    let after = memory(&cgroups, &processes)?;
    let charged_peaks = [start_peaks.iter().sum(), storm_peak, idle.charged_bytes, after.charged_bytes];
    let peak = Memory {
        charged_bytes: charged_peaks.into_iter().max().unwrap_or(0),
        resident_bytes: resident(&processes).peak_bytes,
    };
    Ok(Live {
        first_event_ns: first_event.as_nanos() as u64,
        first_visible_ns: first_visible.as_nanos() as u64,
        one,
        two,
        idle,
        after,
        peak,
    })
}

fn memory(cgroups: &[Cgroup], processes: &[Pid]) -> Result<Memory> {
    let resident_bytes = resident(processes).bytes;
    if resident_bytes == 0 {
        bail!("it has ended");
    }
    Ok(Memory { charged_bytes: charge::charged(cgroups)?, resident_bytes })
}

/// Executes probes until one is in the output: when that one was executed, and when it was there to be read, both
/// since the start.
fn first_event(stage: &Stage, room: &Room, started: Instant) -> Result<(Duration, Duration)> {
    let storm = format!("{}p", room.name);
    let mut executed = Vec::new();
    while started.elapsed() < FIRST_EVENT_PATIENCE {
        let index = u32::try_from(executed.len())?;
        executed.push(started.elapsed());
        let token = Token { storm: &storm, worker: 0, index };
        Command::new(&stage.program.path)
            .arg(token.to_string())
            .env_clear()
            .status()
            .context("execute a probe")?;
        sleep(PROBE_PERIOD);
        let mut census = Census::new(&storm);
        for entry in fs::read_dir(&room.output).with_context(|| format!("read {}", room.output.display()))? {
            census.read_file(&entry.context("read the output's directory")?.path())?;
        }
        let seen = census.first(&storm, 0).and_then(|index| usize::try_from(index).ok());
        if let Some(first) = seen.and_then(|index| executed.get(index)) {
            return Ok((*first, started.elapsed()));
        }
    }
    bail!("saw nothing within {} s", FIRST_EVENT_PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_storm_fills_the_session_up() {
        let plan =
            Plan { rounds: 1, execs: 20_000, events: 100_000, warm_up_execs: 1_000, birth: Birth::Fork };
        assert_eq!(plan.rest_execs(), 59_000);
        assert_eq!(Plan { events: 10, ..plan }.rest_execs(), 0);
    }
}
