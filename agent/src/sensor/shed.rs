//! What the sensor leaves out when it is pressed, decided purely: readings in, changes out.
//!
//! The order is fixed: contents of scripts, then hashes, then whole families of events, the noisiest first. Launch by exec and Terminate
//! are no such family and are never left out. One thing is given up at a time, and only when pressure lasts over [`RISE_READINGS`] readings;
//! a critical reading is enough by itself. One is taken back at a time, in the opposite order, after a calm that doubles each time pressure
//! comes back soon after. Between "high" and "calm" lies a band in which nothing changes, so that the sensor does not swing.

use std::time::Duration;

/// Readings of high pressure, one after another, before something is left out.
pub const RISE_READINGS: u32 = 2;
/// Calm that gives back one thing.
pub const CALM: Duration = Duration::from_secs(5);
/// The same at most, after relapses.
pub const CALM_MAX: Duration = Duration::from_secs(80);
/// Pressure that comes back within this time after a thing was given back is a relapse.
pub const RELAPSE: Duration = Duration::from_secs(60);

/// What is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Memory, below the cgroup's limit.
    Memory,
    /// Processor time: records wait in the ring for the sensor.
    Cpu,
    /// The outputs take less than there is.
    Output,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Output];

    /// Its name in the account.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Output => "output",
        }
    }
}

/// A family of events that may be left out whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Launch by fork.
    Fork,
    /// Script Activity.
    Script,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fork, Self::Script];
}

/// A thing that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// Contents of scripts.
    ScriptContent,
    /// Hashes that are not known yet.
    Hash,
    /// All events of a family.
    Family(Family),
}

impl Thing {
    /// Its name in events and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScriptContent => "script_content",
            Self::Hash => "hash",
            Self::Family(Family::Fork) => "fork",
            Self::Family(Family::Script) => "script",
        }
    }
}

/// How pressed the sensor was since the reading before. Thousandths throughout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Memory that can't be reclaimed, of the tightest limit.
    pub memory_permille: u32,
    /// Time in which the sensor stood still for memory (PSI), where the kernel tells.
    pub memory_stall_permille: u32,
    /// Periods of the processor limit in which it was stopped.
    pub throttled_permille: u32,
    /// The ring at its fullest.
    pub ring_permille: u32,
    /// Time in which the queue to the outputs was full.
    pub output_permille: u32,
    /// Events written, by [`Family::ALL`].
    pub written: [u64; Family::ALL.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Calm,
    Tense,
    High,
    Critical,
}

/// Where a measure begins to be tense, high and critical.
const MEMORY: [u32; 3] = [700, 850, 950];
const MEMORY_STALL: [u32; 3] = [20, 100, 400];
const RING: [u32; 3] = [100, 500, 900];
/// The outputs' queue is a valve, not a tank: it is nothing new that it is full for a moment.
const OUTPUT: [u32; 3] = [100, 500, 950];
/// A sensor that its limit stops this often is pressed as soon as the ring is this full.
const THROTTLED: u32 = 500;
const THROTTLED_RING: u32 = 200;

fn grade(value: u32, steps: [u32; 3]) -> Grade {
    let [tense, high, critical] = steps;
    if value >= critical {
        Grade::Critical
    } else if value >= high {
        Grade::High
    } else if value >= tense {
        Grade::Tense
    } else {
        Grade::Calm
    }
}

impl Reading {
    /// The worst of it.
    fn worst(&self) -> (Grade, Cause) {
        let memory = grade(self.memory_permille, MEMORY).max(grade(self.memory_stall_permille, MEMORY_STALL));
        let output = grade(self.output_permille, OUTPUT);
        let mut ring = grade(self.ring_permille, RING);
        if self.throttled_permille >= THROTTLED && self.ring_permille >= THROTTLED_RING {
            // A limit that stops the sensor while nothing piles up is a limit that does its work.
            ring = ring.max(Grade::High);
        }
        // A ring that fills because nobody takes the events away is no want of processor time.
        let cpu = if output >= Grade::High { Grade::Calm } else { ring };
        // Of equal grades the first counts: nothing kills but memory.
        [(memory, Cause::Memory), (output, Cause::Output), (cpu, Cause::Cpu)]
            .into_iter()
            .reduce(|worst, one| if one.0 > worst.0 { one } else { worst })
            .unwrap_or((Grade::Calm, Cause::Memory))
    }
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is left out from now on, for want of that.
    Sheds(Thing, Cause),
    /// This is given again.
    Resumes(Thing),
}

/// The state machine. It reads no clock: moments are given as time since some beginning.
#[derive(Clone, Debug)]
pub struct Shedder {
    /// What is left out, the first given up first.
    shed: Vec<Thing>,
    cause: Cause,
    high_readings: u32,
    calm_since: Option<Duration>,
    calm: Duration,
    resumed_at: Option<Duration>,
}

impl Default for Shedder {
    fn default() -> Self {
        Self {
            shed: Vec::new(),
            cause: Cause::Memory,
            high_readings: 0,
            calm_since: None,
            calm: CALM,
            resumed_at: None,
        }
    }
}

impl Shedder {
    /// What is left out now, the first given up first.
    pub fn shed(&self) -> &[Thing] {
        &self.shed
    }

    /// Why the last of it was given up.
    pub fn cause(&self) -> Option<Cause> {
        (!self.shed.is_empty()).then_some(self.cause)
    }

    /// Takes a reading; at most one thing changes.
    pub fn step(&mut self, reading: &Reading, now: Duration) -> Option<Change> {
        let (grade, cause) = reading.worst();
        match grade {
            Grade::Calm => {
                self.high_readings = 0;
                self.relax(now)
            }
            Grade::Tense => {
                self.high_readings = 0;
                self.calm_since = None;
                None
            }
            Grade::High | Grade::Critical => {
                self.calm_since = None;
                self.high_readings = self.high_readings.saturating_add(1);
                if grade == Grade::High && self.high_readings < RISE_READINGS {
                    return None;
                }
                self.give_up(reading, cause, now)
            }
        }
    }

    /// The next thing in the order that is not left out yet.
    fn next(&self, reading: &Reading) -> Option<Thing> {
        if let Some(thing) =
            [Thing::ScriptContent, Thing::Hash].into_iter().find(|thing| !self.shed.contains(thing))
        {
            return Some(thing);
        }
        Family::ALL
            .into_iter()
            .zip(reading.written)
            .filter(|(family, written)| *written > 0 && !self.shed.contains(&Thing::Family(*family)))
            .max_by_key(|(_, written)| *written)
            .map(|(family, _)| Thing::Family(family))
    }

    fn give_up(&mut self, reading: &Reading, cause: Cause, now: Duration) -> Option<Change> {
        let thing = self.next(reading)?;
        if let Some(at) = self.resumed_at.take()
            && now.saturating_sub(at) < RELAPSE
        {
            self.calm = (self.calm * 2).min(CALM_MAX);
        }
        self.high_readings = 0;
        self.shed.push(thing);
        self.cause = cause;
        Some(Change::Sheds(thing, cause))
    }

    fn relax(&mut self, now: Duration) -> Option<Change> {
        if self.shed.is_empty() {
            if self.resumed_at.is_some_and(|at| now.saturating_sub(at) >= RELAPSE) {
                (self.resumed_at, self.calm) = (None, CALM);
            }
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_sub(since) < self.calm {
            return None;
        }
        self.calm_since = Some(now);
        self.resumed_at = Some(now);
        self.shed.pop().map(Change::Resumes)
    }
}

#[cfg(test)]
#[path = "shed_tests.rs"]
mod tests;
